//! Engine events: taken in any order and more than once, read back in the order of the engine.

use crate::support::http::Request;
use crate::support::server::TestServer;
use serde_json::{Value, json};

/// A line of output, as an event.
fn event(sequence: u64) -> Value {
    json!({ "sequence": sequence, "timestamp": 1_755_000_000, "stdoutEvent": { "message": format!("line {sequence} <é>\n"), "color": "raw" } })
}

fn events(from: u64, to: u64) -> Vec<Value> {
    (from..to).map(event).collect()
}

#[test]
fn events_are_read_back_in_order() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    for (from, to) in [(100, 150), (0, 50), (50, 100), (0, 50), (150, 151)] {
        update.post_events(&events(from, to)).ok();
    }
    update.complete("succeeded").ok();
    let read: Vec<Value> = update.events();
    assert_eq!(read.len(), 151);
    for (got, expected) in read.iter().zip(events(0, 151)) {
        assert_eq!(got["stdoutEvent"], expected["stdoutEvent"]);
        assert_eq!(got["timestamp"], expected["timestamp"]);
    }
}

#[test]
fn the_events_of_a_running_update_can_be_followed() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    let page = |token: &Value| {
        let query = token.as_str().map_or(String::new(), |it| format!("?continuationToken={it}"));
        stack.get(&format!("/update/{}/events{query}", update.id)).expect(&[200]).json()
    };
    let first = page(&Value::Null);
    assert_eq!(first["events"], json!([]));
    assert!(first["continuationToken"].is_string(), "{first}: null would say that it is over");
    update.post_events(&events(0, 3)).ok();
    let second = page(&first["continuationToken"]);
    assert_eq!(second["events"].as_array().map(Vec::len), Some(3));
    let third = page(&second["continuationToken"]);
    assert_eq!(third["events"], json!([]));
    update.post_events(&events(3, 5)).ok();
    update.complete("succeeded").ok();
    let mut token = third["continuationToken"].clone();
    let mut n_rest = 0;
    while token.is_string() {
        let page = page(&token);
        n_rest += page["events"].as_array().map_or(0, Vec::len);
        token = page["continuationToken"].clone();
    }
    assert_eq!(n_rest, 2);
}

#[test]
fn many_events_come_in_pages() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    for batch in 0..60 {
        update.post_events(&events(batch * 50, batch * 50 + 50)).ok();
    }
    update.complete("succeeded").ok();
    let read = update.events();
    assert_eq!(read.len(), 3000);
    assert!(read.iter().enumerate().all(|(i, it)| it["stdoutEvent"] == event(i as u64)["stdoutEvent"]));
    stack.get(&format!("/update/{}/events?continuationToken=made%20up", update.id)).expect(&[400]);
}

#[test]
fn the_summary_tells_the_history_what_changed() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    let summary = json!({ "sequence": 1, "timestamp": 1_755_000_000, "summaryEvent": { "maybeCorrupt": false, "durationSeconds": 1,
        "resourceChanges": { "create": 3, "same": 1, "delete-replaced": 2 }, "PolicyPacks": {}, "isPreview": false, "result": "succeeded" } });
    update.post_events(&[summary]).ok();
    update.post_events(&events(0, 1)).ok();
    update.complete("succeeded").ok();
    assert_eq!(
        stack.history()[0]["resourceChanges"],
        json!({ "create": 3, "same": 1, "delete-replaced": 2 })
    );
}

#[test]
fn previews_have_events_too() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let preview = stack.start_preview();
    preview.post_events(&events(0, 2)).ok();
    preview.complete("succeeded").ok();
    assert_eq!(preview.events().len(), 2);
}

#[test]
fn another_batch_under_the_same_numbers_is_refused() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    update.post_events(&events(0, 3)).ok();
    let mut other = events(0, 3);
    other[1]["stdoutEvent"]["message"] = json!("another line");
    update.post_events(&other).expect(&[400, 409]);
    update.complete("succeeded").ok();
    let read = update.events();
    assert_eq!(read.len(), 3);
    assert_eq!(read[1]["stdoutEvent"], event(1)["stdoutEvent"]);
}

