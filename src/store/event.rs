//! Engine events, as the batches in which they came. Batches may come twice, overlap and overtake each other.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;
use sha2::Digest;

use super::sealed::{self, damaged};
use super::update::{self, Update};
use super::{Job, Tx};
use crate::crypto::hex;
use crate::crypto::keyring::StackKey;
use crate::domain::event::{Event, parse_batch};
use crate::error::Error;
use crate::limits;

/// Tells batches apart: a keyed hash of the text.
pub type BatchHash = [u8; 16];

/// The hash of a batch as it arrived.
pub fn hash(key: &StackKey, text: &str) -> BatchHash {
    let hash = key.keyed_hasher("events").chain_update(text).finalize();
    hash[..16].try_into().expect("32 bytes")
}

/// Stores a batch; one that is there already changes nothing.
///
/// Errors: `Forbidden` if the update has ended and the batch is not a repeat; `Conflict` for other events under
/// sequences that are taken.
pub struct AppendEvents {
    /// Of which update.
    pub update_id: i64,
    /// The key of its stack.
    pub key: Arc<StackKey>,
    /// What the row is known by.
    pub place: EventsPlace,
    /// The batch as it arrived: an object with its `events`.
    pub text: String,
    /// `text` as `EventsPlace::seal` made it ready.
    pub body: Vec<u8>,
    /// JSON object: what the summary event counts, if it is among them.
    pub resource_changes: Option<String>,
}

/// What a row of events is known by; its text opens at no other place.
#[derive(Clone, Copy)]
pub struct EventsPlace {
    /// Lowest sequence in the batch.
    pub first_sequence: i64,
    /// Highest sequence in the batch.
    pub last_sequence: i64,
    /// Of the batch.
    pub hash: BatchHash,
}

impl EventsPlace {
    /// Makes a batch ready for its row.
    pub fn seal(
        &self,
        key: &StackKey,
        update_uid: &str,
        text: &str,
        deflated: Option<&[u8]>,
    ) -> Result<Vec<u8>, Error> {
        sealed::seal_text(key, &self.label(update_uid), text, deflated)
    }

    fn label(&self, update_uid: &str) -> String {
        let EventsPlace { first_sequence, last_sequence, hash } = self;
        format!("events {first_sequence} {last_sequence} {} {update_uid}", hex(hash))
    }
}

impl Job for AppendEvents {
    const NAME: &'static str = "append_events";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        let EventsPlace { first_sequence, last_sequence, hash } = self.place;
        if is_stored(tx.conn, self.update_id, first_sequence, &hash)? {
            return Ok(());
        }
        let update = update::read_running(tx.conn, self.update_id)?;
        self.refuse_other_events(tx.conn, &update)?;
        const SQL: &str = "
            INSERT INTO events (update_id, first_sequence, last_sequence, hash, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = (update.id, first_sequence, last_sequence, hash, &self.body);
        tx.conn.prepare_cached(SQL)?.execute(row)?;
        const COUNT: &str = "
            UPDATE updates SET n_event_rows = n_event_rows + 1, resource_changes = ifnull(?2, resource_changes)
            WHERE id = ?1";
        tx.conn.prepare_cached(COUNT)?.execute((update.id, &self.resource_changes))?;
        Ok(())
    }
}

fn is_stored(
    conn: &Connection,
    update_id: i64,
    first_sequence: i64,
    hash: &BatchHash,
) -> Result<bool, Error> {
    const SQL: &str = "
        SELECT EXISTS (SELECT 1 FROM events WHERE update_id = ?1 AND first_sequence = ?2 AND hash = ?3)";
    Ok(conn.prepare_cached(SQL)?.query_row((update_id, first_sequence, hash), |row| row.get(0))?)
}

