//! Leases that run out: the stack is free again, and what was reported is kept.

use crate::fake::cli::Patience;
use crate::fake::life::Life;
use crate::support::http::Client;
use crate::support::seed::{for_each_seed, seeds};
use crate::support::server::TestServer;
use crate::support::stack::TestStack;
use crate::support::update::{create_entries, secrets_entry};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long anything here may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until no update holds the stack.
#[track_caller]
fn wait_until_free(stack: &TestStack) {
    let began = Instant::now();
    while stack.info().get("currentOperation").is_some_and(|it| !it.is_null()) {
        assert!(began.elapsed() < PATIENCE, "the lease never runs out");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_lease_that_runs_out_frees_the_stack_and_keeps_what_was_reported() {
    let server = TestServer::start_with(&["--lease-duration", "1"]);
    let stack = server.create_stack("web", "dev");
    stack.import(&stack.deployment(&["a"])).ok();
    let update = stack.start_update();
    update.journal(&[secrets_entry(1)]).ok();
    update.journal(&create_entries(2, 1, &stack.resource("b"))).ok();
    update.journal(&create_entries(4, 2, &stack.resource("c"))[..1]).ok();
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
    assert_eq!(stack.history().len(), 2);
    stack.start_update().complete("succeeded").ok();
    assert_eq!(stack.resource_names(), ["b", "web-dev", "a"]);
}

#[test]
fn the_next_start_need_not_wait_for_anything_else() {
    let server = TestServer::start_with(&["--lease-duration", "2"]);
    let stack = server.create_stack("web", "dev");
    let lost = stack.start_update();
    let began = Instant::now();
    let id = stack.create_update("update", false);
    loop {
        let answer = stack.try_start(&id, 1).expect(&[200, 409]);
        if answer.is_ok() {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The second in which it began may have been almost over.
    assert!(began.elapsed() > Duration::from_millis(900), "{:?}: the lease was still good", began.elapsed());
    lost.renew().expect(&[403]);
}

#[test]
fn renewals_keep_a_lease() {
    let server = TestServer::start_with(&["--lease-duration", "3"]);
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        update.renew().ok();
        std::thread::sleep(Duration::from_millis(100));
    }
    update.journal(&[secrets_entry(1)]).ok();
    update.complete("succeeded").ok();
}

#[test]
fn a_lease_runs_out_over_a_crash_too() {
    let server = TestServer::start_with(&["--lease-duration", "2"]);
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
    let server = TestServer::start_with(&["--lease-duration", "1"]);
    let stack = server.create_stack("web", "dev");
    let preview = stack.start_preview();
    let began = Instant::now();
    while preview.poll().json()["status"] == "running" {
        assert!(began.elapsed() < PATIENCE, "the lease never runs out");
        std::thread::sleep(Duration::from_millis(20));
    }
    preview.renew().expect(&[403]);
    assert_eq!(stack.history(), [] as [Value; 0]);
    assert_eq!(stack.info()["version"], 0);
}

/// As in the model test, but nobody cancels the updates whose CLI is gone.
#[test]
fn programs_whose_cli_is_gone_end_as_if_they_had_been_cancelled() {
    let server = TestServer::start_with(&["--lease-duration", "5"]);
    let seeds: Vec<u64> = seeds(16).into_iter().map(|seed| seed + 5_000_000).collect();
    for_each_seed(&seeds, seeds.len(), |seed| {
        let client = Client::new(server.client.address());
        let life = Life::new(&client, &format!("calm-{seed}"), seed, Patience::FourAttempts);
        let mut life = life.expect("a creation is answered").leaving_leases_to_run_out();
        for _ in 0..4 {
            life.live();
        }
        life.check(false);
        life.check_is_free();
    });
}
