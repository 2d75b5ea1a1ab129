//! Leases and the clock: they run out in their time and not before, are only ever made longer, and a clock that jumps
//! takes nothing away that was decided.

use crate::fake::cli::{LEASE_AND_GRACE_SECS, Patience};
use crate::fake::life::Life;
use crate::support::clocked::ClockedServer;
use crate::support::seed::{for_each_seed, seeds};
use crate::support::server::TestServer;
use crate::support::stack::TestStack;
use crate::support::update::{TestUpdate, create_entries, secrets_entry};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long anything here may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(120);
/// A lease without its grace.
const LEASE_SECS: i64 = 300;
/// What a test may take between two looks at the clock, beside its jumps.
const SLACK_SECS: i64 = 40;
const DAY_SECS: i64 = 86_400;

/// Waits until no update holds the stack.
#[track_caller]
fn wait_until_free(stack: &TestStack) {
    wait_until("the stack is free", || !is_held(stack));
}

#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_held(stack: &TestStack) -> bool {
    stack.info().get("currentOperation").is_some_and(|it| !it.is_null())
}

/// The seconds since 1970 that an answer to a renewal gives.
#[track_caller]
fn renewed_until(update: &TestUpdate, duration: i64) -> i64 {
    let answer = update.stack.send(&update.renew_request(duration)).ok().json();
    assert_eq!(answer["token"], update.token.as_str(), "a renewal gives the same token");
    answer["tokenExpiration"].as_i64().expect("tokenExpiration")
}

#[test]
fn a_lease_that_runs_out_frees_the_stack_and_keeps_what_was_reported() {
    let server = ClockedServer::start();
    let stack = server.create_stack("web", "dev");
    stack.import(&stack.deployment(&["a"])).ok();
    let update = stack.start_update();
    update.journal(&[secrets_entry(1)]).ok();
    update.journal(&create_entries(2, 1, &stack.resource("b"))).ok();
    update.journal(&create_entries(4, 2, &stack.resource("c"))[..1]).ok();
    server.clock.jump(LEASE_AND_GRACE_SECS);
    wait_until_free(&stack);

    assert_eq!(stack.resource_names(), ["b", "web-dev", "a"]);
    assert_eq!(
        stack.export()["deployment"]["pending_operations"][0]["resource"]["urn"],
        stack.resource("c")["urn"]
    );
    let entry = &stack.history()[0];
    assert_eq!((&entry["result"], entry["version"].as_u64()), (&"failed".into(), Some(2)));
    update.renew().expect(&[403]);
    update.journal(&create_entries(6, 3, &stack.resource("d"))).expect(&[403, 409]);
    update.complete("succeeded").expect(&[403, 409]);
    // It has ended once, and no jump ends it again or brings it back.
    for jump_secs in [DAY_SECS, -3 * DAY_SECS, DAY_SECS] {
        server.clock.jump(jump_secs);
        update.renew().expect(&[403]);
        assert_eq!(stack.history().len(), 2);
        assert_eq!(stack.history()[0], *entry);
    }
    stack.start_update().complete("succeeded").ok();
    assert_eq!(stack.resource_names(), ["b", "web-dev", "a"]);
}

#[test]
fn a_lease_holds_to_its_end() {
    let server = ClockedServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    server.clock.jump(LEASE_SECS - SLACK_SECS);
    stack.try_start(&stack.create_update("update", false), 1).expect(&[409]);
    update.journal(&[secrets_entry(1)]).ok();
    update.complete("succeeded").ok();
}

#[test]
fn the_next_start_need_not_wait_for_anything_else() {
    let server = ClockedServer::start();
    let stack = server.create_stack("web", "dev");
    let lost = stack.start_update();
    let id = stack.create_update("update", false);
    stack.try_start(&id, 1).expect(&[409]);
    server.clock.jump(LEASE_AND_GRACE_SECS);
    // At once: not when the housekeeper comes by.
    stack.try_start(&id, 1).ok();
    lost.renew().expect(&[403]);
    assert_eq!(stack.history().len(), 2);
}

#[test]
fn renewals_keep_a_lease() {
    let server = ClockedServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    let mut until = 0;
    for _ in 0..20 {
        server.clock.jump(LEASE_SECS - SLACK_SECS);
        let next = renewed_until(&update, LEASE_SECS);
        assert!(next > until, "{next} comes after {until}");
        until = next;
    }
    update.journal(&[secrets_entry(1)]).ok();
    update.complete("succeeded").ok();
}

