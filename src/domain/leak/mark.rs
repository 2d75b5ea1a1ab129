//! Marks of the values that were encrypted for a stack: enough to know one again, and nothing to read it from.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::shape;
use super::sieve::{self, Sieve};
use crate::domain::json::{self, Scanner};
use crate::domain::rename::SIGNATURE_KEY;
use crate::domain::urn::UNKNOWN_ID;
use crate::limits;

/// The first bytes of a value, of which none that has a mark has fewer.
type Start = [u8; 12];

/// The mark of one value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Keyed, of the whole value.
    hash: [u8; 16],
    /// Of its first bytes: most other strings are told from it by these.
    start: u16,
    /// Where its first four bytes have their bit in the sieve.
    head: u16,
}

/// How many bytes a mark takes when it is kept.
pub const MARK_BYTES: usize = 20;

/// The marks of a stack.
#[derive(Clone)]
pub struct Marks {
    keyed: Sha256,
    /// Oldest first.
    list: Vec<Mark>,
    hashes: HashSet<[u8; 16]>,
    /// Of their first twelve bytes.
    starts: Arc<Sieve>,
    /// Of the first four, those of the shapes too.
    sieve: Arc<Sieve>,
}

fn shapes() -> &'static Arc<Sieve> {
    static SHAPES: OnceLock<Arc<Sieve>> = OnceLock::new();
    SHAPES.get_or_init(|| Arc::new(shape::sieve()))
}

fn nothing() -> &'static Arc<Sieve> {
    static NOTHING: OnceLock<Arc<Sieve>> = OnceLock::new();
    NOTHING.get_or_init(Arc::default)
}

impl Marks {
    /// None yet. `keyed` is a hasher that has been given the stack's key.
    pub fn new(keyed: Sha256) -> Marks {
        Marks {
            keyed,
            list: Vec::new(),
            hashes: HashSet::new(),
            starts: nothing().clone(),
            sieve: shapes().clone(),
        }
    }

    /// All of them, oldest first.
    pub fn list(&self) -> &[Mark] {
        &self.list
    }

    /// Adds those that are new; the oldest beyond `MARKS_MAX` are forgotten.
    pub fn add(&mut self, marks: impl IntoIterator<Item = Mark>) {
        for mark in marks {
            if self.hashes.insert(mark.hash) {
                self.list.push(mark);
                Arc::make_mut(&mut self.starts).add(mark.start);
                Arc::make_mut(&mut self.sieve).add(mark.head);
            }
        }
        if self.list.len() > limits::MARKS_MAX {
            let kept = self.list.split_off(self.list.len() - limits::MARKS_MAX);
            *self = Marks::new(self.keyed.clone());
            self.add(kept);
        }
    }

    /// The marks of plaintexts that are encrypted now, but for those that are known; at most `MARKS_MAX`.
    pub fn new_of(&self, plaintexts: &[impl AsRef<[u8]>]) -> Vec<Mark> {
        let (mut new, mut seen) = (Vec::new(), HashSet::new());
        for plaintext in plaintexts {
            each_secret(plaintext.as_ref(), &mut |secret| {
                let Some(start) = start_of(secret) else { return };
                let hash = self.hash(secret);
                if new.len() < limits::MARKS_MAX && !self.hashes.contains(&hash) && seen.insert(hash) {
                    let head = sieve::place([start[0], start[1], start[2], start[3]]);
                    new.push(Mark { hash, start: short(&start), head });
                }
            });
        }
        new
    }

    /// Whether this very value was encrypted.
    pub fn has(&self, value: &str) -> bool {
        let is_like = start_of(value).is_some_and(|start| self.starts.has_place(short(&start)));
        is_like && self.hashes.contains(&self.hash(value))
    }

    fn hash(&self, value: &str) -> [u8; 16] {
        let hash = self.keyed.clone().chain_update(value).finalize();
        hash[..16].try_into().expect("32 bytes")
    }

    /// False for most JSON texts in which nothing lies in plain text.
    pub(super) fn is_suspect(&self, text: &str) -> bool {
        self.sieve.any(text, |at| self.is_suspect_string(text, at))
    }

    /// `at` is behind the quote that opens a string.
    fn is_suspect_string(&self, text: &str, at: usize) -> bool {
        let may_be_secret = unescaped_start(&text[at..])
            .is_some_and(|start| self.starts.has_place(short(&start)) || shape::may_begin(shapes(), &start));
        if may_be_secret {
            let value = string_at(text, at);
            if self.has(&value) || shape::of(None, &value).is_some() {
                return true;
            }
        }
        shape::is_name_at(text, at)
    }
}

fn string_at(text: &str, at: usize) -> std::borrow::Cow<'_, str> {
    let mut scanner = Scanner::new(&text[at - 1..]);
    scanner.string_token().map(json::unescape).unwrap_or_default()
}

fn start_of(value: &str) -> Option<Start> {
    let is_long = value.chars().nth(limits::MARKED_CHARS_MIN - 1).is_some();
    value.as_bytes().first_chunk().filter(|_| is_long).copied()
}

/// The first bytes of what a string spells, of which `text` is the inside and what follows; nothing if it has fewer.
fn unescaped_start(text: &str) -> Option<Start> {
    let first: Start = *text.as_bytes().first_chunk()?;
    if !first.iter().any(|byte| matches!(byte, b'"' | b'\\')) {
        return Some(first);
    }
    let (mut start, mut n) = ([0; 12], 0);
    let mut bytes = text.bytes();
    while n < start.len() {
        start[n] = match bytes.next()? {
            b'"' => return None,
            b'\\' => match bytes.next()? {
                b'u' => return unescaped_start_slowly(text),
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                other => other,
            },
            byte => byte,
        };
        n += 1;
    }
    Some(start)
}

