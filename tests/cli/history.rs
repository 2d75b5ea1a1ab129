//! What happened to a stack: versions, kinds, results, messages, and the states of old.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::http::get;
use crate::support::project::Project;
use crate::support::site::Site;

fn stash(value: &str) -> String {
    format!("resources: {{ a: {{ type: pulumi:index:Stash, properties: {{ input: {value} }} }} }}")
}

/// The history, newest first, as `[version, kind, result]`.
#[track_caller]
fn history(project: &Project, args: &[&str]) -> Vec<Value> {
    let all: Vec<&str> = ["stack", "history", "--json"].into_iter().chain(args.iter().copied()).collect();
    let list = project.pulumi(&all).ok().json();
    let updates = list.as_array().expect("a list of updates").iter();
    updates.map(|update| json!([update["version"], update["kind"], update["result"]])).collect()
}

#[test]
fn each_kind_and_each_result() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.pulumi(&["stack", "history"]).ok().says("Stack has never been updated");
    project.write_program("resources: { a: { type: world:Thing } }");
    project.pulumi(&["up", "--yes", "--message", "the <first> one ü"]).ok();
    project.pulumi(&["refresh", "--yes"]).ok();
    project.world.fail("update a");
    project.write_program("resources: { a: { type: world:Thing, properties: { value: two } } }");
    project.up().fails();
    project.world.allow("update a");
    project.pulumi(&["preview"]).ok();
    let exported = project.pulumi(&["stack", "export"]).ok().stdout;
    std::fs::write(project.folder().join("state.json"), exported).expect("write the state");
    project.pulumi(&["stack", "import", "--file", "state.json"]).ok();
    let id = project.world.add("found", "x");
    project
        .pulumi(&[
            "import",
            "world:index:Thing",
            "found",
            &id,
            "--yes",
            "--generate-code=false",
            "--protect=false",
        ])
        .ok();
    project.pulumi(&["destroy", "--yes"]).ok();

    let expected = [
        json!([6, "destroy", "succeeded"]),
        json!([5, "resource-import", "succeeded"]),
        json!([4, "import", "succeeded"]),
        json!([3, "update", "failed"]),
        json!([2, "refresh", "succeeded"]),
        json!([1, "update", "succeeded"]),
    ];
    assert_eq!(history(&project, &[]), expected);
    let list = project.pulumi(&["stack", "history", "--json"]).ok().json();
    let first = &list[5];
    assert_eq!(first["message"], "the <first> one ü");
    assert_eq!(first["environment"]["pulumi.version"].as_str().map(|v| v.starts_with('v')), Some(true));
    assert_eq!(first["resourceChanges"], json!({ "create": 2 }));
    assert!(first["startTime"].as_str() <= first["endTime"].as_str());
    project.pulumi(&["stack", "history", "--full-dates"]).ok().says("the <first> one ü").says("Version: 6");
    assert_eq!(history(&project, &["--page-size", "4", "--page", "2"]), expected[4..]);
    assert_eq!(history(&project, &["--page-size", "4", "--page", "3"]), [json!(null); 0]);
}

#[test]
fn every_old_version_is_kept_and_can_come_back() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    for value in ["one", "two", "three"] {
        project.write_program(&stash(value));
        project.up().ok();
    }
    for (version, value) in [("1", "one"), ("2", "two"), ("3", "three")] {
        let old = project.export_with(&["--version", version]);
        assert_eq!(old.resource("a")["inputs"]["input"], value);
    }
    project.pulumi(&["stack", "export", "--version", "9"]).fails();

    project.pulumi(&["stack", "export", "--version", "1", "--file", "old.json"]).ok();
    project.pulumi(&["stack", "import", "--file", "old.json"]).ok();
    assert_eq!(project.export().resource("a")["inputs"]["input"], "one");
    assert_eq!(history(&project, &["--page-size", "1"]), [json!([4, "import", "succeeded"])]);
    let old = project.export_with(&["--version", "3"]);
    assert_eq!(old.resource("a")["inputs"]["input"], "three", "what was there stays there");
    project.write_program(&stash("one"));
    project.expect_no_changes();
}

#[test]
fn what_is_no_deployment_is_not_imported() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(&stash("one"));
    project.up().ok();
    let before = project.export().0;
    for text in ["", "no JSON", "[]", r#"{"version": 99, "deployment": {}}"#] {
        std::fs::write(project.folder().join("bad.json"), text).expect("write a bad file");
        project.pulumi(&["stack", "import", "--file", "bad.json"]).fails();
    }
    assert_eq!(project.export().0, before);
    project.expect_no_changes();
}

#[test]
fn events_of_an_update_are_kept_in_order() {
    let Some(mut site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    let many: String = (0..60)
        .map(|i| format!("  t{i}: {{ type: pulumi:index:Stash, properties: {{ input: {i} }} }}\n"))
        .collect();
    project.write_program(&format!("resources:\n{many}"));
    project.up().ok();
    site.server.kill();
    site.server.restart();
    let stack = get(site.server.address(), "/api/stacks/organization/web/dev");
    let update = stack["activeUpdate"].as_str().expect("the id of the last update");
    let events = ["stack", "history", "events", update, "--all", "--output", "json"];
    let events = project.pulumi(&events).ok().json();
    let events = events.as_array().expect("a list of events");
    assert!(events.first().is_some_and(|event| event["preludeEvent"].is_object()), "{:#?}", events.first());
    assert!(events.last().is_some_and(|event| event["summaryEvent"].is_object()), "{:#?}", events.last());
    let made = events.iter().filter(|event| event["resOutputsEvent"]["metadata"]["op"] == "create");
    // 60 stashes, the provider is told of by none, the stack by one.
    assert_eq!(made.count(), 61);
}

/// Where a change came from: the repository that the program lies in.
#[test]
fn git_and_tags_of_the_project() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    let git = |args: &[&str]| {
        let identity =
            ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"];
        let output = Command::new("git").args(identity).args(args).current_dir(project.folder()).output();
        let output = output.expect("run git");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    project.write_program("description: a small shop");
    git(&["init", "--initial-branch", "main"]);
    git(&["add", "."]);
    git(&["commit", "--message", "the <first> commit"]);
    git(&["remote", "add", "origin", "https://github.com/acme/web.git"]);
    project.up().ok();

    let update = &project.pulumi(&["stack", "history", "--json"]).ok().json()[0];
    assert_eq!(update["message"], "the <first> commit");
    assert_eq!(update["environment"]["git.headName"], "refs/heads/main");
    assert_eq!(update["environment"]["git.author"], "Ada");
    assert_eq!(update["environment"]["git.head"].as_str().map(str::len), Some(40));
    let tags = project.pulumi(&["stack", "tag", "ls", "--json"]).ok().json();
    assert_eq!(tags["pulumi:description"], "a small shop");
    assert_eq!(tags["pulumi:runtime"], "yaml");
    assert_eq!(tags["vcs:repo"], "web");
}
