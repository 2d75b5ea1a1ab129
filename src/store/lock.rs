//! Who holds which stack. A lock is the row of a running update (see `update.rs`); here they are seen side by side.

use rusqlite::Connection;

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

/// A lock that is not found would look like a stack that is free.
fn check_latest(conn: &Connection) -> Result<(), Error> {
    const SQL: &str = "
        SELECT count(*) FROM stacks s LEFT JOIN updates u ON u.uid = s.active_update
        WHERE s.active_update <> '' AND u.id IS NULL";
    let n_missing: i64 = conn.prepare_cached(SQL)?.query_row([], |row| row.get(0))?;
    match n_missing {
        0 => Ok(()),
        _ => Err(Error::Damaged(format!("the latest updates of {n_missing} stacks are not found"))),
    }
}

/// Every lock, in the order of the stacks' names.
pub fn list(conn: &Connection) -> Result<Vec<Lock>, Error> {
    let sql = format!(
        "SELECT s.org, s.project, s.name, u.uid, u.kind, u.version, u.requested_by, u.holder_address,
                u.started_at_unix, coalesce(u.heard_at_unix, u.started_at_unix), u.lease_expires_at_unix, {}, {}
         FROM stacks s JOIN updates u ON u.uid = s.active_update
         WHERE u.status = 'running' AND u.is_dry_run = 0
         ORDER BY s.org, s.project, s.name",
        mac::check("updates", "u."),
        mac::check("stacks", "s.")
    );
    check_total(conn)?;
    check_latest(conn)?;
    let mut statement = conn.prepare_cached(&sql)?;
    let locks = statement.query_map([], |row| {
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
    })?;
    Ok(locks.collect::<Result<_, _>>()?)
}
