//! Updates: created, started, renewed, ended; the lock is the row itself (see the index `updates_one_running`).

use rusqlite::{Connection, OptionalExtension, Row};

use super::version::{self, Encoded};
use super::{Job, Tx, checkpoint, journal, mac, program, stack};
use crate::crypto::token::TokenHash;
use crate::domain::update::{UpdateKind, UpdateStatus};
use crate::error::Error;

/// An update as it is stored, without what it wrote.
#[derive(Clone)]
pub struct Update {
    /// Row id.
    pub id: i64,
    /// The id that clients see.
    pub uid: String,
    /// Row id of its stack.
    pub stack_id: i64,
    /// What it does.
    pub kind: UpdateKind,
    /// A preview: no lock, no version, no history.
    pub is_dry_run: bool,
    /// Where in its life it is.
    pub status: UpdateStatus,
    /// Its number, once started; none for a dry run.
    pub version: Option<i64>,
    /// The deployment it started from, while it runs.
    pub base_deployment_id: Option<i64>,
    /// Who created it.
    pub requested_by: String,
    /// When it was started.
    pub started_at_unix: Option<i64>,
    /// When it ended.
    pub ended_at_unix: Option<i64>,
    /// SHA-256 of its lease token, once started; it stays after the end.
    pub lease_hash: Option<Vec<u8>>,
    /// When its lease runs out.
    pub lease_expires_at_unix: Option<i64>,
    /// 1 if it journals, 0 if it sends checkpoints.
    pub journal_version: i64,
    /// Number of the last checkpoint taken; 0 if none.
    pub checkpoint_sequence: i64,
    /// Why it ended, if not by its own CLI.
    pub end_note: Option<String>,
    /// Rows that its journal has, or had when it ended.
    pub n_journal_rows: i64,
    /// Entries in them.
    pub n_journal_entries: i64,
    /// Rows of its engine events.
    pub n_event_rows: i64,
}

/// The line that every update conflict shows; CLIs and SDKs look for exactly this text.
pub const ANOTHER_UPDATE: &str = "Another update is currently in progress.";

/// Records that an update is wanted. It locks nothing yet.
pub struct CreateUpdate {
    /// Of which stack.
    pub stack_id: i64,
    /// Its new id.
    pub uid: String,
    /// What it will do.
    pub kind: UpdateKind,
    /// Whether it is a preview.
    pub is_dry_run: bool,
    /// Who asks.
    pub requested_by: String,
    /// The create request, as `program::seal` made it ready.
    pub program: Vec<u8>,
    /// Now.
    pub now_unix: i64,
}

impl Job for CreateUpdate {
    const NAME: &'static str = "create_update";
    type Output = i64;

    fn run(self, tx: &mut Tx) -> Result<i64, Error> {
        stack::read(tx.conn, self.stack_id)?;
        const SQL: &str = "
            INSERT INTO updates (uid, stack_id, kind, is_dry_run, status, requested_by, created_at_unix)
            VALUES (?1, ?2, ?3, ?4, 'not started', ?5, ?6)";
        let row = (
            &self.uid,
            self.stack_id,
            self.kind.as_str(),
            self.is_dry_run,
            &self.requested_by,
            self.now_unix,
        );
        let update_id = tx.conn.prepare_cached(SQL)?.insert(row)?;
        program::insert(tx, update_id, &self.program)?;
        Ok(update_id)
    }
}

/// Starts a created update: it takes the stack over and learns which version it will write.
pub struct StartUpdate {
    /// Which.
    pub update_id: i64,
    /// SHA-256 of its new lease token.
    pub lease_hash: TokenHash,
    /// When that runs out.
    pub lease_expires_at_unix: i64,
    /// Where its CLI calls from.
    pub holder_address: String,
    /// The stack's tags from now on, a JSON object; none leaves them.
    pub tags: Option<String>,
    /// 1 to journal, 0 for checkpoints.
    pub journal_version: i64,
    /// Now.
    pub now_unix: i64,
}

impl Job for StartUpdate {
    const NAME: &'static str = "start_update";
    /// The version of the stack: the one claimed, or for a dry run the current one.
    type Output = i64;

