//! The audit record: a chain of rows, each under a keyed hash that covers the one before it.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use super::{Job, Tx};
use crate::crypto::hash_key::HashKey;
use crate::error::Error;

/// What `action` says of a call that was not allowed.
pub const DENIED: &str = "access.denied";
/// What `action` says of a caller who comes anew, or from a new address.
pub const SIGN_IN: &str = "user.sign-in";
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
    /// Keyed hash of this record and the hash before it.
    pub hash: Vec<u8>,
}

impl Record {
    /// The hash that this record must have after one with the hash `before`.
    pub fn expected_hash(&self, key: &HashKey, before: &[u8]) -> [u8; 32] {
        let Who { at_unix, actor, token, token_uid, address, request_id } = &self.who;
        let fields = (self.sequence, at_unix, actor, token, token_uid, address);
        let more = (&self.action, &self.org, &self.target, &self.result, &self.detail, request_id);
        let text = serde_json::to_string(&(fields, more)).expect("texts and numbers");
        key.hash(&[before, text.as_bytes()])
    }
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
    };
    record.hash = record.expected_hash(&entry.key, &before).to_vec();
    insert(tx, &record)
}

fn insert(tx: &Tx, record: &Record) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO audit (sequence, at_unix, actor, token, token_uid, address, action, org, target, result,
                           detail, request_id, hash)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    let Record { sequence, who, action, org, target, result, detail, hash } = record;
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
        hash
    ])?;
    Ok(())
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
    detail, request_id, hash";

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
    })
}

/// Follows a chain, record by record.
pub struct Chain {
    key: Arc<HashKey>,
    last: Option<(i64, Vec<u8>)>,
}

impl Chain {
    /// A chain that may begin anywhere: the first record is taken as it is, unless it has the number 1.
    pub fn new(key: Arc<HashKey>) -> Chain {
        Chain { key, last: None }
    }

    /// The next record, in order. Errors: a sentence on what is wrong with it.
    pub fn follow(&mut self, record: &Record) -> Result<(), String> {
        let number = record.sequence;
        let before = match &self.last {
            Some((last, _)) if number != last + 1 => {
                return Err(format!("record {} is missing: after {last} comes {number}", last + 1));
            }
            Some((_, hash)) => Some(hash.clone()),
            None if number == 1 => Some(BEFORE_THE_FIRST.to_vec()),
            None => None,
        };
        let is_right =
            before.is_none_or(|before| record.expected_hash(&self.key, &before)[..] == record.hash[..]);
        self.last = Some((number, record.hash.clone()));
        is_right.then_some(()).ok_or_else(|| format!("record {number} is not what was recorded"))
    }

    /// Number and hash of the last record.
    pub fn head(&self) -> Option<(i64, &[u8])> {
        self.last.as_ref().map(|(number, hash)| (*number, hash.as_slice()))
    }
}
