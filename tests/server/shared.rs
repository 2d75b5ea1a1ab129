//! Journal entries that repeat the base byte for byte are stored as references to it, and mean the same.

use crate::support::http::Request;
use crate::support::server::TestServer;
use crate::support::stack::TestStack;
use crate::support::update::{TestUpdate, create_entries, entry, secrets_entry};
use serde_json::{Value, json};

const N_RESOURCES: usize = 40;

/// A stack of resources of a few KB each, which do not compress well.
fn large(server: &TestServer) -> (TestStack<'_>, Vec<Value>) {
    let stack = server.create_stack("web", "dev");
    let mut deployment = stack.deployment(&[]);
    let resources = deployment["deployment"]["resources"].as_array_mut().expect("resources");
    resources.extend((0..N_RESOURCES).map(|i| {
        let mut resource = stack.resource(&format!("r{i}"));
        let words: Vec<String> = (0..100u64).map(|n| format!("{:x}", hash(i as u64, n))).collect();
        resource["inputs"] = json!({ "words": words });
        resource
    }));
    let resources = resources.clone();
    stack.import(&deployment).ok();
    (stack, resources)
}

fn hash(a: u64, b: u64) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    (a, b).hash(&mut hasher);
    hasher.finish()
}

/// The entries of steps that find nothing to do, in reverse order, from sequence id 2 on.
fn same_steps(resources: &[Value]) -> Vec<Value> {
    let places = (0..resources.len()).rev().enumerate();
    let steps = places.flat_map(|(n, place)| {
        let (sequence, operation) = (2 + 2 * n as u64, 1 + n as u64);
        [
            entry(0, sequence, operation, json!({})),
            entry(1, sequence + 1, operation, json!({ "removeOld": place, "state": resources[place] })),
        ]
    });
    steps.collect()
}

fn stored_bytes(server: &TestServer) -> i64 {
    let sql = "SELECT ifnull(sum(length(body)), 0) FROM journal";
    server.database().query_row(sql, [], |row| row.get(0)).expect("the journal")
}

fn start<'a>(stack: &TestStack<'a>) -> TestUpdate<'a> {
    let update = stack.start_update();
    update.journal(&[secrets_entry(1)]).ok();
    update
}

#[test]
fn what_did_not_change_is_hardly_stored() {
    let server = TestServer::start();
    let (stack, resources) = large(&server);
    let update = start(&stack);
    let steps = same_steps(&resources);
    let n_bytes: usize = steps.iter().map(|step| step.to_string().len()).sum();
    for batch in steps.chunks(30) {
        update.journal(batch).ok();
    }
    let n_stored = stored_bytes(&server) as usize;
    assert!(n_stored * 20 < n_bytes, "{n_stored} bytes stored of {n_bytes}");
    let expected: Vec<Value> = resources.iter().rev().cloned().collect();
    assert_eq!(stack.resources(), expected, "while it runs");
    update.complete("succeeded").ok();
    assert_eq!(stack.resources(), expected);
}

#[test]
fn changes_among_them_repeats_and_crashes_change_nothing() {
    let server = TestServer::start();
    let (stack, mut resources) = large(&server);
    let update = start(&stack);
    let mut steps = same_steps(&resources);
    // One of them is no repeat: it differs in a byte.
    let changed = resources.len() - 1 - 7;
    resources[changed]["inputs"]["words"][0] = json!("changed");
    steps[2 * 7 + 1]["state"] = resources[changed].clone();
    let batches: Vec<&[Value]> = steps.chunks(20).collect();
    update.journal(batches[0]).ok();
    server.crash_and_restart();
    update.journal(batches[0]).ok();
    update.journal(batches[2]).ok();
    // In part a repeat, and without compression.
    let again = json!({ "entries": steps[10..40] });
    let plain = Request::new("PATCH", update.path("/journalentries")).lease(&update.token).json(&again);
    stack.send(&plain).ok();
    server.crash_and_restart();
    for batch in &batches {
        update.journal(batch).ok();
    }
    update.journal(&create_entries(2 + steps.len() as u64, 99, &stack.resource("new"))).ok();
    let mut expected: Vec<Value> = resources.iter().rev().cloned().collect();
    expected.push(stack.resource("new"));
    assert_eq!(stack.resources(), expected, "while it runs");
    server.crash_and_restart();
    // Another state under a sequence id that is taken, whether it is stored whole or not.
    let mut other = steps[1].clone();
    other["state"]["inputs"]["words"][0] = json!("other");
    update.journal(&[other]).expect(&[409]);
    update.complete("succeeded").ok();
    assert_eq!(stack.resources(), expected);
    // A late repeat is known, in the form in which it came first.
    update.journal(batches[1]).expect(&[204, 403]);
    update.journal(batches[0]).ok();
}
