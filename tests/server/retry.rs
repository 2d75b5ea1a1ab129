//! Every call that the CLI may send twice (protocol §1.6), delivered in all the ways in which that happens: the second
//! delivery is answered as the first, and the stack is as if there had been one.

use crate::support::deployment::{normalized, sha256_hex};
use crate::support::http::{Request, Response};
use crate::support::json::Tree;
use crate::support::server::TestServer;
use crate::support::stack::TestStack;
use crate::support::update::{TestUpdate, create_entries, secrets_entry};
use serde_json::{Value, json};
use std::time::Duration;

/// One call that may be sent twice.
struct Call {
    name: &'static str,
    /// 1 for an update that journals.
    journal_version: i64,
    /// What came before it, and the call itself.
    prepare: fn(&TestUpdate) -> Request,
    /// What its second delivery may be answered once the update has ended, besides the first answer.
    late_statuses: &'static [u16],
}

const TEXT_1: &str = r#"{"version":3,"deployment":{"manifest":{"time":"0001-01-01T00:00:00Z","magic":"","version":""},"metadata":{}}}"#;
const TEXT_2: &str = r#"{"version":3,"deployment":{"manifest":{"time":"0001-01-01T00:00:00Z","magic":"","version":""},"metadata":{},"later":1}}"#;

#[rustfmt::skip]
const CALLS: &[Call] = &[
    call("export", 1, |update| update.stack.request("GET", "/export")),
    call("encrypt", 1, |update| update.stack.request("POST", "/encrypt").json(&json!({ "plaintext": "YQ==" }))),
    call("decrypt", 1, |update| update.stack.request("POST", "/decrypt").json(&json!({ "ciphertext": ciphertext(update) }))),
    call("batch-encrypt", 1, |update| update.stack.request("POST", "/batch-encrypt").json(&json!({ "plaintexts": ["YQ==", "Yg=="] })).gzip()),
    call("batch-decrypt", 1, |update| update.stack.request("POST", "/batch-decrypt").json(&json!({ "ciphertexts": [ciphertext(update)] })).gzip()),
    // After the end there is no lease to renew, and the CLI must hear so.
    Call { late_statuses: &[403], ..call("renew_lease", 1, |update| update.renew_request(300)) },
    call("journalentries", 1, |update| update.journal_request(&journal(update))),
    call("checkpoint", 0, |update| update.checkpoint_request(&update.stack.deployment(&["a", "b"]))),
    call("checkpointverbatim", 0, |update| update.verbatim_request(1, TEXT_1)),
    call("checkpointdelta", 0, delta),
    call("events/batch", 1, |update| update.events_request(&events())),
    call("complete succeeded", 1, |update| { update.journal(&journal(update)).ok(); update.complete_request("succeeded") }),
    call("complete failed", 1, |update| { update.journal(&journal(update)).ok(); update.complete_request("failed") }),
    call("complete with a checkpoint", 0, |update| { update.checkpoint(&update.stack.deployment(&["a"])).ok(); update.complete_request("succeeded") }),
    Call { late_statuses: &[409], ..call("cancel", 1, |update| { update.journal(&journal(update)).ok(); update.cancel_request() }) },
];

const fn call(name: &'static str, journal_version: i64, prepare: fn(&TestUpdate) -> Request) -> Call {
    Call { name, journal_version, prepare, late_statuses: &[] }
}

fn ciphertext(update: &TestUpdate) -> Value {
    update.stack.post("/encrypt", &json!({ "plaintext": "YQ==" })).ok().json()["ciphertext"].clone()
}

/// The first entries of a journal, the last of which begins what it does not end.
fn journal(update: &TestUpdate) -> Vec<Value> {
    let stack = &update.stack;
    let mut entries = vec![secrets_entry(1)];
    entries.extend(create_entries(2, 1, &stack.resource("new")));
    entries.extend(create_entries(4, 2, &stack.resource("half")).into_iter().take(1));
    entries
}

