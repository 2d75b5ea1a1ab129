//! The life of an update: made, started, its lease renewed, ended by its CLI or by `pulumi cancel`.
//! Routes without a word of their own in the path: createPreview, createRefresh, createDestroy, startUpdate, getUpdateStatus.

use crate::support::http::Request;
use crate::support::server::TestServer;
use crate::support::stack::create_update_body;
use crate::support::update::{TestUpdate, create_entries, secrets_entry};
use serde_json::{Value, json};

const CONFLICT: &str = "Conflict: Another update is currently in progress.";

#[test]
fn an_update_takes_the_stack_and_gives_it_back() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let id = stack.create_update("update", false);
    assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{id} goes into paths as it is");
    assert_eq!(stack.info()["activeUpdate"], "", "made is not started");

    let started = stack.try_start(&id, 1).expect(&[200]);
    let update = TestUpdate::new(stack.clone(), id.clone(), &started);
    assert_eq!((update.version, update.journal_version), (1, 1));
    let info = stack.info();
    assert_eq!(info["activeUpdate"], id.as_str());
    assert_eq!(info["currentOperation"]["kind"], "update");
    assert_eq!(info["currentOperation"]["author"], "admin");
    assert!(info["currentOperation"]["started"].as_i64().is_some_and(|it| it > 1_700_000_000), "{info}");
    assert_eq!(update.poll().expect(&[200]).json()["status"], "running");

    update.complete("succeeded").ok();
    let info = stack.info();
    assert_eq!((&info["activeUpdate"], &info["version"]), (&json!(id), &json!(1)));
    assert!(info.get("currentOperation").is_none_or(Value::is_null), "{info}");
    let poll = update.poll().expect(&[200]).json();
    assert_eq!((&poll["status"], &poll["continuationToken"]), (&json!("succeeded"), &Value::Null));
}

#[test]
fn each_kind_can_be_made_and_started() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    for (i, kind) in ["update", "refresh", "destroy"].iter().enumerate() {
        let update = stack.start(kind, false, 1);
        assert_eq!(update.version, i as u64 + 1);
        assert_eq!(stack.info()["currentOperation"]["kind"], *kind);
        update.complete("succeeded").ok();
    }
    stack.post("/import-resources", &create_update_body(false)).expect(&[404]);
}

#[test]
fn journaling_is_agreed_on_at_the_start() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    for (body, agreed) in [
        (json!({ "journalVersion": 1 }), 1),
        (json!({ "journalVersion": 7 }), 1),
        (json!({ "journalVersion": 0 }), 0),
        (json!({}), 0),
    ] {
        let id = stack.create_update("update", false);
        let started = stack.post(&format!("/update/{id}"), &body).expect(&[200]);
        let update = TestUpdate::new(stack.clone(), id, &started);
        assert_eq!(update.journal_version, agreed, "{body}");
        update.complete("succeeded").ok();
    }
}

#[test]
fn start_replaces_tags_when_it_brings_some() {
    let server = TestServer::start();
    let stack = server.stack("web", "dev");
    stack.create(json!({ "tags": { "old": "1" } })).ok();
    stack.start_update().complete("succeeded").ok();
    assert_eq!(stack.info()["tags"], json!({ "old": "1" }), "absent is left unchanged");
    let id = stack.create_update("update", false);
    stack.post(&format!("/update/{id}"), &json!({ "tags": { "bad name": "x" } })).expect(&[400]);
    let started = stack.post(&format!("/update/{id}"), &json!({ "tags": { "new": "2" } })).ok();
    assert_eq!(stack.info()["tags"], json!({ "new": "2" }));
    TestUpdate::new(stack.clone(), id, &started).complete("succeeded").ok();
}

#[test]
fn a_second_update_waits_until_the_first_one_ends() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let first = stack.start_update();
    for kind in ["update", "refresh", "destroy"] {
        let second = stack.create_update(kind, false);
        stack.try_start(&second, 1).expect_error(409, CONFLICT);
    }
    stack.import(&stack.deployment(&["a"])).expect_error(409, CONFLICT);
    first.journal(&[secrets_entry(1)]).ok();
    first.complete("failed").ok();
    stack.start_update().complete("succeeded").ok();
}

