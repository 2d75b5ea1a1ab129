//! When two deployments are the same: the equality rule of the replay vectors.

use super::json::{Tree, first_difference};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// An untyped deployment without what may differ between equal ones: time and version of the manifest, the order of
/// pending operations and features, and fields that are written although they are empty.
///
/// The manifest must be right in itself: its `magic` is the SHA-256 of its `version`.
#[track_caller]
pub fn normalized(deployment: &Tree) -> Tree {
    let mut whole = deployment.clone();
    sort(&mut whole, "features");
    drop_empty_fields(&mut whole, &[]);
    let Some(mut inner) = whole.take("deployment") else { panic!("no deployment in {deployment}") };
    check_manifest(inner.take("manifest"));
    drop_from_metadata(&mut inner, "integrity_error");
    change_items(&mut inner, "resources", |resource| drop_empty_fields(resource, &["custom"]));
    change_items(&mut inner, "pending_operations", |operation| {
        if let Tree::Object(fields) = operation
            && let Some(resource) = fields.get_mut("resource")
        {
            drop_empty_fields(resource, &["custom"]);
        }
    });
    sort(&mut inner, "pending_operations");
    drop_empty_fields(&mut inner, &[]);
    let mut fields = BTreeMap::from([("deployment".to_string(), inner)]);
    for name in ["version", "features"] {
        fields.extend(whole.take(name).map(|value| (name.to_string(), value)));
    }
    Tree::Object(fields)
}

/// Fails the test, naming the first difference, unless both are the same deployment.
#[track_caller]
pub fn assert_same_deployment(got: &Tree, expected: &Tree, context: &str) {
    if let Some(difference) = first_difference(&normalized(got), &normalized(expected)) {
        panic!("{context}: {difference}\n  whole: {got}");
    }
}

#[track_caller]
fn check_manifest(manifest: Option<Tree>) {
    let text = |name: &str| {
        manifest.as_ref().and_then(|it| it.get(name)).and_then(Tree::text).unwrap_or("").to_string()
    };
    let version = text("version");
    let expected = if version.is_empty() { String::new() } else { sha256_hex(version.as_bytes()) };
    assert_eq!(text("magic"), expected, "the magic of version {version:?}");
}

/// Lower-case hex SHA-256.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn drop_empty_fields(tree: &mut Tree, kept: &[&str]) {
    if let Tree::Object(fields) = tree {
        fields.retain(|name, value| kept.contains(&name.as_str()) || !value.is_empty());
    }
}

fn drop_from_metadata(inner: &mut Tree, name: &str) {
    if let Tree::Object(fields) = inner
        && let Some(metadata) = fields.get_mut("metadata")
    {
        metadata.take(name);
    }
}

fn change_items(tree: &mut Tree, name: &str, change: impl Fn(&mut Tree)) {
    if let Tree::Object(fields) = tree
        && let Some(Tree::List(items)) = fields.get_mut(name)
    {
        items.iter_mut().for_each(change);
    }
}

fn sort(tree: &mut Tree, name: &str) {
    if let Tree::Object(fields) = tree
        && let Some(Tree::List(items)) = fields.get_mut(name)
    {
        items.sort();
    }
}