fn delta(update: &TestUpdate) -> Request {
    update.verbatim(1, TEXT_1).ok();
    let at = TEXT_1.len() - 2;
    let place = json!({ "line": 1, "column": 1, "offset": at });
    let edits = json!([{ "Span": { "uri": "", "start": place, "end": place }, "NewText": ",\"later\":1" }]);
    update.delta_request(2, &sha256_hex(TEXT_2.as_bytes()), &edits)
}

fn events() -> Vec<Value> {
    let changes = json!({ "create": 1 });
    vec![
        json!({ "sequence": 0, "timestamp": 1, "stdoutEvent": { "message": "hello", "color": "raw" } }),
        json!({ "sequence": 1, "timestamp": 1, "summaryEvent": { "maybeCorrupt": false, "durationSeconds": 1, "resourceChanges": changes, "PolicyPacks": {} } }),
    ]
}

/// A stack with a state, and an update of it that is under way.
fn begin<'a>(server: &'a TestServer, call: &Call) -> TestUpdate<'a> {
    let stack = server.create_stack("web", "dev");
    stack.import(&stack.deployment(&["old"])).ok();
    stack.start("update", false, call.journal_version)
}

/// All that can be seen of a stack, but for times and ids.
fn picture(update: &TestUpdate) -> String {
    let stack = &update.stack;
    let mut history = stack.history();
    for entry in &mut history {
        entry["startTime"] = json!(0);
        entry["endTime"] = json!(0);
        entry["updateID"] = json!("");
    }
    let info = stack.info();
    let is_running = info.get("currentOperation").is_some_and(|it| !it.is_null());
    let n_events =
        stack.get(&format!("/update/{}/events", update.id)).ok().json()["events"].as_array().map(Vec::len);
    let versions: Vec<u16> = (1..5).map(|version| stack.get(&format!("/export/{version}")).status).collect();
    let state = normalized(&stack.export_tree());
    format!(
        "{state}\n{}\nversion {} running {is_running} events {n_events:?} versions {versions:?} {}",
        json!(history),
        info["version"],
        update.poll().json()["status"]
    )
}

/// The second answer is the first one. New ciphertexts need not be the same bytes, but must open.
#[track_caller]
fn check_same_answer(update: &TestUpdate, first: &Response, second: &Response, context: &str) {
    assert_eq!(first.status, second.status, "{context}: {second}");
    let ciphertexts = |response: &Response| -> Vec<Value> {
        let Ok(body) = serde_json::from_slice::<Value>(&response.body) else { return Vec::new() };
        body["ciphertexts"]
            .as_array()
            .cloned()
            .or(body.get("ciphertext").map(|it| vec![it.clone()]))
            .unwrap_or_default()
    };
    let (old, new) = (ciphertexts(first), ciphertexts(second));
    if old.is_empty() {
        let without_expiration = |response: &Response| {
            let mut body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
            body.as_object_mut().map(|fields| fields.remove("tokenExpiration"));
            body
        };
        assert_eq!(without_expiration(first), without_expiration(second), "{context}");
    }
    for (old, new) in old.iter().zip(&new) {
        let open = |ciphertext: &Value| {
            update.stack.post("/decrypt", &json!({ "ciphertext": ciphertext })).ok().json()
        };
        assert_eq!(open(old), open(new), "{context}");
    }
}

#[test]
fn an_identical_second_delivery_changes_nothing() {
    for call in CALLS {
        let server = TestServer::start();
        let update = begin(&server, call);
        let request = (call.prepare)(&update);
        let first = update.stack.send(&request).ok();
        let before = picture(&update);
        for _ in 0..3 {
            let second = update.stack.send(&request);
            check_same_answer(&update, &first, &second, call.name);
        }
        assert_eq!(picture(&update), before, "{}", call.name);
    }
}