impl AppendEvents {
    /// Batches that share sequences must share the events too. They seldom do: a batch comes again as it was.
    fn refuse_other_events(&self, conn: &Connection, update: &Update) -> Result<(), Error> {
        const SQL: &str = "
            SELECT first_sequence, last_sequence, hash, body FROM events
            WHERE update_id = ?1 AND +first_sequence <= ?3 AND last_sequence >= ?2";
        let mut statement = conn.prepare_cached(SQL)?;
        let mut rows = statement.query((update.id, self.place.first_sequence, self.place.last_sequence))?;
        let mut ours: Option<HashMap<i64, &str>> = None;
        while let Some(row) = rows.next()? {
            let theirs = EventBatch::from_row(row, &self.key, &update.uid)?;
            if ours.is_none() {
                ours = Some(by_sequence(parse_batch(&self.text)?));
            }
            let ours = ours.as_ref().expect("just made");
            for (sequence, event) in by_sequence(theirs.events(&update.uid)?) {
                if ours.get(&sequence).is_some_and(|other| *other != event) {
                    let why = format!(
                        "Event {sequence} was taken before with another content; nothing was stored."
                    );
                    return Err(Error::Conflict(why));
                }
            }
        }
        Ok(())
    }
}

/// A very old CLI gave no sequence; that counts as 0.
fn by_sequence(events: Vec<Event<'_>>) -> HashMap<i64, &str> {
    events.iter().map(|event| (event.sequence.unwrap_or(0), event.raw)).collect()
}

/// A batch as it is stored.
pub struct EventBatch {
    /// Lowest sequence in the batch.
    pub first_sequence: i64,
    text: String,
}

impl EventBatch {
    fn from_row(row: &rusqlite::Row, key: &StackKey, update_uid: &str) -> Result<EventBatch, Error> {
        // A column of another type or length is damage too.
        let place = || -> rusqlite::Result<EventsPlace> {
            let (first_sequence, last_sequence) = (row.get(0)?, row.get(1)?);
            Ok(EventsPlace { first_sequence, last_sequence, hash: row.get(2)? })
        };
        let what = || events_of(update_uid);
        let place = place().map_err(|_| damaged(&what()))?;
        let body: Vec<u8> = row.get(3).map_err(|_| damaged(&what()))?;
        let text = sealed::open_text(key, &place.label(update_uid), &body, &what())?;
        Ok(EventBatch { first_sequence: place.first_sequence, text })
    }

    /// Its events, as they came.
    pub fn events(&self, update_uid: &str) -> Result<Vec<Event<'_>>, Error> {
        parse_batch(&self.text)
            .map_err(|cause| Error::internal(format!("read {}", events_of(update_uid)), cause))
    }
}

fn events_of(update_uid: &str) -> String {
    format!("events of update {update_uid}")
}

/// The batches that reach `from_sequence` or beyond, by their first sequence; at most `EVENT_PAGE_ROWS` and one.
///
/// Errors: if one does not open, or if not all are there that were taken.
pub fn list(
    conn: &Connection,
    key: &StackKey,
    update: &Update,
    from_sequence: i64,
) -> Result<Vec<EventBatch>, Error> {
    // The body is in no index: what is counted is what the list below reads. SQLite believes the schema that no column
    // is null, but not that it has the type: the rows of another tree's page have other columns.
    const COUNT: &str = "
        SELECT count(*) FROM events
        WHERE update_id = ?1 AND typeof(body) = 'blob' AND typeof(last_sequence) = 'integer'";
    let n_rows: i64 = conn.prepare_cached(COUNT)?.query_row([update.id], |row| row.get(0))?;
    if n_rows != update.n_event_rows {
        return Err(damaged(&events_of(&update.uid)));
    }
    // Nor is the list looked up in an index that may have lost some of them.
    const SQL: &str = "
        SELECT first_sequence, last_sequence, hash, body FROM events
        WHERE update_id = ?1 AND +last_sequence >= ?2
        ORDER BY first_sequence LIMIT ?3";
    let mut statement = conn.prepare_cached(SQL)?;
    let mut rows = statement.query((update.id, from_sequence, limits::EVENT_PAGE_ROWS + 1))?;
    let mut batches = Vec::new();
    while let Some(row) = rows.next()? {
        batches.push(EventBatch::from_row(row, key, &update.uid)?);
    }
    Ok(batches)
}

/// Opens every batch of an update; how many there are.
pub fn verify(conn: &Connection, key: &StackKey, update: &Update) -> Result<u64, Error> {
    let mut from = i64::MIN;
    let mut n_batches = 0;
    loop {
        let page = list(conn, key, update, from)?;
        n_batches += page.len().min(limits::EVENT_PAGE_ROWS) as u64;
        match page.last() {
            Some(last) if page.len() > limits::EVENT_PAGE_ROWS && last.first_sequence > from => {
                from = last.first_sequence;
            }
            _ => return Ok(n_batches),
        }
    }
}
