//! Every way an update can end, and what the state says afterwards: all that was reported, and nothing else.
//!
//! Each story is told twice: with the journal, which is how this CLI saves by default, and with checkpoints.

use crate::support::project::Project;
use crate::support::site::{LOCKED, Site};

/// Three things in a row, each needing the one before it; `{}` is the value of all.
fn chain(value: &str) -> String {
    format!(
        "
resources:
  a: {{ type: world:Thing, properties: {{ value: {value} }} }}
  b: {{ type: world:Thing, properties: {{ value: {value} }}, options: {{ dependsOn: ['${{a}}'] }} }}
  c: {{ type: world:Thing, properties: {{ value: {value} }}, options: {{ dependsOn: ['${{b}}'] }} }}
"
    )
}

/// One thing that is replaced when its `property` changes, and one that needs it.
fn replaceable(property: &str, value: &str) -> String {
    format!(
        "
resources:
  a: {{ type: world:Thing, properties: {{ {property}: {value} }} }}
  b: {{ type: world:Thing, properties: {{ value: same }}, options: {{ dependsOn: ['${{a}}'] }} }}
"
    )
}

/// `n` things that do not need each other: `t0`, `t1`, …
fn crowd(n: usize) -> String {
    let thing = |i| format!("  t{i}: {{ type: world:Thing, properties: {{ value: one }} }}\n");
    format!("resources:\n{}", (0..n).map(thing).collect::<String>())
}

/// A stack with the three things of `chain("one")`, and no notes of how they were made.
#[track_caller]
fn have_chain(project: &Project) {
    project.write_program(&chain("one"));
    project.up().ok();
    project.world.take_log();
}

/// Nobody holds the stack, and `up` brings it to what the program says.
#[track_caller]
fn expect_next_up_settles(project: &Project) {
    project.up().ok();
    project.expect_no_changes();
    let state = project.export();
    assert_eq!(state.pending(), [""; 0]);
    assert_eq!(state.condemned(), [""; 0]);
    assert_eq!(state.names(), project.world.names());
}

/// The CLI is gone without a word: the stack stays locked until somebody cancels its update.
#[track_caller]
fn expect_locked_until_cancel(project: &Project) {
    project.up().fails().says(LOCKED);
    project.pulumi(&["cancel", "--yes"]).ok();
}

/// The values of `a`, `b` and `c` in the state.
fn values(project: &Project) -> [String; 3] {
    let state = project.export();
    ["a", "b", "c"]
        .map(|name| state.resource(name)["outputs"]["value"].as_str().unwrap_or_default().to_string())
}

fn a_program_that_fails_half_way(project: &Project) {
    // What the program asks for cannot be had, as it finds out once `a` is made: an id is no base64.
    let broken = "
variables:
  gone: { fn::fromBase64: '${a.id}' }
resources:
  a: { type: world:Thing }
  b: { type: world:Thing, properties: { value: '${gone}' } }
";
    project.write_program(broken);
    project.up().fails();
    assert_eq!(project.export().names(), ["a"]);
    assert_eq!(project.world.names(), ["a"]);

    project.write_program(&chain("one"));
    expect_next_up_settles(project);
    assert_eq!(project.world.names(), ["a", "b", "c"]);
}

fn a_create_that_fails(project: &Project) {
    project.world.fail("create b");
    project.write_program(&chain("one"));
    project.up().fails().says("create of b fails");
    let state = project.export();
    assert_eq!(state.names(), ["a"]);
    assert_eq!(state.pending(), [""; 0]);

    project.world.allow("create b");
    project.world.take_log();
    expect_next_up_settles(project);
    assert_eq!(project.world.take_log(), ["create b", "create c"]);
}

fn one_of_twenty_creates_fails(project: &Project) {
    project.world.fail("create t7");
    project.write_program(&crowd(20));
    project.pulumi(&["up", "--yes", "--skip-preview", "--continue-on-error"]).fails();
    let state = project.export();
    assert_eq!(state.names().len(), 19);
    assert_eq!(state.names(), project.world.names());
    assert!(!state.names().contains(&"t7"));

    project.world.allow("create t7");
    project.world.take_log();
    expect_next_up_settles(project);
    assert_eq!(project.world.take_log(), ["create t7"]);
}

fn a_thing_that_is_made_but_not_ready(project: &Project) {
    project.world.fail_partly("create b");
    project.write_program(&chain("one"));
    project.up().fails().says("not ready, as the test asked");
    let state = project.export();
    assert_eq!(state.names(), ["a", "b"]);
    assert_eq!(state.resource("b")["initErrors"][0], "not ready, as the test asked");

    project.world.allow("create b");
    expect_next_up_settles(project);
    assert!(project.export().resource("b")["initErrors"].is_null());
}

