//! Several at once: the second one hears who is at work, and never disturbs the first.

use crate::support::project::Project;
use crate::support::run::Running;
use crate::support::site::{LOCKED, Site};

const TWO: &str = "
resources:
  a: { type: world:Thing, properties: { value: one } }
  b: { type: world:Thing, properties: { value: one }, options: { dependsOn: ['${a}'] } }
outputs: { first: '${a.value}' }
";

/// Starts an `up` that has made `a` and waits inside the creation of `b`.
fn up_that_waits(project: &Project) -> Running {
    project.write_program(TWO);
    project.world.hold("create b");
    let up = project.spawn_up();
    project.world.wait_inside("create b");
    up
}

#[track_caller]
fn finish(project: &Project, up: Running) {
    project.world.allow("create b");
    up.wait().ok();
    assert_eq!(project.export().names(), ["a", "b"]);
    project.expect_no_changes();
}

#[test]
fn whatever_writes_is_refused_while_an_update_runs() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    let exported = project.folder().join("exported.json");
    let exported = exported.to_str().expect("a path in UTF-8");
    project.pulumi(&["stack", "export", "--file", exported]).ok();
    let up = up_that_waits(&project);

    for writer in [
        &["up", "--yes", "--skip-preview"][..],
        &["refresh", "--yes", "--skip-preview"],
        &["destroy", "--yes", "--skip-preview"],
        &["stack", "import", "--file", exported],
        &["state", "delete", "--yes", "urn:pulumi:dev::web::world:index:Thing::a"],
    ] {
        project.pulumi(writer).fails().says(LOCKED);
    }
    project.pulumi(&["stack", "rename", "other"]).fails();
    project.pulumi(&["stack", "rm", "--yes"]).fails();
    project.pulumi(&["stack", "rm", "--yes", "--force"]).fails();
    finish(&project, up);
}

#[test]
fn whatever_only_reads_works_while_an_update_runs() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    let up = up_that_waits(&project);

    let state = project.export();
    assert_eq!(state.names(), ["a"]);
    assert_eq!(state.pending(), ["creating b"]);
    project.pulumi(&["stack"]).ok().says("Update in progress").says("Requested By: admin");
    let list = project.pulumi(&["stack", "ls", "--json"]).ok().json();
    assert_eq!(list[0]["updateInProgress"], true);
    let previews: Vec<Running> = (0..2).map(|_| project.spawn(&["preview"])).collect();
    previews.into_iter().for_each(|preview| drop(preview.wait().ok()));
    project.pulumi(&["stack", "output", "--json"]).ok();
    project.pulumi(&["stack", "tag", "set", "team", "blue"]).ok();
    project.pulumi(&["config", "set", "--secret", "token", "hush"]).ok();

    finish(&project, up);
    project.pulumi(&["stack"]).ok().says_nothing_of("Update in progress");
    let list = project.pulumi(&["stack", "ls", "--json"]).ok().json();
    assert_ne!(list[0]["updateInProgress"], true);
    assert_eq!(project.pulumi(&["stack", "tag", "get", "team"]).ok().line(), "blue");
}

#[test]
fn other_stacks_go_on() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    let other = site.stack("shop", "dev");
    let up = up_that_waits(&project);
    other.write_program(TWO);
    other.up().ok();
    other.pulumi(&["destroy", "--yes", "--skip-preview", "--remove"]).ok();
    finish(&project, up);
}

#[test]
fn cancel_ends_the_update_of_another_cli() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.pulumi(&["cancel", "--yes"]).fails().says("has never been updated");

    let up = up_that_waits(&project);
    project.pulumi(&["cancel", "--yes"]).ok();
    project.world.allow("create b");
    // It learns of its end when it reports the next step: `b` is made, but this CLI may no longer say so.
    up.wait().fails();
    let state = project.export();
    assert_eq!(state.names(), ["a"]);
    assert_eq!(state.pending(), ["creating b"]);
    let history = project.pulumi(&["stack", "history", "--json"]).ok().json();
    assert_eq!(history[0]["result"], "failed");

    project.pulumi(&["refresh", "--yes", "--skip-preview", "--clear-pending-creates"]).ok();
    project.up().ok();
    project.expect_no_changes();
    assert_eq!(project.export().names(), ["a", "b"]);
    let before = project.export().0;
    // Nothing runs now; whatever it answers, nothing may change.
    project.pulumi(&["cancel", "--yes"]);
    assert_eq!(project.export().0, before);
}

#[test]
fn of_six_ups_at_the_same_moment_one_wins() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(TWO);
    // Whoever wins waits inside its update until every other one has been answered.
    project.world.hold("create b");
    let mut ups: Vec<Running> = (0..6).map(|_| project.spawn_up()).collect();
    project.world.wait_inside("create b");
    let mut running = Vec::new();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(150);
    while ups.len() + running.len() > 1 {
        assert!(std::time::Instant::now() < deadline, "{} CLIs neither won nor gave up", ups.len());
        for mut up in std::mem::take(&mut ups) {
            match up.is_running() {
                true => running.push(up),
                false => drop(up.wait().fails().says(LOCKED)),
            }
        }
        ups.append(&mut running);
    }
    finish(&project, ups.pop().expect("one of them is at work"));
    assert_eq!(project.world.log(), ["create a", "create b"]);
    let history = project.pulumi(&["stack", "history", "--json"]).ok().json();
    assert_eq!(history.as_array().map(Vec::len), Some(2), "the winner's and the one that found no changes");
}

#[test]
fn a_stack_is_made_once() {
    let Some(site) = Site::start() else { return };
    let project = site.project("web");
    let makers: Vec<Running> = (0..3).map(|_| project.spawn(&["stack", "init", "dev"])).collect();
    let (made, refused): (Vec<_>, Vec<_>) =
        makers.into_iter().map(Running::wait).partition(|run| run.is_ok());
    assert_eq!(made.len(), 1);
    for run in refused {
        run.fails().says("already exists");
    }
}
