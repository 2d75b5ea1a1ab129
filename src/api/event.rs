//! Engine events: taken in batches, in any order, given back in order.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::app::App;
use crate::call::Call;
use crate::domain::event::{Event, parse_batch};
use crate::domain::update::UpdateStatus;
use crate::error::Error;
use crate::http::{Body, Deflated, Response};
use crate::limits;
use crate::store;
use crate::store::event::{self, AppendEvents, EventBatch, EventsPlace};
use crate::store::update::Update;

/// Stores a batch; the same again changes nothing.
pub fn append(app: &App, call: &mut Call) -> Result<Response, Error> {
    let (text, deflated) = call.packed_text()?;
    store(app, call, text, deflated, None)
}

/// Stores one event, as very old CLIs send them.
pub fn append_one(app: &App, call: &mut Call) -> Result<Response, Error> {
    let text = call.text()?;
    store(app, call, format!(r#"{{"events":[{text}]}}"#), None, Some(0))
}

fn store(
    app: &App,
    call: &Call,
    text: String,
    deflated: Option<Deflated>,
    default_sequence: Option<i64>,
) -> Result<Response, Error> {
    let update = call.lease()?;
    let events = parse_batch(&text)?;
    let key = app.key_of(update.stack_id)?;
    let Some((first_sequence, last_sequence)) = range(&events, default_sequence)? else {
        return Ok(Response::no_content());
    };
    let resource_changes = events.iter().rev().find_map(|event| event.resource_changes).map(String::from);
    let place = EventsPlace { first_sequence, last_sequence, hash: event::hash(&key, &text) };
    let body = place.seal(&key, &update.uid, &text, deflated.as_ref().map(Deflated::as_slice))?;
    app.store.write(AppendEvents { update_id: update.id, key, place, text, body, resource_changes })?;
    Ok(Response::no_content())
}

/// The lowest and the highest sequence; none without events.
fn range(events: &[Event], default_sequence: Option<i64>) -> Result<Option<(i64, i64)>, Error> {
    let mut range: Option<(i64, i64)> = None;
    for (i, event) in events.iter().enumerate() {
        let sequence = event
            .sequence
            .or(default_sequence)
            .ok_or_else(|| Error::invalid(format!("events[{i}].sequence"), "must be a number from 0 on"))?;
        let (first, last) = range.unwrap_or((sequence, sequence));
        range = Some((first.min(sequence), last.max(sequence)));
    }
    Ok(range)
}

/// A page of an update's events in order of their sequence, each once.
///
/// The continuation token is the next sequence. It is null only after the last event of an update that has ended.
/// With `urn`, only the events about that resource; pages are those of all events, so one may be empty.
/// Errors: 400 for a filter by `type`.
pub fn list(app: &App, call: &mut Call) -> Result<Response, Error> {
    let update = find(app, call)?;
    let from_sequence = call.query_number("continuationToken", 0)?.unwrap_or(0) as i64;
    let urn = call.query("urn");
    if call.query("type").is_some_and(|code| !code.is_empty()) {
        // The codes are those of the vendor's database; no client names them.
        let why = "the numbers of event types are not known to this server; ask without them (without --event-type)";
        return Err(Error::invalid("type", why));
    }
    let key = app.key_of(update.stack_id)?;
    // The counts of the update must be of the same moment as its events.
    let batches = app.store.read(|conn| {
        let update = store::update::read(conn, update.id)?;
        event::list(conn, &key, &update, from_sequence)
    })?;
    let page = Page::of(&batches, from_sequence, &update.uid)?;
    let has_ended = !matches!(update.status, UpdateStatus::NotStarted | UpdateStatus::Running);
    let token = match page.next_sequence {
        Some(next) => Some(next),
        None if has_ended => None,
        None => Some(page.events.last().map_or(from_sequence, |(sequence, _)| sequence + 1)),
    };
    let is_wanted = |raw: &&str| urn.as_ref().is_none_or(|urn| is_about(raw, urn));
    let events: Vec<_> = page.events.iter().map(|(_, raw)| *raw).filter(is_wanted).collect();
    let token = token.map_or("null".to_string(), |next| format!("\"{next}\""));
    let text = format!(r#"{{"events":[{}],"continuationToken":{token}}}"#, events.join(","));
    Ok(Response::of(200, Body::Json(text.into_bytes())))
}

/// The update in the path: by its id, or by its version, which is what `stack history` shows to a person.
fn find(app: &App, call: &Call) -> Result<Update, Error> {
    let Ok(version) = call.parameter(3).parse::<i64>() else { return super::update::find(app, call) };
    let stack_ref = call.stack_ref()?;
    app.store.read(|conn| {
        let stack = store::stack::get(conn, &stack_ref)?;
        let update = store::update::find_by_version(conn, stack.id, version)?;
        update.ok_or_else(|| Error::NotFound(format!("Stack '{stack_ref}' has no update {version}")))
    })
}

/// What an event is about. Source: apitype/events.go; policy events say `resourceUrn`.
#[derive(Deserialize)]
struct About<'a> {
    #[serde(borrow, default, alias = "resourceUrn")]
    urn: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    metadata: Option<Box<About<'a>>>,
}

/// Whether the event is about this resource: not one that only names it, as its parent or in its inputs.
fn is_about(raw: &str, urn: &str) -> bool {
    let fields: BTreeMap<&str, &RawValue> = serde_json::from_str(raw).unwrap_or_default();
    let abouts = fields.values().filter_map(|body| serde_json::from_str::<About>(body.get()).ok());
    let mut urns = abouts.filter_map(|about| about.urn.or_else(|| about.metadata?.urn));
    urns.any(|found| found == urn)
}

/// Events in order, and where the next page begins.
struct Page<'a> {
    events: Vec<(i64, &'a str)>,
    next_sequence: Option<i64>,
}

impl Page<'_> {
    /// `batches` come by their first sequence. Events beyond the first sequence of a batch that was left out may
    /// have predecessors in it, so they wait for the next page.
    fn of<'a>(batches: &'a [EventBatch], from_sequence: i64, update_uid: &str) -> Result<Page<'a>, Error> {
        let mut events = Vec::new();
        for batch in batches {
            for event in batch.events(update_uid)? {
                let sequence = event.sequence.unwrap_or(0);
                if sequence >= from_sequence {
                    events.push((sequence, event.raw));
                }
            }
        }
        events.sort_by_key(|(sequence, _)| *sequence);
        events.dedup_by_key(|(sequence, _)| *sequence);
        let is_cut = batches.len() > limits::EVENT_PAGE_ROWS;
        let boundary = batches.last().filter(|_| is_cut).map(|batch| batch.first_sequence);
        // Many batches may begin at one sequence; then the page ends behind it, so that paging moves on.
        let next_sequence =
            boundary.map(|first| if first > from_sequence { first } else { from_sequence + 1 });
        if let Some(next) = next_sequence {
            events.retain(|(sequence, _)| *sequence < next);
        }
        Ok(Page { events, next_sequence })
    }
}