    fn run(self, tx: &mut Tx) -> Result<i64, Error> {
        let update = read(tx.conn, self.update_id)?;
        let stack = stack::read(tx.conn, update.stack_id)?;
        if update.status != UpdateStatus::NotStarted {
            return Err(Error::Conflict(format!("Update '{}' has already been started.", update.uid)));
        }
        let version = if update.is_dry_run {
            None
        } else {
            refuse_if_running(tx.conn, stack.id)?;
            Some(stack::claim_version(tx, stack.id, &update.uid, self.now_unix)?)
        };
        const SQL: &str = "
            UPDATE updates
            SET status = 'running', version = ?2, base_deployment_id = ?3, started_at_unix = ?4,
                lease_hash = ?5, lease_expires_at_unix = ?6, journal_version = ?7, heard_at_unix = ?4,
                holder_address = ?8
            WHERE id = ?1";
        tx.conn.prepare_cached(SQL)?.execute((
            update.id,
            version,
            stack.deployment_id,
            self.now_unix,
            self.lease_hash.0,
            self.lease_expires_at_unix,
            self.journal_version,
            &self.holder_address,
        ))?;
        if let (Some(tags), false) = (&self.tags, update.is_dry_run) {
            stack::set_tags(tx, stack.id, tags)?;
        }
        Ok(version.unwrap_or(stack.version))
    }
}

/// Extends a lease; it is never shortened. Answers when it now runs out.
///
/// Errors: `Forbidden` if the update has ended.
pub struct RenewLease {
    /// Which.
    pub update_id: i64,
    /// Wanted end.
    pub lease_expires_at_unix: i64,
    /// Now.
    pub now_unix: i64,
}

impl Job for RenewLease {
    const NAME: &'static str = "renew_lease";
    type Output = i64;

    fn run(self, tx: &mut Tx) -> Result<i64, Error> {
        read_running(tx.conn, self.update_id)?;
        const SQL: &str = "
            UPDATE updates SET lease_expires_at_unix = max(lease_expires_at_unix, ?2), heard_at_unix = ?3
            WHERE id = ?1 RETURNING lease_expires_at_unix";
        let row = (self.update_id, self.lease_expires_at_unix, self.now_unix);
        Ok(tx.conn.prepare_cached(SQL)?.query_row(row, |row| row.get(0))?)
    }
}

/// How far an update had come when its end was worked out. If it went on since, the end is worked out anew.
#[derive(PartialEq, Eq, Clone, Debug, Default)]
pub struct Progress {
    /// Rows of the journal.
    pub last_journal_row: i64,
    /// That of the last checkpoint, if any.
    pub checkpoint_hash: Option<Vec<u8>>,
}

/// The deployment that an update ends with.
pub enum EndState {
    /// What it started from: it wrote nothing.
    Base,
    /// Its last checkpoint, which is stored already.
    Checkpoint(i64),
    /// What it wrote.
    Written(Encoded),
}

/// Ends an update, whatever the reason: the version, the history, the status and the lock in one commit.
///
/// Answers false, and changes nothing, if the update went on since `progress`, or the database did.
/// Errors: `Forbidden` if it has ended already.
pub struct EndUpdate {
    /// Which.
    pub update_id: i64,
    /// How it ended.
    pub status: UpdateStatus,
    /// Who or what ended it, if not its own CLI.
    pub note: Option<String>,
    /// What `state` was worked out from.
    pub progress: Progress,
    /// What it leaves behind.
    pub state: EndState,
    /// What is not sound in it, a sentence a line, as `program::seal_findings` made it ready.
    pub findings: Option<Vec<u8>>,
    /// What lies in it in plain text, as `program::seal_leaks` made it ready.
    pub leaks: Option<Vec<u8>>,
    /// If given, the update is ended only if its lease has run out by then.
    pub only_if_expired_by_unix: Option<i64>,
    /// Now.
    pub now_unix: i64,
}

impl Job for EndUpdate {
    const NAME: &'static str = "end_update";
    type Output = bool;

    fn is_done(is_done: &bool) -> bool {
        *is_done
    }

    fn run(self, tx: &mut Tx) -> Result<bool, Error> {
        let update = read_running(tx.conn, self.update_id)?;
        let is_renewed =
            self.only_if_expired_by_unix.is_some_and(|by| update.lease_expires_at_unix > Some(by));
        if is_renewed || find_progress(tx.conn, update.id)? != self.progress {
            return Ok(false);
        }
        let n_resources = match update.version.map(|version| self.store_version(tx, &update, version)) {
            // A run that it counts on was collected meanwhile.
            Some(Err(Error::Busy)) => return Ok(false),
            n_resources => n_resources.transpose()?,
        };
        // The clock may have gone back since: nothing ends before it began.
        const SQL: &str = "
            UPDATE updates
            SET status = ?2, ended_at_unix = max(?3, coalesce(started_at_unix, ?3)), end_note = ?4, findings = ?5, n_resources = ?6,
                delivered = ?7, leaks = ?8, base_deployment_id = NULL
            WHERE id = ?1";
        let delivered = delivered_hashes(tx.conn, update.id)?;
        tx.conn.prepare_cached(SQL)?.execute((
            update.id,
            self.status.as_str(),
            self.now_unix,
            &self.note,
            &self.findings,
            n_resources,
            delivered,
            &self.leaks,
        ))?;
        journal::delete(tx, update.id)?;
        checkpoint::delete(tx, update.id)?;
        Ok(true)
    }
}

