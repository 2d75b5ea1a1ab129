//! What lies sealed in the database opens at its own place only, and whole; what is missing is noticed; and nothing
//! of what a CLI sends lies there in the clear.

use crate::support::http::Request;
use crate::support::seed::{Rng, seeds};
use crate::support::server::TestServer;
use crate::support::stack::TestStack;
use crate::support::update::{TestUpdate, create_entries, line_event, secrets_entry};
use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use serde_json::json;

/// A sealed value in the database, and the call that has to open it.
struct Place {
    what: &'static str,
    table: &'static str,
    column: &'static str,
    /// Which row.
    condition: String,
    /// A `GET` that answers 500 if it does not open.
    path: String,
}

impl Place {
    fn read(&self, conn: &Connection) -> Vec<u8> {
        let sql = format!("SELECT {} FROM {} WHERE {}", self.column, self.table, self.condition);
        conn.query_row(&sql, [], |row| row.get(0)).unwrap_or_else(|why| panic!("{sql}: {why}"))
    }

    fn write(&self, conn: &Connection, value: &[u8]) {
        let sql = format!("UPDATE {} SET {} = ?1 WHERE {}", self.table, self.column, self.condition);
        // Whoever edits a database by hand has no key, so the trigger that keeps the row's hash is out of the way.
        let trigger = format!("{}_mac_update", self.table);
        let query = "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = ?1";
        let text: Option<String> = conn.query_row(query, [&trigger], |row| row.get(0)).ok();
        conn.execute_batch(&format!("BEGIN IMMEDIATE; DROP TRIGGER IF EXISTS {trigger}")).expect("begin");
        assert_eq!(conn.execute(&sql, [value]).expect("write"), 1, "{sql}");
        conn.execute_batch(&format!("{}; COMMIT", text.unwrap_or_default())).expect("commit");
    }
}

/// A stack with a history, and an update that runs.
struct Subject<'a> {
    stack: TestStack<'a>,
    running: TestUpdate<'a>,
    places: Vec<Place>,
}

fn subject<'a>(server: &'a TestServer, name: &str) -> Subject<'a> {
    let stack = server.create_stack("web", name);
    // Its root is missing, which is a finding.
    let mut unsound = stack.deployment(&["a"]);
    let resources = unsound["deployment"]["resources"].as_array_mut().expect("resources");
    resources.remove(0);
    // And it has a value in plain text.
    resources[0]["outputs"]["key"] = json!(["AK", "IA", "2345672345ABCDEF"].concat());
    stack.import(&unsound).ok();
    let entry = &stack.history()[0];
    assert!(entry["findings"].is_string() && entry["plaintextValues"]["count"] == 1, "{entry}");
    stack.import(&stack.deployment(&["a", "b"])).ok();
    let running = stack.start_update();
    running.journal(&[secrets_entry(1)]).ok();
    running.journal(&create_entries(2, 1, &stack.resource("c"))).ok();
    running.post_events(&[line_event(0), line_event(1)]).ok();
    running.post_events(&[line_event(2)]).ok();
    let places = places(&server.database(), &stack, &running);
    Subject { stack, running, places }
}

fn places(conn: &Connection, stack: &TestStack, running: &TestUpdate) -> Vec<Place> {
    let history = stack.path("/updates");
    let id = |uid: &str| -> i64 {
        conn.query_row("SELECT id FROM updates WHERE uid = ?1", [uid], |row| row.get(0)).expect("the update")
    };
    let imports: Vec<String> =
        stack.history()[1..].iter().map(|entry| entry["updateID"].as_str().expect("an id").into()).collect();
    let (running_id, import_id, unsound_id) = (id(&running.id), id(&imports[0]), id(&imports[1]));
    let place = |what, table, column, condition: String, path: &str| Place {
        what,
        table,
        column,
        condition,
        path: path.to_string(),
    };
    let events = running.path("/events");
    let export = stack.path("/export");
    let journal_row = |n: i64| format!("id = {}", (running_id << 20) + n);
    vec![
        place("a create request", "programs", "body", format!("update_id = {running_id}"), &history),
        place("that of an import", "programs", "body", format!("update_id = {import_id}"), &history),
        place("findings", "updates", "findings", format!("id = {unsound_id}"), &history),
        place("values in plain text", "updates", "leaks", format!("id = {unsound_id}"), &history),
        place("a journal row", "journal", "body", journal_row(1), &export),
        place("another journal row", "journal", "body", journal_row(2), &export),
        place(
            "events",
            "events",
            "body",
            format!("update_id = {running_id} AND first_sequence = 0"),
            &events,
        ),
        place(
            "other events",
            "events",
            "body",
            format!("update_id = {running_id} AND first_sequence = 2"),
            &events,
        ),
    ]
}