#[test]
fn an_update_that_lost_the_race_can_be_started_later() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let first = stack.start_update();
    let second = stack.create_update("update", false);
    stack.try_start(&second, 1).expect_error(409, CONFLICT);
    first.complete("succeeded").ok();
    let started = stack.try_start(&second, 1).expect(&[200]);
    let second = TestUpdate::new(stack.clone(), second, &started);
    assert_eq!(second.version, 2);
    second.complete("succeeded").ok();
}

#[test]
fn an_update_starts_once() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    stack.try_start(&update.id, 1).expect(&[409]);
    update.renew().ok();
    update.complete("succeeded").ok();
    stack.try_start(&update.id, 1).expect(&[409]);
    assert_eq!(stack.info()["version"], 1);
    let preview = stack.start_preview();
    stack.try_start(&preview.id, 1).expect(&[409]);
    preview.complete("succeeded").ok();
}

#[test]
fn of_six_that_start_at_once_one_wins() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    for round in 1..=5 {
        let ids: Vec<String> = (0..6).map(|_| stack.create_update("update", false)).collect();
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                ids.iter().map(|id| scope.spawn(|| (id.clone(), stack.try_start(id, 1)))).collect();
            threads.into_iter().map(|it| it.join().expect("an answer")).collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, answer)| answer.is_ok());
        assert_eq!(won.len(), 1);
        for (_, answer) in lost {
            answer.expect_error(409, CONFLICT);
        }
        let (id, started) = &won[0];
        let update = TestUpdate::new(stack.clone(), id.clone(), started);
        assert_eq!(update.version, round);
        update.complete("succeeded").ok();
    }
}

#[test]
fn updates_of_other_stacks_go_on() {
    let server = TestServer::start();
    let (dev, prod) = (server.create_stack("web", "dev"), server.create_stack("web", "prod"));
    let first = dev.start_update();
    let second = prod.start_update();
    second.complete("succeeded").ok();
    first.complete("succeeded").ok();
}

#[test]
fn previews_take_no_lock_no_version_and_leave_no_trace() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.update_to(&["a"]);
    let state = stack.export();
    let update = stack.start_update();
    let previews = [
        stack.start_preview(),
        stack.start("update", true, 1),
        stack.start("refresh", true, 0),
        stack.start("destroy", true, 1),
    ];
    for preview in &previews {
        assert_eq!(preview.version, 2, "the current version, that of the running update");
        preview.renew().ok();
        // Whatever a preview sends as state is refused, or has no effect.
        preview.checkpoint(&stack.deployment(&["b"]));
        preview.journal(&[secrets_entry(1)]);
        preview.complete("succeeded").ok();
        preview.complete("succeeded").ok();
    }
    assert_eq!(stack.info()["activeUpdate"], update.id.as_str(), "pulumi cancel must find the update");
    update.complete("succeeded").ok();
    assert_eq!(stack.export()["deployment"]["resources"], state["deployment"]["resources"]);
    assert_eq!(stack.info()["version"], 2);
    assert_eq!(stack.history().len(), 2);
    stack.start_preview().cancel().ok();
    assert_eq!(stack.history().len(), 2, "a cancelled preview is not in the history");
}

#[test]
fn a_preview_of_a_stack_without_updates_has_version_0() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let preview = stack.start_preview();
    assert_eq!(preview.version, 0);
    assert_eq!(stack.info()["activeUpdate"], "");
    preview.complete("failed").ok();
    assert_eq!(stack.history(), [] as [Value; 0]);
}

