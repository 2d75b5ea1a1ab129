//! Every recorded journal gives the recorded result: in order, shuffled, and cut into batches that the ledger judges.

use pulumi_backend::domain::deployment::Deployment;
use pulumi_backend::domain::journal::{
    Entry, Ledger, Manifest, Noted, Outline, Slot, outline, parse_batch, replay,
};
use pulumi_backend::domain::resource::{ResourceFlags, resource_facts};

use serde_json::value::RawValue;

use crate::integrity::check_both;
use crate::support::canon::{Canon, assert_equal, canon};
use crate::support::rng::Rng;
use crate::support::vectors::{self, Vector};

#[test]
fn every_recorded_journal_gives_the_recorded_result() {
    each_vector(|vector, _| {
        let batch = batch_body(&vector.entries);
        let entries = parse_batch(&batch).expect(&vector.name);
        check(vector, &entries);
    });
}

/// Without a look into the base the same comes out, wherever that is possible at all.
#[test]
fn an_outline_gives_what_a_replay_gives() {
    let n_outlines = std::cell::Cell::new(0);
    each_vector(|vector, _| {
        let batch = batch_body(&vector.entries);
        let entries = parse_batch(&batch).expect(&vector.name);
        let base = vector.base.map_or(Ok(Deployment::empty()), |base| Deployment::parse(base.get()));
        let base = base.expect(&vector.name);
        let bits =
            base.resources.iter().map(|text| ResourceFlags::of(&resource_facts(text).expect("facts")).bits());
        let flags: Vec<ResourceFlags> = bits.map(ResourceFlags::from_bits).collect();
        let manifest = Manifest { time: "2026-01-02T03:04:05Z".into(), version: "v3.259.0".into() };
        let flags_of = |text| resource_facts(text).map(|facts| ResourceFlags::of(&facts));
        let header = base.header().expect(&vector.name);
        let outline = outline(&header, &flags, &entries, &manifest, flags_of).expect(&vector.name);
        let Some(Outline { head, slots, tail, findings }) = outline else { return };
        let text =
            |slot: &Slot| slot.text(|index| base.resources[index].clone()).expect("marked").into_owned();
        let resources = slots.iter().map(|slot| text(slot).into()).collect();
        let made = Deployment { head: head.into(), resources, tail: tail.into() }.to_text();
        let replayed = replay(base, &entries, &manifest).expect(&vector.name);
        assert_eq!(made, replayed.deployment.to_text(), "{}", vector.name);
        assert_eq!(findings, replayed.findings, "{}", vector.name);
        n_outlines.set(n_outlines.get() + 1);
    });
    assert!(vectors::folder().is_none() || n_outlines.get() > 4_000, "most: {}", n_outlines.get());
}

/// Upstream looks at `replaceWith` only when it reads a state, so it has no complaint recorded for that.
#[test]
fn what_the_cli_calls_unsound_is_found_unsound_for_the_same_reason() {
    each_vector(|vector, _| {
        let violation = check_both(vector.result.get());
        let is_seen_on_read_only =
            violation.as_ref().is_some_and(|violation| violation.contains("as being replaced with"));
        if !is_seen_on_read_only {
            let reason = |sentence: &Option<String>| sentence.as_deref().map(without_random_property);
            assert_eq!(reason(&violation), reason(&vector.integrity), "{}", vector.name);
        }
    });
}

/// Of several property dependencies that are wrong, upstream names any one: its map has no order.
fn without_random_property(sentence: &str) -> String {
    if !sentence.contains(" property dependency ") {
        return sentence.to_owned();
    }
    let resource = sentence.split(' ').nth(1).expect("a resource").trim_end_matches("'s");
    format!("{resource}: property dependency")
}

#[test]
fn a_deployment_that_is_cut_and_joined_is_the_same_text() {
    each_vector(|vector, _| {
        let text = vector.result.get();
        let deployment = Deployment::parse(text).expect(&vector.name);
        assert_eq!(deployment.to_text(), text, "{}", vector.name);
        assert_eq!(deployment.bytes_len(), text.len(), "{}", vector.name);
        assert_eq!(deployment.clone().into_owned().to_text(), text, "{}", vector.name);
    });
}

