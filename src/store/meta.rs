//! Facts about the database itself, by name.

use rusqlite::{Connection, OptionalExtension};

use super::{Job, Tx};
use crate::error::Error;

/// The name of the text that tells whether the master key is the right one.
pub const CANARY: &str = "canary";

/// Remembers a value that is not there yet; gives the one that stands.
pub struct SetMetaOnce {
    /// As `canary`.
    pub name: &'static str,
    /// Kept as it is.
    pub value: Vec<u8>,
}

impl Job for SetMetaOnce {
    const NAME: &'static str = "set_meta_once";
    type Output = Vec<u8>;

    fn run(self, tx: &mut Tx) -> Result<Vec<u8>, Error> {
        const SQL: &str = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING";
        tx.conn.prepare_cached(SQL)?.execute((self.name, &self.value))?;
        Ok(find(tx.conn, self.name)?.expect("inserted or there before"))
    }
}

/// The value under `name`.
pub fn find(conn: &Connection, name: &str) -> Result<Option<Vec<u8>>, Error> {
    const SQL: &str = "SELECT value FROM meta WHERE name = ?1";
    Ok(conn.prepare_cached(SQL)?.query_row([name], |row| row.get(0)).optional()?)
}

/// Does nothing, durably: its answer proves that the writer lives.
pub struct Ping;

impl Job for Ping {
    const NAME: &'static str = "ping";
    type Output = ();

    fn run(self, _: &mut Tx) -> Result<(), Error> {
        Ok(())
    }
}