fn an_update_that_fails_half_way(project: &Project) {
    have_chain(project);
    project.world.fail("update b");
    project.write_program(&chain("two"));
    project.up().fails().says("update of b fails");
    assert_eq!(values(project), ["two", "one", "one"]);

    project.world.allow("update b");
    expect_next_up_settles(project);
    assert_eq!(values(project), ["two", "two", "two"]);
    assert_eq!(project.world.take_log(), ["update a", "update b", "update c"]);
}

fn ctrl_c_once(project: &Project) {
    interrupt_once(project, "INT");
}

fn sigterm_once(project: &Project) {
    interrupt_once(project, "TERM");
}

/// The operation in flight ends and is in the state, nothing new starts, and nobody holds the stack.
fn interrupt_once(project: &Project, signal: &str) {
    project.world.hold("create b");
    project.write_program(&chain("one"));
    let mut up = project.spawn_up();
    project.world.wait_inside("create b");
    up.signal(signal);
    up.wait_until_it_says("cancel");
    project.world.allow("create b");
    up.wait().fails();

    let state = project.export();
    assert_eq!(state.names(), ["a", "b"]);
    assert_eq!(state.pending(), [""; 0]);
    expect_next_up_settles(project);
    assert_eq!(project.world.log(), ["create a", "create b", "create c"]);
}

fn ctrl_c_once_with_a_provider_that_heeds_it(project: &Project) {
    project.world.hold_until_cancelled("create b");
    project.write_program(&chain("one"));
    let up = project.spawn_up();
    project.world.wait_inside("create b");
    up.signal("INT");
    up.wait().fails().says("cancelled while it waited");
    let state = project.export();
    assert_eq!(state.names(), ["a"]);
    assert_eq!(state.pending(), [""; 0]);

    project.world.allow("create b");
    expect_next_up_settles(project);
    assert_eq!(project.world.log(), ["create a", "create b", "create c"]);
}

/// The operation in flight is given up: nobody knows how it ended, and nobody holds the stack.
fn ctrl_c_twice(project: &Project) {
    project.world.hold("create b");
    project.write_program(&chain("one"));
    let mut up = project.spawn_up();
    project.world.wait_inside("create b");
    up.signal("INT");
    up.wait_until_it_says("cancel");
    up.signal("INT");
    up.wait().fails();

    let state = project.export();
    assert_eq!(state.names(), ["a"]);
    assert_eq!(state.pending(), ["creating b"]);
    project.world.allow("create b");
    project.pulumi(&["refresh", "--yes", "--skip-preview", "--clear-pending-creates"]).ok();
    expect_next_up_settles(project);
}

fn kill_before_a_create_is_done(project: &Project) {
    project.world.hold("create b");
    project.write_program(&chain("one"));
    let up = project.spawn_up();
    project.world.wait_inside("create b");
    up.kill();
    let state = project.export();
    assert_eq!(state.names(), ["a"]);
    assert_eq!(state.pending(), ["creating b"]);

    project.world.allow("create b");
    expect_locked_until_cancel(project);
    assert_eq!(project.export().pending(), ["creating b"], "a cancel keeps what is known");
    // The CLI asks a person about such operations; this is what to answer when nothing was made.
    project.pulumi(&["refresh", "--yes", "--skip-preview", "--clear-pending-creates"]).ok();
    assert_eq!(project.export().pending(), [""; 0]);
    expect_next_up_settles(project);
    assert_eq!(project.world.log(), ["create a", "create b", "create c"]);
}

fn kill_after_a_create_is_done(project: &Project) {
    project.world.hold_after("create b");
    project.write_program(&chain("one"));
    let up = project.spawn_up();
    project.world.wait_inside("create b");
    up.kill();
    assert_eq!(project.world.names(), ["a", "b"]);
    let state = project.export();
    assert_eq!(state.names(), ["a"]);
    assert_eq!(state.pending(), ["creating b"]);

    project.world.allow("create b");
    expect_locked_until_cancel(project);
    project.pulumi(&["refresh", "--yes", "--skip-preview", "--clear-pending-creates"]).ok();
    let adopt = ["import", "world:index:Thing", "b", &project.world.id("b")];
    project.pulumi(&[&adopt[..], &["--yes", "--protect=false", "--generate-code=false"]].concat()).ok();
    assert_eq!(project.export().names(), ["a", "b"]);
    expect_next_up_settles(project);
    assert_eq!(project.world.log(), ["create a", "create b", "create c"], "b was not made again");
}

