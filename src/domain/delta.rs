//! checkpoint + text diff → next checkpoint. Knows texts and offsets, not deployments.
//! Source: pkg/backend/httpstate/diffs.go; the line-based form is that of the CLIs 3.43 to 3.67.

use std::borrow::Cow;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// One edit. Offsets are bytes of the text before, from 0; lines and columns count from 1.
#[derive(Deserialize)]
struct Edit<'a> {
    #[serde(rename = "Span")]
    span: Span,
    #[serde(rename = "NewText", default, borrow)]
    new_text: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Span {
    start: Point,
    end: Point,
}

#[derive(Deserialize)]
struct Point {
    #[serde(default = "unknown")]
    line: i64,
    #[serde(default = "unknown")]
    column: i64,
    /// Negative where line and column say it.
    #[serde(default = "unknown")]
    offset: i64,
}

fn unknown() -> i64 {
    -1
}

/// Applies a delta to the text before and returns the text after.
///
/// `edits` is the JSON array `[{"Span":{"start":…,"end":…},"NewText":…}]`, all of it referring to the text before.
/// `checkpoint_hash` is the lowercase hex SHA-256 of the text after; `Error::Conflict` if it comes out otherwise.
/// `Error::Invalid` for edits outside the text or over each other. Linear in both texts, and in the edits' sort.
pub fn apply(previous: &str, edits: &str, checkpoint_hash: &str) -> Result<String, Error> {
    let invalid = |why: String| Error::invalid("deploymentDelta", why);
    let edits: Vec<Edit> =
        serde_json::from_str(edits).map_err(|error| invalid(format!("is not a list of edits: {error}")))?;
    let places = resolve(previous, &edits).map_err(invalid)?;
    let next = splice(previous, &places).map_err(invalid)?;
    if hash(&next) != checkpoint_hash {
        return Err(Error::Conflict(
            "The delta does not lead from the checkpoint that is stored to the one its hash names; \
             send the whole checkpoint."
                .into(),
        ));
    }
    Ok(next)
}

/// The hash of a checkpoint's text, as it is sent with a delta: lowercase hex SHA-256.
pub fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A range of the text before, and what takes its place.
struct Place<'e> {
    start: usize,
    end: usize,
    new_text: &'e str,
}

fn resolve<'e>(previous: &str, edits: &'e [Edit<'_>]) -> Result<Vec<Place<'e>>, String> {
    let has_lines = edits.iter().any(|edit| edit.span.start.offset < 0 || edit.span.end.offset < 0);
    let lines = if has_lines { line_starts(previous) } else { Vec::new() };
    let mut places = Vec::with_capacity(edits.len());
    for (i, edit) in edits.iter().enumerate() {
        let offset = |point: &Point| {
            let offset = offset(point, &lines, previous.len());
            offset.ok_or_else(|| format!("edit {i} lies outside the checkpoint of {} bytes", previous.len()))
        };
        places.push(Place {
            start: offset(&edit.span.start)?,
            end: offset(&edit.span.end)?,
            new_text: &edit.new_text,
        });
    }
    // Stable: insertions at the same place stay in the order in which they were given.
    places.sort_by_key(|place| place.start);
    Ok(places)
}

/// Where each line starts.
fn line_starts(text: &str) -> Vec<usize> {
    let behind_newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(behind_newlines).collect()
}

fn offset(point: &Point, lines: &[usize], n_bytes: usize) -> Option<usize> {
    if point.offset >= 0 {
        return usize::try_from(point.offset).ok().filter(|offset| *offset <= n_bytes);
    }
    let line = usize::try_from(point.line.checked_sub(1)?).ok()?;
    let column = usize::try_from(point.column.checked_sub(1)?).ok()?;
    // The line behind the last one stands for the end of the text.
    let start = if line == lines.len() { n_bytes } else { *lines.get(line)? };
    start.checked_add(column).filter(|offset| *offset <= n_bytes)
}

fn splice(previous: &str, places: &[Place<'_>]) -> Result<String, String> {
    let n_new_bytes: usize = places.iter().map(|place| place.new_text.len()).sum();
    let mut next = Vec::with_capacity(previous.len() + n_new_bytes);
    let mut done = 0;
    for Place { start, end, new_text } in places {
        if *start < done || end < start {
            return Err(format!("the edit at byte {start} overlaps another, or ends before it starts"));
        }
        next.extend_from_slice(&previous.as_bytes()[done..*start]);
        next.extend_from_slice(new_text.as_bytes());
        done = *end;
    }
    next.extend_from_slice(&previous.as_bytes()[done..]);
    String::from_utf8(next).map_err(|_| "an edit cuts a character in two".into())
}