/// As above, for what has escapes that spell more than one byte.
fn unescaped_start_slowly(text: &str) -> Option<Start> {
    let (mut start, mut rest) = (String::new(), text);
    while start.len() < 12 {
        match rest.chars().next()? {
            '"' => return None,
            '\\' => rest = json::unescape_one(&rest[1..], &mut start),
            char => {
                start.push(char);
                rest = &rest[char.len_utf8()..];
            }
        }
    }
    start.as_bytes().first_chunk().copied()
}

/// A number for the first bytes.
fn short(start: &Start) -> u16 {
    let low = u64::from_le_bytes(start[..8].try_into().expect("eight bytes"));
    let high = u32::from_le_bytes(start[8..].try_into().expect("four bytes"));
    let mixed =
        (low ^ u64::from(high).wrapping_mul(0xd6e8_feb8_6659_fd93)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 48) as u16
}

impl Mark {
    /// As it is kept.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hash);
        out.extend_from_slice(&self.start.to_le_bytes());
        out.extend_from_slice(&self.head.to_le_bytes());
    }

    /// Marks one after the other; nothing if they are cut.
    pub fn decode_all(bytes: &[u8]) -> Option<Vec<Mark>> {
        let (marks, rest) = bytes.as_chunks::<MARK_BYTES>();
        let mark = |bytes: &[u8; MARK_BYTES]| Mark {
            hash: bytes[..16].try_into().expect("16 bytes"),
            start: u16::from_le_bytes([bytes[16], bytes[17]]),
            head: u16::from_le_bytes([bytes[18], bytes[19]]),
        };
        rest.is_empty().then(|| marks.iter().map(mark).collect())
    }
}

/// How deep secrets are looked for in secrets.
const DEPTH_MAX: usize = 32;

/// Each text in a plaintext that is a secret by itself.
///
/// The CLI encrypts a value of the configuration as it is, and a property as JSON: of a JSON string it is what that
/// spells. Of an object or array it is the text itself, and the strings in it but for those that only name something.
/// Numbers in these are none: a state may spell them in other ways.
fn each_secret(plaintext: &[u8], each: &mut dyn FnMut(&str)) {
    // What is no text is no string in a state either.
    let Ok(text) = std::str::from_utf8(plaintext) else { return };
    each_text(text, 0, each);
}

fn each_text(text: &str, depth: usize, each: &mut dyn FnMut(&str)) {
    if depth > DEPTH_MAX {
        return;
    }
    let mut scanner = Scanner::new(text);
    let first = scanner.peek();
    let value = match first {
        b'"' | b'{' | b'[' => scanner.value().and_then(|value| scanner.end().map(|()| value)).ok(),
        _ => None,
    };
    match (first, value) {
        (b'"', Some(token)) => tell_and_wipe(json::unescape(token), each),
        (_, Some(value)) => {
            tell(text, each);
            each_leaf("", value, depth, each);
        }
        _ => tell(text, each),
    }
}

fn tell(text: &str, each: &mut dyn FnMut(&str)) {
    // That of an output which is not known yet is the same everywhere.
    if text != UNKNOWN_ID {
        each(text);
    }
}

/// What is freed keeps its bytes.
fn tell_and_wipe(mut text: Cow<'_, str>, each: &mut dyn FnMut(&str)) {
    tell(&text, each);
    if let Cow::Owned(text) = &mut text {
        text.zeroize();
    }
}

/// The strings of an object or array, which is the value of a member of this name.
fn each_leaf(name: &str, value: &str, depth: usize, each: &mut dyn FnMut(&str)) {
    match value.as_bytes()[0] {
        b'"' => {
            let text = json::unescape(value);
            if names_a_secret(name) || !is_only_name(&text) {
                tell_and_wipe(text, each);
            }
        }
        b'[' if depth < DEPTH_MAX => {
            json::elements(value).for_each(|element| each_leaf(name, element, depth + 1, each));
        }
        b'{' if depth < DEPTH_MAX => each_member(value, depth + 1, each),
        _ => {}
    }
}

fn each_member(object: &str, depth: usize, each: &mut dyn FnMut(&str)) {
    let mut scanner = Scanner::new(object);
    if scanner.open_object().is_err() {
        return;
    }
    while let Ok(Some(name)) = scanner.next_member() {
        let Ok(value) = scanner.value() else { return };
        match &*name {
            SIGNATURE_KEY => {}
            // A secret in a secret.
            "plaintext" => each_text(&json::as_string(value).unwrap_or_default(), depth + 1, each),
            name => each_leaf(name, value, depth, each),
        }
    }
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pwd", "secret", "token", "credential", "privatekey", "apikey"]
        .iter()
        .any(|word| name.contains(word))
}

/// Names, addresses and words, which stand beside secrets in one object and are none.
fn is_only_name(text: &str) -> bool {
    const PREFIXES: &[&str] = &["arn:", "urn:", "/subscriptions/", "projects/"];
    let is_url = text.split_once("://").is_some_and(|(scheme, rest)| {
        scheme.bytes().all(|byte| byte.is_ascii_lowercase()) && !rest.contains(['@', '?', '#'])
    });
    let is_in = |others: &[u8], byte: u8| byte.is_ascii_alphabetic() || others.contains(&byte);
    let is_words = text.bytes().all(|byte| is_in(b" _-./:,", byte));
    let is_host = text.contains('.')
        && text.bytes().all(|byte| !byte.is_ascii_uppercase() && is_in(b"0123456789.-:", byte));
    PREFIXES.iter().any(|prefix| text.starts_with(prefix)) || is_url || is_host || is_words
}
