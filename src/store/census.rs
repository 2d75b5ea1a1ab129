//! How much of everything there is.

use rusqlite::Connection;

use super::mac;
use crate::error::Error;

/// Counts of rows, and the database's own facts.
pub struct Census {
    /// Migrations that have run.
    pub schema_version: i64,
    /// SQLite's version.
    pub sqlite_version: &'static str,
    /// Stacks.
    pub n_stacks: i64,
    /// Versions of their states.
    pub n_versions: i64,
    /// Users' updates that hold a stack.
    pub n_running: i64,
    /// Previews under way.
    pub n_previews: i64,
    /// Journal entries of updates that run.
    pub n_journal_entries: i64,
    /// Running updates and previews whose lease has run out.
    pub n_expired: i64,
    /// When a state was last written; 0 if never.
    pub newest_unix: i64,
}

/// Counts. Linear in versions and in what runs, not in the size of the states.
pub fn take(conn: &Connection, now_unix: i64) -> Result<Census, Error> {
    let count =
        |sql: &str| -> Result<i64, Error> { Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?) };
    let n_expired = conn
        .prepare_cached(
            "SELECT count(*) FROM updates WHERE status = 'running' AND lease_expires_at_unix <= ?1",
        )?
        .query_row([now_unix], |row| row.get(0))?;
    Ok(Census {
        schema_version: conn.pragma_query_value(None, "user_version", |row| row.get(0))?,
        sqlite_version: rusqlite::version(),
        n_stacks: count("SELECT count(*) FROM stacks")?,
        n_versions: count("SELECT count(*) FROM versions")?,
        n_running: count("SELECT count(*) FROM updates WHERE status = 'running' AND is_dry_run = 0")?,
        n_previews: count("SELECT count(*) FROM updates WHERE status = 'running' AND is_dry_run = 1")?,
        n_journal_entries: count(
            "SELECT coalesce(sum(n_journal_entries), 0) FROM updates WHERE status = 'running'",
        )?,
        n_expired,
        newest_unix: count("SELECT coalesce(max(updated_at_unix), 0) FROM stacks")?,
    })
}

/// What one stack takes.
pub struct StackSize {
    /// When it was made.
    pub created_at_unix: i64,
    /// When its state last changed.
    pub updated_at_unix: Option<i64>,
    /// Versions that are kept.
    pub n_versions: i64,
    /// Resources of the latest deployment.
    pub n_resources: Option<i64>,
    /// Bytes of its text.
    pub n_bytes: Option<i64>,
}

/// What one stack takes.
pub fn of_stack(conn: &Connection, stack_id: i64) -> Result<StackSize, Error> {
    const SQL: &str = "
        SELECT s.created_at_unix, s.updated_at_unix,
               (SELECT count(*) FROM versions WHERE stack_id = s.id), d.n_resources, d.n_bytes
        FROM stacks s LEFT JOIN deployments d ON d.id = s.deployment_id
        WHERE s.id = ?1";
    Ok(conn.prepare_cached(SQL)?.query_row([stack_id], |row| {
        Ok(StackSize {
            created_at_unix: row.get(0)?,
            updated_at_unix: row.get(1)?,
            n_versions: row.get(2)?,
            n_resources: row.get(3)?,
            n_bytes: row.get(4)?,
        })
    })?)
}

/// A version of a stack, kept or given up.
pub struct VersionLine {
    /// Its number.
    pub version: i64,
    /// The update that made it.
    pub update_uid: String,
    /// What that did.
    pub kind: String,
    /// Where in its life that is.
    pub status: String,
    /// When it ended; none while it runs.
    pub ended_at_unix: Option<i64>,
    /// Who ran it.
    pub requested_by: String,
    /// Resources in the state; none if that is not kept.
    pub n_resources: Option<i64>,
    /// Bytes of the state's text; none if that is not kept.
    pub n_bytes: Option<i64>,
}

/// Versions below `before`, newest first, at most `n_max`.
pub fn list_versions(
    conn: &Connection,
    stack_id: i64,
    before: i64,
    n_max: usize,
) -> Result<Vec<VersionLine>, Error> {
    let sql = format!(
        "SELECT u.version, u.uid, u.kind, u.status, u.ended_at_unix, u.requested_by, d.n_resources, d.n_bytes, {}
         FROM updates u
         LEFT JOIN versions v ON v.stack_id = u.stack_id AND v.version = u.version
         LEFT JOIN deployments d ON d.id = v.deployment_id
         WHERE u.stack_id = ?1 AND u.version IS NOT NULL AND u.version < ?2
         ORDER BY u.version DESC LIMIT ?3",
        mac::check("updates", "u.")
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let lines = statement.query_map((stack_id, before, n_max), |row| {
        Ok(VersionLine {
            version: row.get(0)?,
            update_uid: row.get(1)?,
            kind: row.get(2)?,
            status: row.get(3)?,
            ended_at_unix: row.get(4)?,
            requested_by: row.get(5)?,
            n_resources: row.get(6)?,
            n_bytes: row.get(7)?,
        })
    })?;
    Ok(lines.collect::<Result<_, _>>()?)
}
