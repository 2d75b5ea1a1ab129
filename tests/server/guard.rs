//! The plaintext guard: what was encrypted for a stack, or looks like a credential, is told when it lies in a state in
//! plain text, by whatever way it came there, and never what it is.

use crate::support::command::run;
use crate::support::http::Response;
use crate::support::server::TestServer;
use crate::support::stack::TestStack;
use crate::support::update::{create_entries, entry, secrets_entry};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const VALUE: &str = "hunter2 <and> \"more\"\\";

fn encrypt(stack: &TestStack, plaintext: &str) {
    stack.post("/encrypt", &json!({ "plaintext": STANDARD.encode(plaintext) })).ok();
}

fn batch_encrypt(stack: &TestStack, plaintexts: &[String]) {
    let plaintexts: Vec<String> = plaintexts.iter().map(|text| STANDARD.encode(text)).collect();
    stack.post("/batch-encrypt", &json!({ "plaintexts": plaintexts })).ok();
}

/// A key as a cloud gives them out, which was never given out.
fn key() -> String {
    ["AK", "IA", "2345672345ABCDEF"].concat()
}

/// A resource with this value in its outputs.
fn leaky(stack: &TestStack, name: &str, value: &str) -> Value {
    let mut resource = stack.resource(name);
    resource["outputs"] = json!({ "users": [{ "pass-word": value }], "n": 1 });
    resource
}

fn with(stack: &TestStack, resources: &[Value]) -> Value {
    let mut deployment = stack.deployment(&[]);
    deployment["deployment"]["resources"].as_array_mut().expect("resources").extend_from_slice(resources);
    deployment
}

/// Names of the resources in whose outputs the latest entry of the history has a value in plain text.
#[track_caller]
fn told(stack: &TestStack) -> Vec<String> {
    let entry = &stack.history()[0];
    let values = entry["plaintextValues"]["values"].as_array().cloned().unwrap_or_default();
    assert_eq!(entry["plaintextValues"]["count"].as_u64().unwrap_or(0) as usize, values.len());
    let name = |value: &Value| {
        assert_eq!(value["path"], "outputs.users[0][\"pass-word\"]", "{value}");
        assert!(
            ["was encrypted for this stack", "looks like an access key of AWS"]
                .contains(&value["why"].as_str().expect("why"))
        );
        value["urn"].as_str().expect("a URN").rsplit("::").next().expect("a name").to_string()
    };
    values.iter().map(name).collect()
}

#[track_caller]
fn check_warning(answer: &Response, is_there: bool) {
    let headers = answer.headers.iter().filter(|(name, _)| name == "x-pulumi-warning");
    let warning: String = headers.map(|(_, value)| value.as_str()).collect();
    assert_eq!(warning.contains("plain text"), is_there, "{answer}");
    assert!(!warning.contains("hunter2") && !warning.contains(&key()), "{warning}");
}

#[test]
fn every_way_into_a_state_is_watched() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    encrypt(&stack, VALUE);
    batch_encrypt(&stack, &[json!("another secret value").to_string()]);

    let clean = [leaky(&stack, "a", "hunter2"), leaky(&stack, "b", "another secret valu")];
    check_warning(&stack.import(&with(&stack, &clean)).ok(), false);
    assert_eq!(told(&stack), Vec::<String>::new());

    let leaking =
        [leaky(&stack, "a", VALUE), leaky(&stack, "b", "another secret value"), leaky(&stack, "c", &key())];
    check_warning(&stack.import(&with(&stack, &leaking)).ok(), true);
    assert_eq!(told(&stack), ["a", "b", "c"]);

    // A journal that changes something else: what is known of the rest stays.
    let update = stack.start_update();
    update.journal(&[secrets_entry(1)]).ok();
    update.journal(&create_entries(2, 1, &leaky(&stack, "d", VALUE))).ok();
    check_warning(&update.complete("succeeded").ok(), true);
    let mut names = told(&stack);
    names.sort();
    assert_eq!(names, ["a", "b", "c", "d"]);

    // One that mends what leaked: the order is now root, d, a, b, c with new ones in front.
    let places = stack.resource_names();
    let update = stack.start_update();
    update.journal(&[secrets_entry(1)]).ok();
    for (n, name) in (1..).zip(["a", "b", "c"]) {
        let index = places.iter().position(|it| it == name).expect("there");
        let mended =
            entry(1, 1 + n, n, json!({ "removeOld": index, "state": leaky(&stack, name, "mended") }));
        update.journal(&[mended]).ok();
    }
    check_warning(&update.complete("succeeded").ok(), true);
    assert_eq!(told(&stack), ["d"]);

    let update = stack.start_checkpoints();
    update.checkpoint(&with(&stack, &[leaky(&stack, "e", VALUE)])).ok();
    check_warning(&update.complete("failed").ok(), true);
    assert_eq!(told(&stack), ["e"]);
    let update = stack.start_checkpoints();
    update.verbatim(1, &with(&stack, &[leaky(&stack, "f", VALUE)]).to_string()).ok();
    check_warning(&update.cancel().ok(), true);
    assert_eq!(told(&stack), ["f"]);
    check_warning(&stack.import(&with(&stack, &clean)).ok(), false);
    assert_eq!(told(&stack), Vec::<String>::new());

    let log = server.log();
    assert!(log.contains("in plain text") && !log.contains("hunter2") && !log.contains(&key()), "{log}");
}

