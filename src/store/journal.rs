//! Journals of running updates: appended as batches, judged on arrival, replayed elsewhere.

use std::collections::HashMap;

use rusqlite::Connection;

use super::{Job, Tx, update, version};
use crate::domain::journal::{Ledger, Noted, Verdict, parse_batch};
use crate::error::Error;
use crate::limits;

/// What the writer remembers of running journals, to judge new entries without reading the old ones again.
/// Built from the rows when it is missing; thrown away whenever a commit fails.
#[derive(Default)]
pub struct Ledgers {
    by_update: HashMap<i64, Ledger>,
}

impl Ledgers {
    /// Forgets all; each is built again when it is needed.
    pub fn clear(&mut self) {
        self.by_update.clear();
    }
}

/// Appends a batch to a journal. What is in it for the second time changes nothing.
///
/// Errors: `Forbidden` if the update has ended; `Conflict` for another entry under a sequence id that is taken;
/// `Invalid` for entries that point nowhere. Nothing of a refused batch is stored.
pub struct AppendJournal {
    /// To which update.
    pub update_id: i64,
    /// What the ledger needs to know of each entry.
    pub entries: Vec<Noted>,
    /// SHA-256 of the batch as it arrived.
    pub hash: [u8; 32],
    /// The batch as it arrived.
    pub text: String,
    /// `text` deflated.
    pub body: Vec<u8>,
}

impl Job for AppendJournal {
    const NAME: &'static str = "append_journal";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        let update = update::read_running(tx.conn, self.update_id)?;
        if !tx.ledgers.by_update.contains_key(&update.id) {
            let ledger = rebuild(tx.conn, &update)?;
            tx.ledgers.by_update.insert(update.id, ledger);
        }
        let ledger = tx.ledgers.by_update.get_mut(&update.id).expect("just made");
        let verdict = ledger.check(&self.entries)?;
        if verdict.new.is_empty() {
            return Ok(());
        }
        let is_whole = verdict.new.len() == self.entries.len();
        let body = if is_whole { self.body } else { only_new(&self.text, &verdict)? };
        const SQL: &str = "INSERT INTO journal (update_id, n_entries, hash, body) VALUES (?1, ?2, ?3, ?4)";
        let row = (update.id, verdict.new.len(), self.hash, body);
        tx.conn.prepare_cached(SQL)?.execute(row)?;
        // Last, for what the ledger has been told cannot be taken back.
        ledger.apply(&self.entries, &verdict);
        Ok(())
    }
}

/// The new entries of a batch that is in part a repeat, as a batch of their own.
fn only_new(text: &str, verdict: &Verdict) -> Result<Vec<u8>, Error> {
    let entries = parse_batch(text)?;
    let new: Vec<&str> = verdict.new.iter().map(|&i| entries[i].raw).collect();
    Ok(version::deflate_text(&format!(r#"{{"entries":[{}]}}"#, new.join(","))))
}

fn rebuild(conn: &Connection, update: &update::Update) -> Result<Ledger, Error> {
    let n_base = match update.base_deployment_id {
        Some(id) => version::read_n_resources(conn, id)?,
        None => 0,
    };
    let mut entries = Vec::new();
    for batch in list_batches(conn, update.id)? {
        entries.extend(parse_batch(&batch)?.iter().map(Noted::of));
    }
    Ok(Ledger::restore(n_base, &entries))
}

/// The batches of an update, each `{"entries":[…]}`, in order of arrival.
pub fn list_batches(conn: &Connection, update_id: i64) -> Result<Vec<String>, Error> {
    const SQL: &str = "SELECT body FROM journal WHERE update_id = ?1 ORDER BY id";
    let mut statement = conn.prepare_cached(SQL)?;
    let mut rows = statement.query([update_id])?;
    let mut batches = Vec::new();
    while let Some(row) = rows.next()? {
        let body: Vec<u8> = row.get(0)?;
        batches.push(version::inflate_text(&body, limits::BODY_BYTES_JOURNAL)?);
    }
    Ok(batches)
}

/// Row id of the last batch of an update; 0 if there is none.
pub fn find_last_row(conn: &Connection, update_id: i64) -> Result<i64, Error> {
    const SQL: &str = "SELECT ifnull(max(id), 0) FROM journal WHERE update_id = ?1";
    Ok(conn.prepare_cached(SQL)?.query_row([update_id], |row| row.get(0))?)
}

/// SHA-256 of each batch of an update.
pub fn list_hashes(conn: &Connection, update_id: i64) -> Result<Vec<Vec<u8>>, Error> {
    let mut statement = conn.prepare_cached("SELECT hash FROM journal WHERE update_id = ?1 ORDER BY id")?;
    let hashes = statement.query_map([update_id], |row| row.get(0))?;
    Ok(hashes.collect::<Result<_, _>>()?)
}

/// Removes an update's journal, and what the writer remembers of it.
pub fn delete(tx: &mut Tx, update_id: i64) -> Result<(), Error> {
    tx.ledgers.by_update.remove(&update_id);
    tx.conn.prepare_cached("DELETE FROM journal WHERE update_id = ?1")?.execute([update_id])?;
    Ok(())
}