#[test]
fn an_identical_delivery_after_the_end_changes_nothing() {
    for call in CALLS {
        let server = TestServer::start();
        let update = begin(&server, call);
        let request = (call.prepare)(&update);
        let first = update.stack.send(&request).ok();
        if update.poll().json()["status"] == "running" {
            update.complete("succeeded").ok();
        }
        check_late(call, &update, &request, &first);
        // Also when another update has the stack by now, and has ended.
        let next = update.stack.start_update();
        check_late(call, &update, &request, &first);
        next.journal(&[secrets_entry(1)]).ok();
        next.complete("succeeded").ok();
        check_late(call, &update, &request, &first);
    }

    #[track_caller]
    fn check_late(call: &Call, update: &TestUpdate, request: &Request, first: &Response) {
        let before = picture(update);
        let second = update.stack.send(request);
        if !call.late_statuses.contains(&second.status) && request.method != "GET" {
            check_same_answer(update, first, &second, &format!("{}, late", call.name));
        }
        assert_eq!(picture(update), before, "{}", call.name);
    }
}

#[test]
fn two_deliveries_at_the_same_time_are_one() {
    for call in CALLS {
        let server = TestServer::start();
        let once = {
            let update = begin(&server, call);
            update.stack.send(&(call.prepare)(&update)).ok();
            let once = picture(&update);
            take_away(&update);
            once
        };
        for head_start_micros in [0, 0, 100, 250, 500, 900, 1500, 2500] {
            let update = begin(&server, call);
            let request = (call.prepare)(&update);
            let (first, second) = std::thread::scope(|scope| {
                let first = scope.spawn(|| update.stack.send(&request));
                std::thread::sleep(Duration::from_micros(head_start_micros));
                let second = update.stack.send(&request);
                (first.join().expect("an answer"), second)
            });
            check_same_answer(&update, &first.ok(), &second, call.name);
            assert_eq!(picture(&update), once, "{}", call.name);
            take_away(&update);
        }
    }
}

/// Makes room for another stack of the same name.
fn take_away(update: &TestUpdate) {
    update.cancel().expect(&[200, 204, 409]);
    update.stack.delete(true).ok();
}

#[test]
fn deltas_delivered_twice_at_the_same_time_are_taken_once() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_checkpoints();
    update.verbatim(1, TEXT_1).ok();
    let mut text = TEXT_1.to_string();
    for sequence_number in 2..102 {
        let at = text.len() - 2;
        let addition = format!(",\"later{sequence_number}\":1");
        text.insert_str(at, &addition);
        let place = json!({ "line": 1, "column": 1, "offset": at });
        let edits = json!([{ "Span": { "uri": "", "start": place, "end": place }, "NewText": addition }]);
        let request = update.delta_request(sequence_number, &sha256_hex(text.as_bytes()), &edits);
        // The second comes at any moment of the first one's way.
        let head_start = Duration::from_micros(sequence_number * 37 % 1500);
        std::thread::scope(|scope| {
            scope.spawn(|| stack.send(&request).ok());
            std::thread::sleep(head_start);
            stack.send(&request).ok();
        });
        assert_eq!(stack.export_tree(), Tree::parse(&text));
    }
}

#[test]
fn a_second_delivery_after_a_crash_changes_nothing() {
    for call in CALLS {
        let server = TestServer::start();
        let update = begin(&server, call);
        let request = (call.prepare)(&update);
        let first = update.stack.send(&request).ok();
        let before = picture(&update);
        server.crash_and_restart();
        assert_eq!(picture(&update), before, "{}: acknowledged, then lost", call.name);
        let second = update.stack.send(&request);
        check_same_answer(&update, &first, &second, call.name);
        assert_eq!(picture(&update), before, "{}", call.name);
    }
}

