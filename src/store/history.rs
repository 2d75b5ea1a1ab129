//! What ran on a stack: its history, its previews, its last configuration. Rows of `update.rs`, seen from later.

use rusqlite::{Connection, OptionalExtension};

use super::stack::Stack;
use super::{mac, program, update};
use crate::crypto::keyring::StackKey;
use crate::domain::leak::Leak;
use crate::domain::update::{UpdateKind, UpdateStatus};
use crate::error::Error;

/// The create request of the latest update that had a configuration, which an import has not.
pub fn find_last_configured(
    conn: &Connection,
    key: &StackKey,
    stack_id: i64,
) -> Result<Option<String>, Error> {
    const SQL: &str = "
        SELECT u.uid, p.body FROM updates u LEFT JOIN programs p ON p.update_id = u.id
        WHERE u.stack_id = ?1 AND u.version IS NOT NULL AND u.kind <> 'import'
        ORDER BY u.version DESC LIMIT 1";
    let from_row = |row: &rusqlite::Row| -> rusqlite::Result<(String, Option<Vec<u8>>)> {
        Ok((row.get(0)?, row.get(1)?))
    };
    let found = conn.prepare_cached(SQL)?.query_row([stack_id], from_row).optional()?;
    found.map(|(uid, sealed)| program::open(key, &uid, &sealed.unwrap_or_default())).transpose()
}

/// An entry of the history: an update that was started and is no preview.
pub struct HistoryEntry {
    /// What it does.
    pub kind: UpdateKind,
    /// Where in its life it is.
    pub status: UpdateStatus,
    /// The id that clients see.
    pub uid: String,
    /// Its number.
    pub version: i64,
    /// When it was started.
    pub started_at_unix: i64,
    /// When it ended; none while it runs.
    pub ended_at_unix: Option<i64>,
    /// The create request.
    pub program: String,
    /// JSON object of counts by step operation.
    pub resource_changes: Option<String>,
    /// Resources of the resulting deployment; none while it runs.
    pub n_resources: Option<i64>,
    /// Who created it.
    pub requested_by: String,
    /// What is not sound in the result.
    pub findings: Option<String>,
    /// What lies in the result in plain text.
    pub leaks: Vec<Leak>,
}

/// A history that lacks an entry would look like all there is.
pub(super) fn check_count(conn: &Connection, stack: &Stack) -> Result<(), Error> {
    const SQL: &str = "
        SELECT count(*) FROM updates INDEXED BY updates_by_version WHERE stack_id = ?1 AND version > 0";
    let n_there: i64 = conn.prepare_cached(SQL)?.query_row([stack.id], |row| row.get(0))?;
    match n_there == stack.n_updates {
        true => Ok(()),
        false => Err(Error::Damaged(format!(
            "the history has {n_there} updates, and should have {}",
            stack.n_updates
        ))),
    }
}

/// The history of a stack, newest first.
pub fn list(
    conn: &Connection,
    key: &StackKey,
    stack: &Stack,
    offset: usize,
    n_max: usize,
) -> Result<Vec<HistoryEntry>, Error> {
    check_count(conn, stack)?;
    let sql = format!(
        "SELECT kind, status, uid, version, started_at_unix, ended_at_unix, body, resource_changes,
                n_resources, requested_by, findings, leaks, {}
         FROM updates INDEXED BY updates_by_version LEFT JOIN programs ON update_id = id
         WHERE stack_id = ?1 AND version IS NOT NULL
         ORDER BY version DESC
         LIMIT ?3 OFFSET ?2",
        mac::check("updates", "updates.")
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((stack.id, offset, n_max))?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let uid: String = row.get(2)?;
        let program: Option<Vec<u8>> = row.get(6)?;
        let findings: Option<Vec<u8>> = row.get(10)?;
        let leaks: Option<Vec<u8>> = row.get(11)?;
        entries.push(HistoryEntry {
            kind: update::kind_from(row, 0)?,
            status: update::status_from(row, 1)?,
            version: row.get(3)?,
            started_at_unix: row.get(4)?,
            ended_at_unix: row.get(5)?,
            program: program::open(key, &uid, &program.unwrap_or_default())?,
            resource_changes: row.get(7)?,
            n_resources: row.get(8)?,
            requested_by: row.get(9)?,
            findings: findings.map(|sealed| program::open_findings(key, &uid, &sealed)).transpose()?,
            leaks: leaks
                .map(|sealed| program::open_leaks(key, &uid, &sealed))
                .transpose()?
                .unwrap_or_default(),
            uid,
        });
    }
    Ok(entries)
}

/// Ids of a stack's previews that were started, newest first.
pub fn list_previews(
    conn: &Connection,
    stack_id: i64,
    is_ascending: bool,
    offset: usize,
    n_max: usize,
) -> Result<Vec<String>, Error> {
    let order = if is_ascending { "ASC" } else { "DESC" };
    let sql = format!(
        "SELECT uid FROM updates
         WHERE stack_id = ?1 AND is_dry_run = 1 AND status <> 'not started'
         ORDER BY id {order} LIMIT ?3 OFFSET ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let uids = statement.query_map((stack_id, offset, n_max), |row| row.get(0))?;
    Ok(uids.collect::<Result<_, _>>()?)
}