fn kill_during_an_update_step(project: &Project) {
    have_chain(project);
    project.world.hold_after("update b");
    project.write_program(&chain("two"));
    let up = project.spawn_up();
    project.world.wait_inside("update b");
    up.kill();
    assert_eq!(project.export().pending(), ["updating b"]);
    assert_eq!(values(project), ["two", "one", "one"]);

    project.world.allow("update b");
    expect_locked_until_cancel(project);
    expect_next_up_settles(project);
    assert_eq!(values(project), ["two", "two", "two"]);
}

fn kill_during_a_delete_step(project: &Project) {
    have_chain(project);
    project.world.hold_after("delete c");
    project.write_program("");
    let up = project.spawn_up();
    project.world.wait_inside("delete c");
    up.kill();
    let state = project.export();
    assert_eq!(state.names(), ["a", "b", "c"]);
    assert_eq!(state.pending(), ["deleting c"]);

    project.world.allow("delete c");
    expect_locked_until_cancel(project);
    expect_next_up_settles(project);
    assert_eq!(project.world.names(), [""; 0]);
}

fn kill_between_the_halves_of_a_replacement(project: &Project) {
    project.write_program(&replaceable("generation", "one"));
    project.up().ok();
    project.world.hold("delete a");
    project.write_program(&replaceable("generation", "two"));
    let up = project.spawn_up();
    project.world.wait_inside("delete a");
    up.kill();
    let state = project.export();
    assert_eq!(state.names(), ["a", "a", "b"]);
    assert_eq!(state.condemned(), ["a"]);
    assert_eq!(state.resource("a")["inputs"]["generation"], "two");

    expect_locked_until_cancel(project);
    project.world.allow("delete a");
    expect_next_up_settles(project);
    assert_eq!(project.world.names(), ["a", "b"]);
}

fn the_old_copy_cannot_be_deleted(project: &Project) {
    project.write_program(&replaceable("generation", "one"));
    project.up().ok();
    project.world.fail("delete a");
    project.write_program(&replaceable("generation", "two"));
    project.up().fails().says("delete of a fails");
    let state = project.export();
    assert_eq!(state.condemned(), ["a"]);
    assert_eq!(state.resource("a")["inputs"]["generation"], "two");
    assert_eq!(project.world.names(), ["a", "a", "b"]);

    project.world.allow("delete a");
    expect_next_up_settles(project);
    assert_eq!(project.world.names(), ["a", "b"]);
}

fn a_delete_first_replacement_whose_create_fails(project: &Project) {
    project.write_program(&replaceable("slot", "one"));
    project.up().ok();
    project.world.fail("create a");
    project.write_program(&replaceable("slot", "two"));
    project.up().fails().says("create of a fails");
    assert_eq!(project.world.names(), ["b"]);
    // The engine keeps the old one as a note that its replacement is still owed.
    let state = project.export();
    assert_eq!(state.resource("a")["pendingReplacement"], true);

    project.world.allow("create a");
    expect_next_up_settles(project);
    assert_eq!(project.world.names(), ["a", "b"]);
}

fn a_destroy_that_fails_in_the_middle(project: &Project) {
    have_chain(project);
    project.world.fail("delete b");
    project.pulumi(&["destroy", "--yes", "--skip-preview"]).fails().says("delete of b fails");
    assert_eq!(project.export().names(), ["a", "b"]);
    assert_eq!(project.world.names(), ["a", "b"]);

    project.world.allow("delete b");
    project.pulumi(&["destroy", "--yes", "--skip-preview"]).ok();
    assert_eq!(project.export().names(), [""; 0]);
    assert_eq!(project.world.names(), [""; 0]);
}

fn kill_in_the_middle_of_destroy(project: &Project) {
    have_chain(project);
    project.world.hold("delete b");
    let destroy = project.spawn(&["destroy", "--yes", "--skip-preview"]);
    project.world.wait_inside("delete b");
    destroy.kill();
    let state = project.export();
    assert_eq!(state.names(), ["a", "b"]);
    assert_eq!(state.pending(), ["deleting b"]);

    project.world.allow("delete b");
    expect_locked_until_cancel(project);
    project.pulumi(&["destroy", "--yes", "--skip-preview"]).ok();
    assert_eq!(project.export().names(), [""; 0]);
}

