//! A batch of engine events as it came: cut at its events, and what is looked at in each. The rest is kept as text.

use crate::domain::json::{Flaw, Scanner};
use crate::error::Error;

/// An event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its text.
    pub raw: &'a str,
    /// Its place among those of its update; none if a very old CLI gave none.
    pub sequence: Option<i64>,
    /// JSON object: what the summary event counts.
    pub resource_changes: Option<&'a str>,
}

/// Reads the body of a batch, `{"events":[…]}`, in one pass.
///
/// `Error::Invalid` for a body without such a list, and for an event that is none.
/// Source: apitype/events.go, `EngineEventBatch`.
pub fn parse_batch(text: &str) -> Result<Vec<Event<'_>>, Error> {
    let broken = |flaw: Flaw| Error::invalid("body", flaw.to_string());
    let mut events = None;
    let mut scanner = Scanner::new(text);
    scanner.open_object().map_err(broken)?;
    while let Some(key) = scanner.next_member().map_err(broken)? {
        if key != "events" {
            scanner.value().map_err(broken)?;
            continue;
        }
        let list: &mut Vec<Event> = events.insert(Vec::new());
        scanner.open_array().map_err(broken)?;
        while scanner.next_element().map_err(broken)? {
            let event = scan(&mut scanner).map_err(|wrong| wrong.into_error(list.len()))?;
            list.push(event);
        }
    }
    scanner.end().map_err(broken)?;
    events.ok_or_else(|| Error::invalid("events", "is missing; it must be a list of engine events"))
}

/// A member of an event that is not what it must be, or no JSON at all.
enum Wrong {
    Flaw(Flaw),
    Member(&'static str, &'static str),
}

impl From<Flaw> for Wrong {
    fn from(flaw: Flaw) -> Wrong {
        Wrong::Flaw(flaw)
    }
}

impl Wrong {
    fn into_error(self, index: usize) -> Error {
        match self {
            Wrong::Flaw(flaw) => Error::invalid(format!("events[{index}]"), flaw.to_string()),
            Wrong::Member(member, why) => Error::invalid(format!("events[{index}].{member}"), why),
        }
    }
}

fn scan<'a>(scanner: &mut Scanner<'a>) -> Result<Event<'a>, Wrong> {
    scanner.peek();
    let start = scanner.position();
    let mut event = Event { raw: "", sequence: None, resource_changes: None };
    scanner.open_object()?;
    while let Some(key) = scanner.next_member()? {
        match &*key {
            "sequence" => event.sequence = scan_sequence(scanner)?,
            "summaryEvent" if scanner.peek() == b'{' => {
                event.resource_changes = scan_summary(scanner)?.or(event.resource_changes);
            }
            _ => drop(scanner.value()?),
        }
    }
    event.raw = scanner.text_since(start);
    Ok(event)
}

fn scan_sequence(scanner: &mut Scanner<'_>) -> Result<Option<i64>, Wrong> {
    let value = scanner.value()?;
    match value.parse() {
        Ok(sequence @ 0..) => Ok(Some(sequence)),
        _ if value == "null" => Ok(None),
        _ => Err(Wrong::Member("sequence", "must be a number from 0 on")),
    }
}

/// Source: apitype/events.go, `SummaryEvent`.
fn scan_summary<'a>(scanner: &mut Scanner<'a>) -> Result<Option<&'a str>, Flaw> {
    let mut changes = None;
    scanner.open_object()?;
    while let Some(key) = scanner.next_member()? {
        let value = scanner.value()?;
        if key == "resourceChanges" && is_counts(value) {
            changes = Some(value);
        }
    }
    Ok(changes)
}

/// Counts by the kind of step, and nothing else: they are shown in lists, and kept where the events are not.
fn is_counts(value: &str) -> bool {
    let mut scanner = Scanner::new(value);
    let mut all = || -> Result<bool, Flaw> {
        scanner.open_object()?;
        while let Some(kind) = scanner.next_member()? {
            let is_kind = kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            if !is_kind || scanner.value()?.parse::<u64>().is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    };
    all().unwrap_or(false)
}