#[test]
fn a_renewal_never_shortens() {
    let server = ClockedServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    let until = renewed_until(&update, LEASE_SECS);
    for duration in [1, 0, 10] {
        assert_eq!(renewed_until(&update, duration), until, "asked for {duration} seconds");
    }
    server.clock.jump(-DAY_SECS);
    assert_eq!(renewed_until(&update, LEASE_SECS), until, "the clock went back");
    update.stack.send(&update.renew_request(DAY_SECS)).expect(&[400]);
}

#[test]
fn a_clock_that_goes_back_ends_no_update() {
    let mut server = ClockedServer::start();
    {
        let stack = server.create_stack("web", "dev");
        let update = stack.start_update();
        server.clock.jump(-DAY_SECS);
        update.journal(&[secrets_entry(1)]).ok();
        stack.try_start(&stack.create_update("update", false), 1).expect(&[409]);
        assert!(is_held(&stack));
    }
    let stack = server.stack("web", "dev");
    let id = stack.info()["activeUpdate"].as_str().expect("activeUpdate").to_string();
    server.restart();
    let stack = server.stack("web", "dev");
    assert!(is_held(&stack), "a restart takes nothing away either");
    // The CLI is gone: the lease is the longer by the jump, and `cancel` does not wait for it.
    stack.post(&format!("/update/{id}/cancel"), &json!({})).ok();
    wait_until_free(&stack);
    stack.start_update().complete("succeeded").ok();
}

#[test]
fn an_update_that_ends_on_a_clock_that_went_back() {
    let server = ClockedServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    update.journal(&[secrets_entry(1)]).ok();
    server.clock.jump(-DAY_SECS);
    update.complete("succeeded").ok();
    let later = stack.start_update();
    later.complete("succeeded").ok();

    let history = stack.history();
    assert_eq!(history.iter().map(|entry| &entry["version"]).collect::<Vec<_>>(), [2, 1], "newest first");
    for entry in &history {
        let times = ["startTime", "endTime"].map(|name| entry[name].as_i64().expect("a time"));
        assert!(0 < times[0] && times[0] <= times[1], "it took a negative time: {entry}");
    }
    assert_eq!(server.list()[0]["lastUpdate"], history[0]["endTime"]);
}

#[test]
fn a_lease_runs_out_over_a_restart_too() {
    let mut server = ClockedServer::start();
    server.create_stack("web", "dev").start_update().journal(&[secrets_entry(1)]).ok();
    server.clock.jump(LEASE_SECS - SLACK_SECS);
    server.restart();
    assert!(is_held(&server.stack("web", "dev")));
    server.clock.jump(LEASE_AND_GRACE_SECS);
    wait_until_free(&server.stack("web", "dev"));
}

#[test]
fn a_lease_runs_out_over_a_crash_too() {
    // Long enough for three calls on a slow machine: this server has the system's clock.
    let server = TestServer::start_with(&["--lease-duration", "8"]);
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    update.journal(&[secrets_entry(1)]).ok();
    update.journal(&create_entries(2, 1, &stack.resource("a"))).ok();
    server.crash_and_restart();
    wait_until_free(&stack);
    assert_eq!(stack.resource_names(), ["a"]);
    update.renew().expect(&[403]);
}

#[test]
fn a_preview_that_is_given_up_leaves_no_trace() {
    let server = ClockedServer::start();
    let stack = server.create_stack("web", "dev");
    let preview = stack.start_preview();
    server.clock.jump(LEASE_AND_GRACE_SECS);
    wait_until("the preview has ended", || preview.poll().json()["status"] != "running");
    preview.renew().expect(&[403]);
    assert_eq!(stack.history(), [] as [Value; 0]);
    assert_eq!(stack.info()["version"], 0);
}

/// As in the model test, but nobody cancels the updates whose CLI is gone.
#[test]
fn programs_whose_cli_is_gone_end_as_if_they_had_been_cancelled() {
    let seeds: Vec<u64> = seeds(16).into_iter().map(|seed| seed + 5_000_000).collect();
    // Each has a clock of its own: a jump is meant for its own stack.
    for_each_seed(&seeds, 8, |seed| {
        let server = ClockedServer::start();
        let life = Life::new(&server.client, &format!("calm-{seed}"), seed, Patience::FourAttempts);
        let mut life = life.expect("a creation is answered").leaving_leases_to_run_out(&server.clock);
        for _ in 0..4 {
            life.live();
        }
        life.check(false);
        life.check_is_free();
    });
}
