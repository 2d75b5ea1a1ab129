//! Deployments at rest, and the versions that name them.

use rusqlite::{Connection, OptionalExtension};

use super::chunk::{Cut, Opened, RunHash, read_number, write_number};
use super::{Store, Tx, mac};
use crate::crypto::keyring::StackKey;
use crate::domain::deployment::Deployment;
use crate::error::Error;

/// A deployment made ready for the disk by a worker, so that the writer only stores it.
pub struct Encoded {
    n_resources: usize,
    n_bytes: usize,
    header: Vec<u8>,
    order: Vec<u8>,
    runs: Vec<Run>,
}

enum Run {
    /// It is stored already, under this row id.
    Known(i64),
    New {
        hash: RunHash,
        body: Vec<u8>,
    },
}

impl Encoded {
    /// Cuts, compresses and seals what the stack does not have yet: the cost follows what changed, but for one
    /// pass over the text. `stack_id` is none for a stack that is only being made.
    pub fn new(
        store: &Store,
        key: &StackKey,
        stack_id: Option<i64>,
        deployment: &Deployment,
    ) -> Result<Encoded, Error> {
        let cut = Cut::new(deployment, key);
        let known: Vec<Option<i64>> = match stack_id {
            Some(id) => store.read(|conn| cut.hashes().map(|hash| find_run(conn, id, hash)).collect())?,
            None => cut.hashes().map(|_| None).collect(),
        };
        let runs = known.iter().zip(cut.hashes()).enumerate().map(|(i, (known, hash))| match known {
            Some(id) => Ok(Run::Known(*id)),
            None => Ok(Run::New { hash: *hash, body: cut.seal_run(i, key)? }),
        });
        Ok(Encoded {
            n_resources: deployment.resources.len(),
            n_bytes: deployment.bytes_len(),
            runs: runs.collect::<Result<_, Error>>()?,
            header: cut.seal_header(key)?,
            order: cut.order(),
        })
    }

    /// Resources in it.
    pub fn n_resources(&self) -> usize {
        self.n_resources
    }
}

fn find_run(conn: &Connection, stack_id: i64, hash: &RunHash) -> Result<Option<i64>, Error> {
    const SQL: &str = "SELECT id FROM runs WHERE stack_id = ?1 AND hash = ?2";
    Ok(conn.prepare_cached(SQL)?.query_row((stack_id, hash), |row| row.get(0)).optional()?)
}

/// Stores a deployment of a stack; its id.
///
/// Errors: `Busy` if a run that was known has been collected as unused meanwhile.
pub fn insert_deployment(tx: &Tx, stack_id: i64, encoded: &Encoded) -> Result<i64, Error> {
    let mut runs = Vec::new();
    let mut last = 0;
    for run in &encoded.runs {
        let id = match run {
            Run::Known(id) if has_run(tx.conn, *id)? => *id,
            Run::Known(_) => return Err(Error::Busy),
            Run::New { hash, body } => insert_run(tx, stack_id, hash, body)?,
        };
        write_number(&mut runs, zigzag(id - last));
        last = id;
    }
    const SQL: &str = "
        INSERT INTO deployments (stack_id, n_resources, n_bytes, header, resource_order, runs)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let Encoded { n_resources, n_bytes, header, order, .. } = encoded;
    Ok(tx.conn.prepare_cached(SQL)?.insert((stack_id, n_resources, n_bytes, header, order, runs))?)
}

/// The row id of a run; another job may have stored the same meanwhile.
fn insert_run(tx: &Tx, stack_id: i64, hash: &RunHash, body: &[u8]) -> Result<i64, Error> {
    if let Some(id) = find_run(tx.conn, stack_id, hash)? {
        return Ok(id);
    }
    const SQL: &str = "INSERT INTO runs (stack_id, hash, body) VALUES (?1, ?2, ?3)";
    Ok(tx.conn.prepare_cached(SQL)?.insert((stack_id, hash, body))?)
}

fn has_run(conn: &Connection, id: i64) -> Result<bool, Error> {
    Ok(conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM runs WHERE id = ?1)")?
        .query_row([id], |row| row.get(0))?)
}

fn zigzag(difference: i64) -> usize {
    ((difference << 1) ^ (difference >> 63)) as usize
}

fn unzigzag(number: usize) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// The text of a stored deployment. It must be there; one that is damaged is an error of ours, never other text.
pub fn read_text(conn: &Connection, key: &StackKey, deployment_id: i64) -> Result<String, Error> {
    const SQL: &str = "
        SELECT n_resources, n_bytes, header, resource_order, runs FROM deployments WHERE id = ?1";
    let mut statement = conn.prepare_cached(SQL)?;
    let (n_resources, n_bytes, header, order, runs): (usize, usize, Vec<u8>, Vec<u8>, Vec<u8>) =
        statement.query_row([deployment_id], |row| row.try_into())?;
    let mut opened = Opened::new(&header, &order, n_resources, key)?;
    let mut statement = conn.prepare_cached("SELECT hash, body FROM runs WHERE id = ?1")?;
    let mut rest = runs.as_slice();
    let mut id = 0;
    while !rest.is_empty() {
        id += unzigzag(read_number(&mut rest)?);
        let (hash, body): (RunHash, Vec<u8>) = statement.query_row([id], |row| row.try_into())?;
        opened.push_run(&hash, &body, key)?;
    }
    opened.to_text(n_bytes)
}

/// Says which deployment a version ended with; a version that is there is given another one.
pub fn set_version(tx: &Tx, stack_id: i64, version: i64, deployment_id: i64) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO versions (stack_id, version, deployment_id) VALUES (?1, ?2, ?3)
        ON CONFLICT (stack_id, version) DO UPDATE SET deployment_id = excluded.deployment_id";
    tx.conn.prepare_cached(SQL)?.execute((stack_id, version, deployment_id))?;
    Ok(())
}

/// Removes a deployment that nothing names any more.
pub fn delete_deployment_if_unused(tx: &Tx, deployment_id: i64) -> Result<(), Error> {
    const SQL: &str = "
        DELETE FROM deployments
        WHERE id = ?1
          AND NOT EXISTS (SELECT 1 FROM versions WHERE deployment_id = ?1)
          AND NOT EXISTS (SELECT 1 FROM checkpoints WHERE deployment_id = ?1)";
    tx.conn.prepare_cached(SQL)?.execute([deployment_id])?;
    Ok(())
}

/// The deployment that a version ended with.
pub fn find_version(conn: &Connection, stack_id: i64, version: i64) -> Result<Option<i64>, Error> {
    let sql = format!(
        "SELECT deployment_id, {} FROM versions WHERE stack_id = ?1 AND version = ?2",
        mac::check("versions", "")
    );
    Ok(conn.prepare_cached(&sql)?.query_row([stack_id, version], |row| row.get(0)).optional()?)
}

/// How many resources a stored deployment has.
pub fn read_n_resources(conn: &Connection, deployment_id: i64) -> Result<usize, Error> {
    const SQL: &str = "SELECT n_resources FROM deployments WHERE id = ?1";
    Ok(conn.prepare_cached(SQL)?.query_row([deployment_id], |row| row.get(0))?)
}

/// How long the text of a stored deployment is.
pub fn read_n_bytes(conn: &Connection, deployment_id: i64) -> Result<usize, Error> {
    const SQL: &str = "SELECT n_bytes FROM deployments WHERE id = ?1";
    Ok(conn.prepare_cached(SQL)?.query_row([deployment_id], |row| row.get(0))?)
}
