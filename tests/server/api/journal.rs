//! Journal entries: appended, replayed however the update ends, refused when they make no sense.

use crate::support::http::Request;
use crate::support::server::TestServer;
use crate::support::stack::TestStack;
use crate::support::update::{TestUpdate, create_entries, entry, secrets_entry};
use serde_json::{Value, json};

/// A stack whose state is its root, `a` and `b`, and an update of it that journals.
fn started<'a>(server: &'a TestServer) -> (TestStack<'a>, TestUpdate<'a>) {
    let stack = server.create_stack("web", "dev");
    stack.import(&stack.deployment(&["a", "b"])).ok();
    let update = stack.start_update();
    update.journal(&[secrets_entry(1)]).ok();
    (stack, update)
}

#[test]
fn entries_are_in_the_state_at_once_and_however_the_update_ends() {
    let server = TestServer::start();
    for end in ["succeeded", "failed", "cancel"] {
        let stack = server.create_stack(end, "dev");
        stack.import(&stack.deployment(&["a", "b"])).ok();
        let update = stack.start_update();
        update.journal(&[secrets_entry(1)]).ok();
        update.journal(&create_entries(2, 1, &stack.resource("c"))).ok();
        // `a` is deleted, `d` has begun.
        update
            .journal(&[
                entry(
                    0,
                    4,
                    2,
                    json!({ "operation": { "resource": stack.resource("a"), "type": "deleting" } }),
                ),
                entry(1, 5, 2, json!({ "removeOld": 1 })),
            ])
            .ok();
        update.journal(&create_entries(6, 3, &stack.resource("d"))[..1]).ok();
        check(&stack);
        if end == "cancel" { update.cancel() } else { update.complete(end) }.ok();
        check(&stack);
        let by_version = stack.get(&format!("/export/{}", update.version)).ok();
        assert_eq!(by_version.json(), stack.export());
        let entry = &stack.history()[0];
        assert_eq!(entry["result"], if end == "succeeded" { "succeeded" } else { "failed" });
        assert_eq!(entry["resourceCount"], 3);
    }

    #[track_caller]
    fn check(stack: &TestStack) {
        assert_eq!(stack.resource_names(), ["c".to_string(), format!("{}-dev", stack.project), "b".into()]);
        let export = stack.export();
        let pending = export["deployment"]["pending_operations"].as_array().expect("pending operations");
        assert_eq!((pending.len(), &pending[0]["type"]), (1, &json!("creating")));
        assert_eq!(pending[0]["resource"]["urn"], stack.resource("d")["urn"]);
        assert_eq!(export["deployment"]["secrets_providers"], json!({ "type": "b64" }));
    }
}

#[test]
fn the_first_update_of_a_stack_starts_from_nothing() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    update.journal(&[secrets_entry(1)]).ok();
    update.journal(&create_entries(2, 1, &stack.root())).ok();
    assert_eq!(stack.resource_names(), ["web-dev"]);
    update.complete("succeeded").ok();
    assert_eq!(stack.resource_names(), ["web-dev"]);
}

#[test]
fn an_update_that_reported_nothing_changes_nothing() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.import(&stack.deployment(&["a"])).ok();
    let before = stack.resources();
    stack.start_update().complete("succeeded").ok();
    stack.start_update().cancel().ok();
    assert_eq!(stack.resources(), before);
    assert_eq!(stack.info()["version"], 3);
    for version in 1..=3 {
        assert_eq!(
            stack.get(&format!("/export/{version}")).ok().json()["deployment"]["resources"],
            json!(before)
        );
    }
}

#[test]
fn batches_may_be_cut_otherwise_and_arrive_in_any_order() {
    let server = TestServer::start();
    let (stack, update) = started(&server);
    let entries: Vec<Value> =
        (0..4u64).flat_map(|i| create_entries(2 + 2 * i, 1 + i, &stack.resource(&format!("n{i}")))).collect();
    update.journal(&entries[4..8]).ok();
    update.journal(&entries[0..2]).ok();
    update.journal(&entries[1..5]).ok(); // Overlaps both, and brings two new ones.
    assert_eq!(
        stack.resource_names(),
        ["n0", "n1", "n2", "n3", "web-dev", "a", "b"],
        "in order of sequence id"
    );
    update.complete("succeeded").ok();
    assert_eq!(stack.resource_names(), ["n0", "n1", "n2", "n3", "web-dev", "a", "b"]);
}

