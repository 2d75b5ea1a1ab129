//! The audit record: a chain of rows. The hash of each covers the one before it, and each is sealed with a keyed hash.

pub mod chain;

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};
use sha2::{Digest, Sha256};

use self::chain::{Chain, Walked};
use super::{Job, Store, Tx};
use crate::crypto::hash_key::HashKey;
use crate::crypto::{hex, unhex};
use crate::error::Error;
use crate::limits;

/// What the key of the seals is made for.
pub const KEY: &str = "audit";
/// What `action` says of a call that was not allowed.
pub const DENIED: &str = "access.denied";
/// What `action` says of a caller who comes anew, or from a new address.
pub const SIGN_IN: &str = "user.sign-in";
/// What `action` says of records that were given up for their age.
pub const CUT: &str = "audit.cut";
/// What the hash of the first record covers in place of a predecessor's.
const BEFORE_THE_FIRST: [u8; 32] = [0; 32];

/// Who caused something, and when.
#[derive(Clone, Default)]
pub struct Who {
    /// When.
    pub at_unix: i64,
    /// The user's name, or that of a machine token's organization.
    pub actor: String,
    /// The token's name; empty if there was none.
    pub token: String,
    /// The token's id; empty if there was none.
    pub token_uid: String,
    /// Where the call came from.
    pub address: String,
    /// The id that the caller was told.
    pub request_id: String,
}

/// An event that has not been recorded yet.
#[derive(Clone)]
pub struct Event {
    /// Who caused it.
    pub who: Who,
    /// As `stack.create`.
    pub action: &'static str,
    /// On what: a stack's full name, a user, …
    pub target: String,
    /// The organization that it concerns; empty for the whole server.
    pub org: String,
    /// `ok`, or how it ended.
    pub result: String,
    /// What else there is to say.
    pub detail: String,
}

/// An event with the key that its record is sealed with.
#[derive(Clone)]
pub struct Entry {
    /// What happened.
    pub event: Event,
    /// The key of the audit record.
    pub key: Arc<HashKey>,
}

/// A job together with its record: both are stored, or neither.
pub struct Audited<J: Job> {
    /// What is done.
    pub job: J,
    /// What is recorded of it, if it is done; none if it is not worth a record.
    pub entry: Option<Entry>,
}

impl<J: Job> Job for Audited<J> {
    const NAME: &'static str = J::NAME;
    type Output = J::Output;

    fn run(self, tx: &mut Tx) -> Result<J::Output, Error> {
        let output = self.job.run(tx)?;
        match self.entry {
            Some(entry) if J::is_done(&output) => append(tx, entry)?,
            _ => {}
        }
        Ok(output)
    }

    fn is_done(output: &J::Output) -> bool {
        J::is_done(output)
    }
}

/// Records what changed nothing here, as a read or a refusal.
pub struct Note(pub Entry);

impl Job for Note {
    const NAME: &'static str = "note";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        append(tx, self.0)
    }
}

/// A record as it is stored.
pub struct Record {
    /// From 1, without gaps.
    pub sequence: i64,
    /// What happened; `action` stands beside it, as it is read.
    pub who: Who,
    /// As `stack.create`.
    pub action: String,
    /// The organization.
    pub org: String,
    /// On what.
    pub target: String,
    /// How it ended.
    pub result: String,
    /// What else there is to say.
    pub detail: String,
    /// SHA-256 over the hash before it and this record.
    pub hash: Vec<u8>,
    /// Keyed hash of that.
    pub seal: Vec<u8>,
}

impl Record {
    /// The hash that this record must have after one with the hash `before`.
    pub fn hash_after(&self, before: &[u8]) -> [u8; 32] {
        let Who { at_unix, actor, token, token_uid, address, request_id } = &self.who;
        let fields = (self.sequence, at_unix, actor, token, token_uid, address);
        let more = (&self.action, &self.org, &self.target, &self.result, &self.detail, request_id);
        let text = serde_json::to_string(&(fields, more)).expect("texts and numbers");
        Sha256::new_with_prefix(before).chain_update(text).finalize().into()
    }

