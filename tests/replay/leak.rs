//! The plaintext guard's rules, on states that were made at random with values in plain text at known places.

use std::collections::{BTreeMap, BTreeSet};

use pulumi_backend::domain::leak::{self, Marks};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::support::leaks::{KNOWN, hex, plain, secret, some};
use crate::support::rng::{Rng, seeds};

const SIGNATURE: &str = "4dabf18193072939515e22adb298388d";
const SECRET: &str = "1b47061264138c4ac30d75fd1eb44270";
const ASSET: &str = "c44067f5952c0a294b673a41bacd8c17";
const N_STATES: u64 = 300;

/// Where a value lies: URN and path.
type Place = (String, String);

/// A state, what was encrypted for its stack, and what lies in it in plain text.
#[derive(Default)]
struct State {
    resources: Vec<String>,
    plaintexts: Vec<String>,
    encrypted: BTreeSet<Place>,
    known: BTreeMap<Place, &'static str>,
}

fn marks(plaintexts: &[String]) -> Marks {
    let mut marks = Marks::new(Sha256::new_with_prefix("a key"));
    // As they come: some of them more than once.
    for some in plaintexts.chunks(3) {
        marks.add(marks.new_of(some));
        assert!(marks.new_of(some).is_empty(), "{some:?}");
    }
    marks
}

/// Half of the states leak.
fn state(rng: &mut Rng, leaks: bool) -> State {
    let mut state = State::default();
    let secrets: Vec<String> = (0..1 + rng.below(12)).map(|_| secret(rng)).collect();
    for secret in &secrets {
        let plaintext = plaintext(rng, secret);
        state.plaintexts.push(plaintext);
    }
    for n in 0..5 + rng.below(40) {
        let urn = format!("urn:pulumi:dev::web::test:index:Thing::thing-{n}");
        let mut resource =
            json!({ "urn": urn, "custom": true, "id": hex(rng, 12), "type": "test:index:Thing" });
        for part in ["inputs", "outputs"] {
            let mut properties = properties(rng, 3);
            if leaks && rng.chance(15) {
                let secret = rng.pick(&secrets).clone();
                let path = put(rng, &mut properties, part, "value", secret);
                state.encrypted.insert((urn.clone(), path));
            }
            if leaks && rng.chance(15) {
                let (what, name, make) = *rng.pick(KNOWN);
                let value = make(rng);
                let name = if name.is_empty() { *rng.pick(&["x", "userData", "x-y", "0"]) } else { name };
                let path = put(rng, &mut properties, part, name, value);
                state.known.insert((urn.clone(), path), what);
            }
            resource[part] = properties;
        }
        state.resources.push(text(rng, &resource));
    }
    state
}

/// As the CLI encrypts it: a value of the configuration, a property, or one of several in an object.
fn plaintext(rng: &mut Rng, secret: &str) -> String {
    match rng.below(4) {
        0 => secret.to_string(),
        1 => go(&json!(secret)),
        2 => go(&json!({ "host": "db.example", "password": secret, "port": 5432 })),
        _ => go(&json!([["x", { "privateKey": secret }], 1])),
    }
}

fn properties(rng: &mut Rng, depth: usize) -> Value {
    let mut members = Map::new();
    for n in 0..1 + rng.below(6) {
        members.insert(format!("p{n}"), property(rng, depth));
    }
    Value::Object(members)
}

fn property(rng: &mut Rng, depth: usize) -> Value {
    match rng.below(if depth > 0 { 12 } else { 8 }) {
        0 => json!(rng.below(100_000)),
        1 => json!(rng.chance(50)),
        // All that lies in an envelope is as it must be.
        2 => {
            json!({ SIGNATURE: SECRET, "ciphertext": some(rng, 60, b"ABCDEFGHIJKLMNOPabcdefghijklmnop0123456789+/") })
        }
        3 => json!({ SIGNATURE: SECRET, "plaintext": go(&json!(secret(rng))) }),
        8 => properties(rng, depth - 1),
        9 => Value::Array((0..rng.below(5)).map(|_| property(rng, depth - 1)).collect()),
        10 => json!({ SIGNATURE: ASSET, "hash": hex(rng, 64), "text": plain(rng) }),
        _ => json!(plain(rng)),
    }
}