#[test]
fn what_is_no_batch_of_events_is_refused() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"events":{}}"#,
        r#"{"events":[1]}"#,
        r#"{"events":[{}]}"#,
        r#"{"events":[{"timestamp":1,"cancelEvent":{}}]}"#,
        r#"{"events":[{"sequence":-1,"timestamp":1}]}"#,
        r#"{"events":[{"sequence":"0","timestamp":1}]}"#,
    ] {
        let request = Request::new("POST", update.path("/events/batch")).lease(&update.token).bytes(body);
        stack.send(&request).expect(&[400]);
    }
    let whole = update.events_request(&events(0, 50));
    let half = whole.body.len() / 2;
    stack.send(&Request { body: whole.body[..half].to_vec(), ..whole }).expect(&[400]);
    // What it does not know it keeps: a later CLI may have further kinds of events.
    update.post_events(&[json!({ "sequence": 0, "timestamp": 1, "laterEvent": { "n": 1 } })]).ok();
    update.complete("succeeded").ok();
    let read = update.events();
    assert_eq!((read.len(), &read[0]["laterEvent"]), (1, &json!({ "n": 1 })));
}

#[test]
fn events_of_an_unknown_update_are_a_404() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.get("/update/nope/events").expect(&[404]);
    let update = stack.start_update();
    let other = server.create_stack("web", "prod");
    other.get(&format!("/update/{}/events", update.id)).expect(&[404]);
    other.get(&format!("/update/{}", update.id)).expect(&[404]);
}

#[test]
fn events_that_were_acknowledged_survive_a_crash() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    update.post_events(&events(0, 50)).ok();
    server.crash_and_restart();
    update.post_events(&events(0, 50)).ok();
    update.post_events(&events(50, 60)).ok();
    update.complete("succeeded").ok();
    server.crash_and_restart();
    assert_eq!(update.events().len(), 60);
}

#[test]
fn events_can_be_asked_for_by_their_resource() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    // As Go writes it; what it stands for has a plain ampersand.
    let (a, b) = (stack.urn("test:index:Thing", "a&b"), stack.urn("test:index:Thing", "b"));
    let written = a.replace('&', "\\u0026");
    let body = format!(
        r#"{{"events":[
            {{"sequence":0,"resourcePreEvent":{{"metadata":{{"op":"create","urn":"{written}"}}}}}},
            {{"sequence":1,"resOutputsEvent":{{"metadata":{{"op":"create","urn":"{b}","new":{{"parent":"{written}"}}}}}}}},
            {{"sequence":2,"diagnosticEvent":{{"urn":"{written}","message":"about it"}}}},
            {{"sequence":3,"policyEvent":{{"resourceUrn":"{written}"}}}},
            {{"sequence":4,"stdoutEvent":{{"message":"{written}"}}}}]}}"#
    );
    let request = Request::new("POST", update.path("/events/batch")).lease(&update.token);
    stack.send(&request.bytes(body)).ok();
    update.complete("succeeded").ok();
    let about = |urn: &str| -> Vec<Value> {
        let escaped = urn.replace(':', "%3A").replace('&', "%26");
        let page = stack.get(&format!("/update/{}/events?urn={escaped}", update.id)).ok().json();
        assert_eq!(page["continuationToken"], Value::Null);
        page["events"].as_array().expect("events").iter().map(|event| event["sequence"].clone()).collect()
    };
    assert_eq!(about(&a), [0, 2, 3]);
    assert_eq!(about(&b), [1]);
    assert_eq!(about("urn:pulumi:dev::web::test:index:Thing::c"), [json!(null); 0]);
    // What its numbers mean is not known: better said than ignored.
    stack.get(&format!("/update/{}/events?type=4", update.id)).expect(&[400]);
}
