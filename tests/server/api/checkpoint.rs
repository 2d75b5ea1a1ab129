//! Whole checkpoints, verbatim texts and deltas.

use crate::support::deployment::sha256_hex;
use crate::support::http::Request;
use crate::support::json::Tree;
use crate::support::seed::{Rng, for_each_seed, seeds};
use crate::support::server::TestServer;
use crate::support::update::TestUpdate;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[test]
fn the_last_whole_checkpoint_is_the_state() {
    let server = TestServer::start();
    for end in ["succeeded", "failed", "cancel"] {
        let stack = server.create_stack(end, "dev");
        let update = stack.start_checkpoints();
        update.checkpoint(&stack.deployment(&["a", "b"])).ok();
        assert_eq!(stack.resource_names()[1..], ["a", "b"]);
        let mut last = stack.deployment(&["a"]);
        last["deployment"]["pending_operations"] =
            json!([{ "resource": stack.resource("c"), "type": "creating" }]);
        update.checkpoint(&last).ok();
        assert_eq!(stack.export(), last);
        if end == "cancel" { update.cancel() } else { update.complete(end) }.ok();
        assert_eq!(stack.export(), last);
        assert_eq!(stack.get("/export/1").ok().json(), last);
        assert_eq!(stack.history()[0]["resourceCount"], 2);
    }
}

