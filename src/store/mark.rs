//! Marks of the values that were encrypted for a stack (see `domain/leak`), in batches as they came. A batch is sealed
//! under its hash: like the marks in it, it says nothing to whoever has the file alone.

use std::sync::Arc;

use rusqlite::Connection;
use sha2::Digest;

use super::sealed::damaged;
use super::{Job, Tx, mac, stack};
use crate::crypto::hex;
use crate::crypto::keyring::StackKey;
use crate::domain::leak::Marks;
use crate::domain::leak::mark::Mark;
use crate::error::Error;

/// The marks of a stack as they are stored.
pub struct StoredMarks {
    /// All that can be read.
    pub marks: Arc<Marks>,
    /// The last of their rows; 0 if there is none.
    pub last_row: i64,
    /// How many rows there are.
    pub n_rows: usize,
    /// How many marks are in them.
    pub n_stored: usize,
    /// Why a row could not be read, of the first such row.
    pub damage: Option<Error>,
}

/// The marks of a stack that has none.
pub fn none(key: &StackKey) -> Marks {
    Marks::new(key.keyed_hasher("mark"))
}

/// The marks of a stack. A row that is damaged is left out, for nobody may be kept from writing by that.
pub fn read(conn: &Connection, key: &StackKey, stack_id: i64) -> Result<StoredMarks, Error> {
    let mut marks = none(key);
    let (mut last_row, mut n_stored, mut damage) = (0, 0, None);
    const IDS: &str = "SELECT id FROM marks WHERE stack_id = ?1 ORDER BY id";
    let ids: Vec<i64> =
        conn.prepare_cached(IDS)?.query_map([stack_id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in &ids {
        match read_row(conn, key, *id) {
            Ok(row) => {
                n_stored += row.len();
                marks.add(row);
            }
            Err(error) if super::is_damage(&error) => damage = damage.or(Some(error)),
            Err(error) => return Err(error),
        }
        last_row = *id;
    }
    Ok(StoredMarks { marks: Arc::new(marks), last_row, n_rows: ids.len(), n_stored, damage })
}

fn read_row(conn: &Connection, key: &StackKey, id: i64) -> Result<Vec<Mark>, Error> {
    let sql = format!("SELECT hash, body, {} FROM marks WHERE id = ?1", mac::check("marks", ""));
    let (hash, body): (Vec<u8>, Vec<u8>) =
        conn.prepare_cached(&sql)?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let marks = key.open(&label(&hash), &body).and_then(|plain| Mark::decode_all(&plain));
    marks.ok_or_else(|| damaged("a batch of marks of encrypted values"))
}

fn label(hash: &[u8]) -> String {
    format!("marks {}", hex(hash))
}

/// Stores marks of a stack.
pub struct AddMarks {
    /// Of which stack.
    pub stack_id: i64,
    /// Identifies the batch.
    pub hash: Vec<u8>,
    /// The marks, sealed.
    pub body: Vec<u8>,
    /// The rows up to this one are in it too, and go.
    pub replaces: i64,
}

impl AddMarks {
    /// Seals a batch; `replaces` as in the job.
    pub fn new(key: &StackKey, stack_id: i64, marks: &[Mark], replaces: i64) -> Result<AddMarks, Error> {
        let mut plain = Vec::new();
        marks.iter().for_each(|mark| mark.encode(&mut plain));
        let hash = key.keyed_hasher("marks").chain_update(&plain).finalize()[..16].to_vec();
        let body = key.seal(&label(&hash), &plain)?;
        Ok(AddMarks { stack_id, hash, body, replaces })
    }
}

impl Job for AddMarks {
    const NAME: &'static str = "add_marks";
    /// The row.
    type Output = i64;

    fn run(self, tx: &mut Tx) -> Result<i64, Error> {
        stack::read(tx.conn, self.stack_id)?;
        const DELETE: &str = "DELETE FROM marks WHERE stack_id = ?1 AND id <= ?2";
        if self.replaces > 0 {
            tx.conn.prepare_cached(DELETE)?.execute((self.stack_id, self.replaces))?;
        }
        const SQL: &str = "INSERT INTO marks (stack_id, hash, body) VALUES (?1, ?2, ?3)";
        Ok(tx.conn.prepare_cached(SQL)?.insert((self.stack_id, &self.hash, &self.body))?)
    }
}