    /// What nobody without the key can make for this hash.
    pub fn seal_with(&self, key: &HashKey) -> [u8; 32] {
        key.hash(&[&self.hash])
    }
}

/// A place in the record: `NUMBER:HASH`.
pub fn place(sequence: i64, hash: &[u8]) -> String {
    format!("{sequence}:{}", hex(hash))
}

/// The other way; none if it is not such a text.
pub fn parse_place(text: &str) -> Option<(i64, Vec<u8>)> {
    let (number, hash) = text.split_once(':')?;
    Some((number.parse().ok()?, unhex(hash)?))
}

/// Adds a record to the chain.
pub fn append(tx: &Tx, entry: Entry) -> Result<(), Error> {
    let (sequence, before) = find_head(tx.conn)?.unwrap_or((0, BEFORE_THE_FIRST.to_vec()));
    let Event { who, action, target, org, result, detail } = entry.event;
    let mut record = Record {
        sequence: sequence + 1,
        who,
        action: action.into(),
        org,
        target,
        result,
        detail,
        hash: Vec::new(),
        seal: Vec::new(),
    };
    record.hash = record.hash_after(&before).to_vec();
    record.seal = record.seal_with(&entry.key).to_vec();
    insert(tx, &record)
}

fn insert(tx: &Tx, record: &Record) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO audit (sequence, at_unix, actor, token, token_uid, address, action, org, target, result,
                           detail, request_id, hash, seal)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    let Record { sequence, who, action, org, target, result, detail, hash, seal } = record;
    tx.conn.prepare_cached(SQL)?.execute(rusqlite::params![
        sequence,
        who.at_unix,
        who.actor,
        who.token,
        who.token_uid,
        who.address,
        action,
        org,
        target,
        result,
        detail,
        who.request_id,
        hash,
        seal
    ])?;
    Ok(())
}

/// Gives up records for their age, from the oldest on, and records which. The last of all stays.
///
/// What is left is a chain still: the record of the cut has number and hash of the last one that went.
pub struct Cut {
    /// Those from before this time go, up to the first that is younger.
    pub before_unix: i64,
    /// At most so many, for others wait.
    pub n_max: i64,
    /// The record of it; its detail is filled in.
    pub entry: Entry,
}

impl Job for Cut {
    const NAME: &'static str = "cut_audit";
    /// How many went.
    type Output = i64;

    fn run(self, tx: &mut Tx) -> Result<i64, Error> {
        let Some((oldest, last)) = find_old(tx.conn, self.before_unix, self.n_max)? else { return Ok(0) };
        const HASH: &str = "SELECT hash FROM audit WHERE sequence = ?1";
        let hash: Vec<u8> = tx.conn.prepare_cached(HASH)?.query_row([last], |row| row.get(0))?;
        tx.conn.prepare_cached("DELETE FROM audit WHERE sequence <= ?1")?.execute([last])?;
        let mut entry = self.entry;
        entry.event.target = format!("records {oldest} to {last}");
        entry.event.detail = place(last, &hash);
        append(tx, entry)?;
        Ok(last + 1 - oldest)
    }
}

/// The numbers of the first and the last record that are older than this time, of the oldest `n_max`.
pub fn find_old(conn: &Connection, before_unix: i64, n_max: i64) -> Result<Option<(i64, i64)>, Error> {
    const OLDEST: &str = "SELECT min(sequence), max(sequence) FROM audit";
    let ends: (Option<i64>, Option<i64>) =
        conn.prepare_cached(OLDEST)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(oldest), Some(newest)) = ends else { return Ok(None) };
    const YOUNGER: &str = "
        SELECT sequence FROM audit WHERE at_unix >= ?1 AND sequence < ?2 ORDER BY sequence LIMIT 1";
    let end = newest.min(oldest + n_max);
    let younger: Option<i64> =
        conn.prepare_cached(YOUNGER)?.query_row((before_unix, end), |row| row.get(0)).optional()?;
    let last = younger.unwrap_or(end) - 1;
    Ok((last >= oldest).then_some((oldest, last)))
}