#[test]
fn bad_input_makes_and_starts_nothing() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    for body in [
        "",
        "{",
        "[]",
        "null",
        r#"{"options":1}"#,
        r#"{"options":{"dryRun":"yes"}}"#,
        r#"{"config":[]}"#,
        r#"{"metadata":[]}"#,
    ] {
        stack.send(&stack.request("POST", "/update").bytes(body)).expect(&[400]);
    }
    let id = stack.create_update("update", false);
    for body in ["{", "[]", r#"{"journalVersion":"1"}"#, r#"{"tags":[]}"#] {
        stack.send(&stack.request("POST", &format!("/update/{id}")).bytes(body)).expect(&[400]);
    }
    stack.try_start("nope", 1).expect(&[404]);
    stack.try_start("00000000-0000-0000-0000-000000000000", 1).expect(&[404]);
    server.create_stack("web", "prod").try_start(&id, 1).expect(&[404]);
    assert_eq!(stack.info()["version"], 0);
    stack.try_start(&id, 1).ok();
}

#[test]
fn renewing_gives_the_same_token_and_only_extends() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let id = stack.create_update("update", false);
    let started = stack.try_start(&id, 1).ok();
    let expires = started.json()["tokenExpiration"].as_i64().expect("tokenExpiration");
    let update = TestUpdate::new(stack, id, &started);
    for duration in [300, 1] {
        let renewed = update.stack.send(&update.renew_request(duration)).expect(&[200]).json();
        assert_eq!(renewed["token"], update.token.as_str());
        assert!(
            renewed["tokenExpiration"].as_i64().is_some_and(|it| it >= expires),
            "{renewed} is before {expires}"
        );
    }
    let long = update.stack.send(&update.renew_request(86_400));
    if long.is_ok() {
        let expires_now = long.json()["tokenExpiration"].as_i64().expect("tokenExpiration");
        assert!(expires_now <= expires + 330, "capped at 300 s, not {} s more", expires_now - expires);
    } else {
        long.expect(&[400]);
    }
    for body in ["{", "[]", r#"{"duration":"long"}"#] {
        let request = Request::new("POST", update.path("/renew_lease")).lease(&update.token).bytes(body);
        update.stack.send(&request).expect(&[400]);
    }
    update.renew().ok();
}

/// The requests that only a lease may make, as the owner of `update` makes them.
fn lease_requests(update: &TestUpdate) -> Vec<Request> {
    let state = update.stack.resource("intruder");
    vec![
        update.renew_request(300),
        update.journal_request(&create_entries(100, 100, &state)),
        update.checkpoint_request(&update.stack.deployment(&["intruder"])),
        update.verbatim_request(1, &update.stack.deployment(&["intruder"]).to_string()),
        update.delta_request(2, &"0".repeat(64), &json!([])),
        update.events_request(&[
            json!({ "sequence": 1000, "timestamp": 1, "stdoutEvent": { "message": "x", "color": "raw" } }),
        ]),
        update.complete_request("succeeded"),
    ]
}

#[test]
fn a_lease_opens_its_own_update_only() {
    let server = TestServer::start();
    let (dev, prod) = (server.create_stack("web", "dev"), server.create_stack("web", "prod"));
    let (update, other) = (dev.start_update(), prod.start_update());
    let preview = dev.start_preview();
    for request in lease_requests(&update) {
        for token in [&other.token, &preview.token, "made-up"] {
            dev.send(&request.clone().lease(token)).expect(&[403]);
        }
        dev.send(&request.clone().authorization("token pul-test")).expect(&[403]);
        for none in ["", "update-token", "update-token "] {
            dev.send(&request.clone().authorization(none)).expect(&[401, 403]);
        }
        let elsewhere =
            Request { target: request.target.replace("/web/dev/", "/web/prod/"), ..request.clone() };
        dev.send(&elsewhere).expect(&[403, 404]);
    }
    assert_eq!(dev.resources(), [] as [Value; 0]);
    assert_eq!(update.poll().json()["status"], "running");
    assert_eq!(other.poll().json()["status"], "running");
    other.complete("succeeded").ok();
    update.complete("succeeded").ok();
    assert_eq!(update.events(), [] as [Value; 0]);
}

