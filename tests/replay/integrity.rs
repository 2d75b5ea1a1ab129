//! Which deployments are sound, and what is said of the others.

use pulumi_backend::domain::deployment::Deployment;
use pulumi_backend::domain::digest::{Digester, Digests, is_sound};
use pulumi_backend::domain::integrity;
use pulumi_backend::domain::journal::{Manifest, parse_batch, replay};
use sha2::{Digest, Sha256};

use crate::support::journals::random_journal;
use crate::support::rng::{Rng, seeds};

const URN: &str = "urn:pulumi:dev::web::";

/// A deployment of resources that are given short: `@` stands for the start of a URN.
fn deployment(resources: &[&str]) -> String {
    let resources = resources.join(",").replace('@', URN);
    let manifest = r#"{"time":"2025-01-01T00:00:00Z","magic":"","version":""}"#;
    format!(r#"{{"version":3,"deployment":{{"manifest":{manifest},"resources":[{resources}]}}}}"#)
}

const A: &str = r#"{"urn":"@t:m:T::a","type":"t:m:T"}"#;
const PROVIDER: &str =
    r#"{"urn":"@pulumi:providers:aws::p","type":"pulumi:providers:aws","custom":true,"id":"1"}"#;

#[test]
fn resources() {
    check(&[], None);
    check(&[A], None);
    check(&[r#"{"type":"t"}"#], Some("resource at index 0 missing required 'urn' field"));
    check(&[r#"{"urn":"@x"}"#], Some("resource '@x' missing required 'type' field"));
    check(&[r#"{"urn":"@x","type":"t","id":"1"}"#], Some("resource '@x' has 'custom false but non-empty ID"));
    check(&[A, A], Some("duplicate resource @t:m:T::a (not marked for deletion)"));
    check(&[A, r#"{"urn":"@t:m:T::a","type":"t:m:T","delete":true}"#], None);
}

#[test]
fn references() {
    check(&[A, r#"{"urn":"@b","type":"t","parent":"@t:m:T::a","dependencies":["@t:m:T::a"]}"#], None);
    check(
        &[r#"{"urn":"@b","type":"t","parent":"@t:m:T::a"}"#, A],
        Some("child resource @b's parent @t:m:T::a comes after it"),
    );
    check(
        &[r#"{"urn":"@b","type":"t","parent":"@b"}"#],
        Some("child resource @b refers to missing parent @b"),
    );
    check(
        &[r#"{"urn":"@b","type":"t","dependencies":["@c"]}"#],
        Some("resource @b refers to missing dependency @c"),
    );
    check(
        &[r#"{"urn":"@b","type":"t","dependencies":["@t:m:T::a"]}"#, A],
        Some("resource @b's dependency @t:m:T::a comes after it"),
    );
    check(
        &[r#"{"urn":"@b","type":"t","propertyDependencies":{"k":["@c"]}}"#],
        Some("resource @b refers to missing property dependency @c"),
    );
    check(
        &[r#"{"urn":"@b","type":"t","deletedWith":"@c"}"#],
        Some("resource @b is specified as being deleted with @c, which is missing"),
    );
    check(
        &[r#"{"urn":"@b","type":"t","replaceWith":["@t:m:T::a"]}"#, A],
        Some("resource @b is specified as being replaced with @t:m:T::a, which comes after it"),
    );
}

#[test]
fn providers() {
    let bucket = r#"{"urn":"@b","type":"t","provider":"@pulumi:providers:aws::p::1"}"#;
    check(&[PROVIDER, bucket], None);
    check(&[bucket, PROVIDER], Some("resource @b refers to unknown provider @pulumi:providers:aws::p::1"));
    check(
        &[r#"{"urn":"@b","type":"t","pendingReplacement":true,"provider":"@pulumi:providers:aws::p::1"}"#],
        None,
    );
    check(
        &[r#"{"urn":"@b","type":"t","provider":"nonsense"}"#],
        Some("failed to parse provider reference for resource @b: 'nonsense' is not <provider URN>::<id>"),
    );
    check(
        &[r#"{"urn":"@t::p","type":"pulumi:providers:aws","custom":true}"#],
        Some("provider @t::p is not referenceable: it is not the URN of a provider"),
    );
}

#[track_caller]
fn check(resources: &[&str], violation: Option<&str>) {
    let text = deployment(resources);
    assert_eq!(check_both(&text), violation.map(|sentence| sentence.replace('@', URN)), "{text}");
}

#[test]
fn manifests_and_snippets() {
    const TAMPERED: &str = "magic cookie mismatch: possible tampering/corruption detected";
    // As `printf v3.259.0 | sha256sum` has it.
    const MAGIC: &str = "ab35920a3077459b09dd1a3f7ddc28df4e3efc81b3240013bb6906688abc684d";
    check(r#"{}"#, "", None);
    check(r#"{"magic":"","version":""}"#, "", None);
    check(r#"{"magic":"x","version":""}"#, "", Some(TAMPERED));
    check(&format!(r#"{{"version":"v3.259.0","magic":"{MAGIC}"}}"#), "", None);
    check(r#"{"magic":"","version":"v3.259.0"}"#, "", Some(TAMPERED));
    check("{}", r#","snippets":[{"uuid":"a"},{"uuid":"b"}]"#, None);
    check("{}", r#","snippets":[{"name":"a"}]"#, Some("snippet at index 0 missing required 'uuid' field"));
    let twice = r#"duplicate snippet uuid "a" at indexes 0 and 1"#;
    check("{}", r#","snippets":[{"uuid":"a"},{"uuid":"a"}]"#, Some(twice));

    #[track_caller]
    fn check(manifest: &str, more: &str, violation: Option<&str>) {
        let text = format!(r#"{{"version":3,"deployment":{{"manifest":{manifest}{more}}}}}"#);
        assert_eq!(check_both(&text).as_deref(), violation, "{text}");
    }
}

/// What is not sound in a deployment, by its texts; its digests must agree that there is something, or nothing.
#[track_caller]
pub fn check_both(text: &str) -> Option<String> {
    let mut digester = Digester::new(Sha256::new_with_prefix("a secret"), Sha256::new_with_prefix("another"));
    let mut digests = Digests::default();
    let mut each = |facts: &_, text: &str| digester.push(&mut digests, facts, text);
    let deployment = Deployment::parse_with(text, &mut each).expect(text);
    let found = integrity::check(&deployment);
    let header = deployment.header().expect(text);
    assert_eq!(is_sound(&header, digests.iter()), found.is_none(), "by digests; by texts: {found:?}: {text}");
    found
}

#[test]
fn digests_tell_what_is_sound_in_random_states() {
    let (mut n_sound, mut n_unsound) = (0, 0);
    for seed in seeds(3_000) {
        let journal = random_journal(seed);
        let base = match &journal.base {
            serde_json::Value::Null => Deployment::empty().to_text(),
            base => serde_json::json!({"version": 3, "deployment": base}).to_string(),
        };
        let body = serde_json::json!({"entries": journal.entries}).to_string();
        let entries = parse_batch(&body).expect("a batch");
        let manifest = Manifest { time: "2026-01-02T03:04:05Z".into(), version: String::new() };
        let replayed =
            replay(Deployment::parse(&base).expect("a base"), &entries, &manifest).expect("a result");
        let mut shuffled = replayed.deployment.clone();
        Rng::new(seed).shuffle(&mut shuffled.resources);
        for text in [&base, &replayed.deployment.to_text(), &shuffled.to_text()] {
            match check_both(text) {
                None => n_sound += 1,
                Some(_) => n_unsound += 1,
            }
        }
    }
    let is_one_seed = std::env::var("SEED").is_ok();
    assert!(is_one_seed || n_sound > 500 && n_unsound > 500, "both: {n_sound} and {n_unsound}");
}