/// Walks along all that is stored.
pub fn walk(store: &Store, chain: impl Fn() -> Chain) -> Result<Walked, Error> {
    const OLDEST: &str = "SELECT min(sequence) FROM audit";
    let find_oldest = |conn: &Connection| -> Result<Option<i64>, Error> {
        Ok(conn.prepare_cached(OLDEST)?.query_row([], |row| row.get(0))?)
    };
    loop {
        let oldest = store.read(find_oldest)?;
        let walked = walk_once(store, chain())?;
        // What was given up meanwhile would be found missing.
        if walked.problem.is_none() || store.read(find_oldest)? == oldest {
            return Ok(walked);
        }
    }
}

/// A page at a time: a long view would keep the log from being folded.
fn walk_once(store: &Store, mut chain: Chain) -> Result<Walked, Error> {
    let (mut after, n_max) = (0, limits::AUDIT_PAGE_ROWS);
    loop {
        let records = store.read(|conn| list(conn, &Filter::default(), Some(after), false, n_max))?;
        let is_last = records.len() < n_max;
        after = records.last().map_or(after, |last| last.sequence);
        records.into_iter().for_each(|record| chain.take(record));
        if is_last {
            break;
        }
    }
    let mut walked = chain.end();
    if let (None, false, Some(first)) = (&walked.problem, walked.is_from_start, walked.first) {
        walked.problem = Some(format!("records 1 to {} are missing", first - 1));
    }
    Ok(walked)
}

/// Number and hash of the last record.
pub fn find_head(conn: &Connection) -> Result<Option<(i64, Vec<u8>)>, Error> {
    const SQL: &str = "SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1";
    Ok(conn.prepare_cached(SQL)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Which records a list has; all that is given must hold.
#[derive(Default)]
pub struct Filter {
    /// Only of this organization.
    pub org: Option<String>,
    /// Only by this user.
    pub actor: Option<String>,
    /// Only this action, or all that begin so, as `stack`.
    pub action: Option<String>,
    /// Only on this stack or other thing.
    pub target: Option<String>,
    /// Only from this time on.
    pub from_unix: Option<i64>,
    /// Only before this time.
    pub until_unix: Option<i64>,
}

/// Records in their order, newest first or oldest first, beyond the one of that number; at most `n_max`.
pub fn list(
    conn: &Connection,
    filter: &Filter,
    beyond: Option<i64>,
    is_newest_first: bool,
    n_max: usize,
) -> Result<Vec<Record>, Error> {
    const CONDITIONS: &str = "
          AND (?2 IS NULL OR org = ?2)
          AND (?3 IS NULL OR actor = ?3)
          AND (?4 IS NULL OR action = ?4 OR substr(action, 1, length(?4) + 1) = ?4 || '.')
          AND (?5 IS NULL OR target = ?5)
          AND (?6 IS NULL OR at_unix >= ?6)
          AND (?7 IS NULL OR at_unix < ?7)";
    let (order, start) = match is_newest_first {
        true => ("sequence < ?1", beyond.unwrap_or(i64::MAX)),
        false => ("sequence > ?1", beyond.unwrap_or(0)),
    };
    let direction = if is_newest_first { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT {COLUMNS} FROM audit WHERE {order} {CONDITIONS} ORDER BY sequence {direction} LIMIT ?8"
    );
    let Filter { org, actor, action, target, from_unix, until_unix } = filter;
    let mut statement = conn.prepare_cached(&sql)?;
    let rows =
        statement.query_map((start, org, actor, action, target, from_unix, until_unix, n_max), from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

const COLUMNS: &str = "sequence, at_unix, actor, token, token_uid, address, action, org, target, result,
    detail, request_id, hash, seal";

fn from_row(row: &Row) -> rusqlite::Result<Record> {
    Ok(Record {
        sequence: row.get(0)?,
        who: Who {
            at_unix: row.get(1)?,
            actor: row.get(2)?,
            token: row.get(3)?,
            token_uid: row.get(4)?,
            address: row.get(5)?,
            request_id: row.get(11)?,
        },
        action: row.get(6)?,
        org: row.get(7)?,
        target: row.get(8)?,
        result: row.get(9)?,
        detail: row.get(10)?,
        hash: row.get(12)?,
        seal: row.get(13)?,
    })
}
