//! Pulumi's recorded journals through the API: cut into other batches, delivered twice and in another order, the update
//! ended in any way. What is exported afterwards is what Pulumi's own replayer gave.
//!
//! They are read beside the checkout. `VECTORS=1000` takes so many of them, `VECTORS=0` all; `VECTOR=name` one.

use crate::support::deployment::assert_same_deployment;
use crate::support::gzip;
use crate::support::http::Request;
use crate::support::json::Tree;
use crate::support::seed::{Rng, for_each_seed, hash, number_from_env};
use crate::support::server::TestServer;
use crate::support::stack::TestStack;
use crate::support::update::TestUpdate;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::path::PathBuf;
use std::sync::Mutex;

/// How many vectors a run takes when nobody asks for another number.
const N_VECTORS: usize = 400;
/// How many are under way at once, each on a server of its own: their stacks have the same names.
const N_AT_ONCE: usize = 3;

/// One recorded journal; its README beside it says more.
#[derive(Deserialize)]
struct Vector<'a> {
    name: String,
    #[serde(borrow)]
    base: Option<&'a RawValue>,
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
    #[serde(borrow)]
    result: &'a RawValue,
    integrity: Option<String>,
}

#[test]
fn recorded_journals_give_the_recorded_states() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/replay");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no recorded journals at {}", folder.display());
        return;
    }
    let texts = ["engine", "fuzz", "generated"].map(|name| {
        let packed = std::fs::read(folder.join(format!("{name}.jsonl.gz"))).expect("a file of vectors");
        String::from_utf8(gzip::unpack(&packed).expect("gzip")).expect("UTF-8")
    });
    let lines: Vec<&str> = texts.iter().flat_map(|text| text.lines()).collect();
    let chosen = choose(&lines);
    assert!(!chosen.is_empty(), "no such vector");

    let servers: Vec<Mutex<TestServer>> = (0..N_AT_ONCE).map(|_| Mutex::new(TestServer::start())).collect();
    for_each_seed(&chosen, N_AT_ONCE, |index| {
        let vector: Vector = serde_json::from_str(lines[index as usize]).expect("a vector");
        let server = servers.iter().find_map(|it| it.try_lock().ok()).expect("as many servers as threads");
        check(&server, &vector);
    });
    eprintln!("{} of {} recorded journals replayed", chosen.len(), lines.len());
}

