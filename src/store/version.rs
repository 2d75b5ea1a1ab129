//! Deployments at rest, and the versions that name them. How a deployment is laid out on disk is known here only.

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use rusqlite::{Connection, OptionalExtension};

use super::Tx;
use crate::domain::deployment::Deployment;
use crate::error::Error;

/// Level 1 is six times as fast as 6 and takes a quarter more space.
const DEFLATE_LEVEL: u8 = 1;

/// A deployment made ready for the disk by a worker, so that the writer only stores it.
pub struct Encoded {
    n_resources: usize,
    n_bytes: usize,
    crc32: u32,
    body: Vec<u8>,
}

impl Encoded {
    /// Compresses; the cost grows with the deployment.
    pub fn new(deployment: &Deployment) -> Encoded {
        let mut text = Vec::with_capacity(deployment.bytes_len());
        deployment.write_to(&mut text);
        Encoded {
            n_resources: deployment.resources.len(),
            n_bytes: text.len(),
            crc32: crc32fast::hash(&text),
            body: compress_to_vec(&text, DEFLATE_LEVEL),
        }
    }

    /// Resources in it.
    pub fn n_resources(&self) -> usize {
        self.n_resources
    }
}

/// A stored deployment: its text deflated, with what a gzip frame needs.
pub struct Stored {
    /// Length of the text in bytes.
    pub n_bytes: usize,
    /// CRC-32 of the text.
    pub crc32: u32,
    /// The text, raw deflate.
    pub deflated: Vec<u8>,
}

impl Stored {
    /// The text itself.
    pub fn text(&self) -> Result<String, Error> {
        inflate_text(&self.deflated, self.n_bytes)
    }
}

/// Compresses a text for a row.
pub fn deflate_text(text: &str) -> Vec<u8> {
    compress_to_vec(text.as_bytes(), DEFLATE_LEVEL)
}

/// Opens what `deflate_text` made of a text of at most `bytes_max` bytes.
pub fn inflate_text(deflated: &[u8], bytes_max: usize) -> Result<String, Error> {
    let bytes = decompress_to_vec_with_limit(deflated, bytes_max)
        .map_err(|cause| Error::internal("inflate a stored text", cause.to_string()))?;
    String::from_utf8(bytes).map_err(|cause| Error::internal("read a stored text", cause))
}

/// Stores a deployment of a stack; its id.
pub fn insert_deployment(tx: &Tx, stack_id: i64, encoded: &Encoded) -> Result<i64, Error> {
    const SQL: &str = "
        INSERT INTO deployments (stack_id, n_resources, n_bytes, crc32, body)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    let row = (stack_id, encoded.n_resources, encoded.n_bytes, encoded.crc32, &encoded.body);
    Ok(tx.conn.prepare_cached(SQL)?.insert(row)?)
}

/// Says which deployment a version ended with; a version that is there is given another one.
pub fn set_version(tx: &Tx, stack_id: i64, version: i64, deployment_id: i64) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO versions (stack_id, version, deployment_id) VALUES (?1, ?2, ?3)
        ON CONFLICT (stack_id, version) DO UPDATE SET deployment_id = excluded.deployment_id";
    tx.conn.prepare_cached(SQL)?.execute((stack_id, version, deployment_id))?;
    Ok(())
}

/// Removes a deployment that no version names any more.
pub fn delete_deployment_if_unused(tx: &Tx, deployment_id: i64) -> Result<(), Error> {
    const SQL: &str = "
        DELETE FROM deployments
        WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM versions WHERE deployment_id = ?1)";
    tx.conn.prepare_cached(SQL)?.execute([deployment_id])?;
    Ok(())
}

/// The deployment that a version ended with.
pub fn find_version(conn: &Connection, stack_id: i64, version: i64) -> Result<Option<i64>, Error> {
    const SQL: &str = "SELECT deployment_id FROM versions WHERE stack_id = ?1 AND version = ?2";
    Ok(conn.prepare_cached(SQL)?.query_row([stack_id, version], |row| row.get(0)).optional()?)
}

/// A stored deployment; it must be there.
pub fn read_deployment(conn: &Connection, deployment_id: i64) -> Result<Stored, Error> {
    const SQL: &str = "SELECT n_bytes, crc32, body FROM deployments WHERE id = ?1";
    let stored = conn.prepare_cached(SQL)?.query_row([deployment_id], |row| {
        Ok(Stored { n_bytes: row.get(0)?, crc32: row.get(1)?, deflated: row.get(2)? })
    });
    Ok(stored?)
}

/// How many resources a stored deployment has.
pub fn read_n_resources(conn: &Connection, deployment_id: i64) -> Result<usize, Error> {
    const SQL: &str = "SELECT n_resources FROM deployments WHERE id = ?1";
    Ok(conn.prepare_cached(SQL)?.query_row([deployment_id], |row| row.get(0))?)
}
