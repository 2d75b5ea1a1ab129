//! The recorded journals beside the checkout.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::value::RawValue;

/// One recorded journal. Source: the README beside the files.
#[derive(Deserialize)]
pub struct Vector<'a> {
    pub name: String,
    #[serde(borrow)]
    pub base: Option<&'a RawValue>,
    #[serde(borrow)]
    pub entries: Vec<&'a RawValue>,
    #[serde(borrow)]
    pub result: &'a RawValue,
    pub integrity: Option<String>,
}

/// Where the recorded journals are, if they are there; says so if not.
pub fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/replay");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no recorded journals at {}", folder.display());
    None
}

/// The lines of one file, `engine`, `fuzz` or `generated`.
pub fn read(folder: &std::path::Path, name: &str) -> String {
    let path = folder.join(format!("{name}.jsonl.gz"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8(gunzip(&bytes)).expect("UTF-8")
}

/// Each line as a vector.
pub fn parse(lines: &str) -> impl Iterator<Item = Vector<'_>> {
    lines.lines().map(|line| serde_json::from_str(line).expect("a vector"))
}

/// What a gzip file of one member holds.
fn gunzip(bytes: &[u8]) -> Vec<u8> {
    assert_eq!(bytes[..3], [0x1f, 0x8b, 8], "gzip, deflated");
    let flags = bytes[3];
    let mut at = 10;
    if flags & 4 != 0 {
        at += 2 + usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    }
    // A name and a comment, each ended by a zero byte.
    for flag in [8, 16] {
        if flags & flag != 0 {
            at += bytes[at..].iter().position(|byte| *byte == 0).expect("an end") + 1;
        }
    }
    at += if flags & 2 != 0 { 2 } else { 0 };
    miniz_oxide::inflate::decompress_to_vec(&bytes[at..]).expect("deflate")
}
