//! Read-only connections, as many as are in use at once.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::{Connection, OpenFlags};

use super::mac::{self, RowHasher};
use super::{filter, keep_plans};
use crate::error::Error;

/// A pool that grows to the number of workers and never waits.
pub struct Readers {
    path: PathBuf,
    row_hasher: RowHasher,
    idle: Mutex<Vec<Connection>>,
}

fn commit(conn: &Connection) -> rusqlite::Result<usize> {
    conn.prepare_cached("COMMIT")?.execute([])
}

impl Readers {
    pub fn new(path: &Path, row_hasher: RowHasher) -> Readers {
        Readers { path: path.to_path_buf(), row_hasher, idle: Mutex::default() }
    }

    /// Runs `query` in a read transaction: all its statements see the same state.
    pub fn read<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let idle = self.idle.lock().expect("no panic under this lock").pop();
        let conn = idle.map_or_else(|| self.open(), Ok)?;
        conn.prepare_cached("BEGIN")?.execute([])?;
        let result = query(&conn);
        // A connection whose query panicked, or whose transaction does not end, is not used again. Some errors end it.
        if conn.is_autocommit() || commit(&conn).is_ok() {
            self.idle.lock().expect("no panic under this lock").push(conn);
        }
        result
    }

    fn open(&self) -> Result<Connection, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags)?;
        conn.execute_batch(
            "PRAGMA query_only = 1;
             PRAGMA busy_timeout = 5000;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -4000;
             PRAGMA trusted_schema = OFF;",
        )?;
        mac::register(&conn, &self.row_hasher)?;
        filter::register(&conn)?;
        keep_plans(&conn)?;
        Ok(conn)
    }
}