impl EndUpdate {
    /// The number of resources that the stack has now.
    fn store_version(&self, tx: &Tx, update: &Update, version: i64) -> Result<i64, Error> {
        let deployment_id = match &self.state {
            EndState::Written(encoded) => Some(version::insert_deployment(tx, update.stack_id, encoded)?),
            EndState::Checkpoint(deployment_id) => Some(*deployment_id),
            // It is gone only if the database is damaged, and then the stack is freed all the same.
            EndState::Base => match update.base_deployment_id {
                Some(id) if version::has_deployment(tx.conn, id)? => Some(id),
                _ => None,
            },
        };
        stack::touch(tx, update.stack_id, self.now_unix)?;
        let Some(deployment_id) = deployment_id else { return Ok(0) };
        version::set_version(tx, update.stack_id, version, deployment_id)?;
        stack::set_deployment(tx, update.stack_id, deployment_id)?;
        Ok(version::read_n_resources(tx.conn, deployment_id)? as i64)
    }
}

/// `Conflict`, in the words that CLIs look for, if an update has the stack.
pub fn refuse_if_running(conn: &Connection, stack_id: i64) -> Result<(), Error> {
    match find_running(conn, stack_id)? {
        Some(_) => Err(Error::Conflict(ANOTHER_UPDATE.into())),
        None => Ok(()),
    }
}

/// How far an update has come.
pub fn find_progress(conn: &Connection, update_id: i64) -> Result<Progress, Error> {
    Ok(Progress {
        last_journal_row: read(conn, update_id)?.n_journal_rows,
        checkpoint_hash: checkpoint::find(conn, update_id)?.map(|checkpoint| checkpoint.hash),
    })
}

/// 16 bytes of the hash of each batch and of the last checkpoint, to know a late repeat by.
fn delivered_hashes(conn: &Connection, update_id: i64) -> Result<Vec<u8>, Error> {
    let mut hashes = journal::list_hashes(conn, update_id)?;
    hashes.extend(checkpoint::find(conn, update_id)?.map(|checkpoint| checkpoint.hash));
    // One that is shorter is damaged, and no repeat can be known by it.
    Ok(hashes.iter().filter_map(|hash| hash.first_chunk::<16>()).flatten().copied().collect())
}

/// Whether a batch or checkpoint with this hash was taken before the update ended.
pub fn was_delivered(conn: &Connection, update_id: i64, hash: &[u8; 32]) -> Result<bool, Error> {
    let sql = format!("SELECT delivered, {} FROM updates WHERE id = ?1", mac::check("updates", ""));
    let delivered: Option<Vec<u8>> = conn.prepare_cached(&sql)?.query_row([update_id], |row| row.get(0))?;
    Ok(delivered.is_some_and(|hashes| hashes.chunks(16).any(|known| known == &hash[..16])))
}

const COLUMNS: &str =
    "id, uid, stack_id, kind, is_dry_run, status, version, base_deployment_id, requested_by,
    started_at_unix, ended_at_unix, lease_hash, lease_expires_at_unix, journal_version, checkpoint_sequence,
    end_note, n_journal_rows, n_journal_entries, n_event_rows";

fn find_where(
    conn: &Connection,
    condition: &str,
    key: impl rusqlite::Params,
) -> Result<Option<Update>, Error> {
    let sql = format!("SELECT {COLUMNS}, {} FROM updates WHERE {condition}", mac::check("updates", ""));
    Ok(conn.prepare_cached(&sql)?.query_row(key, from_row).optional()?)
}

/// A damaged index leads to another row, which is itself as it was written.
fn found_by_index(found: Option<Update>, is_it: impl Fn(&Update) -> bool) -> Result<Option<Update>, Error> {
    match &found {
        Some(update) if !is_it(update) => {
            Err(Error::Damaged("an index of the updates leads to another update".into()))
        }
        _ => Ok(found),
    }
}

/// The update with this id, on this stack.
pub fn find(conn: &Connection, stack_id: i64, uid: &str) -> Result<Option<Update>, Error> {
    let found = find_where(conn, "uid = ?1 AND stack_id = ?2", (uid, stack_id))?;
    found_by_index(found, |update| update.uid == uid && update.stack_id == stack_id)
}

/// The update that claimed this version of a stack.
pub fn find_by_version(conn: &Connection, stack_id: i64, version: i64) -> Result<Option<Update>, Error> {
    let found = find_where(conn, "stack_id = ?1 AND version = ?2", (stack_id, version))?;
    found_by_index(found, |update| update.stack_id == stack_id && update.version == Some(version))
}

