//! The properties of one resource, value by value, with the path to each. Iterative, for JSON may be nested deep.

use std::borrow::Cow;

use super::{Leak, Marks, shape};
use crate::domain::json::{self, Flaw, Scanner};
use crate::domain::rename::{SECRET, SIGNATURE_KEY};
use crate::limits;

/// A value that is told unless it turns out to stand in a secret, or to be the resource's own id.
struct Found<'a> {
    value: Cow<'a, str>,
    path: String,
    why: Cow<'static, str>,
    is_marked: bool,
}

/// Adds what lies in plain text in a resource. What is no resource has no properties.
pub fn resource(text: &str, marks: &Marks, leaks: &mut Vec<Leak>) {
    let mut walk = Walk { marks, found: Vec::new(), frames: Vec::new() };
    let (mut urn, mut id) = (Cow::Borrowed(""), Cow::Borrowed(""));
    // Valid when it came in; what is not is left to those who judge that.
    let _ = walk.members(text, &mut urn, &mut id);
    for Found { value, path, why, is_marked } in walk.found {
        // An id is no secret, though that of an access key looks like one.
        if (is_marked || value != id) && leaks.len() < limits::LEAKS_MAX {
            leaks.push(Leak { urn: urn.to_string(), path, why });
        }
    }
}

struct Walk<'a, 'm> {
    marks: &'m Marks,
    found: Vec<Found<'a>>,
    frames: Vec<Frame<'a>>,
}

/// A container that is being stepped through.
enum Frame<'a> {
    Object {
        /// Of the member at which the scanner is.
        name: Cow<'a, str>,
        /// How much had been found before it.
        n_before: usize,
        is_secret: bool,
    },
    Array {
        n: usize,
    },
}

impl<'a> Walk<'a, '_> {
    fn members(&mut self, text: &'a str, urn: &mut Cow<'a, str>, id: &mut Cow<'a, str>) -> Result<(), Flaw> {
        let mut scanner = Scanner::new(text);
        scanner.open_object()?;
        while let Some(name) = scanner.next_member()? {
            match &*name {
                "urn" => *urn = json::as_string(scanner.value()?).unwrap_or_default(),
                "id" => *id = json::as_string(scanner.value()?).unwrap_or_default(),
                "inputs" | "outputs" | "replacementTrigger" => {
                    self.frames.push(Frame::Object { name, n_before: 0, is_secret: false });
                    self.property(&mut scanner)?;
                    self.frames.clear();
                }
                _ => _ = scanner.value()?,
            }
        }
        Ok(())
    }

    /// Steps over the property value that comes next.
    fn property(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Flaw> {
        let n_outer = self.frames.len();
        loop {
            match scanner.peek() {
                b'{' => {
                    scanner.open_object()?;
                    let n_before = self.found.len();
                    self.frames.push(Frame::Object { name: Cow::Borrowed(""), n_before, is_secret: false });
                }
                b'[' => {
                    scanner.open_array()?;
                    self.frames.push(Frame::Array { n: 0 });
                }
                b'"' => {
                    let value = json::unescape(scanner.string_token()?);
                    self.string(value);
                }
                _ => _ = scanner.value()?,
            }
            if !self.next(scanner, n_outer)? {
                return Ok(());
            }
        }
    }

    /// Steps to the next value in the containers above the first `n_outer`; false at their end.
    fn next(&mut self, scanner: &mut Scanner<'a>, n_outer: usize) -> Result<bool, Flaw> {
        while self.frames.len() > n_outer {
            let is_next = match self.frames.last_mut().expect("there is one") {
                Frame::Array { n } => {
                    *n += 1;
                    scanner.next_element()?
                }
                Frame::Object { name, .. } => match scanner.next_member()? {
                    Some(next) => {
                        *name = next;
                        true
                    }
                    None => false,
                },
            };
            if is_next {
                return Ok(true);
            }
            if let Some(Frame::Object { n_before, is_secret: true, .. }) = self.frames.pop() {
                self.found.truncate(n_before);
            }
        }
        Ok(false)
    }

    fn string(&mut self, value: Cow<'a, str>) {
        let name = match self.frames.last_mut() {
            Some(Frame::Object { name, is_secret, .. }) if name == SIGNATURE_KEY => {
                *is_secret = value == SECRET;
                return;
            }
            Some(Frame::Object { name, .. }) => Some(&**name),
            _ => None,
        };
        let is_marked = self.marks.has(&value);
        let why: Cow<str> = match shape::of(name, &value) {
            _ if is_marked => "was encrypted for this stack".into(),
            Some(what) => format!("looks like {what}").into(),
            None => return,
        };
        let path = self.path();
        self.found.push(Found { value, path, why, is_marked });
    }

    /// Where the scanner is, in the CLI's notation. A name that should itself be a secret is not told.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.frames {
            match frame {
                Frame::Array { n } => path.push_str(&format!("[{}]", n - 1)),
                Frame::Object { name, .. } if self.marks.has(name) || shape::of(None, name).is_some() => {
                    path.push_str("[***]");
                }
                Frame::Object { name, .. } if is_plain(name) && path.is_empty() => path.push_str(name),
                Frame::Object { name, .. } if is_plain(name) => {
                    path.push('.');
                    path.push_str(name);
                }
                Frame::Object { name, .. } => path.push_str(&format!("[{}]", json::string(name))),
            }
        }
        match path.char_indices().nth(limits::PROPERTY_PATH_CHARS_MAX) {
            Some((at, _)) => format!("{}…", &path[..at]),
            None => path,
        }
    }
}

fn is_plain(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$';
    name.bytes().next().is_some_and(is_letter)
        && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}
