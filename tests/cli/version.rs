//! Older CLIs: each lives the life of a stack, and shares it with the newest one.
//!
//! They run only when asked for, as building each of them takes minutes: `PULUMI_CLI_VERSIONS=all`, or some of
//! the table as `PULUMI_CLI_VERSIONS=v3.150.0,v3.225.0`.

use std::path::Path;

use serde_json::json;

use crate::support::project::Project;
use crate::support::site::{LOCKED, Site};
use crate::support::tools::{build_version, say};

/// Each is here for what it does otherwise.
const VERSIONS: [(&str, &str); 5] = [
    ("v3.150.0", "encrypts secrets one by one; never asks for a default organization"),
    ("v3.210.0", "journals only if told to; sends text differences otherwise"),
    ("v3.220.0", "the same, shortly before journaling became the default"),
    ("v3.225.0", "the first that journals by default"),
    ("v3.250.0", "does not wait when it is told to slow down"),
];

fn program(value: &str) -> String {
    format!(
        "
config: {{ token: {{ type: string }} }}
resources:
  a: {{ type: world:Thing, properties: {{ value: {value} }} }}
  b: {{ type: world:Thing, properties: {{ value: '${{token}}' }}, options: {{ dependsOn: ['${{a}}'] }} }}
outputs: {{ value: '${{a.value}}', token: '${{token}}' }}
"
    )
}

#[test]
fn each_lives_the_life_of_a_stack() {
    let Ok(asked) = std::env::var("PULUMI_CLI_VERSIONS") else {
        say("older CLIs were not asked for (PULUMI_CLI_VERSIONS=all)");
        return;
    };
    let versions: Vec<&str> = match asked.as_str() {
        "all" => VERSIONS.iter().map(|(version, _)| *version).collect(),
        some => some.split(',').collect(),
    };
    for version in versions {
        let Some(site) = Site::start() else { return };
        let cli = build_version(version).unwrap_or_else(|why| panic!("no CLI {version}: {why}"));
        say(&format!("the life of a stack with {version}"));
        life(&site, &cli);
    }
}

fn life(site: &Site, cli: &Path) {
    let newest = site.project("web");
    let old = newest.with_cli(cli);
    old.pulumi(&["stack", "init", "dev"]).ok();
    old.pulumi(&["config", "set", "--secret", "token", "hush-1234"]).ok();
    old.write_program(&program("one"));
    old.pulumi(&["preview"]).ok();
    old.up().ok();
    expect_same_for_both(&old, &newest, "one");

    old.world.fail("update a");
    old.write_program(&program("two"));
    old.up().fails();
    old.world.allow("update a");
    kill_and_recover(&old);
    expect_same_for_both(&old, &newest, "two");

    // What the newest one has written is read by the old one, and the other way round.
    newest.write_program(&program("three"));
    newest.up().ok();
    old.write_program(&program("four"));
    old.up().ok();
    expect_same_for_both(&old, &newest, "four");

    old.pulumi(&["stack", "export", "--file", "state.json"]).ok();
    old.pulumi(&["stack", "import", "--file", "state.json"]).ok();
    old.pulumi(&["stack", "rename", "prod"]).ok();
    old.pulumi(&["stack", "tag", "set", "team", "blue"]).ok();
    old.pulumi(&["refresh", "--yes", "--skip-preview", "--expect-no-changes"]).ok();
    expect_same_for_both(&old, &newest, "four");
    old.pulumi(&["destroy", "--yes", "--skip-preview"]).ok();
    assert_eq!(old.export().resources().len(), 0);
    assert_eq!(old.world.names(), [""; 0]);
    old.pulumi(&["stack", "rm", "--yes"]).ok();
}

/// Neither has anything to do, and both can open the secrets.
#[track_caller]
fn expect_same_for_both(old: &Project, newest: &Project, value: &str) {
    for project in [old, newest] {
        project.expect_no_changes();
        assert_eq!(project.export().names(), ["a", "b"]);
        let outputs = project.pulumi(&["stack", "output", "--json", "--show-secrets"]).ok().json();
        assert_eq!(outputs, json!({ "value": value, "token": "hush-1234" }));
    }
}

/// Killed inside an update step: the stack is locked until a cancel, and nothing is lost.
#[track_caller]
fn kill_and_recover(old: &Project) {
    old.world.hold("update a");
    let up = old.spawn_up();
    old.world.wait_inside("update a");
    up.kill();
    let state = old.export();
    assert_eq!(state.names(), ["a", "b"]);
    assert_eq!(state.resource("a")["outputs"]["value"], "one");
    old.world.allow("update a");
    old.up().fails().says(LOCKED);
    old.pulumi(&["cancel", "--yes"]).ok();
    old.up().ok();
}
