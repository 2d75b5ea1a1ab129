//! Secrets that lie in a state in plain text: values that were encrypted for the stack, and known credentials.
//!
//! Most resources cost one pass over their bytes (`sieve`); only what a string's first bytes make suspect is read as
//! properties (`walk`). Of an encrypted value nothing is kept but keyed hashes (`mark`).

pub mod mark;
pub mod shape;
pub mod sieve;
mod walk;

use std::borrow::Cow;

pub use self::mark::Marks;
use crate::domain::json;

/// A value in plain text that should be a secret. What it is, is nowhere in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// URN of its resource.
    pub urn: String,
    /// Where in that, as `outputs.users[0].password`.
    pub path: String,
    /// What speaks against it, as `was encrypted for this stack`.
    pub why: Cow<'static, str>,
}

/// Adds what lies in plain text in a resource, given as JSON that is known to be valid.
///
/// What is inside of a secret's envelope is not looked at, nor are names of members.
pub fn find(resource: &str, marks: &Marks, leaks: &mut Vec<Leak>) {
    if marks.is_suspect(resource) {
        walk::resource(resource, marks, leaks);
    }
}

/// Leaks as a JSON text, `[["urn","path","why"]]`.
pub fn to_text(leaks: &[Leak]) -> String {
    let line = |leak: &Leak| json::array([&*leak.urn, &leak.path, &leak.why].map(json::string));
    json::array(leaks.iter().map(line))
}

/// What `to_text` was given; nothing for another text.
pub fn from_text(text: &str) -> Option<Vec<Leak>> {
    let leak = |line: &str| {
        let mut parts = json::elements(line).filter_map(json::as_string).map(Cow::into_owned);
        Some(Leak { urn: parts.next()?, path: parts.next()?, why: Cow::Owned(parts.next()?) })
    };
    json::elements(text).map(leak).collect()
}
