//! Facts about the database itself, by name.

use rusqlite::{Connection, OptionalExtension};

use super::{Job, Tx};
use crate::error::Error;

/// Sets the value under `name`.
pub fn set(tx: &Tx, name: &str, value: &[u8]) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO meta (name, value) VALUES (?1, ?2)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    tx.conn.prepare_cached(SQL)?.execute((name, value))?;
    Ok(())
}

/// The value under `name`.
pub fn find(conn: &Connection, name: &str) -> Result<Option<Vec<u8>>, Error> {
    const SQL: &str = "SELECT value FROM meta WHERE name = ?1";
    Ok(conn.prepare_cached(SQL)?.query_row([name], |row| row.get(0)).optional()?)
}

/// The settings of the last start, as JSON.
pub const SETTINGS: &str = "settings";

/// Remembers the settings of this start.
pub struct SetSettings {
    /// As JSON.
    pub settings: Vec<u8>,
}

impl Job for SetSettings {
    const NAME: &'static str = "set_settings";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        set(tx, SETTINGS, &self.settings)
    }
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