#[test]
fn another_body_under_the_same_number_is_refused() {
    check(
        "journalentries",
        1,
        |update| update.journal_request(&journal(update)),
        |update| {
            let mut entries = journal(update);
            entries[2]["state"]["id"] = json!("another");
            update.journal_request(&entries)
        },
    );
    check(
        "events/batch",
        1,
        |update| update.events_request(&events()),
        |update| {
            let mut events = events();
            events[0]["stdoutEvent"]["message"] = json!("bye");
            update.events_request(&events)
        },
    );
    check(
        "checkpointverbatim",
        0,
        |update| update.verbatim_request(1, TEXT_1),
        |update| update.verbatim_request(1, TEXT_2),
    );
    check("checkpointdelta", 0, delta, |update| update.verbatim_request(2, TEXT_1));
    check(
        "complete",
        1,
        |update| update.complete_request("failed"),
        |update| update.complete_request("succeeded"),
    );

    #[track_caller]
    fn check(
        name: &'static str,
        journal_version: i64,
        one: fn(&TestUpdate) -> Request,
        other: fn(&TestUpdate) -> Request,
    ) {
        let server = TestServer::start();
        let update = begin(&server, &call(name, journal_version, one));
        let stack: &TestStack = &update.stack;
        stack.send(&one(&update)).ok();
        let before = picture(&update);
        stack.send(&other(&update)).expect(&[400, 403, 409]);
        server.crash_and_restart();
        stack.send(&other(&update)).expect(&[400, 403, 409]);
        assert_eq!(picture(&update), before, "{name}");
        if update.poll().json()["status"] == "running" {
            update.complete("succeeded").ok();
        }
        let before = picture(&update);
        stack.send(&other(&update)).expect(&[400, 403, 409]);
        assert_eq!(picture(&update), before, "{name}, late");
    }
}

#[test]
fn a_delta_that_was_applied_may_come_again_as_a_whole_text() {
    // All answers to the delta were lost, so the CLI falls back to the text under the same number.
    let server = TestServer::start();
    let update = begin(&server, &call("checkpointdelta", 0, delta));
    update.stack.send(&delta(&update)).ok();
    update.verbatim(2, TEXT_2).ok();
    assert_eq!(update.stack.export_tree(), Tree::parse(TEXT_2));
    update.verbatim(3, TEXT_1).ok();
    assert_eq!(update.stack.export_tree(), Tree::parse(TEXT_1));
}

#[test]
fn a_delta_that_is_still_under_way_and_its_whole_text_are_one() {
    // The CLI gives the delta up and sends all, while the delta is on its way to the disk; either may be first.
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_checkpoints();
    update.verbatim(1, TEXT_1).ok();
    let mut text = TEXT_1.to_string();
    for sequence_number in 2..152 {
        let at = text.len() - 2;
        let addition = format!(",\"later{sequence_number}\":1");
        text.insert_str(at, &addition);
        let place = json!({ "line": 1, "column": 1, "offset": at });
        let edits = json!([{ "Span": { "uri": "", "start": place, "end": place }, "NewText": addition }]);
        let delta = update.delta_request(sequence_number, &sha256_hex(text.as_bytes()), &edits);
        let whole = update.verbatim_request(sequence_number, &text);
        let head_start = Duration::from_micros(sequence_number * 37 % 1500);
        std::thread::scope(|scope| {
            scope.spawn(|| stack.send(&delta).ok());
            std::thread::sleep(head_start);
            stack.send(&whole).ok();
        });
        assert_eq!(stack.export_tree(), Tree::parse(&text));
    }
    // And when both come once more after the end.
    update.complete("succeeded").ok();
    stack.send(&update.verbatim_request(151, &text)).ok();
}

#[test]
fn a_start_whose_answer_was_lost_is_cancelled_like_any_other() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let id = stack.create_update("update", false);
    stack.try_start(&id, 1).ok(); // Nobody looks at the answer.
    let other = stack.create_update("update", false);
    stack.try_start(&other, 1).expect_error(409, "Conflict: Another update is currently in progress.");
    let active = stack.info()["activeUpdate"].as_str().expect("activeUpdate").to_string();
    assert_eq!(active, id);
    stack.post(&format!("/update/{active}/cancel"), &json!({})).ok();
    stack.start_update().complete("succeeded").ok();
}

#[test]
fn an_import_whose_answer_was_lost_stands() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.import(&stack.deployment(&["a"])).ok(); // Nobody looks at the answer.
    server.crash_and_restart();
    assert_eq!(stack.export(), stack.deployment(&["a"]));
    assert!(stack.info().get("currentOperation").is_none_or(Value::is_null));
    stack.start_update().complete("succeeded").ok();
}