/// Puts a value somewhere among the properties; where it lies.
fn put(rng: &mut Rng, properties: &mut Value, part: &str, name: &str, value: String) -> String {
    let step = if name.contains('-') || name == "0" { format!("[\"{name}\"]") } else { format!(".{name}") };
    let deep = if name == "x-y" { "[\"deepx-y\"]".into() } else { format!(".deep{name}") };
    match rng.below(3) {
        0 => {
            properties[name] = json!(value);
            format!("{part}{step}")
        }
        1 => {
            properties[format!("deep{name}")] = json!({ "list": [1, { name: value }] });
            format!("{part}{deep}.list[1]{step}")
        }
        _ => {
            properties[format!("deep{name}")] = json!([{ SIGNATURE: ASSET, name: value }]);
            format!("{part}{deep}[0]{step}")
        }
    }
}

/// JSON as the CLI writes it, or as another program does that uploads a state.
fn text(rng: &mut Rng, value: &Value) -> String {
    match rng.below(3) {
        0 => go(value),
        1 => value.to_string(),
        _ => serde_json::to_string_pretty(value).expect("JSON").chars().map(ascii).collect(),
    }
}

fn go(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn ascii(char: char) -> String {
    let mut units = [0; 2];
    match char.is_ascii() {
        true => char.to_string(),
        false => char.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04X}")).collect(),
    }
}

/// What is found in a state.
fn found(state: &State) -> BTreeMap<Place, String> {
    let marks = marks(&state.plaintexts);
    let mut leaks = Vec::new();
    state.resources.iter().for_each(|text| leak::find(text, &marks, &mut leaks));
    let kept = leak::from_text(&leak::to_text(&leaks)).expect("what was written");
    assert_eq!(kept, leaks);
    leaks.into_iter().map(|leak| ((leak.urn, leak.path), leak.why.into_owned())).collect()
}

#[test]
fn what_was_encrypted_is_always_found_and_what_is_known_nearly_always() {
    let (mut n_encrypted, mut n_known, mut n_resources) = (0, 0, 0);
    let (mut missed_encrypted, mut missed_known, mut false_alarms) = (Vec::new(), Vec::new(), Vec::new());
    for seed in seeds(N_STATES) {
        // Seeds that follow each other give numbers that do.
        let mut rng = Rng::new(Rng::new(seed).next());
        let state = state(&mut rng, seed % 2 == 0);
        let mut found = found(&state);
        n_resources += state.resources.len();
        n_encrypted += state.encrypted.len();
        n_known += state.known.len();
        for place in &state.encrypted {
            match found.remove(place) {
                Some(why) if why.starts_with("was encrypted") => {}
                _ => missed_encrypted.push(format!("SEED={seed} {place:?}")),
            }
        }
        for (place, what) in &state.known {
            if found.remove(place).is_none() {
                missed_known.push(format!("SEED={seed} {what} {place:?}"));
            }
        }
        false_alarms.extend(found.into_iter().map(|(place, why)| format!("SEED={seed} {place:?} {why}")));
    }
    println!(
        "{N_STATES} states, {n_resources} resources: {} of {n_encrypted} encrypted values missed, \
         {} of {n_known} known credentials missed, {} false alarms",
        missed_encrypted.len(),
        missed_known.len(),
        false_alarms.len()
    );
    assert!(missed_encrypted.is_empty(), "missed: {missed_encrypted:#?}");
    assert!(missed_known.len() * 100 <= n_known * 5, "missed: {missed_known:#?}");
    assert!(false_alarms.len() * 1000 <= n_resources, "false alarms: {false_alarms:#?}");
    assert!(std::env::var("SEED").is_ok() || n_encrypted > 500 && n_known > 500, "the corpus is too tame");
}