/// The places in the list of the vectors to take: those asked for, or some spread over all.
fn choose(lines: &[&str]) -> Vec<u64> {
    if let Ok(name) = std::env::var("VECTOR") {
        let start = format!(r#"{{"name":"{name}","#);
        return (0..lines.len() as u64).filter(|i| lines[*i as usize].starts_with(&start)).collect();
    }
    let n = match number_from_env("VECTORS") {
        Some(0) => lines.len(),
        Some(n) => (n as usize).min(lines.len()),
        None => N_VECTORS,
    };
    (0..n).map(|i| (i * lines.len() / n) as u64).collect()
}

fn check(server: &TestServer, vector: &Vector) {
    let mut rng = Rng::new(hash(vector.name.as_bytes()));
    let stack = create(server, vector, &mut rng);
    let update = stack.start_update();
    deliver(&update, vector, &mut rng);
    if rng.chance(30) {
        compare(&stack, "/export", vector, "in the middle of the update");
    }
    if rng.chance(2) {
        server.crash_and_restart();
    }
    let end = *rng.pick(&["succeeded", "failed", "cancel"]);
    if end == "cancel" { update.cancel() } else { update.complete(end) }.ok();
    compare(&stack, "/export", vector, end);
    compare(&stack, &format!("/export/{}", update.version), vector, end);
    stack.delete(true).ok();
}

/// The stack that the vector's URNs name, with its base as its state.
fn create<'a>(server: &'a TestServer, vector: &Vector, rng: &mut Rng) -> TestStack<'a> {
    let text = vector.base.map_or(vector.result.get(), RawValue::get);
    let urn = text.split_once("\"urn:pulumi:").map_or("dev::web::", |(_, rest)| rest);
    let mut parts = urn.split("::");
    let (name, project) = (parts.next().expect("a stack"), parts.next().expect("a project"));
    let stack = server.stack(project, name);
    let target = format!("/api/stacks/organization/{project}");
    let Some(base) = vector.base else {
        stack.send(&Request::new("POST", target).bytes(format!(r#"{{"stackName":"{name}"}}"#))).ok();
        return stack;
    };
    if rng.chance(50) {
        stack
            .send(&Request::new("POST", target).bytes(format!(r#"{{"stackName":"{name}","state":{base}}}"#)))
            .ok();
    } else {
        stack.send(&Request::new("POST", target).bytes(format!(r#"{{"stackName":"{name}"}}"#))).ok();
        stack.send(&stack.request("POST", "/import").bytes(base.get()).gzip()).ok();
    }
    stack
}

/// Sends the entries in batches cut anew; some come twice, and in some cases they overtake each other.
fn deliver(update: &TestUpdate, vector: &Vector, rng: &mut Rng) {
    let mut batches: Vec<&[&RawValue]> = Vec::new();
    let mut rest = &vector.entries[..];
    let size_max = rng.between(1, 12);
    while !rest.is_empty() {
        let (batch, others) = rest.split_at(rng.between(1, size_max.min(rest.len())));
        batches.push(batch);
        rest = others;
    }
    for batch in batches.clone() {
        if rng.chance(20) {
            batches.push(batch);
        }
    }
    match rng.below(3) {
        0 => rng.shuffle(&mut batches),
        1 => batches.chunks_mut(3).for_each(|window| rng.shuffle(window)),
        _ => {}
    }
    for batch in batches {
        let entries: Vec<&str> = batch.iter().map(|entry| entry.get()).collect();
        let body = format!(r#"{{"entries":[{}]}}"#, entries.join(","));
        let request =
            Request::new("PATCH", update.path("/journalentries")).lease(&update.token).bytes(body).gzip();
        update.stack.send(&request).ok();
    }
}

fn compare(stack: &TestStack, rest: &str, vector: &Vector, context: &str) {
    let got = Tree::parse(stack.get(rest).ok().text());
    let mut expected = Tree::parse(vector.result.get());
    if part(&expected, "secrets_providers").is_none() {
        // Upstream loses the journal's provider here; keeping it is right too.
        set_provider(
            &mut expected,
            last_provider(vector).filter(|_| part(&got, "secrets_providers").is_some()),
        );
    }
    assert_same_deployment(&got, &expected, &format!("VECTOR={} {context} {rest}", vector.name));
    let complaint = |tree: &Tree| part(tree, "metadata").and_then(|it| it.get("integrity_error")).is_some();
    let is_noted_wrongly = vector.integrity.is_none() && complaint(&got) && !complaint(&expected);
    assert!(!is_noted_wrongly, "VECTOR={}: a sound state is said not to be: {got}", vector.name);
}

fn part<'a>(tree: &'a Tree, name: &str) -> Option<&'a Tree> {
    tree.get("deployment").and_then(|it| it.get(name))
}

fn set_provider(tree: &mut Tree, provider: Option<Tree>) {
    if let (Tree::Object(whole), Some(provider)) = (tree, provider)
        && let Some(Tree::Object(inner)) = whole.get_mut("deployment")
    {
        inner.insert("secrets_providers".into(), provider);
    }
}

/// The provider that the journal's last entry of kind 6 names.
fn last_provider(vector: &Vector) -> Option<Tree> {
    let entries = vector.entries.iter().map(|entry| Tree::parse(entry.get()));
    let mut providers = entries.filter(|entry| entry.get("kind") == Some(&Tree::Bare("6".into())));
    providers.next_back().and_then(|mut entry| entry.take("secretsProvider"))
}