#[test]
fn another_entry_under_the_same_id_is_refused() {
    let server = TestServer::start();
    let (stack, update) = started(&server);
    let first = create_entries(2, 1, &stack.resource("c"));
    update.journal(&first).ok();
    update.journal(&first).ok();
    let mut changed = first.clone();
    changed[1]["state"]["inputs"]["size"] = json!(2);
    update.journal(&changed).expect(&[400, 409]);
    // Not one entry of a batch that holds such a one is taken.
    let batch = [&create_entries(4, 2, &stack.resource("d"))[..], &changed[1..]].concat();
    update.journal(&batch).expect(&[400, 409]);
    assert_eq!(stack.resource_names(), ["c", "web-dev", "a", "b"]);
    // Nor where two of one batch contradict each other.
    let [begin, success] = create_entries(4, 2, &stack.resource("d"));
    let mut other = success.clone();
    other["state"]["id"] = json!("other");
    update.journal(&[begin, success, other]).expect(&[400, 409]);
    update.complete("succeeded").ok();
    assert_eq!(stack.resource_names(), ["c", "web-dev", "a", "b"]);
}

#[test]
fn entries_that_make_no_sense_are_refused_as_they_come() {
    let server = TestServer::start();
    let (stack, update) = started(&server);
    update.journal(&create_entries(2, 1, &stack.resource("c"))).ok();
    let state = stack.resource("d");
    let good = create_entries(4, 2, &state);
    for bad in [
        entry(10, 6, 3, json!({})),
        entry(99, 6, 3, json!({})),
        entry(1, 0, 3, json!({ "state": state })),
        entry(1, 6, 3, json!({ "removeOld": 3 })),
        entry(1, 6, 3, json!({ "removeOld": -1 })),
        entry(1, 6, 3, json!({ "deleteOld": 77 })),
        entry(1, 6, 3, json!({ "pendingReplacementOld": 3 })),
        entry(1, 6, 3, json!({ "removeNew": 50 })),
        entry(1, 6, 3, json!({ "deleteNew": 50 })),
        entry(3, 6, 3, json!({ "removeNew": 50 })),
        entry(4, 6, 3, json!({ "removeNew": 50, "state": state })),
        entry(4, 6, 3, json!({ "removeNew": 1 })),
        entry(1, 6, 3, json!({ "state": [] })),
        entry(1, 6, 3, json!({ "state": "text" })),
        entry(0, 6, 3, json!({ "operation": { "type": "creating" } })),
        entry(5, 6, 0, json!({})),
        entry(1, 6, 3, json!({ "removeOld": "1" })),
        json!({ "version": 1, "sequenceID": 6 }),
        json!({ "kind": 1, "operationID": 3 }),
        json!([]),
        json!(null),
    ] {
        update.journal(&[good[0].clone(), good[1].clone(), bad.clone()]).expect(&[400]);
        assert_eq!(
            stack.resource_names(),
            ["c", "web-dev", "a", "b"],
            "{bad}: nothing of the batch is stored"
        );
    }
    update.journal(&good).ok();
    update.complete("succeeded").ok();
    assert_eq!(stack.resource_names(), ["c", "d", "web-dev", "a", "b"]);
}

#[test]
fn a_body_that_is_no_batch_is_refused() {
    let server = TestServer::start();
    let (stack, update) = started(&server);
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"entries":{}}"#,
        r#"{"entries":null}"#,
        r#"{"entries":"x"}"#,
        r#"{"entries":[]} x"#,
        "\u{feff}{}",
    ] {
        let request = Request::new("PATCH", update.path("/journalentries")).lease(&update.token).bytes(body);
        stack.send(&request).expect(&[400]);
    }
    let cut = update.journal_request(&create_entries(2, 1, &stack.resource("c")));
    let half = cut.body.len() / 2;
    stack.send(&Request { body: cut.body[..half].to_vec(), ..cut }).expect(&[400]);
    let plain = Request::new("PATCH", update.path("/journalentries")).lease(&update.token);
    stack.send(&plain.json(&json!({ "entries": create_entries(2, 1, &stack.resource("c")) }))).ok();
    update.complete("succeeded").ok();
    assert_eq!(stack.resource_names(), ["c", "web-dev", "a", "b"]);
}