#[test]
fn the_order_in_which_entries_come_does_not_matter() {
    each_vector(|vector, rng| {
        let batch = batch_body(&vector.entries);
        let mut entries = parse_batch(&batch).expect(&vector.name);
        rng.shuffle(&mut entries);
        check(vector, &entries);
    });
}

#[test]
fn batches_that_overtake_each_other_and_come_twice_are_stored_once() {
    each_vector(|vector, rng| {
        let mut batches = cut(&vector.entries, rng);
        let again = batches.clone();
        batches.extend(again);
        rng.shuffle(&mut batches);
        let bodies: Vec<String> = batches.iter().map(|batch| batch_body(batch)).collect();
        let stored = store(vector, &bodies);
        assert_eq!(stored.len(), vector.entries.len(), "{}", vector.name);
        check(vector, &stored);
    });
}

/// Calls `test` with each vector and random numbers of its own; says how many there were.
fn each_vector(test: impl Fn(&Vector, &mut Rng)) {
    let Some(folder) = vectors::folder() else { return };
    let mut n_vectors = 0;
    for file in ["engine", "fuzz", "generated"] {
        let lines = vectors::read(&folder, file);
        for vector in vectors::parse(&lines) {
            n_vectors += 1;
            test(&vector, &mut Rng::new(n_vectors));
        }
    }
    assert_eq!(n_vectors, 7_565, "all vectors that the README counts");
}

fn batch_body(entries: &[&RawValue]) -> String {
    let entries: Vec<&str> = entries.iter().map(|entry| entry.get()).collect();
    format!(r#"{{"entries":[{}]}}"#, entries.join(","))
}

/// The entries in batches of random sizes.
fn cut<'v>(entries: &[&'v RawValue], rng: &mut Rng) -> Vec<Vec<&'v RawValue>> {
    let mut batches = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let (batch, behind) = rest.split_at(1 + rng.below(rest.len().min(8)));
        batches.push(batch.to_vec());
        rest = behind;
    }
    batches
}

/// Sends the batches through a ledger, as the server does, and returns what it stored.
fn store<'t>(vector: &Vector, bodies: &'t [String]) -> Vec<Entry<'t>> {
    let n_base = vector.base.map_or(0, |base| Deployment::parse(base.get()).expect("a base").resources.len());
    let mut ledger = Ledger::new(n_base);
    let mut stored = Vec::new();
    for body in bodies {
        let entries = parse_batch(body).expect("a batch");
        let noted: Vec<Noted> = entries.iter().map(Noted::of).collect();
        let verdict = ledger.check(&noted).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        ledger.apply(&noted, &verdict);
        stored.extend(verdict.new.iter().map(|&i| entries[i].clone()));
    }
    let noted: Vec<Noted> = stored.iter().map(Noted::of).collect();
    let restored = Ledger::restore(n_base, &noted);
    for body in bodies {
        let noted: Vec<Noted> = parse_batch(body).expect("a batch").iter().map(Noted::of).collect();
        let verdict = restored.check(&noted).expect("a repeat");
        assert!(verdict.new.is_empty(), "{}: all is known after a restart", vector.name);
    }
    stored
}

#[track_caller]
fn check(vector: &Vector, entries: &[Entry]) {
    let base = vector.base.map_or(Ok(Deployment::empty()), |base| Deployment::parse(base.get()));
    let manifest = Manifest { time: "2026-01-02T03:04:05Z".into(), version: "v3.259.0".into() };
    let replayed = replay(base.expect("a base"), entries, &manifest).expect(&vector.name);
    assert_eq!(replayed.findings, Vec::<String>::new(), "{}", vector.name);
    let text = replayed.deployment.to_text();
    let mut expected = Canon::of(vector.result.get());
    let actual = Canon::of(&text);
    if expected.secrets_providers.is_none() {
        let providers =
            entries.iter().max_by_key(|entry| (entry.secrets_provider.is_some(), entry.sequence_id()));
        let last = providers.and_then(|entry| entry.secrets_provider);
        let last = last.map(|text| canon(serde_json::from_str(text).expect("a provider")));
        assert!(actual.secrets_providers.is_none() || actual.secrets_providers == last, "{}", vector.name);
        expected.secrets_providers = actual.secrets_providers.clone();
    }
    assert_equal(&actual, &expected, &vector.name);
}
