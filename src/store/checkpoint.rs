//! The last checkpoint of each update that sends checkpoints instead of a journal.

use rusqlite::{Connection, OptionalExtension};

use super::version::{self, Encoded};
use super::{Job, Tx, mac, update};
use crate::error::Error;

/// Replaces the checkpoint of a running update.
///
/// Answers the id of its deployment; nothing, and then nothing is changed, if the last checkpoint is not the one the
/// caller stood on.
/// Errors: `Forbidden` if the update has ended.
pub struct SaveCheckpoint {
    /// Of which update.
    pub update_id: i64,
    /// The sequence number that must stand now; none for a plain checkpoint, which has no number.
    pub expected_sequence: Option<i64>,
    /// Its own number; 0 for a plain checkpoint.
    pub sequence: i64,
    /// To know a repeat by.
    pub hash: [u8; 32],
    /// The deployment.
    pub deployment: Encoded,
}

impl Job for SaveCheckpoint {
    const NAME: &'static str = "save_checkpoint";
    type Output = Option<i64>;

    fn run(self, tx: &mut Tx) -> Result<Option<i64>, Error> {
        let update = update::read_running(tx.conn, self.update_id)?;
        if self.expected_sequence.is_some_and(|expected| expected != update.checkpoint_sequence) {
            return Ok(None);
        }
        let before = find(tx.conn, update.id)?;
        let deployment_id = version::insert_deployment(tx, update.stack_id, &self.deployment)?;
        const SQL: &str = "
            INSERT INTO checkpoints (update_id, hash, deployment_id) VALUES (?1, ?2, ?3)
            ON CONFLICT (update_id) DO UPDATE SET hash = excluded.hash, deployment_id = excluded.deployment_id";
        tx.conn.prepare_cached(SQL)?.execute((update.id, self.hash, deployment_id))?;
        if let Some(before) = before {
            version::delete_deployment_if_unused(tx, before.deployment_id)?;
        }
        const SET_SEQUENCE: &str = "UPDATE updates SET checkpoint_sequence = ?2 WHERE id = ?1";
        tx.conn.prepare_cached(SET_SEQUENCE)?.execute((update.id, self.sequence))?;
        Ok(Some(deployment_id))
    }
}

/// A stored checkpoint.
pub struct Checkpoint {
    /// To know a repeat by: the SHA-256 of the text, or a keyed hash of a plain one.
    pub hash: Vec<u8>,
    /// The deployment.
    pub deployment_id: i64,
}

/// An update's last checkpoint.
pub fn find(conn: &Connection, update_id: i64) -> Result<Option<Checkpoint>, Error> {
    let sql = format!(
        "SELECT hash, deployment_id, {} FROM checkpoints WHERE update_id = ?1",
        mac::check("checkpoints", "")
    );
    let from_row = |row: &rusqlite::Row| Ok(Checkpoint { hash: row.get(0)?, deployment_id: row.get(1)? });
    Ok(conn.prepare_cached(&sql)?.query_row([update_id], from_row).optional()?)
}

/// Removes an update's checkpoint; its deployment stays.
pub fn delete(tx: &Tx, update_id: i64) -> Result<(), Error> {
    tx.conn.prepare_cached("DELETE FROM checkpoints WHERE update_id = ?1")?.execute([update_id])?;
    Ok(())
}