/// The update that has the stack now: at most one.
pub fn find_running(conn: &Connection, stack_id: i64) -> Result<Option<Update>, Error> {
    let found = find_where(conn, "stack_id = ?1 AND status = 'running' AND is_dry_run = 0", [stack_id])?;
    let is_it = |update: &Update| update.stack_id == stack_id && update.status == UpdateStatus::Running;
    match found_by_index(found, is_it)? {
        None => refuse_if_latest_runs(conn, stack_id).map(|()| None),
        found => Ok(found),
    }
}

/// A damaged index would make a stack look free; the stack itself names its latest update.
fn refuse_if_latest_runs(conn: &Connection, stack_id: i64) -> Result<(), Error> {
    // No condition on the update itself: a damaged row must be looked at to be noticed.
    let sql = format!(
        "SELECT u.status = 'running' AND u.is_dry_run = 0, {}
         FROM stacks s JOIN updates u ON u.uid = s.active_update WHERE s.id = ?1",
        mac::check("updates", "u.")
    );
    let runs: Option<bool> = conn.prepare_cached(&sql)?.query_row([stack_id], |row| row.get(0)).optional()?;
    match runs {
        Some(true) => Err(Error::Damaged("an index of the updates lacks the one that runs".into())),
        _ => Ok(()),
    }
}

/// The update with this row id; `NotFound` if its stack has been deleted meanwhile.
pub fn read(conn: &Connection, update_id: i64) -> Result<Update, Error> {
    find_where(conn, "id = ?1", [update_id])?
        .ok_or_else(|| Error::NotFound("the update's stack has been deleted".into()))
}

/// The update with this row id; `Forbidden`, with the reason, if it does not run any more.
pub fn read_running(conn: &Connection, update_id: i64) -> Result<Update, Error> {
    let update = read(conn, update_id)?;
    match update.status {
        UpdateStatus::Running => Ok(update),
        _ => Err(Error::Forbidden(has_ended(&update))),
    }
}

/// Why the lease of an update does not open it any more, as a sentence.
pub fn has_ended(update: &Update) -> String {
    match &update.end_note {
        Some(note) => format!("Update '{}' has ended: {note}.", update.uid),
        None => format!("Update '{}' has already completed as {}.", update.uid, update.status.as_str()),
    }
}

/// Running updates, previews too, whose lease had run out at `by_unix`.
pub fn list_expired(conn: &Connection, by_unix: i64) -> Result<Vec<i64>, Error> {
    const SQL: &str = "SELECT id FROM updates WHERE status = 'running' AND lease_expires_at_unix <= ?1";
    let mut statement = conn.prepare_cached(SQL)?;
    let ids = statement.query_map([by_unix], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Whether an update of that number has ended without a deployment, as there never was one.
pub fn has_ended_version(conn: &Connection, stack_id: i64, version: i64) -> Result<bool, Error> {
    let Some(update) = find_by_version(conn, stack_id, version)? else { return Ok(false) };
    const SQL: &str = "SELECT n_resources FROM updates WHERE id = ?1";
    let n_resources: Option<i64> = conn.prepare_cached(SQL)?.query_row([update.id], |row| row.get(0))?;
    match n_resources {
        Some(1..) => Err(Error::Damaged(format!("the deployment of version {version} is missing"))),
        _ => Ok(update.ended_at_unix.is_some()),
    }
}

fn from_row(row: &Row) -> rusqlite::Result<Update> {
    Ok(Update {
        id: row.get(0)?,
        uid: row.get(1)?,
        stack_id: row.get(2)?,
        kind: kind_from(row, 3)?,
        is_dry_run: row.get(4)?,
        status: status_from(row, 5)?,
        version: row.get(6)?,
        base_deployment_id: row.get(7)?,
        requested_by: row.get(8)?,
        started_at_unix: row.get(9)?,
        ended_at_unix: row.get(10)?,
        lease_hash: row.get(11)?,
        lease_expires_at_unix: row.get(12)?,
        journal_version: row.get(13)?,
        checkpoint_sequence: row.get(14)?,
        end_note: row.get(15)?,
        n_journal_rows: row.get(16)?,
        n_journal_entries: row.get(17)?,
        n_event_rows: row.get(18)?,
    })
}

pub(super) fn kind_from(row: &Row, column: usize) -> rusqlite::Result<UpdateKind> {
    let text: String = row.get(column)?;
    UpdateKind::parse(&text).map_err(|_| unknown(column))
}

pub(super) fn status_from(row: &Row, column: usize) -> rusqlite::Result<UpdateStatus> {
    let text: String = row.get(column)?;
    UpdateStatus::parse(&text).map_err(|_| unknown(column))
}

/// A word in the database that this version does not know.
fn unknown(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "unknown word".into(), rusqlite::types::Type::Text)
}