/// What the subject shows while nothing is wrong.
fn check_is_well(subject: &Subject) {
    for path in subject.places.iter().map(|place| &place.path) {
        subject.stack.send(&Request::new("GET", path)).ok();
    }
    assert_eq!(subject.stack.resource_names(), ["c", &format!("web-{}", subject.stack.name), "a", "b"]);
}

#[track_caller]
fn check_is_refused(subject: &Subject, other: &Subject, place: &Place, context: &str) {
    let answer = subject.stack.send(&Request::new("GET", &place.path)).expect(&[500]);
    assert!(answer.text().contains("of update") && answer.text().contains("verify"), "{context}: {answer}");
    assert!(other.stack.get("/export").is_ok() && other.stack.get("/updates").is_ok(), "{context}");
}

#[test]
fn a_sealed_value_opens_at_no_other_place() {
    let server = TestServer::start();
    let (subject, other) = (subject(&server, "dev"), subject(&server, "prod"));
    let conn = server.database();
    // Deployments are sealed too; their values must not open here either.
    let deployments = "SELECT header FROM deployments UNION ALL SELECT facts FROM runs UNION ALL SELECT body FROM run_bodies";
    let mut values: Vec<(String, Vec<u8>)> = Vec::new();
    let mut statement = conn.prepare(deployments).expect("deployments");
    let rows = statement.query_map([], |row| row.get(0)).expect("deployments");
    rows.for_each(|value| values.push(("a part of a deployment".into(), value.expect("a value"))));
    for owner in [&subject, &other] {
        let value = |place: &Place| (format!("{} of {}", place.what, owner.stack.name), place.read(&conn));
        values.extend(owner.places.iter().map(value));
    }
    for place in &subject.places {
        let own = place.read(&conn);
        for (what, value) in values.iter().filter(|(_, value)| *value != own) {
            place.write(&conn, value);
            check_is_refused(&subject, &other, place, &format!("{what} in the place of {}", place.what));
        }
        place.write(&conn, &own);
        check_is_well(&subject);
    }
}

#[test]
fn a_sealed_value_with_a_bit_flipped_does_not_open() {
    let seed = seeds(1)[0];
    eprintln!("SEED={seed}");
    let mut rng = Rng::new(seed);
    let server = TestServer::start();
    let (subject, other) = (subject(&server, "dev"), subject(&server, "prod"));
    let conn = server.database();
    for place in &subject.places {
        let own = place.read(&conn);
        for at in [0, 1, 13, own.len() - 1, rng.below(own.len()), rng.below(own.len()), rng.below(own.len())]
        {
            let mut damaged = own.clone();
            damaged[at] ^= 1 << rng.below(8);
            place.write(&conn, &damaged);
            check_is_refused(&subject, &other, place, &format!("{} flipped at {at}", place.what));
        }
        place.write(&conn, &own[..own.len() / 2]);
        check_is_refused(&subject, &other, place, &format!("{} cut short", place.what));
        place.write(&conn, &[]);
        check_is_refused(&subject, &other, place, &format!("{} emptied", place.what));
        place.write(&conn, &own);
        check_is_well(&subject);
    }
}

