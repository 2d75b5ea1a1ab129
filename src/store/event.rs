//! Engine events, as the batches in which they came. Batches may come twice, overlap and overtake each other.

use std::collections::HashMap;

use rusqlite::Connection;
use serde_json::value::RawValue;

use super::{Job, Tx, update, version};
use crate::error::Error;
use crate::limits;

/// Stores a batch; one that is there already changes nothing.
///
/// Errors: `Forbidden` if the update has ended and the batch is not a repeat; `Conflict` for other events under
/// sequences that are taken.
pub struct AppendEvents {
    /// Of which update.
    pub update_id: i64,
    /// Lowest sequence in the batch.
    pub first_sequence: i64,
    /// Highest sequence in the batch.
    pub last_sequence: i64,
    /// SHA-256 of the batch.
    pub hash: [u8; 32],
    /// The batch: a JSON array of events.
    pub text: String,
    /// `text` deflated.
    pub body: Vec<u8>,
    /// JSON object: what the summary event counts, if it is among them.
    pub resource_changes: Option<String>,
}

impl Job for AppendEvents {
    const NAME: &'static str = "append_events";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        if is_stored(tx.conn, self.update_id, self.first_sequence, &self.hash)? {
            return Ok(());
        }
        update::read_running(tx.conn, self.update_id)?;
        refuse_other_events(tx.conn, &self)?;
        const SQL: &str = "
            INSERT INTO events (update_id, first_sequence, last_sequence, hash, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = (self.update_id, self.first_sequence, self.last_sequence, self.hash, &self.body);
        tx.conn.prepare_cached(SQL)?.execute(row)?;
        if let Some(changes) = &self.resource_changes {
            const SET_CHANGES: &str = "UPDATE updates SET resource_changes = ?2 WHERE id = ?1";
            tx.conn.prepare_cached(SET_CHANGES)?.execute((self.update_id, changes))?;
        }
        Ok(())
    }
}

fn is_stored(conn: &Connection, update_id: i64, first_sequence: i64, hash: &[u8; 32]) -> Result<bool, Error> {
    const SQL: &str = "
        SELECT EXISTS (SELECT 1 FROM events WHERE update_id = ?1 AND first_sequence = ?2 AND hash = ?3)";
    Ok(conn.prepare_cached(SQL)?.query_row((update_id, first_sequence, hash), |row| row.get(0))?)
}

/// Batches that share sequences must share the events too. They seldom do: a batch comes again as it was.
fn refuse_other_events(conn: &Connection, batch: &AppendEvents) -> Result<(), Error> {
    const SQL: &str = "
        SELECT body FROM events WHERE update_id = ?1 AND +first_sequence <= ?3 AND last_sequence >= ?2";
    let mut statement = conn.prepare_cached(SQL)?;
    let mut rows = statement.query((batch.update_id, batch.first_sequence, batch.last_sequence))?;
    let mut ours: Option<HashMap<i64, &str>> = None;
    while let Some(row) = rows.next()? {
        let body: Vec<u8> = row.get(0)?;
        let theirs = version::inflate_text(&body, limits::BODY_BYTES_EVENTS)?;
        if ours.is_none() {
            ours = Some(by_sequence(&batch.text)?);
        }
        let ours = ours.as_ref().expect("just made");
        for (sequence, event) in by_sequence(&theirs)? {
            if ours.get(&sequence).is_some_and(|other| *other != event) {
                let why =
                    format!("Event {sequence} was taken before with another content; nothing was stored.");
                return Err(Error::Conflict(why));
            }
        }
    }
    Ok(())
}

fn by_sequence(array: &str) -> Result<HashMap<i64, &str>, Error> {
    let events: Vec<&RawValue> =
        serde_json::from_str(array).map_err(|cause| Error::internal("read stored events", cause))?;
    events.iter().map(|event| Ok((sequence(event)?, event.get()))).collect()
}

/// The place of a stored event among those of its update; 0 where a very old CLI gave none.
pub fn sequence(event: &RawValue) -> Result<i64, Error> {
    #[derive(serde::Deserialize)]
    struct Numbered {
        #[serde(default)]
        sequence: i64,
    }
    let numbered: Result<Numbered, _> = serde_json::from_str(event.get());
    Ok(numbered.map_err(|cause| Error::internal("read a stored event", cause))?.sequence)
}

/// A batch as it is stored.
pub struct EventBatch {
    /// Lowest sequence in the batch.
    pub first_sequence: i64,
    /// JSON array of events.
    pub text: String,
}

/// The batches that reach `from_sequence` or beyond, by their first sequence; at most `EVENT_PAGE_ROWS` and one.
pub fn list(conn: &Connection, update_id: i64, from_sequence: i64) -> Result<Vec<EventBatch>, Error> {
    const SQL: &str = "
        SELECT first_sequence, body FROM events
        WHERE update_id = ?1 AND last_sequence >= ?2
        ORDER BY first_sequence LIMIT ?3";
    let mut statement = conn.prepare_cached(SQL)?;
    let mut rows = statement.query((update_id, from_sequence, limits::EVENT_PAGE_ROWS + 1))?;
    let mut batches = Vec::new();
    while let Some(row) = rows.next()? {
        let body: Vec<u8> = row.get(1)?;
        let text = version::inflate_text(&body, limits::BODY_BYTES_EVENTS)?;
        batches.push(EventBatch { first_sequence: row.get(0)?, text });
    }
    Ok(batches)
}
