//! The last checkpoint of each update that sends checkpoints instead of a journal.

use rusqlite::{Connection, OptionalExtension};

use super::{Job, Tx, update, version};
use crate::error::Error;
use crate::limits;

/// Replaces the checkpoint of a running update.
///
/// Answers false, and changes nothing, if the last checkpoint is not the one the caller stood on.
/// Errors: `Forbidden` if the update has ended.
pub struct SaveCheckpoint {
    /// Of which update.
    pub update_id: i64,
    /// The sequence number that must stand now; none for a plain checkpoint, which has no number.
    pub expected_sequence: Option<i64>,
    /// Its own number; 0 for a plain checkpoint.
    pub sequence: i64,
    /// Length of the text.
    pub n_bytes: usize,
    /// SHA-256 of the text.
    pub hash: [u8; 32],
    /// The text, deflated.
    pub body: Vec<u8>,
}

impl Job for SaveCheckpoint {
    const NAME: &'static str = "save_checkpoint";
    type Output = bool;

    fn run(self, tx: &mut Tx) -> Result<bool, Error> {
        let update = update::read_running(tx.conn, self.update_id)?;
        if self.expected_sequence.is_some_and(|expected| expected != update.checkpoint_sequence) {
            return Ok(false);
        }
        const SQL: &str = "
            INSERT INTO checkpoints (update_id, n_bytes, hash, body) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (update_id) DO UPDATE
            SET n_bytes = excluded.n_bytes, hash = excluded.hash, body = excluded.body";
        let row = (update.id, self.n_bytes, self.hash, &self.body);
        tx.conn.prepare_cached(SQL)?.execute(row)?;
        const SET_SEQUENCE: &str = "UPDATE updates SET checkpoint_sequence = ?2 WHERE id = ?1";
        tx.conn.prepare_cached(SET_SEQUENCE)?.execute((update.id, self.sequence))?;
        Ok(true)
    }
}

/// The text of an update's last checkpoint.
pub fn find_text(conn: &Connection, update_id: i64) -> Result<Option<String>, Error> {
    const SQL: &str = "SELECT body FROM checkpoints WHERE update_id = ?1";
    let body: Option<Vec<u8>> =
        conn.prepare_cached(SQL)?.query_row([update_id], |row| row.get(0)).optional()?;
    body.map(|deflated| version::inflate_text(&deflated, limits::BODY_BYTES_DEPLOYMENT)).transpose()
}

/// SHA-256 of the text of an update's last checkpoint.
pub fn find_hash(conn: &Connection, update_id: i64) -> Result<Option<Vec<u8>>, Error> {
    const SQL: &str = "SELECT hash FROM checkpoints WHERE update_id = ?1";
    Ok(conn.prepare_cached(SQL)?.query_row([update_id], |row| row.get(0)).optional()?)
}

/// Removes an update's checkpoint.
pub fn delete(tx: &Tx, update_id: i64) -> Result<(), Error> {
    tx.conn.prepare_cached("DELETE FROM checkpoints WHERE update_id = ?1")?.execute([update_id])?;
    Ok(())
}
