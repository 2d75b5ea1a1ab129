//! Old versions are given up, the history stays, and nothing that is in use goes with them.

use crate::support::clocked::ClockedServer;
use crate::support::command::run;
use crate::support::http::Request;
use crate::support::seed::Rng;
use crate::support::server::TestServer;
use crate::support::stack::TestStack;
use serde_json::json;
use std::time::{Duration, Instant};

/// Waits until the stack keeps exactly so many versions.
fn wait_for_kept(server: &TestServer, stack: &TestStack, n: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let kept = || {
        let told = server.get(&format!("/api/admin{}", stack.path("").trim_start_matches("/api")));
        told.ok().json()["versionsKept"].as_u64()
    };
    while kept() != Some(n) {
        assert!(Instant::now() < deadline, "{:?} versions are kept, not {n}", kept());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_newest_versions_are_kept_and_the_others_are_gone() {
    let server = TestServer::start_with(&["--max-state-versions", "2"]);
    let stack = server.create_stack("web", "dev");
    let names = ["a", "b", "c", "d", "e"];
    (1..=5).for_each(|n| drop(stack.update_to(&names[..n])));
    wait_for_kept(&server, &stack, 2);
    stack.get("/export/5").ok();
    let fourth = stack.get("/export/4").ok().json();
    assert_eq!(fourth["deployment"]["resources"].as_array().map(Vec::len), Some(5));
    let gone = stack.get("/export/3").expect(&[404]);
    assert!(
        gone.json()["message"].as_str().expect("a message").contains("no longer kept (--max-state-versions)")
    );
    assert_eq!(stack.history().len(), 5, "the history stays");
    assert_eq!(stack.resource_names(), ["web-dev", "a", "b", "c", "d", "e"]);
    let versions = run(&server.folder(), &["stack", "versions", "dev"]).ok();
    assert_eq!(versions.matches("not kept").count(), 3, "{versions}");
    server.crash_and_restart();
    stack.get("/export/3").expect(&[404]);
    stack.get("/export/4").ok();
}

#[test]
fn zero_keeps_all_and_a_lower_number_counts_from_the_next_start() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    (0..30).for_each(|n| drop(stack.update_to(if n % 2 == 0 { &["a"] } else { &["a", "b"] })));
    wait_for_kept(&server, &stack, 30);
    let exported = stack.export();
    let server = server.restart_with(&["--max-state-versions", "1"]);
    let stack = server.stack("web", "dev");
    wait_for_kept(&server, &stack, 1);
    assert_eq!(stack.export(), exported);
    stack.update_to(&["c"]);
    wait_for_kept(&server, &stack, 1);
    assert_eq!(stack.resource_names(), ["web-dev", "c"]);
}

/// A preview that began from a version that is gone by now ends as any other; an update has its base.
#[test]
fn what_runs_goes_on() {
    let server = TestServer::start_with(&["--max-state-versions", "1"]);
    let stack = server.create_stack("web", "dev");
    stack.update_to(&["a", "b"]);
    let preview = stack.start_preview();
    stack.update_to(&["c"]);
    stack.update_to(&["d"]);
    wait_for_kept(&server, &stack, 1);
    preview.complete("succeeded").ok();
    let update = stack.start_update();
    update.journal(&[crate::support::update::secrets_entry(1)]).ok();
    assert_eq!(stack.resource_names(), ["web-dev", "d"]);
    update.complete("succeeded").ok();
    wait_for_kept(&server, &stack, 1);
    assert_eq!(stack.resource_names(), ["web-dev", "d"]);
}

#[test]
fn events_and_previews_go_when_they_are_old() {
    let mut server = ClockedServer::start_with(&["--event-keep-days", "30", "--preview-keep-days", "7"]);
    let stack = server.create_stack("web", "dev");
    let event = |sequence: u64| json!({ "sequence": sequence, "timestamp": 1, "stdoutEvent": { "message": "said", "color": "never" } });
    let update = stack.start_update();
    update.post_events(&[event(0)]).ok();
    update.complete("succeeded").ok();
    let preview = stack.start("preview", true, 1);
    preview.post_events(&[event(0)]).ok();
    preview.complete("succeeded").ok();
    let (update, preview) = (update.path(""), preview.path(""));
    let status = |server: &ClockedServer, path: &str| {
        server.client.send(&Request::new("GET", path)).expect("an answer").status
    };
    let n_events = |server: &ClockedServer| {
        let answer = server.client.send(&Request::new("GET", format!("{update}/events"))).expect("an answer");
        answer.ok().json()["events"].as_array().expect("events").len()
    };
    let wait = |server: &ClockedServer, is_done: &dyn Fn(&ClockedServer) -> bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_done(server) {
            assert!(Instant::now() < deadline, "it was not given up");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    server.clock.jump(8 * 86_400);
    server.restart();
    wait(&server, &|server| status(server, &preview) == 404);
    assert_eq!((status(&server, &update), n_events(&server)), (200, 1));
    server.clock.jump(30 * 86_400);
    server.restart();
    wait(&server, &|server| n_events(server) == 0);
    assert_eq!(server.stack("web", "dev").history().len(), 1, "the history stays");
}

#[test]
fn what_is_deleted_gives_its_space_back() {
    let server = TestServer::start();
    let db = server.folder().join("pulumi-backend.db");
    let n_bytes = || db.metadata().expect("the database").len();
    let stack = server.create_stack("web", "big");
    let mut rng = Rng::new(1);
    let mut state = stack.deployment(&["a"]);
    let text: String = (0..1_500_000).map(|_| format!("{:016x}", rng.next())).collect();
    state["deployment"]["resources"][1]["outputs"] = json!({ "text": text });
    stack.import(&state).ok();
    server.stop();
    // Before it is deleted: a server that lives a moment longer has given it back already.
    let before = n_bytes();
    server.restart();
    server.stack("web", "big").delete(true).ok();
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        // It is given back in the background, and seen in the file when the log is folded at the end.
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until && n_bytes() > before / 2 {
            server.get("/readyz").ok();
        }
        server.stop();
        let after = n_bytes();
        if after <= before / 2 {
            break;
        }
        assert!(Instant::now() < deadline, "{after} of {before} bytes are still taken");
        server.restart();
    }
}