#[test]
fn a_checkpoint_keeps_what_it_is_given() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_checkpoints();
    let inner = r#"{"manifest":{"time":"2026-08-21T10:00:00.123456789Z","magic":"","version":""},"resources":[{"urn":"urn:pulumi:dev::web::a:b:C::x","custom":false,"type":"a:b:C","inputs":{"n":1.0,"big":340282366920938463463374607431768211456},"unheardOf":[1.50,{}]}],"metadata":{},"alsoNew":{"b":2,"a":1}}"#;
    let body = format!(
        r#"{{"isInvalid":false,"version":4,"features":["byteString","hooks"],"deployment":{inner}}}"#
    );
    stack
        .send(&Request::new("PATCH", update.path("/checkpoint")).lease(&update.token).bytes(body).gzip())
        .ok();
    let expected =
        Tree::parse(&format!(r#"{{"version":4,"features":["byteString","hooks"],"deployment":{inner}}}"#));
    assert_eq!(stack.export_tree(), expected);
    update.complete("succeeded").ok();
    assert_eq!(stack.export_tree(), expected);
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_checkpoints();
    update.checkpoint(&stack.deployment(&["a"])).ok();
    for rest in ["/checkpoint", "/checkpointverbatim", "/checkpointdelta"] {
        for body in [
            "",
            "{",
            "[]",
            "null",
            "{}",
            r#"{"version":3}"#,
            r#"{"version":3,"deployment":[]}"#,
            r#"{"version":9,"deployment":{}}"#,
            r#"{"version":"3","deployment":{}}"#,
            r#"{"version":3,"untypedDeployment":{},"sequenceNumber":1}"#,
            r#"{"version":3,"untypedDeployment":{"version":9,"deployment":{}},"sequenceNumber":1}"#,
            r#"{"version":3,"untypedDeployment":{"version":3,"deployment":{}}}"#,
            r#"{"version":3,"sequenceNumber":2,"deploymentDelta":[]}"#,
        ] {
            stack
                .send(&Request::new("PATCH", update.path(rest)).lease(&update.token).bytes(body))
                .expect(&[400, 409]);
        }
    }
    let whole = update.checkpoint_request(&stack.deployment(&["b"]));
    stack.send(&Request { body: whole.body[..40].to_vec(), ..whole }).expect(&[400]);
    update.complete("succeeded").ok();
    assert_eq!(stack.resource_names(), ["web-dev", "a"]);
}

/// The text T1 of protocol §10.
const T1: &str = r#"{"version":3,"deployment":{"manifest":{"time":"0001-01-01T00:00:00Z","magic":"","version":""},"metadata":{},"resources":[{"urn":"urn-1","custom":false,"type":""}]}}"#;
const URN_1: &str = r#"{"urn":"urn-1","custom":false,"type":""}"#;
const URN_1_AND_2: &str =
    r#"{"urn":"urn-1","custom":false,"type":""},{"urn":"urn-2","custom":false,"type":""}"#;

/// One edit as CLIs since 3.68 send it: byte offsets alone count.
fn edit(start: usize, end: usize, new_text: &str) -> Value {
    let place = |offset: usize| json!({ "line": 1, "column": 1, "offset": offset });
    json!({ "Span": { "uri": "", "start": place(start), "end": place(end) }, "NewText": new_text })
}

fn apply(old: &str, start: usize, end: usize, new_text: &str) -> String {
    format!("{}{new_text}{}", &old[..start], &old[end..])
}

#[test]
fn deltas_give_the_recorded_texts() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_checkpoints();
    update.verbatim(1, T1).ok();
    assert_eq!(stack.export_tree(), Tree::parse(T1));

    let t2 = apply(T1, 121, 161, URN_1_AND_2);
    let hash = "5ffa59a4628983b155933e87fd91ef1f5e76cb2dfdd413eefc3bedb52a7ce1c4";
    assert_eq!(sha256_hex(t2.as_bytes()), hash);
    update.delta(2, hash, &json!([edit(121, 161, URN_1_AND_2)])).ok();
    assert_eq!(stack.export_tree(), Tree::parse(&t2));

    update
        .delta(
            3,
            "fa39495cd65a25d850d69388092ae6efcdb5e999ca72b378384236bc77e098a4",
            &json!([edit(121, 202, URN_1)]),
        )
        .ok();
    assert_eq!(stack.export_tree(), Tree::parse(T1));

    let new_text = T1[..161]
        .replace(r#"{"version":3,"#, r#"{"version":4,"features":["refreshBeforeUpdate"],"#)
        .replace(r#""type":""}"#, r#""type":"","refreshBeforeUpdate":true}"#);
    let t4 = apply(T1, 0, 161, &new_text);
    update
        .delta(
            4,
            "5e927ea2f899447a4b917769e32d921f96dd19c637c593eb936563380f2be3a3",
            &json!([edit(0, 161, &new_text)]),
        )
        .ok();
    assert_eq!(stack.export_tree(), Tree::parse(&t4));
    update.complete("succeeded").ok();
    assert_eq!(stack.export_tree(), Tree::parse(&t4));
}

#[test]
fn several_edits_refer_to_the_text_before() {
    let (server, old) = (TestServer::start(), T1);
    let stack = server.create_stack("web", "dev");
    let update = stack.start_checkpoints();
    update.verbatim(1, old).ok();
    // An insertion, a replacement of the urn by one with characters of several bytes, a deletion of nothing.
    let at = old.find("urn-1").expect("urn-1");
    let new = old.replace(r#""metadata":{},"#, r#""metadata":{},"more":1,"#).replace("urn-1", "é✓");
    let metadata_end = old.find(r#""resources""#).expect("resources");
    let edits =
        json!([edit(metadata_end, metadata_end, r#""more":1,"#), edit(at, at + 5, "é✓"), edit(164, 164, "")]);
    update.delta(2, &sha256_hex(new.as_bytes()), &edits).ok();
    assert_eq!(stack.export_tree(), Tree::parse(&new));
    // Offsets are bytes, also behind characters of several bytes.
    let newer = new.replace(r#""custom":false"#, r#""custom":true"#);
    let at = new.find("false").expect("false");
    update.delta(3, &sha256_hex(newer.as_bytes()), &json!([edit(at, at + 5, "true")])).ok();
    update.delta(4, &sha256_hex(newer.as_bytes()), &json!([])).ok();
    assert_eq!(stack.export_tree(), Tree::parse(&newer));
}

#[test]
fn a_delta_that_does_not_fit_changes_nothing() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_checkpoints();
    let t2 = apply(T1, 121, 161, URN_1_AND_2);
    let hash = sha256_hex(t2.as_bytes());
    let good = json!([edit(121, 161, URN_1_AND_2)]);
    update.delta(1, &hash, &good).expect(&[400, 409]); // Nothing to build on.
    update.verbatim(1, T1).ok();
    for (why, bad_hash, edits) in [
        ("another hash", "0".repeat(64), good.clone()),
        ("no hash", String::new(), good.clone()),
        ("past the end", hash.clone(), json!([edit(121, 1000, URN_1_AND_2)])),
        ("backwards", hash.clone(), json!([edit(161, 121, URN_1_AND_2)])),
        ("overlapping", hash.clone(), json!([edit(100, 140, "x"), edit(121, 161, URN_1_AND_2)])),
        ("no list", hash.clone(), json!({})),
        ("no edits", hash.clone(), json!([])),
        ("no edit", hash.clone(), json!([1])),
        ("no JSON after it", sha256_hex(apply(T1, 0, 10, "").as_bytes()), json!([edit(0, 10, "")])),
    ] {
        let answer = update.delta(2, &bad_hash, &edits);
        assert!([400, 409].contains(&answer.status), "{why}: {answer}");
        assert_eq!(stack.export_tree(), Tree::parse(T1), "{why}");
    }
    update.delta(3, &hash, &good).expect(&[400, 409]); // A number was left out.
    // The CLI falls back to the whole text under the same number.
    update.verbatim(2, &t2).ok();
    assert_eq!(stack.export_tree(), Tree::parse(&t2));
}

#[test]
fn a_save_is_applied_once() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_checkpoints();
    let t2 = apply(T1, 121, 161, URN_1_AND_2);
    let (hash, edits) = (sha256_hex(t2.as_bytes()), json!([edit(121, 161, URN_1_AND_2)]));
    update.verbatim(1, T1).ok();
    update.verbatim(1, T1).ok();
    update.delta(2, &hash, &edits).ok();
    update.delta(2, &hash, &edits).ok();
    assert_eq!(stack.export_tree(), Tree::parse(&t2));
    update.verbatim(2, T1).expect(&[400, 409]); // Another text under a number that is taken.
    update.verbatim(1, T1).expect(&[200, 204, 400, 409]); // A late repeat: no matter what it is told, the state stays.
    assert_eq!(stack.export_tree(), Tree::parse(&t2));
    update.verbatim(3, T1).ok();
    update.complete("succeeded").ok();
    assert_eq!(stack.export_tree(), Tree::parse(T1));
}

#[test]
fn deltas_by_lines_are_resolved() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_checkpoints();
    // CLIs 3.43 to 3.67 put a line break between resources and count lines from 1.
    let old = "{\"version\":3,\"deployment\":{\"manifest\":{\"time\":\"0001-01-01T00:00:00Z\",\"magic\":\"\",\"version\":\"\"},\"resources\":[\n{\"urn\":\"a\",\"custom\":false,\"type\":\"\"},\n{\"urn\":\"é\",\"custom\":false,\"type\":\"\"},\n{\"urn\":\"c\",\"custom\":false,\"type\":\"\"}\n]}}";
    let new = "{\"version\":3,\"deployment\":{\"manifest\":{\"time\":\"0001-01-01T00:00:00Z\",\"magic\":\"\",\"version\":\"\"},\"resources\":[\n{\"urn\":\"a\",\"custom\":false,\"type\":\"\"},\n{\"urn\":\"b2\",\"custom\":false,\"type\":\"\"},\n{\"urn\":\"c\",\"custom\":false,\"type\":\"\"}\n]}}";
    let place = |line: usize| json!({ "line": line, "column": 1, "offset": -1 });
    let line_edit = |start: usize, end: usize, text: &str| json!({ "Span": { "uri": "", "start": place(start), "end": place(end) }, "NewText": text });
    update.verbatim(1, old).ok();
    let edits =
        json!([line_edit(3, 4, ""), line_edit(4, 4, "{\"urn\":\"b2\",\"custom\":false,\"type\":\"\"},\n")]);
    update.delta(2, &sha256_hex(new.as_bytes()), &edits).ok();
    assert_eq!(stack.export_tree(), Tree::parse(new));
    // Line 1 comes with offset 0; the line after the last is the end of the text.
    let first = json!({ "line": 1, "column": 1, "offset": 0 });
    let edits = json!([{ "Span": { "uri": "", "start": first, "end": place(6) }, "NewText": T1 }]);
    update.delta(3, &sha256_hex(T1.as_bytes()), &edits).expect(&[200, 204, 400, 409]);
}

#[test]
fn saves_of_an_ended_update_are_refused() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update: TestUpdate = stack.start_checkpoints();
    update.verbatim(1, T1).ok();
    update.complete("succeeded").ok();
    let t2 = apply(T1, 121, 161, URN_1_AND_2);
    update.verbatim(2, &t2).expect(&[403, 409]);
    update.delta(2, &sha256_hex(t2.as_bytes()), &json!([edit(121, 161, URN_1_AND_2)])).expect(&[403, 409]);
    update.checkpoint(&stack.deployment(&["late"])).expect(&[403, 409]);
    assert_eq!(stack.export_tree(), Tree::parse(T1));
}

#[test]
fn what_superseded_checkpoints_leave_is_collected() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    // About 50 KB at rest, in a run of its own.
    let state = |n: u64| {
        let mut rng = Rng::new(n);
        let mut state = stack.deployment(&["small", "large"]);
        let filling: String = (0..12_500).map(|_| format!("{:08x}", rng.below(1 << 32))).collect();
        state["deployment"]["resources"][2]["inputs"]["filling"] = filling.into();
        state
    };
    stack.import(&state(1)).ok();
    for round in 0..4 {
        let update = stack.start_checkpoints();
        // What was collected in a round before comes again.
        (2..22).chain([100 + round]).for_each(|n| _ = update.checkpoint(&state(n)).ok());
        update.complete("succeeded").ok();
        if round == 1 {
            server.crash_and_restart();
        }
    }
    let db = server.database();
    let bytes_left = || -> i64 {
        let sql = "SELECT sum(length(body)) FROM run_bodies";
        db.query_row(sql, [], |row| row.get(0)).expect("a sum")
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while bytes_left() > 6 * 60_000 {
        assert!(Instant::now() < deadline, "{} bytes are left", bytes_left());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(bytes_left() > 5 * 45_000, "five states are needed, and {} bytes are left", bytes_left());
    assert_eq!(stack.get("/export/1").ok().json(), state(1));
    for version in 2..=5 {
        assert_eq!(stack.get(&format!("/export/{version}")).ok().json(), state(98 + version));
    }
}

/// Resources as texts, written in all ways that a client may.
struct Scribe {
    rng: Rng,
    n_made: usize,
    resources: Vec<String>,
}

impl Scribe {
    fn resource(&mut self) -> String {
        self.n_made += 1;
        let urn = format!("urn:pulumi:dev::web::a:b:C::r{}", self.n_made);
        let filler = "é".repeat(self.rng.below(300));
        let space = *self.rng.pick(&["", "", " ", "\n  "]);
        format!(
            r#"{space}{{"urn":"{urn}","custom":false,"type":"a:b:C",{space}"outputs":{{"n":1.0,"x":"{filler}"}}}}{space}"#
        )
    }

    /// A few resources are changed, added, removed or moved; seldom all of them.
    fn go_on(&mut self) {
        let n_steps = if self.rng.chance(10) { 60 } else { self.rng.between(0, 4) };
        for _ in 0..n_steps {
            let n = self.resources.len();
            let at = self.rng.below(n.max(1));
            match self.rng.below(5) {
                0 if n > 0 => _ = self.resources.remove(at),
                1 if n > 1 => self.resources.swap(at, n - 1),
                2 if n > 5 => _ = self.resources.drain(at..(at + 5).min(n)),
                3 if n > 0 => self.resources[at] = self.resource(),
                _ => {
                    let resource = self.resource();
                    self.resources.insert(at, resource);
                }
            }
        }
    }

    fn inner(&mut self) -> String {
        let time = self.rng.below(1000);
        let resources = self.resources.join(",");
        let manifest = format!(r#"{{"time":"2026-08-21T10:00:00.{time:03}Z","magic":"","version":""}}"#);
        match self.rng.chance(50) {
            true => {
                format!(r#"{{"manifest":{manifest},"resources":[{resources}],"metadata":{{"n":{time}}}}}"#)
            }
            false => format!(r#"{{"resources":[{resources}],"manifest":{manifest}}}"#),
        }
    }
}

/// The one edit that leads from one text to another.
fn edit_between(old: &str, new: &str) -> Value {
    let same = |pairs: &mut dyn Iterator<Item = (char, char)>| -> usize {
        pairs.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
    };
    let start = same(&mut old.chars().zip(new.chars()));
    let end = same(&mut old[start..].chars().rev().zip(new[start..].chars().rev()));
    edit(start, old.len() - end, &new[start..new.len() - end])
}

#[test]
fn each_checkpoint_is_the_state_whatever_the_last_one_was() {
    for_each_seed(&seeds(4), 2, |seed| {
        let server = TestServer::start();
        let mut scribe = Scribe { rng: Rng::new(seed), n_made: 0, resources: Vec::new() };
        let stack = server.create_stack("web", "plain");
        let update = stack.start_checkpoints();
        for _ in 0..12 {
            scribe.go_on();
            let inner = scribe.inner();
            let body = format!(r#"{{"isInvalid":false,"version":3,"deployment":{inner}}}"#);
            let request = Request::new("PATCH", update.path("/checkpoint")).lease(&update.token).bytes(body);
            stack.send(&request).ok();
            assert_eq!(stack.export_tree(), Tree::parse(&format!(r#"{{"version":3,"deployment":{inner}}}"#)));
        }
        update.complete("succeeded").ok();
        let stack = server.create_stack("web", "numbered");
        let update = stack.start_checkpoints();
        let mut text = String::new();
        for number in 1..=24 {
            scribe.go_on();
            let next = format!(r#"{{"version":3,"deployment":{}}}"#, scribe.inner());
            match number > 1 && scribe.rng.chance(60) {
                true => {
                    let edits = json!([edit_between(&text, &next)]);
                    update.delta(number, &sha256_hex(next.as_bytes()), &edits).ok()
                }
                false => update.verbatim(number, &next).ok(),
            };
            text = next;
            assert_eq!(stack.export_tree(), Tree::parse(&text), "checkpoint {number}");
            if number == 15 {
                server.crash_and_restart();
            }
        }
        update.complete("failed").ok();
        assert_eq!(stack.export_tree(), Tree::parse(&text));
    });
}

/// Of a member that is there twice the last counts, as everywhere in JSON.
#[test]
fn of_two_deployments_in_one_body_the_last_counts() {
    let server = TestServer::start();
    let text = |names: &[&str]| {
        let resource = |name: &&str| format!(r#"{{"urn":"urn-{name}","custom":false,"type":""}}"#);
        let resources: Vec<String> = names.iter().map(resource).collect();
        format!(r#"{{"version":3,"deployment":{{"resources":[{}]}}}}"#, resources.join(","))
    };
    let stack = server.create_stack("web", "numbered");
    let update = stack.start_checkpoints();
    update.verbatim(1, &text(&["a", "b", "c"])).ok();
    let last = text(&["c", "new"]);
    update.verbatim(2, &format!(r#"{},"untypedDeployment":{last}"#, text(&["a", "b", "c"]))).ok();
    assert_eq!(stack.export_tree(), Tree::parse(&last));
    let next = last.replace("urn-new", "urn-next");
    update.delta(3, &sha256_hex(next.as_bytes()), &json!([edit_between(&last, &next)])).ok();
    assert_eq!(stack.export_tree(), Tree::parse(&next));
    let stack = server.create_stack("web", "plain");
    let update = stack.start_checkpoints();
    let inner = |names: &[&str]| {
        let document = text(names);
        document[r#"{"version":3,"deployment":"#.len()..document.len() - 1].to_string()
    };
    let send = |body: String| {
        stack.send(&Request::new("PATCH", update.path("/checkpoint")).lease(&update.token).bytes(body)).ok()
    };
    send(format!(r#"{{"version":3,"deployment":{}}}"#, inner(&["a", "b", "c"])));
    let (first, second) = (inner(&["a", "b", "c"]), inner(&["c", "new"]));
    send(format!(r#"{{"version":3,"deployment":{first},"deployment":{second}}}"#));
    assert_eq!(stack.export_tree(), Tree::parse(&last));
}
