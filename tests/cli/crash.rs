//! The server is killed as by a power cut, or stopped, at bad moments: what it acknowledged is there afterwards.

use crate::support::project::Project;
use crate::support::run::Running;
use crate::support::site::{LOCKED, Site};

/// Things in a row: `t0`, `t1`, …, each needing the one before it.
fn row(n: usize, value: &str) -> String {
    let thing = |i: usize| {
        let needs = if i == 0 { String::new() } else { format!("'${{t{}}}'", i - 1) };
        format!(
            "  t{i}: {{ type: world:Thing, properties: {{ value: {value} }}, options: {{ dependsOn: [{needs}] }} }}\n"
        )
    };
    format!("resources:\n{}", (0..n).map(thing).collect::<String>())
}

fn up_that_waits_in(project: &Project, operation: &str) -> Running {
    project.world.hold(operation);
    let up = project.spawn_up();
    project.world.wait_inside(operation);
    up
}

#[test]
fn the_server_is_killed_and_started_again_in_the_middle_of_an_up() {
    let Some(mut site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(&row(4, "one"));
    let up = up_that_waits_in(&project, "create t1");
    site.server.kill();
    // The CLI goes on without a server, and keeps trying to report.
    project.world.allow("create t1");
    site.server.restart();
    up.wait().ok();
    let state = project.export();
    assert_eq!(state.names(), ["t0", "t1", "t2", "t3"]);
    assert_eq!(state.pending(), [""; 0]);
    project.expect_no_changes();
}

#[test]
fn the_server_is_killed_three_times_during_one_up() {
    let Some(mut site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(&row(6, "one"));
    for step in ["create t1", "create t3", "create t5"] {
        project.world.hold(step);
    }
    let up = project.spawn_up();
    for (step, done) in [("create t1", 1), ("create t3", 3), ("create t5", 5)] {
        project.world.wait_inside(step);
        site.server.kill();
        site.server.restart();
        let state = project.export();
        assert_eq!(state.names().len(), done, "before {step} all others were reported");
        assert_eq!(state.pending(), [step.replace("create", "creating")]);
        project.world.allow(step);
    }
    up.wait().ok();
    assert_eq!(project.export().names().len(), 6);
    project.expect_no_changes();
    assert_eq!(project.world.log().len(), 6, "nothing was made twice");
}

#[test]
fn the_server_and_the_cli_are_killed() {
    let Some(mut site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(&row(3, "one"));
    let up = up_that_waits_in(&project, "create t1");
    site.server.kill();
    up.kill();
    project.world.allow("create t1");
    site.server.restart();

    let state = project.export();
    assert_eq!(state.names(), ["t0"]);
    assert_eq!(state.pending(), ["creating t1"]);
    project.up().fails().says(LOCKED);
    project.pulumi(&["cancel", "--yes"]).ok();
    project.up().ok();
    assert_eq!(project.export().names(), ["t0", "t1", "t2"]);
}

#[test]
fn the_lock_survives_a_clean_restart() {
    let Some(mut site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(&row(2, "one"));
    let up = up_that_waits_in(&project, "create t1");
    site.server.stop();
    site.server.restart();
    project.up().fails().says(LOCKED);
    project.world.allow("create t1");
    up.wait().ok();
    project.expect_no_changes();
}

#[test]
fn a_restart_between_updates_keeps_everything() {
    let Some(mut site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    project.write_program(
        "
config: { pin: { type: string } }
resources: { a: { type: pulumi:index:Stash, properties: { input: '${pin}' } } }
outputs: { pin: '${a.output}' }",
    );
    project.pulumi(&["config", "set", "--secret", "pin", "hush-1234"]).ok();
    project.up().ok();
    project.pulumi(&["stack", "tag", "set", "team", "blue"]).ok();
    site.stack("shop", "prod");
    let view = |project: &Project| {
        let args: [&[&str]; 6] = [
            &["stack", "export"],
            &["stack", "export", "--version", "1"],
            &["stack", "history", "--json"],
            &["stack", "tag", "ls", "--json"],
            &["stack", "ls", "--all", "--json"],
            &["stack", "output", "--json", "--show-secrets"],
        ];
        args.map(|args| project.pulumi(args).ok().json())
    };
    let before = view(&project);
    assert_eq!(before[5]["pin"], "hush-1234");
    site.server.stop();
    site.server.restart();
    assert_eq!(view(&project), before);
    site.server.kill();
    site.server.restart();
    assert_eq!(view(&project), before);
    project.expect_no_changes();
}

#[test]
fn a_kill_right_after_each_of_five_updates_loses_none() {
    let Some(mut site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    for version in 1..=5 {
        project.write_program(&format!(
            "resources: {{ a: {{ type: pulumi:index:Stash, properties: {{ input: {version} }} }} }}"
        ));
        project.up().ok();
        site.server.kill();
        site.server.restart();
        assert_eq!(project.export().resource("a")["inputs"]["input"], version);
    }
    let history = project.pulumi(&["stack", "history", "--json"]).ok().json();
    let versions: Vec<i64> =
        history.as_array().expect("a list").iter().filter_map(|u| u["version"].as_i64()).collect();
    assert_eq!(versions, [5, 4, 3, 2, 1]);
    for version in 1..=5 {
        let old = project.export_with(&["--version", &version.to_string()]);
        assert_eq!(old.resource("a")["inputs"]["input"], version);
    }
}