fn a_refresh_that_fails_or_is_killed(project: &Project) {
    have_chain(project);
    project.world.set_value("a", "drifted");
    project.world.fail("read b");
    project.pulumi(&["refresh", "--yes", "--skip-preview"]).fails();
    assert_eq!(project.export().names(), ["a", "b", "c"]);
    project.world.allow("read b");

    project.world.hold("read b");
    let refresh = project.spawn(&["refresh", "--yes", "--skip-preview"]);
    project.world.wait_inside("read b");
    refresh.kill();
    assert_eq!(project.export().names(), ["a", "b", "c"]);

    project.world.allow("read b");
    expect_locked_until_cancel(project);
    expect_next_up_settles(project);
    assert_eq!(project.world.thing("a")["value"], "one");
}

fn up_with_refresh_killed_after_its_refresh(project: &Project) {
    have_chain(project);
    project.world.set_value("a", "drifted");
    project.world.lose("c");
    project.world.hold("update b");
    project.write_program(&chain("two"));
    let up = project.spawn(&["up", "--yes", "--skip-preview", "--refresh"]);
    project.world.wait_inside("update b");
    up.kill();
    let state = project.export();
    assert_eq!(state.names(), ["a", "b"], "the refresh found that c is gone");
    assert_eq!(state.resource("a")["outputs"]["value"], "two");

    project.world.allow("update b");
    expect_locked_until_cancel(project);
    expect_next_up_settles(project);
    assert_eq!(project.world.names(), ["a", "b", "c"]);
}

fn up_with_refresh_that_fails_after_its_refresh(project: &Project) {
    have_chain(project);
    project.world.set_value("b", "drifted");
    project.world.lose("c");
    project.world.fail("update a");
    project.write_program(&chain("two"));
    project.pulumi(&["up", "--yes", "--skip-preview", "--refresh"]).fails().says("update of a fails");
    let state = project.export();
    assert_eq!(state.names(), ["a", "b"], "the refresh found that c is gone");
    assert_eq!(state.resource("a")["outputs"]["value"], "one");
    assert_eq!(state.resource("b")["outputs"]["value"], "drifted");

    project.world.allow("update a");
    expect_next_up_settles(project);
    assert_eq!(values(project), ["two", "two", "two"]);
}

/// Tells a story in both modes at the same time: the CLI mostly waits.
fn in_both(story: fn(&Project)) {
    std::thread::scope(|scope| {
        for (mode, disable_journaling) in [("journal", "false"), ("checkpoints", "true")] {
            let tell = move || {
                let Some(site) = Site::start() else { return };
                story(&site.stack("web", "dev").with("PULUMI_DISABLE_JOURNALING", disable_journaling));
            };
            // The name is what a failure is printed with.
            std::thread::Builder::new().name(mode.into()).spawn_scoped(scope, tell).expect("a thread");
        }
    });
}

/// Makes a test of each story.
macro_rules! in_both_modes {
    ($($story:ident,)*) => {
        mod both_modes {
            $(#[test] fn $story() {
                super::in_both(super::$story);
            })*
        }
    };
}

in_both_modes! {
    a_program_that_fails_half_way,
    a_create_that_fails,
    one_of_twenty_creates_fails,
    a_thing_that_is_made_but_not_ready,
    an_update_that_fails_half_way,
    ctrl_c_once,
    sigterm_once,
    ctrl_c_once_with_a_provider_that_heeds_it,
    ctrl_c_twice,
    kill_before_a_create_is_done,
    kill_after_a_create_is_done,
    kill_during_an_update_step,
    kill_during_a_delete_step,
    kill_between_the_halves_of_a_replacement,
    the_old_copy_cannot_be_deleted,
    a_delete_first_replacement_whose_create_fails,
    a_destroy_that_fails_in_the_middle,
    kill_in_the_middle_of_destroy,
    a_refresh_that_fails_or_is_killed,
    up_with_refresh_killed_after_its_refresh,
    up_with_refresh_that_fails_after_its_refresh,
}

#[test]
fn a_killed_preview_leaves_no_lock_and_no_trace() {
    let Some(site) = Site::start() else { return };
    let project = site.stack("web", "dev");
    have_chain(&project);
    let before = project.export().0;
    project.world.hold("read a");
    let preview = project.spawn(&["preview", "--refresh"]);
    project.world.wait_inside("read a");
    preview.kill();
    project.world.allow("read a");

    assert_eq!(project.export().0, before);
    project.expect_no_changes();
    let history = project.pulumi(&["stack", "history", "--json"]).ok().json();
    assert_eq!(history.as_array().map(Vec::len), Some(2));
}
