//! When two deployments are equal: the rule of the recorded journals' README, on texts.
//! Independent of the scanner that is tested: this one is serde_json's.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// What is compared of a deployment; equal values mean equal deployments.
#[derive(Debug, PartialEq, Eq)]
pub struct Canon {
    version: i64,
    features: Vec<String>,
    /// All but manifest, resources, pending operations and secrets providers.
    members: BTreeMap<String, String>,
    pub secrets_providers: Option<String>,
    resources: Vec<BTreeMap<String, String>>,
    pending_operations: Vec<String>,
}

#[derive(Deserialize)]
struct Document<'a> {
    version: i64,
    #[serde(default)]
    features: Vec<String>,
    #[serde(borrow)]
    deployment: Members<'a>,
}

#[derive(Deserialize)]
struct Manifest {
    magic: String,
    version: String,
}

#[derive(Deserialize)]
struct Operation<'a> {
    #[serde(borrow)]
    resource: &'a RawValue,
    r#type: String,
}

impl Canon {
    /// Reads a deployment; panics if it is none, or if its manifest's magic is not that of its version.
    #[track_caller]
    pub fn of(text: &str) -> Canon {
        let document: Document = serde_json::from_str(text).expect("a deployment");
        let mut features = document.features;
        features.sort();
        features.dedup();
        let mut canon = Canon {
            version: document.version,
            features,
            members: BTreeMap::new(),
            secrets_providers: None,
            resources: Vec::new(),
            pending_operations: Vec::new(),
        };
        for (key, value) in document.deployment {
            canon.add(key, value);
        }
        canon
    }

    fn add(&mut self, key: String, value: &RawValue) {
        match key.as_str() {
            "manifest" => check_manifest(value),
            "resources" => self.resources = list(value).into_iter().map(resource).collect(),
            "pending_operations" => {
                let operations: Option<Vec<Operation>> =
                    serde_json::from_str(value.get()).expect("operations");
                let texts = operations.unwrap_or_default().into_iter();
                self.pending_operations = texts
                    .map(|operation| format!("{} {:?}", operation.r#type, resource(operation.resource)))
                    .collect();
                self.pending_operations.sort();
            }
            _ if is_zero(value) => {}
            "secrets_providers" => self.secrets_providers = Some(canon(value)),
            _ => _ = self.members.insert(key, canon(value)),
        }
    }
}

/// Fails with the first difference, and not with two whole deployments.
#[track_caller]
pub fn assert_equal(actual: &Canon, expected: &Canon, what: &str) {
    for (i, (actual, expected)) in actual.resources.iter().zip(&expected.resources).enumerate() {
        assert_eq!(actual, expected, "{what}: resource {i}");
    }
    if actual != expected {
        let rest = |canon: &Canon| {
            let Canon { version, features, members, secrets_providers, pending_operations, .. } = canon;
            let n_resources = canon.resources.len();
            format!(
                "{version} {features:?} {members:?} {secrets_providers:?} {n_resources} {pending_operations:#?}"
            )
        };
        panic!("{what}\n  actual: {}\nexpected: {}", rest(actual), rest(expected));
    }
}

fn check_manifest(value: &RawValue) {
    let manifest: Manifest = serde_json::from_str(value.get()).expect("a manifest");
    let hash: String = Sha256::digest(&manifest.version).iter().map(|byte| format!("{byte:02x}")).collect();
    let magic = if manifest.version.is_empty() { String::new() } else { hash };
    assert_eq!(manifest.magic, magic, "magic of version {:?}", manifest.version);
}

/// The fields of a resource that are not zero; `custom` is always there.
fn resource(value: &RawValue) -> BTreeMap<String, String> {
    let members: Members = serde_json::from_str(value.get()).expect("a resource");
    let is_kept = |(key, value): &(String, &RawValue)| key == "custom" || !is_zero(value);
    members.into_iter().filter(is_kept).map(|(key, value)| (key, canon(value))).collect()
}

fn list(value: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str::<Option<_>>(value.get()).expect("an array").unwrap_or_default()
}

fn is_zero(value: &RawValue) -> bool {
    let dense: String = value.get().split_whitespace().collect();
    matches!(dense.as_str(), "null" | "\"\"" | "false" | "[]" | "{}")
}

/// A text that is the same for values that differ in whitespace, escapes and the order of members only.
pub fn canon(value: &RawValue) -> String {
    let text = value.get();
    match text.as_bytes()[0] {
        b'{' => {
            let members: Members = serde_json::from_str(text).expect("an object");
            let members = members.into_iter().map(|(key, value)| format!("{key:?}:{}", canon(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        b'[' => format!("[{}]", list(value).into_iter().map(canon).collect::<Vec<_>>().join(",")),
        b'"' => format!("{:?}", serde_json::from_str::<String>(text).expect("a string")),
        _ => text.to_owned(),
    }
}