#[test]
fn resources_keep_the_spelling_of_their_numbers() {
    let server = TestServer::start();
    let (stack, update) = started(&server);
    let urn = stack.urn("test:index:Thing", "exact");
    let state = format!(
        r#"{{"urn":"{urn}","custom":true,"id":"i","type":"test:index:Thing","inputs":{{"a":1.0,"b":1e2,"c":123456789012345678901234567890,"d":-0.0,"e":0.1000,"f":"\u003c é \u2028 \\ \"","g":{{}},"h":[],"i":null}},"somethingNew":{{"z":1,"a":[1.50]}}}}"#
    );
    let body = format!(
        r#"{{"entries":[{{"version":1,"kind":0,"sequenceID":2,"operationID":1,"removeOld":null,"removeNew":null}},{{"version":1,"kind":1,"sequenceID":3,"operationID":1,"removeOld":null,"removeNew":null,"state":{state}}}]}}"#
    );
    let request =
        Request::new("PATCH", update.path("/journalentries")).lease(&update.token).bytes(body).gzip();
    stack.send(&request).ok();
    for _ in 0..2 {
        let export = stack.export_tree();
        let resources = export.get("deployment").and_then(|it| it.get("resources")).expect("resources");
        assert_eq!(resources.items()[0], crate::support::json::Tree::parse(&state));
        update.complete("succeeded").ok();
    }
}

#[test]
fn features_decide_the_version_of_the_state() {
    let server = TestServer::start();
    let (stack, update) = started(&server);
    assert_eq!(stack.export()["version"], 3);
    let mut state = stack.resource("c");
    state["taint"] = json!(true);
    state["resourceHooks"] = json!({ "beforeCreate": ["hook"] });
    update.journal(&create_entries(2, 1, &state)).ok();
    update.complete("succeeded").ok();
    let export = stack.export();
    assert_eq!((&export["version"], &export["features"]), (&json!(4), &json!(["hooks", "taint"])));

    let update = stack.start_update();
    update
        .journal(&[secrets_entry(1), entry(0, 2, 1, json!({})), entry(1, 3, 1, json!({ "removeOld": 0 }))])
        .ok();
    update.complete("succeeded").ok();
    assert_eq!(stack.export()["version"], 3, "with the resource went its features");
}

#[test]
fn indices_go_by_the_order_of_the_export() {
    let server = TestServer::start();
    let (stack, update) = started(&server);
    // The same step for each, last first: the new order is the order of the steps.
    let mut entries = Vec::new();
    for (i, old) in [2, 0, 1].iter().enumerate() {
        let i = i as u64;
        entries.push(entry(0, 2 + 2 * i, 1 + i, json!({})));
        entries.push(entry(
            1,
            3 + 2 * i,
            1 + i,
            json!({ "state": stack.resources()[*old], "removeOld": old }),
        ));
    }
    update.journal(&entries).ok();
    update.complete("succeeded").ok();
    assert_eq!(stack.resource_names(), ["b", "web-dev", "a"]);
    let update = stack.start_update();
    update
        .journal(&[secrets_entry(1), entry(0, 2, 1, json!({})), entry(1, 3, 1, json!({ "removeOld": 0 }))])
        .ok();
    update.complete("succeeded").ok();
    assert_eq!(stack.resource_names(), ["web-dev", "a"]);
}

#[test]
fn a_large_batch_is_taken_whole() {
    let server = TestServer::start();
    let (stack, update) = started(&server);
    let mut large = stack.resource("large");
    large["inputs"]["text"] = json!("0123456789abcdef".repeat(512 << 10)); // 8 MiB
    update.journal(&create_entries(2, 1, &large)).ok();
    update.complete("succeeded").ok();
    assert_eq!(stack.resources()[0]["inputs"]["text"].as_str().map(str::len), Some(8 << 20));
}
