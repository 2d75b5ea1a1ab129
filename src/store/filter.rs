//! Which stacks a list leaves out, as functions that SQL calls: so a page is full, and what is left out is not read.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use serde_json::{Map, Value};

use super::mac;
use crate::domain::access::{Rights, has_stack};
use crate::error::Error;

/// Which stacks a list shows; all that is given must hold.
#[derive(Default)]
pub struct StackFilter {
    /// Only of this organization.
    pub org: Option<String>,
    /// Only of this project.
    pub project: Option<String>,
    /// Only with this tag.
    pub tag_name: Option<String>,
    /// Only with this value of that tag.
    pub tag_value: Option<String>,
    /// What the caller may see: a stack must be in a pattern of each.
    pub visible: [Visible; 2],
}

/// Patterns of stacks, a line `org/project/stack` for each; none for all stacks.
#[derive(Default)]
pub struct Visible(pub(super) Option<String>);

impl Visible {
    /// The layers of a caller's rights; there are two at the most.
    pub fn of(rights: &Rights) -> [Visible; 2] {
        let mut layers = rights.layers().map(|patterns| {
            let lines = patterns.iter().map(|it| format!("{}/{}/{}\n", it.org, it.project, it.stack));
            Visible(Some(lines.collect()))
        });
        [layers.next().unwrap_or_default(), layers.next().unwrap_or_default()]
    }
}

/// Makes these known to a connection:
///
/// - `is_visible(patterns, org, project, stack)`: whether the stack is in one of the patterns of a `Visible`.
/// - `has_tag(tags, name, value)`: whether the JSON object has that member; a value of NULL says with any.
pub fn register(conn: &Connection) -> Result<(), Error> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    conn.create_scalar_function("is_visible", 4, flags, is_visible)?;
    conn.create_scalar_function("has_tag", 3, flags, has_tag)?;
    Ok(())
}

fn is_visible(row: &Context) -> rusqlite::Result<bool> {
    let patterns = row.get_raw(0).as_str()?;
    let names = [row.get_raw(1).as_str()?, row.get_raw(2).as_str()?, row.get_raw(3).as_str()?];
    Ok(patterns.lines().any(|pattern| has_stack(pattern.split('/'), names)))
}

fn has_tag(row: &Context) -> rusqlite::Result<bool> {
    let (tags, name) = (row.get_raw(0).as_str()?, row.get_raw(1).as_str()?);
    let tags: Map<String, Value> = serde_json::from_str(tags).map_err(|_| mac::not_as_written("stacks"))?;
    let Some(found) = tags.get(name) else { return Ok(false) };
    let value = row.get_raw(2).as_str_or_null()?;
    Ok(value.is_none_or(|value| found.as_str() == Some(value)))
}