/// Each known credential by itself, at a place where nothing else makes the resource suspect.
#[test]
fn each_known_credential_is_found() {
    let marks = marks(&[]);
    let mut rng = Rng::new(1);
    for (what, name, make) in KNOWN {
        let name = if name.is_empty() { "value" } else { name };
        let n_found = (0..50).filter(|_| {
            let value = make(&mut rng);
            let mut leaks = Vec::new();
            let resource = json!({ "urn": "u", "id": "i", "outputs": { name: value } });
            leak::find(&resource.to_string(), &marks, &mut leaks);
            assert!(
                leaks.iter().all(|leak| !format!("{leak:?}").contains(&value)),
                "{what}: the value is told"
            );
            leaks.len() == 1
        });
        assert!(n_found.count() >= 48, "{what}");
    }
}

#[test]
fn what_is_not_told() {
    let key = ["AK", "IA", "2345672345ABCDEF"].concat();
    check(json!({ "id": "x", "outputs": { "a": "correct horse battery" } }), &["outputs.a"]);
    check(json!({ "id": "x", "outputs": { "a": "correct horse battery." } }), &[]);
    check(json!({ "id": "x", "outputs": { "a": "short-value" } }), &[]);
    check(json!({ "id": "x", "outputs": { "a": "04da6b54-80e4-46f7-96ec-b56ff0331ba9" } }), &[]);
    // Not a property, a name of a member, inside of a secret.
    check(json!({ "id": "correct horse battery", "outputs": {} }), &[]);
    check(json!({ "outputs": { "correct horse battery": 1 } }), &[]);
    check(json!({ "outputs": { "s": { "list": ["correct horse battery"], SIGNATURE: SECRET } } }), &[]);
    check(
        json!({ "outputs": { "s": { "list": ["correct horse battery"], SIGNATURE: ASSET } } }),
        &["outputs.s.list[0]"],
    );
    // The id of an access key is what its resource is called.
    check(json!({ "id": key, "outputs": { "id": key, "x": [key, 1] } }), &[]);
    check(json!({ "id": "x", "outputs": { "id": key } }), &["outputs.id"]);
    // A path must not tell what it is about.
    check(
        json!({ "inputs": { "correct horse battery": { key.as_str(): "correct horse battery" } } }),
        &["inputs[***][***]"],
    );

    #[track_caller]
    fn check(mut resource: Value, paths: &[&str]) {
        let plaintexts =
            ["\"correct horse battery\"", "short-value", "\"04da6b54-80e4-46f7-96ec-b56ff0331ba9\""];
        resource["urn"] = json!("u");
        let mut leaks = Vec::new();
        leak::find(&resource.to_string(), &marks(&plaintexts.map(String::from)), &mut leaks);
        assert_eq!(leaks.iter().map(|leak| leak.path.as_str()).collect::<Vec<_>>(), paths, "{resource}");
    }
}

/// The fast pass lets through what begins with an escape, whatever stands before it.
#[test]
fn the_first_pass_misses_nothing_at_any_offset() {
    let secret = "\"\\nöx correct horse";
    let marks = marks(&[go(&json!(secret))]);
    for n in 0..200 {
        let before = json!({ "urn": "u", "inputs": { "a": "\\".repeat(n % 9), "b": "é\"".repeat(n / 9), "c": "x".repeat(n) } });
        for text in [before.to_string(), go(&before)] {
            let mut leaks = Vec::new();
            leak::find(&text, &marks, &mut leaks);
            assert!(leaks.is_empty(), "{text}");
            let text = text.replace("\"c\":", &format!("\"s\":{},\"c\":", json!(secret)));
            leak::find(&text, &marks, &mut leaks);
            assert_eq!(leaks.len(), 1, "{text}");
        }
    }
}

#[test]
fn marks_are_bounded_and_of_one_stack() {
    let mut marks = Marks::new(Sha256::new_with_prefix("one"));
    let value = |n: usize| format!("a value of its own, {n}");
    for n in 0..200 {
        marks.add(marks.new_of(&(n * 150..(n + 1) * 150).map(value).collect::<Vec<_>>()));
    }
    assert_eq!(marks.list().len(), pulumi_backend::limits::MARKS_MAX);
    assert!(!marks.has(&value(0)) && marks.has(&value(29_999)), "the oldest are forgotten");

    let mut other = Marks::new(Sha256::new_with_prefix("another"));
    other.add(marks.list().iter().copied());
    assert!(!other.has(&value(29_999)), "marks fit no other stack");
}
