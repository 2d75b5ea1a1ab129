//! Journals of running updates: appended as batches, judged on arrival, replayed elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;
use sha2::Digest;

use super::fold::{self, Shared};
use super::sealed::{self, Opened, damaged};
use super::sketch::{Resources, Sketch};
use super::update::{self, Update};
use super::{Job, Tx, version};
use crate::crypto::hex;
use crate::crypto::keyring::StackKey;
use crate::domain::digest::TextHash;
use crate::domain::journal::{Entry, Ledger, Noted, Verdict, parse_batch};
use crate::error::Error;

/// Tells batches apart: a keyed hash of the text.
pub type BatchHash = [u8; 32];

/// The hash of a batch as it arrived. `hashes` are of the states of its entries, which are not hashed again.
pub fn hash(key: &StackKey, text: &str, entries: &[Entry], hashes: &[Option<TextHash>]) -> BatchHash {
    let mut hasher = key.keyed_hasher("journal");
    let mut at = 0;
    for (entry, hash) in entries.iter().zip(hashes) {
        let Some((state, hash)) = entry.state.zip(*hash) else { continue };
        let start = state.as_ptr().addr() - text.as_ptr().addr();
        hasher.update(((start - at) as u64).to_le_bytes());
        hasher.update(&text[at..start]);
        hasher.update((state.len() as u64).to_le_bytes());
        hasher.update(hash);
        at = start + state.len();
    }
    hasher.update(&text[at..]);
    hasher.finalize().into()
}

/// Makes a batch ready for its row: `text`, or, with `shared`, what it does not share with the update's base.
///
/// A row has no other label than its batch's hash, for the order of rows means nothing; and no two have the same
/// one, for of a batch that comes again nothing is new.
pub fn seal(
    key: &StackKey,
    update_uid: &str,
    hash: &BatchHash,
    text: &str,
    deflated: Option<&[u8]>,
    shared: &[Shared],
) -> Result<Vec<u8>, Error> {
    let label = label(update_uid, hash);
    match shared {
        [] => sealed::seal_text(key, &label, text, deflated),
        shared => sealed::seal_folded(key, &label, text, &fold::fold(text, shared)),
    }
}

/// Bits of a row's id that hold its number, from 1; the update's id is above them. A million batches are more than an
/// update can send while its CLI lives.
const NUMBER_BITS: u32 = 20;

/// The ids that the rows of an update may have: the lowest and the highest.
fn row_ids(update_id: i64) -> (i64, i64) {
    (update_id << NUMBER_BITS, ((update_id + 1) << NUMBER_BITS) - 1)
}

fn next_row_id(update: &Update) -> Result<i64, Error> {
    let (lowest, highest) = row_ids(update.id);
    let id = lowest + update.n_journal_rows + 1;
    match id <= highest {
        true => Ok(id),
        false => Err(Error::invalid("", "this update has sent more batches of journal entries than any may")),
    }
}

fn label(update_uid: &str, hash: &BatchHash) -> String {
    format!("journal {} {update_uid}", hex(hash))
}

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
    /// The key of its stack.
    pub key: Arc<StackKey>,
    /// What the ledger needs to know of each entry.
    pub entries: Vec<Noted>,
    /// Of the batch as it arrived.
    pub hash: BatchHash,
    /// The batch as it arrived.
    pub text: String,
    /// `text` as `seal` made it ready.
    pub body: Vec<u8>,
}

impl Job for AppendJournal {
    const NAME: &'static str = "append_journal";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        let update = update::read_running(tx.conn, self.update_id)?;
        if !tx.ledgers.by_update.contains_key(&update.id) {
            let ledger = rebuild(tx.conn, &self.key, &update)?;
            tx.ledgers.by_update.insert(update.id, ledger);
        }
        let ledger = tx.ledgers.by_update.get_mut(&update.id).expect("just made");
        let verdict = ledger.check(&self.entries)?;
        if verdict.new.is_empty() {
            return Ok(());
        }
        let is_whole = verdict.new.len() == self.entries.len();
        let body = if is_whole { self.body } else { self.seal_only_new(&update.uid, &verdict)? };
        const SQL: &str = "INSERT INTO journal (id, hash, body) VALUES (?1, ?2, ?3)";
        let id = next_row_id(&update)?;
        tx.conn.prepare_cached(SQL)?.execute((id, self.hash, body))?;
        const COUNT: &str = "
            UPDATE updates
            SET n_journal_rows = n_journal_rows + 1, n_journal_entries = n_journal_entries + ?2
            WHERE id = ?1";
        tx.conn.prepare_cached(COUNT)?.execute((update.id, verdict.new.len()))?;
        // Last, for what the ledger has been told cannot be taken back.
        ledger.apply(&self.entries, &verdict);
        Ok(())
    }
}