#[test]
fn what_was_encrypted_is_known_after_a_crash_a_rename_and_to_no_other_stack() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let other = server.create_stack("web", "prod");
    // More calls than rows are kept, so that they are put into one in between.
    for n in 0..150 {
        batch_encrypt(&stack, &[json!(format!("{VALUE} {n}")).to_string(), "short".into()]);
    }
    let rows = |server: &TestServer| -> i64 {
        server.database().query_row("SELECT count(*) FROM marks", [], |row| row.get(0)).expect("marks")
    };
    let n_rows = rows(&server);
    assert!((1..=64).contains(&n_rows), "{n_rows} rows");
    batch_encrypt(&stack, &(0..150).map(|n| format!("{VALUE} {n}")).collect::<Vec<_>>());
    assert_eq!(rows(&server), n_rows, "what is known is not written again");

    server.crash_and_restart();
    stack.post("/rename", &json!({ "newName": "test" })).ok();
    let stack = server.stack("web", "test");
    let names: Vec<String> = (0..150).map(|n| format!("r{n}")).collect();
    let state = |stack: &TestStack| {
        let each = names.iter().enumerate().map(|(n, name)| leaky(stack, name, &format!("{VALUE} {n}")));
        with(stack, &each.collect::<Vec<_>>())
    };
    check_warning(&stack.import(&state(&stack)).ok(), true);
    assert_eq!(told(&stack), names);
    check_warning(&other.import(&state(&other)).ok(), false);
    assert_eq!(told(&other), Vec::<String>::new());

    // A row that is damaged is told by `verify`, and nobody is kept from writing by it.
    let damaged = server.database().execute("UPDATE marks SET body = zeroblob(length(body))", []);
    assert!(damaged.expect("damage") > 0);
    server.crash_and_restart();
    encrypt(&stack, "a value that is new");
    check_warning(&stack.import(&with(&stack, &[leaky(&stack, "a", "a value that is new")])).ok(), true);
    assert!(run(&server.folder(), &["verify"]).out.contains("marks"));
    stack.delete(true).expect(&[204]);
    assert_eq!(rows(&server), 0);
}

#[test]
fn off_looks_for_nothing() {
    let server = TestServer::start_with(&["--plaintext-guard", "off"]);
    let stack = server.create_stack("web", "dev");
    encrypt(&stack, VALUE);
    check_warning(
        &stack.import(&with(&stack, &[leaky(&stack, "a", VALUE), leaky(&stack, "b", &key())])).ok(),
        false,
    );
    assert_eq!(told(&stack), Vec::<String>::new());
}

#[test]
fn block_refuses_imports_that_bring_something_and_nothing_else() {
    let server = TestServer::start_with(&["--plaintext-guard", "block"]);
    let stack = server.create_stack("web", "dev");
    encrypt(&stack, VALUE);
    let leaking = with(&stack, &[leaky(&stack, "a", VALUE)]);
    let refused = stack.import(&leaking).expect(&[400]);
    assert!(
        refused.text().contains("plaintext-guard") && refused.text().contains("Nothing was stored"),
        "{refused}"
    );
    assert!(!refused.text().contains("hunter2"), "{refused}");
    assert!(stack.history().is_empty() && stack.resources().is_empty());
    let made =
        server.stack("web", "made").create(json!({ "state": with(&stack, &[leaky(&stack, "a", &key())]) }));
    made.expect(&[400]);

    // The end of an update is never refused, and then the state must be one that can be edited.
    let update = stack.start_checkpoints();
    update.checkpoint(&leaking).ok();
    check_warning(&update.complete("succeeded").ok(), true);
    assert_eq!(told(&stack), ["a"]);
    check_warning(&stack.import(&with(&stack, &[leaky(&stack, "a", VALUE), stack.resource("b")])).ok(), true);
    stack.import(&with(&stack, &[leaky(&stack, "a", VALUE), leaky(&stack, "b", VALUE)])).expect(&[400]);
    check_warning(&stack.import(&with(&stack, &[stack.resource("a")])).ok(), false);
    stack.import(&leaking).expect(&[400]);
}
