//! What ran on a stack: its history, its previews, its last configuration. Rows of `update.rs`, seen from later.

use rusqlite::{Connection, OptionalExtension};

use super::{update, version};
use crate::domain::update::{UpdateKind, UpdateStatus};
use crate::error::Error;
use crate::limits;

/// The create request of the latest update that had a configuration, which an import has not.
pub fn find_last_configured(conn: &Connection, stack_id: i64) -> Result<Option<String>, Error> {
    const SQL: &str = "
        SELECT program FROM updates
        WHERE stack_id = ?1 AND version IS NOT NULL AND kind <> 'import'
        ORDER BY version DESC LIMIT 1";
    let deflated: Option<Vec<u8>> =
        conn.prepare_cached(SQL)?.query_row([stack_id], |row| row.get(0)).optional()?;
    deflated.map(|deflated| version::inflate_text(&deflated, limits::BODY_BYTES_CONFIG)).transpose()
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
}

/// The history of a stack, newest first.
pub fn list(
    conn: &Connection,
    stack_id: i64,
    offset: usize,
    n_max: usize,
) -> Result<Vec<HistoryEntry>, Error> {
    const SQL: &str = "
        SELECT kind, status, uid, version, started_at_unix, ended_at_unix, program, resource_changes,
               n_resources, requested_by, findings
        FROM updates
        WHERE stack_id = ?1 AND version IS NOT NULL
        ORDER BY version DESC
        LIMIT ?3 OFFSET ?2";
    let mut statement = conn.prepare_cached(SQL)?;
    let mut rows = statement.query((stack_id, offset, n_max))?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let deflated: Vec<u8> = row.get(6)?;
        entries.push(HistoryEntry {
            kind: update::kind_from(row, 0)?,
            status: update::status_from(row, 1)?,
            uid: row.get(2)?,
            version: row.get(3)?,
            started_at_unix: row.get(4)?,
            ended_at_unix: row.get(5)?,
            program: version::inflate_text(&deflated, limits::BODY_BYTES_CONFIG)?,
            resource_changes: row.get(7)?,
            n_resources: row.get(8)?,
            requested_by: row.get(9)?,
            findings: row.get(10)?,
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