impl AppendJournal {
    /// The new entries of a batch that is in part a repeat, as a batch of their own.
    fn seal_only_new(&self, update_uid: &str, verdict: &Verdict) -> Result<Vec<u8>, Error> {
        let entries = parse_batch(&self.text)?;
        let new: Vec<&str> = verdict.new.iter().map(|&i| entries[i].raw).collect();
        let text = format!(r#"{{"entries":[{}]}}"#, new.join(","));
        seal(&self.key, update_uid, &self.hash, &text, None, &[])
    }
}

fn rebuild(conn: &Connection, key: &StackKey, update: &Update) -> Result<Ledger, Error> {
    let n_base = match update.base_deployment_id {
        Some(id) => version::read_n_resources(conn, id)?,
        None => 0,
    };
    let mut entries = Vec::new();
    for batch in list_batches(conn, key, update)? {
        entries.extend(parse_batch(&batch)?.iter().map(Noted::of));
    }
    if entries.len() as i64 != update.n_journal_entries {
        return Err(damaged(&journal_of(update)));
    }
    Ok(Ledger::restore(n_base, &entries))
}

fn journal_of(update: &Update) -> String {
    format!("the journal of update {}", update.uid)
}

/// The batches of a running update, each `{"entries":[…]}`, in order of arrival.
///
/// Errors: if one does not open, or if not all are there that were taken.
pub fn list_batches(conn: &Connection, key: &StackKey, update: &Update) -> Result<Vec<String>, Error> {
    let (opened, n_rows) = open_batches(conn, key, update)?;
    all_of(update, texts(conn, key, update, &opened), n_rows)
}

/// A batch in which `fold::STAND_IN` stands for each resource of the base that it repeats.
pub struct Outline {
    /// `{"entries":[…]}`.
    pub text: String,
    /// Where the resources of the base would be, and which they are.
    pub shared: Vec<Shared>,
}

/// The same without what they share with the base, which is not looked at.
pub fn list_outlines(conn: &Connection, key: &StackKey, update: &Update) -> Result<Vec<Outline>, Error> {
    let (opened, n_rows) = open_batches(conn, key, update)?;
    let outlines = opened.iter().filter_map(Opened::outline);
    all_of(update, outlines.map(|(text, shared)| Outline { text, shared }).collect(), n_rows)
}

fn all_of<T>(update: &Update, batches: Vec<T>, n_rows: i64) -> Result<Vec<T>, Error> {
    let is_all = n_rows == update.n_journal_rows && batches.len() as i64 == n_rows;
    if is_all { Ok(batches) } else { Err(damaged(&journal_of(update))) }
}

/// Those batches that can be read, for an update of which a part is damaged.
pub fn list_readable(conn: &Connection, key: &StackKey, update: &Update) -> Result<Vec<String>, Error> {
    let (opened, _) = open_batches(conn, key, update)?;
    Ok(texts(conn, key, update, &opened))
}

/// The batches of a running update that open, in order of arrival, and how many rows there are.
fn open_batches(conn: &Connection, key: &StackKey, update: &Update) -> Result<(Vec<Opened>, i64), Error> {
    const SQL: &str = "SELECT hash, body FROM journal WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
    let mut statement = conn.prepare_cached(SQL)?;
    let mut rows = statement.query(row_ids(update.id))?;
    let mut opened: Vec<Opened> = Vec::new();
    let mut n_rows = 0;
    while let Some(row) = rows.next()? {
        n_rows += 1;
        // A column of another type or length is damage too.
        let parts = || -> rusqlite::Result<(BatchHash, Vec<u8>)> { Ok((row.get(0)?, row.get(1)?)) };
        let Ok((hash, body)) = parts() else { continue };
        opened.extend(Opened::new(key, &label(&update.uid, &hash), &body));
    }
    Ok((opened, n_rows))
}

/// The texts of those batches that can be read.
fn texts(conn: &Connection, key: &StackKey, update: &Update, opened: &[Opened]) -> Vec<String> {
    let base = match opened.iter().any(Opened::is_folded) {
        true => base_resources(conn, key, update),
        false => Resources::default(),
    };
    let base: Vec<&str> = base.iter().collect();
    opened.iter().filter_map(|batch| batch.text(&base)).collect()
}

/// The resources of what an update started from; none if they cannot be read, and then nothing that needs them can.
fn base_resources(conn: &Connection, key: &StackKey, update: &Update) -> Resources {
    let read = |id| Sketch::read(conn, key, id)?.resources(conn, key);
    update.base_deployment_id.map(read).and_then(Result::ok).unwrap_or_default()
}

/// The hash of each batch of an update.
pub fn list_hashes(conn: &Connection, update_id: i64) -> Result<Vec<Vec<u8>>, Error> {
    const SQL: &str = "SELECT hash FROM journal WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
    let mut statement = conn.prepare_cached(SQL)?;
    let hashes = statement.query_map(row_ids(update_id), |row| row.get(0))?;
    Ok(hashes.collect::<Result<_, _>>()?)
}

/// Removes an update's journal, and what the writer remembers of it.
pub fn delete(tx: &mut Tx, update_id: i64) -> Result<(), Error> {
    tx.ledgers.by_update.remove(&update_id);
    const SQL: &str = "DELETE FROM journal WHERE id BETWEEN ?1 AND ?2";
    tx.conn.prepare_cached(SQL)?.execute(row_ids(update_id))?;
    Ok(())
}