#[test]
fn a_lost_lease_writes_nothing_more() {
    let server = TestServer::start();
    for end in ["complete", "cancel"] {
        let stack = server.create_stack(end, "dev");
        let update = stack.start_update();
        if end == "complete" {
            update.complete("succeeded").ok();
        } else {
            update.cancel().ok();
        }
        let requests = lease_requests(&update);
        let (complete, writes) = requests.split_last().expect("complete is the last");
        for request in writes {
            let answer = stack.send(request).expect(&[403, 409]);
            let is_renewal = request.target.ends_with("/renew_lease");
            assert!(
                !is_renewal || answer.status == 403,
                "{answer}: only 403 tells the CLI that the lease is gone"
            );
        }
        if end == "cancel" {
            stack.send(complete).expect(&[403, 409]);
        }
        let next = stack.start_update();
        for request in writes {
            stack.send(request).expect(&[403, 409]);
        }
        next.complete("succeeded").ok();
        assert_eq!(stack.resources(), [] as [Value; 0]);
    }
}

#[test]
fn complete_says_how_it_ended_once() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    for (status, other) in [("succeeded", "failed"), ("failed", "succeeded")] {
        let update = stack.start_update();
        for bad in [
            r#"{"status":"great"}"#,
            r#"{"status":""}"#,
            "{}",
            "",
            "[]",
            r#"{"status":1}"#,
            r#"{"status":"running"}"#,
        ] {
            let request = Request::new("POST", update.path("/complete")).lease(&update.token).bytes(bad);
            stack.send(&request).expect(&[400]);
        }
        update.complete(status).ok();
        update.complete(status).ok();
        update.complete(other).expect(&[409, 403]);
        assert_eq!(stack.history()[0]["result"], status);
    }
    assert_eq!(stack.history().len(), 2);
}

#[test]
fn cancel_ends_the_update_it_names() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let ended = stack.update_to(&["a"]);
    let update = stack.start_update();
    update.journal(&[secrets_entry(1)]).ok();
    update.journal(&create_entries(2, 1, &stack.resource("b"))).ok();
    update.journal(&create_entries(4, 2, &stack.resource("c"))[..1]).ok();

    ended.cancel().expect(&[200, 204, 409]);
    stack.post("/update/nope/cancel", &json!({})).expect(&[404]);
    let elsewhere = server.create_stack("web", "prod");
    elsewhere.post(&format!("/update/{}/cancel", update.id), &json!({})).expect(&[404]);
    update.renew().ok();

    update.cancel().ok();
    update.cancel().expect(&[200, 204, 409]);
    update.renew().expect(&[403]);
    update.journal(&create_entries(6, 3, &stack.resource("d"))).expect(&[403, 409]);
    assert_eq!(update.poll().json()["status"], "cancelled");
    assert_eq!(stack.resource_names(), ["b", "web-dev", "a"], "what was reported is kept");
    let pending = &stack.export()["deployment"]["pending_operations"];
    assert_eq!(pending[0]["type"], "creating");
    assert_eq!(pending[0]["resource"]["urn"], stack.resource("c")["urn"]);
    let entry = &stack.history()[0];
    assert_eq!((&entry["result"], &entry["version"]), (&json!("failed"), &json!(2)));
    stack.start_update().complete("succeeded").ok();
}

#[test]
fn an_update_that_never_started_can_be_cancelled() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let id = stack.create_update("update", false);
    stack.post(&format!("/update/{id}/cancel"), &json!({})).expect(&[200, 204, 409]);
    assert_eq!(stack.history(), [] as [Value; 0]);
    assert_eq!(stack.info()["activeUpdate"], "");
}

#[test]
fn a_running_update_outlives_the_server() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    update.journal(&[secrets_entry(1)]).ok();
    update.journal(&create_entries(2, 1, &stack.resource("a"))).ok();
    let made_before = stack.create_update("update", false);
    server.crash_and_restart();
    assert_eq!(stack.info()["activeUpdate"], update.id.as_str());
    let made_after = stack.create_update("update", false);
    for id in [&made_before, &made_after] {
        stack.try_start(id, 1).expect_error(409, CONFLICT);
    }
    update.renew().ok();
    update.journal(&create_entries(4, 2, &stack.resource("b"))).ok();
    update.complete("succeeded").ok();
    assert_eq!(stack.resource_names(), ["a", "b"]);
    let started = stack.try_start(&made_before, 1).ok();
    TestUpdate::new(stack.clone(), made_before, &started).complete("succeeded").ok();
}
