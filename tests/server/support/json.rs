//! JSON compared as it is written: a number keeps its spelling (`1` is not `1.0`, and 2^70 is itself), the order of
//! keys does not count, that of lists does.

use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// A JSON text, taken apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    /// `null`, `true`, `false` or a number, as it is written.
    Bare(String),
    /// A string, unescaped.
    Text(String),
    /// A list, in its order.
    List(Vec<Tree>),
    /// An object.
    Object(BTreeMap<String, Tree>),
}

impl Tree {
    /// Takes `json` apart; a text that is not JSON fails the test.
    pub fn parse(json: &str) -> Tree {
        match json.trim().as_bytes()[0] {
            b'{' => Tree::Object(
                parts::<BTreeMap<String, Box<RawValue>>>(json)
                    .into_iter()
                    .map(|(k, v)| (k, Tree::parse(v.get())))
                    .collect(),
            ),
            b'[' => {
                Tree::List(parts::<Vec<Box<RawValue>>>(json).iter().map(|v| Tree::parse(v.get())).collect())
            }
            b'"' => Tree::Text(parts(json)),
            _ => Tree::Bare(parts::<Box<RawValue>>(json).get().to_string()),
        }
    }

    /// The field `name` of an object, if it is one and has it.
    pub fn get(&self, name: &str) -> Option<&Tree> {
        match self {
            Tree::Object(fields) => fields.get(name),
            _ => None,
        }
    }

    /// Removes the field `name` and gives it.
    pub fn take(&mut self, name: &str) -> Option<Tree> {
        match self {
            Tree::Object(fields) => fields.remove(name),
            _ => None,
        }
    }

    /// The items of a list; of anything else, none.
    pub fn items(&self) -> &[Tree] {
        match self {
            Tree::List(items) => items,
            _ => &[],
        }
    }

    /// The string, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Tree::Text(text) => Some(text),
            _ => None,
        }
    }

    /// `null`, `""`, `false`, `[]` or `{}`: what Go's encoder leaves out.
    pub fn is_empty(&self) -> bool {
        match self {
            Tree::Bare(text) => text == "null" || text == "false",
            Tree::Text(text) => text.is_empty(),
            Tree::List(items) => items.is_empty(),
            Tree::Object(fields) => fields.is_empty(),
        }
    }
}

fn parts<'a, T: serde::Deserialize<'a>>(json: &'a str) -> T {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {json}"))
}

impl From<&serde_json::Value> for Tree {
    fn from(value: &serde_json::Value) -> Tree {
        Tree::parse(&value.to_string())
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tree::Bare(text) => f.write_str(text),
            Tree::Text(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
            Tree::List(items) => {
                let texts: Vec<String> = items.iter().map(Tree::to_string).collect();
                write!(f, "[{}]", texts.join(","))
            }
            Tree::Object(fields) => {
                let texts =
                    fields.iter().map(|(k, v)| format!("{}:{v}", serde_json::Value::from(k.as_str())));
                write!(f, "{{{}}}", texts.collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Where two trees differ first, as a path with both sides, for a failure that a person can read.
pub fn first_difference(got: &Tree, expected: &Tree) -> Option<String> {
    let mut path = String::new();
    differ(got, expected, &mut path).then_some(path)
}

/// Writes the place of the first difference to `path`; false when there is none.
fn differ(got: &Tree, expected: &Tree, path: &mut String) -> bool {
    let n = path.len();
    match (got, expected) {
        (Tree::Object(a), Tree::Object(b)) => {
            for name in a.keys().chain(b.keys()) {
                path.push_str(&format!(".{name}"));
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) if !differ(a, b, path) => path.truncate(n),
                    (Some(_), Some(_)) => return true,
                    (a, b) => return tell(path, a, b),
                }
            }
            false
        }
        (Tree::List(a), Tree::List(b)) => {
            for i in 0..a.len().max(b.len()) {
                path.push_str(&format!("[{i}]"));
                match (a.get(i), b.get(i)) {
                    (Some(a), Some(b)) if !differ(a, b, path) => path.truncate(n),
                    (Some(_), Some(_)) => return true,
                    (a, b) => return tell(path, a, b),
                }
            }
            false
        }
        _ if got == expected => false,
        _ => tell(path, Some(got), Some(expected)),
    }
}

fn tell(path: &mut String, got: Option<&Tree>, expected: Option<&Tree>) -> bool {
    let side = |tree: Option<&Tree>| tree.map_or("nothing".into(), Tree::to_string);
    path.push_str(&format!("\n  got      {}\n  expected {}", side(got), side(expected)));
    true
}

#[test]
fn numbers_keep_their_spelling() {
    assert_eq!(Tree::parse(r#"{"b":[1.0,1e2],"a":"\u003c"}"#), Tree::parse(r#"{"a":"<","b":[1.0,1e2]}"#));
    assert_ne!(Tree::parse("1"), Tree::parse("1.0"));
    assert_ne!(Tree::parse("18446744073709551616"), Tree::parse("18446744073709551617"));
    let told = first_difference(&Tree::parse(r#"{"a":[1,2]}"#), &Tree::parse(r#"{"a":[1,3]}"#)).unwrap();
    assert!(told.starts_with(".a[1]"), "{told}");
}
