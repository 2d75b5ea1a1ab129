//! SQLite, and the only SQL. Everything that changes goes as a `Job` to the one writer thread and is on disk
//! when `write` returns; everything that only looks uses a read-only connection of its own.
//!
//! This seam is where another engine would attach: nothing outside this module knows that it is SQLite.

pub mod checkpoint;
mod chunk;
pub mod event;
mod facts;
pub mod fold;
pub mod history;
pub mod import;
pub mod journal;
pub mod key;
pub mod mac;
pub mod meta;
mod packed;
mod readers;
mod schema;
pub mod sealed;
pub mod secret;
pub mod sketch;
pub mod stack;
pub mod unused;
pub mod update;
pub mod version;
mod writer;

use std::path::Path;

pub use rusqlite::Connection;

use self::mac::RowHasher;
use self::readers::Readers;
use self::writer::Writer;
pub use self::writer::{Job, Tx};
use crate::error::Error;

/// The database: one writer thread and a pool of readers.
pub struct Store {
    writer: Writer,
    readers: Readers,
}

impl Store {
    /// Opens or makes the database at `path` and brings its tables up to date.
    ///
    /// A new file gets mode 0600. Errors: not a database, made by a newer version, not writable.
    ///
    /// `row_hasher` begins with the server's key.
    pub fn open(path: &Path, row_hasher: RowHasher) -> Result<Store, Error> {
        let mut conn = open_for_writing(path)?;
        mac::register(&conn, &row_hasher)?;
        schema::migrate(&mut conn)?;
        mac::install(&conn)?;
        Ok(Store { writer: Writer::start(conn, path)?, readers: Readers::new(path, row_hasher) })
    }

    /// Carries out a job. `Ok` means: committed and on disk.
    ///
    /// Errors: the job's own; `Busy` at once when the writer's queue is full.
    pub fn write<J: Job>(&self, job: J) -> Result<J::Output, Error> {
        self.writer.write(job)
    }

    /// Runs `query` on one consistent view of the database, which includes all that was ever acknowledged.
    pub fn read<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        self.readers.read(query)
    }

    /// Carries out what is queued, folds the write-ahead log into the database and closes it.
    pub fn close(self) {
        drop(self.readers);
        self.writer.stop();
    }
}

/// A fact about the database at `path`, read without changing anything; nothing if there is no database yet.
pub fn peek_meta(path: &Path, name: &str) -> Result<Option<Vec<u8>>, Error> {
    if !path.metadata().is_ok_and(|file| file.len() > 0) {
        return Ok(None);
    }
    let conn = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let has_table: bool =
        conn.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'meta')", [], |row| {
            row.get(0)
        })?;
    if has_table { meta::find(&conn, name) } else { Ok(None) }
}

fn open_for_writing(path: &Path) -> Result<Connection, Error> {
    make_private(path)?;
    let conn = Connection::open(path)?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA busy_timeout = 5000;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -8000;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA trusted_schema = OFF;",
    )?;
    conn.set_prepared_statement_cache_capacity(128);
    Ok(conn)
}

/// Makes the file, if there is none, readable to its owner only; SQLite gives its other files the same mode.
fn make_private(path: &Path) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(cause) => Err(Error::internal(format!("create {}", path.display()), cause)),
    }
}

impl From<rusqlite::Error> for Error {
    fn from(cause: rusqlite::Error) -> Error {
        match cause.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Error::OutOfSpace,
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Error::Damaged(cause.to_string())
            }
            _ => Error::internal("use the database", cause),
        }
    }
}