#[test]
fn rows_that_are_missing_exchanged_or_doubled_are_noticed() {
    let server = TestServer::start();
    let other = subject(&server, "prod");
    for (i, (damage, path)) in [
        ("DELETE FROM journal WHERE id = (ID << 20) + 1", "export"),
        ("DELETE FROM journal WHERE id = (ID << 20) + 2", "export"),
        (
            "INSERT INTO journal SELECT (ID << 20) + 3, hash, body FROM journal WHERE id = (ID << 20) + 2",
            "export",
        ),
        (
            "UPDATE journal SET hash = (SELECT hash FROM journal WHERE id = (ID << 20) + 1)
             WHERE id = (ID << 20) + 2",
            "export",
        ),
        ("UPDATE journal SET hash = x'00' WHERE id = (ID << 20) + 1", "export"),
        ("DELETE FROM events WHERE update_id = ID AND first_sequence = 0", "events"),
        ("DELETE FROM events WHERE update_id = ID AND first_sequence = 2", "events"),
        (
            "UPDATE events SET first_sequence = 1, last_sequence = 1 WHERE update_id = ID AND first_sequence = 2",
            "events",
        ),
        ("UPDATE events SET last_sequence = 0 WHERE update_id = ID AND first_sequence = 0", "events"),
        ("DELETE FROM programs WHERE update_id = ID", "updates"),
    ]
    .into_iter()
    .enumerate()
    {
        let subject = subject(&server, &format!("dev{i}"));
        let conn = server.database();
        let sql = "SELECT id FROM updates WHERE uid = ?1";
        let id: i64 = conn.query_row(sql, [&subject.running.id], |row| row.get(0)).expect("the update");
        let damage = damage.replace("ID", &id.to_string());
        assert_eq!(conn.execute(&damage, []).expect("damage"), 1, "{damage}");
        let path = match path {
            "events" => subject.running.path("/events"),
            rest => subject.stack.path(&format!("/{rest}")),
        };
        subject.stack.send(&Request::new("GET", path)).expect(&[500]);
        check_is_well(&other);
    }
    // A journal that cannot be read takes no more entries, whether the server remembers it or not.
    server.crash_and_restart();
    let conn = server.database();
    let n = conn.execute("DELETE FROM journal WHERE hash = (SELECT max(hash) FROM journal)", []);
    assert!(n.expect("damage") > 0);
    drop(conn);
    other.running.journal(&create_entries(4, 2, &other.stack.resource("d"))).expect(&[204, 500]);
}

/// What `send_everywhere` sends.
pub const MARKER: &str = "hunter2-marker";

#[test]
fn nothing_that_a_cli_sends_lies_in_the_clear() {
    let server = TestServer::start_with(&["--log-level", "debug"]);
    let stack = server.create_stack("web", "dev");
    send_everywhere(&server, &stack);
    check_nothing_lies_in_the_clear(&server);
    server.crash_and_restart();
    check_nothing_lies_in_the_clear(&server);
}

