//! Sealed keys: the server's and those of the stacks, which are changed together or not at all.

use rusqlite::Connection;

use super::{Job, Tx, meta, total};
use crate::error::Error;

/// The name of the server's own key, sealed with the master key.
pub const SERVER_KEY: &str = "server_key";
/// The name of the master key's fingerprint.
pub const FINGERPRINT: &str = "master_key_fingerprint";

/// Remembers the keys of a new database. Answers false, and changes nothing, if it has some.
#[derive(Clone)]
pub struct SetServerKey {
    /// Sealed.
    pub server_key: Vec<u8>,
    /// Of the master key that sealed it.
    pub fingerprint: String,
}

impl Job for SetServerKey {
    const NAME: &'static str = "set_server_key";
    type Output = bool;

    fn run(self, tx: &mut Tx) -> Result<bool, Error> {
        if meta::find(tx.conn, SERVER_KEY)?.is_some() {
            return Ok(false);
        }
        meta::set(tx, SERVER_KEY, &self.server_key)?;
        meta::set(tx, FINGERPRINT, self.fingerprint.as_bytes())?;
        total::start(tx)?;
        Ok(true)
    }
}

/// A stack's sealed key.
pub struct SealedKey {
    /// Row id of the stack.
    pub stack_id: i64,
    /// The stack's id.
    pub stack_uid: String,
    /// The stack's name, for messages.
    pub stack_name: String,
    /// As it is stored.
    pub sealed: Vec<u8>,
    /// Values that its newest generation has sealed, as far as they were counted.
    pub n_seals: u64,
}

/// The keys of all stacks.
pub fn list(conn: &Connection) -> Result<Vec<SealedKey>, Error> {
    const SQL: &str = "
        SELECT id, uid, org || '/' || project || '/' || name, key_sealed, n_seals FROM stacks ORDER BY id";
    let mut statement = conn.prepare_cached(SQL)?;
    let keys = statement.query_map([], |row| {
        Ok(SealedKey {
            stack_id: row.get(0)?,
            stack_uid: row.get(1)?,
            stack_name: row.get(2)?,
            sealed: row.get(3)?,
            n_seals: row.get(4)?,
        })
    })?;
    Ok(keys.collect::<Result<_, _>>()?)
}

/// Puts every key under another master key, in one commit.
///
/// Answers false, and changes nothing, if a stack came, went or was given another key since they were read.
pub struct RotateKeys {
    /// Of the master key under which they are now.
    pub from_fingerprint: String,
    /// Of the new one.
    pub to_fingerprint: String,
    /// The server's key under the new one.
    pub server_key: Vec<u8>,
    /// The stacks' keys: row id, as stored now, and under the new one.
    pub stack_keys: Vec<(i64, Vec<u8>, Vec<u8>)>,
}

impl Job for RotateKeys {
    const NAME: &'static str = "rotate_keys";
    type Output = bool;

    fn is_done(is_done: &bool) -> bool {
        *is_done
    }

    fn run(self, tx: &mut Tx) -> Result<bool, Error> {
        let n_stacks: usize =
            tx.conn.prepare_cached("SELECT count(*) FROM stacks")?.query_row([], |row| row.get(0))?;
        if n_stacks != self.stack_keys.len() || !is_under(tx, &self.from_fingerprint)? {
            return Ok(false);
        }
        if !self.are_unchanged(tx)? {
            return Ok(false);
        }
        let mut statement = tx.conn.prepare_cached("UPDATE stacks SET key_sealed = ?2 WHERE id = ?1")?;
        for (id, _, new) in &self.stack_keys {
            statement.execute((id, new))?;
        }
        meta::set(tx, SERVER_KEY, &self.server_key)?;
        meta::set(tx, FINGERPRINT, self.to_fingerprint.as_bytes())?;
        Ok(true)
    }
}

impl RotateKeys {
    fn are_unchanged(&self, tx: &Tx) -> Result<bool, Error> {
        let mut statement = tx
            .conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM stacks WHERE id = ?1 AND key_sealed = ?2)")?;
        for (id, old, _) in &self.stack_keys {
            let is_same: bool = statement.query_row((id, old), |row| row.get(0))?;
            if !is_same {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Gives a stack's key one more generation.
///
/// Answers false, and changes nothing, if the stack's key or the master key was changed meanwhile.
pub struct RenewStackKey {
    /// Which stack.
    pub stack_id: i64,
    /// Its key as stored now.
    pub old: Vec<u8>,
    /// The same with one more.
    pub new: Vec<u8>,
    /// Of the master key that sealed it.
    pub fingerprint: String,
}

impl Job for RenewStackKey {
    const NAME: &'static str = "renew_stack_key";
    type Output = bool;

    fn is_done(is_done: &bool) -> bool {
        *is_done
    }

    fn run(self, tx: &mut Tx) -> Result<bool, Error> {
        if !is_under(tx, &self.fingerprint)? {
            return Ok(false);
        }
        const SQL: &str = "UPDATE stacks SET key_sealed = ?3, n_seals = 0 WHERE id = ?1 AND key_sealed = ?2";
        Ok(tx.conn.prepare_cached(SQL)?.execute((self.stack_id, &self.old, &self.new))? == 1)
    }
}

/// Adds to the counts of values that the stacks' keys have sealed; stacks that are gone are passed over.
pub struct CountSeals {
    /// Row id of the stack, and how many more.
    pub counts: Vec<(i64, u64)>,
}

impl Job for CountSeals {
    const NAME: &'static str = "count_seals";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        let mut statement =
            tx.conn.prepare_cached("UPDATE stacks SET n_seals = n_seals + ?2 WHERE id = ?1")?;
        for row in &self.counts {
            statement.execute(*row)?;
        }
        Ok(())
    }
}

/// Whether the database's keys are sealed with this master key now.
pub fn is_under(tx: &Tx, fingerprint: &str) -> Result<bool, Error> {
    Ok(meta::find(tx.conn, FINGERPRINT)?.is_some_and(|stored| stored == fingerprint.as_bytes()))
}
