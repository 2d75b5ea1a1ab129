//! Runs that no deployment names any more, because checkpoints were superseded: found by a reader, and taken away by
//! the writer a few at a time.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};

use super::packed::{read_number, unzigzag};
use super::{Job, Tx, mac};
use crate::error::Error;
use crate::limits;

/// Runs of one stack that nothing needs.
#[derive(Clone)]
pub struct Unused {
    stack_id: i64,
    /// Deployments that had been removed when it was looked at.
    n_removed: i64,
    /// The latest deployment that was looked at.
    last_deployment_id: i64,
    runs: Vec<i64>,
}

/// Some stack's unused runs; nothing if no stack can have any, or each that can is being updated.
///
/// Linear in the lists of runs of all its deployments.
pub fn find(conn: &Connection) -> Result<Option<Unused>, Error> {
    let sql = format!(
        "SELECT id, n_removed, {} FROM stacks s
         WHERE n_removed > 0
           AND NOT EXISTS (SELECT 1 FROM updates u
                           WHERE u.stack_id = s.id AND u.status = 'running' AND u.is_dry_run = 0)
         ORDER BY id LIMIT 1",
        mac::check("stacks", "s.")
    );
    let found = conn.prepare_cached(&sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((stack_id, n_removed)) = found else { return Ok(None) };
    let mut statement = conn.prepare_cached("SELECT id FROM runs WHERE stack_id = ?1")?;
    let mut unused: HashSet<i64> =
        statement.query_map([stack_id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut statement = conn.prepare_cached("SELECT id, runs FROM deployments WHERE stack_id = ?1")?;
    let mut rows = statement.query([stack_id])?;
    let mut last_deployment_id = 0;
    while let Some(row) = rows.next()? {
        let (deployment_id, ids): (i64, Vec<u8>) = row.try_into()?;
        last_deployment_id = last_deployment_id.max(deployment_id);
        let (mut rest, mut id) = (ids.as_slice(), 0);
        while !rest.is_empty() {
            id += unzigzag(read_number(&mut rest)?);
            unused.remove(&id);
        }
    }
    Ok(Some(Unused { stack_id, n_removed, last_deployment_id, runs: unused.into_iter().collect() }))
}

/// Takes some of them away; answers what is left to do.
///
/// If the stack has got another deployment since, which may need them again, nothing is done: they must be looked for
/// anew.
pub struct CollectRuns(pub Unused);

impl Job for CollectRuns {
    const NAME: &'static str = "collect_runs";
    type Output = Option<Unused>;

    fn run(self, tx: &mut Tx) -> Result<Option<Unused>, Error> {
        let CollectRuns(mut unused) = self;
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM deployments WHERE stack_id = ?1 AND id > ?2)";
        let is_outdated = tx
            .conn
            .prepare_cached(SQL)?
            .query_row((unused.stack_id, unused.last_deployment_id), |row| row.get(0))?;
        if is_outdated {
            return Ok(None);
        }
        let rest = unused.runs.split_off(unused.runs.len().min(limits::COLLECT_RUNS_MAX));
        let mut statement = tx.conn.prepare_cached("DELETE FROM runs WHERE id = ?1")?;
        for id in &unused.runs {
            statement.execute([id])?;
        }
        if rest.is_empty() {
            const SQL: &str = "UPDATE stacks SET n_removed = n_removed - ?2 WHERE id = ?1";
            tx.conn.prepare_cached(SQL)?.execute((unused.stack_id, unused.n_removed))?;
            return Ok(None);
        }
        unused.runs = rest;
        Ok(Some(unused))
    }
}