/// Sends the marker in every call that can carry a secret, well-formed and not.
pub fn send_everywhere(server: &TestServer, stack: &TestStack) {
    let mut secret = stack.resource("a");
    secret["inputs"] = json!({ "password": MARKER, "list": [MARKER, { "deep": MARKER }] });
    secret["outputs"] = secret["inputs"].clone();
    let mut deployment = stack.deployment(&["b"]);
    deployment["deployment"]["resources"].as_array_mut().expect("resources").push(secret.clone());
    stack.import(&deployment).ok();
    let config = json!({ "web:password": { "string": MARKER, "secret": false, "object": false } });
    let mut program = crate::support::stack::create_update_body(false);
    program["config"] = config;
    program["metadata"]["message"] = json!(MARKER);
    let id = stack.post("/update", &program).ok().json()["updateID"].as_str().expect("an id").to_string();
    let update = TestUpdate::new(stack.clone(), id.clone(), &stack.try_start(&id, 1).ok());
    update.journal(&[secrets_entry(1)]).ok();
    update.journal(&create_entries(2, 1, &secret)).ok();
    let mut bad = create_entries(4, 2, &secret);
    bad[1]["kind"] = json!(99);
    update.journal(&bad).expect(&[400]);
    let message = json!({ "sequence": 1, "timestamp": 1, "diagnosticEvent": { "message": MARKER, "color": "raw", "severity": "error" } });
    update.post_events(&[message]).ok();
    let summary = json!({ "sequence": 2, "timestamp": 1, "summaryEvent": { "resourceChanges": { "create": 1, MARKER: 2 } } });
    update.post_events(&[summary]).ok();
    update.post_events(&[json!({ "sequence": MARKER })]).expect(&[400]);
    stack.get("/export").ok();
    update.complete("succeeded").ok();
    stack.get("/export").ok();

    let update = stack.start_checkpoints();
    update.checkpoint(&deployment).ok();
    update.complete("failed").ok();
    let update = stack.start_checkpoints();
    update.verbatim(1, &deployment.to_string()).ok();
    update.cancel().ok();

    for path in ["/import", "/encrypt", "/decrypt", "/batch-encrypt", "/update", "/decrypt/log-decryption"] {
        let broken = stack.request("POST", path).bytes(format!(r#"{{"secretName": 7, "{MARKER}"#));
        stack.send(&broken).expect(&[400]);
    }
    stack.post(
        "/import",
        &json!({ "version": 3, "deployment": { "resources": [{ "urn": 7, "id": MARKER }] } }),
    );
    let ciphertext = stack.post("/encrypt", &json!({ "plaintext": base64(MARKER) })).ok().json();
    stack.post("/decrypt", &json!({ "ciphertext": ciphertext["ciphertext"] })).ok();
    stack.post("/decrypt", &json!({ "ciphertext": base64(MARKER) })).expect(&[400]);
    stack.post("/decrypt/log-decryption", &json!({ "secretName": MARKER })).ok();
    stack.post("/decrypt/log-batch-decryption", &json!({ "commandName": MARKER })).ok();
    server.get("/healthz").ok();
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits =
            three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        let digit = |i: usize| DIGITS[(bits >> (18 - 6 * i)) as usize & 63] as char;
        (0..4).for_each(|i| out.push(if i <= three.len() { digit(i) } else { '=' }));
    }
    out
}

fn check_nothing_lies_in_the_clear(server: &TestServer) {
    for file in std::fs::read_dir(server.folder()).expect("the server's folder") {
        let path = file.expect("a file").path();
        if path.is_file() {
            let bytes = std::fs::read(&path).expect("read a file of the server");
            assert!(!shows(&bytes), "{} shows the marker", path.display());
        }
    }
    assert!(!shows(server.log().as_bytes()), "the log shows the marker:\n{}", server.log());
    // Compressed is not sealed.
    let conn = server.database();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table'";
    let mut statement = conn.prepare(tables).expect("tables");
    let tables = statement.query_map([], |row| row.get::<_, String>(0)).expect("tables");
    let mut n_values = 0;
    for table in tables.map(|table| table.expect("a table")) {
        let mut statement = conn.prepare(&format!("SELECT * FROM {table}")).expect("a table");
        let n_columns = statement.column_count();
        let mut rows = statement.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            for column in 0..n_columns {
                let bytes = match row.get(column).expect("a value") {
                    Cell::Text(text) => text.into_bytes(),
                    Cell::Blob(bytes) => bytes,
                    _ => continue,
                };
                n_values += 1;
                let shown = (0..bytes.len().min(32)).any(|at| {
                    let inflated = miniz_oxide::inflate::decompress_to_vec_with_limit(&bytes[at..], 1 << 20);
                    shows(&inflated.unwrap_or_else(|failed| failed.output))
                });
                assert!(!shown, "{table}, column {column}: compressed, but not sealed");
            }
        }
    }
    assert!(n_values > 50, "{n_values} values: hardly anything was looked at");
}

fn shows(bytes: &[u8]) -> bool {
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    has(MARKER) || has(&base64(MARKER)[..16])
}
