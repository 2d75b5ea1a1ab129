//! Old versions, given up in small jobs when a stack has more than it shall keep. Never the latest, and never what
//! a running update stands on.

use rusqlite::{Connection, OptionalExtension};

use super::{Job, Tx, mac, version};
use crate::error::Error;

/// Gives up the oldest versions of a stack, a few at a time. Answers how many.
///
/// Their entries in the history stay. A version that is gone is told from one that never had a deployment by
/// `stacks.oldest_version`.
pub struct DropOldVersions {
    /// Of which stack; none of that id is no error.
    pub stack_id: i64,
    /// How many are kept; at least one is.
    pub n_kept: u64,
    /// How many go in this job.
    pub n_max: usize,
}

impl Job for DropOldVersions {
    const NAME: &'static str = "drop_old_versions";
    type Output = usize;

    fn run(self, tx: &mut Tx) -> Result<usize, Error> {
        let Some(oldest_kept) = find_oldest_kept(tx.conn, self.stack_id, self.n_kept.max(1))? else {
            return Ok(0);
        };
        let old = list_below(tx.conn, self.stack_id, oldest_kept, self.n_max)?;
        for (version, deployment_id) in &old {
            delete_version(tx, self.stack_id, *version)?;
            delete_deployment_if_unused(tx, *deployment_id)?;
        }
        if let Some((last, _)) = old.last() {
            set_oldest_version(tx, self.stack_id, last + 1)?;
        }
        Ok(old.len())
    }
}

/// Stacks that have more than `n_kept` versions, at most `n_max` of them.
pub fn list_stacks_with_more(conn: &Connection, n_kept: u64, n_max: usize) -> Result<Vec<i64>, Error> {
    const SQL: &str = "SELECT stack_id FROM versions GROUP BY stack_id HAVING count(*) > ?1 LIMIT ?2";
    let mut statement = conn.prepare_cached(SQL)?;
    let ids = statement.query_map((n_kept, n_max), |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Whether this version was given up by retention.
pub fn was_dropped(conn: &Connection, stack_id: i64, version: i64) -> Result<bool, Error> {
    let sql = format!("SELECT oldest_version > ?2, {} FROM stacks WHERE id = ?1", mac::check("stacks", ""));
    Ok(conn.prepare_cached(&sql)?.query_row((stack_id, version), |row| row.get(0))?)
}

/// The lowest of the `n_kept` highest versions; none if there are not so many.
fn find_oldest_kept(conn: &Connection, stack_id: i64, n_kept: u64) -> Result<Option<i64>, Error> {
    const SQL: &str = "
        SELECT version FROM versions WHERE stack_id = ?1 ORDER BY version DESC LIMIT 1 OFFSET ?2";
    let mut statement = conn.prepare_cached(SQL)?;
    let mut rows = statement.query((stack_id, n_kept - 1))?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

/// Versions below, oldest first, each with its deployment.
fn list_below(
    conn: &Connection,
    stack_id: i64,
    version: i64,
    n_max: usize,
) -> Result<Vec<(i64, i64)>, Error> {
    let sql = format!(
        "SELECT version, deployment_id, {} FROM versions
         WHERE stack_id = ?1 AND version < ?2 ORDER BY version LIMIT ?3",
        mac::check("versions", "")
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map((stack_id, version, n_max), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn delete_version(tx: &Tx, stack_id: i64, version: i64) -> Result<(), Error> {
    const SQL: &str = "DELETE FROM versions WHERE stack_id = ?1 AND version = ?2";
    tx.conn.prepare_cached(SQL)?.execute((stack_id, version))?;
    Ok(())
}

/// A preview may have started from a version that is old by now.
fn delete_deployment_if_unused(tx: &Tx, deployment_id: i64) -> Result<(), Error> {
    const SQL: &str = "
        DELETE FROM deployments
        WHERE id = ?1
          AND NOT EXISTS (SELECT 1 FROM versions WHERE deployment_id = ?1)
          AND NOT EXISTS (SELECT 1 FROM checkpoints WHERE deployment_id = ?1)
          AND NOT EXISTS (SELECT 1 FROM updates WHERE status = 'running' AND base_deployment_id = ?1)
          AND NOT EXISTS (SELECT 1 FROM stacks
                          WHERE id = deployments.stack_id AND deployment_id = deployments.id)
        RETURNING stack_id";
    let removed = tx.conn.prepare_cached(SQL)?.query_row([deployment_id], |row| row.get(0)).optional()?;
    removed.map_or(Ok(()), |stack_id| version::note_removed(tx, stack_id))
}

fn set_oldest_version(tx: &Tx, stack_id: i64, version: i64) -> Result<(), Error> {
    const SQL: &str = "UPDATE stacks SET oldest_version = ?2 WHERE id = ?1 AND oldest_version < ?2";
    tx.conn.prepare_cached(SQL)?.execute((stack_id, version))?;
    Ok(())
}

/// Forgets the engine events of updates that have ended.
pub struct DropEvents {
    /// Row ids of the updates; those that still run are passed over.
    pub update_ids: Vec<i64>,
}

impl Job for DropEvents {
    const NAME: &'static str = "drop_events";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        const SET: &str = "UPDATE updates SET n_event_rows = 0 WHERE id = ?1 AND status <> 'running'";
        const DELETE: &str = "DELETE FROM events WHERE update_id = ?1";
        for id in &self.update_ids {
            if tx.conn.prepare_cached(SET)?.execute([id])? == 1 {
                tx.conn.prepare_cached(DELETE)?.execute([id])?;
            }
        }
        Ok(())
    }
}

/// Updates that ended before this time and have events, at most `n_max` of them. Linear in the number of updates.
pub fn list_with_old_events(
    conn: &Connection,
    ended_before_unix: i64,
    n_max: usize,
) -> Result<Vec<i64>, Error> {
    const SQL: &str = "SELECT id FROM updates WHERE n_event_rows > 0 AND ended_at_unix < ?1 LIMIT ?2";
    let mut statement = conn.prepare_cached(SQL)?;
    let ids = statement.query_map((ended_before_unix, n_max), |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Forgets previews with all that they reported.
pub struct DropPreviews {
    /// Row ids; those that run, and what is no preview, are passed over.
    pub update_ids: Vec<i64>,
}

impl Job for DropPreviews {
    const NAME: &'static str = "drop_previews";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        const SQL: &str = "DELETE FROM updates WHERE id = ?1 AND is_dry_run = 1 AND status <> 'running'";
        let mut statement = tx.conn.prepare_cached(SQL)?;
        for id in &self.update_ids {
            statement.execute([id])?;
        }
        Ok(())
    }
}

/// Previews that ended before this time, or were made before it and never started; at most `n_max` of them.
pub fn list_old_previews(conn: &Connection, before_unix: i64, n_max: usize) -> Result<Vec<i64>, Error> {
    const SQL: &str = "
        SELECT id FROM updates
        WHERE is_dry_run = 1 AND status <> 'running' AND coalesce(ended_at_unix, created_at_unix) < ?1 LIMIT ?2";
    let mut statement = conn.prepare_cached(SQL)?;
    let ids = statement.query_map((before_unix, n_max), |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}
