//! Who holds which stack. A lock is the row of a running update (see `update.rs`); here they are seen side by side.

use rusqlite::{Connection, Row};

use super::mac;
use super::stack::check_total;
use crate::error::Error;

/// A stack that is held by a running update.
pub struct Lock {
    /// Organization.
    pub org: String,
    /// Project.
    pub project: String,
    /// Stack.
    pub stack: String,
    /// The update's id.
    pub update_uid: String,
    /// What it does.
    pub kind: String,
    /// The version that it will write.
    pub version: i64,
    /// Who runs it.
    pub holder: String,
    /// Where its CLI called from when it started.
    pub holder_address: String,
    /// When it was started.
    pub started_at_unix: i64,
    /// Its start, or the last renewal of its lease.
    pub heard_at_unix: i64,
    /// When its lease runs out.
    pub lease_expires_at_unix: i64,
}

/// Every lock, in the order of the stacks' names.
pub fn list(conn: &Connection) -> Result<Vec<Lock>, Error> {
    let sql = format!(
        "SELECT s.org, s.project, s.name, u.uid, u.kind, u.version, u.requested_by, u.holder_address,
                u.started_at_unix, coalesce(u.heard_at_unix, u.started_at_unix), u.lease_expires_at_unix,
                ifnull(u.status = 'running' AND u.is_dry_run = 0, 0), {},
                -- Its latest update must be there.
                CASE s.active_update WHEN '' THEN NULL ELSE {} END
         FROM stacks s LEFT JOIN updates u ON u.uid = s.active_update
         ORDER BY s.org, s.project, s.name",
        mac::check("stacks", "s."),
        mac::check("updates", "u.")
    );
    check_total(conn)?;
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut locks = Vec::new();
    while let Some(row) = rows.next()? {
        // Asked here and not in the query: a damaged row must be looked at to be noticed.
        let is_held: bool = row.get(11)?;
        if is_held {
            locks.push(from_row(row)?);
        }
    }
    Ok(locks)
}

fn from_row(row: &Row) -> rusqlite::Result<Lock> {
    Ok(Lock {
        org: row.get(0)?,
        project: row.get(1)?,
        stack: row.get(2)?,
        update_uid: row.get(3)?,
        kind: row.get(4)?,
        version: row.get(5)?,
        holder: row.get(6)?,
        holder_address: row.get(7)?,
        started_at_unix: row.get(8)?,
        heard_at_unix: row.get(9)?,
        lease_expires_at_unix: row.get(10)?,
    })
}
