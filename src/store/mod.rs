//! SQLite, and the only SQL. Everything that changes goes as a `Job` to the one writer thread and is on disk
//! when `write` returns; everything that only looks uses a read-only connection of its own.
//!
//! This seam is where another engine would attach: nothing outside this module knows that it is SQLite.

pub mod account;
pub mod audit;
pub mod backup;
pub mod census;
pub mod checkpoint;
mod chunk;
pub mod disk;
pub mod event;
mod facts;
pub mod filter;
pub mod fold;
mod fresh;
pub mod grant;
pub mod history;
pub mod import;
pub mod issuer;
pub mod journal;
pub mod key;
pub mod lock;
mod long_fold;
pub mod mac;
pub mod mark;
pub mod meta;
mod opening;
mod packed;
pub mod program;
mod readers;
pub mod retention;
pub mod revoked;
pub mod schema;
pub mod sealed;
pub mod secret;
pub mod sketch;
pub mod stack;
pub mod token;
pub mod total;
pub mod unused;
pub mod update;
pub mod verify;
pub mod version;
mod writer;

use std::io::Read;
use std::path::Path;

pub use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::config::DbConfig;

use self::key::SetServerKey;
use self::mac::RowHasher;
use self::readers::Readers;
use self::writer::Writer;
pub use self::writer::{Job, Tx};
use crate::error::Error;
use crate::observe::figures::WriterFigures;

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
    /// `row_hasher` begins with the server's key; `first_keys` are for a database that has none yet.
    pub fn open(
        path: &Path,
        row_hasher: RowHasher,
        first_keys: Option<SetServerKey>,
    ) -> Result<Store, Error> {
        if let Some(keys) = first_keys.clone() {
            fresh::make_if_none(path, &row_hasher, keys)?;
        }
        let mut conn = open_for_writing(path)?;
        mac::register(&conn, &row_hasher)?;
        schema::migrate(&mut conn, path, schema::MIGRATIONS)?;
        mac::install(&conn)?;
        let store = Store { writer: Writer::start(conn, path)?, readers: Readers::new(path, row_hasher) };
        // An empty file, or a start that was cut short.
        if let Some(keys) = first_keys {
            store.write(keys)?;
        }
        Ok(store)
    }

    /// What the writer counts.
    pub fn writer_figures(&self) -> &WriterFigures {
        self.writer.figures()
    }

    /// Jobs that wait for the writer.
    pub fn n_queued(&self) -> usize {
        self.writer.n_queued()
    }

    /// Carries out a job. `Ok` means: committed and on disk.
    ///
    /// Errors: the job's own; `Busy` at once when the writer's queue is full.
    pub fn write<J: Job>(&self, job: J) -> Result<J::Output, Error> {
        self.writer.write(job)
    }

    /// Queues a job that nobody waits for. If it is lost with the process, or to a full queue, that is no harm.
    pub fn write_later<J: Job>(&self, job: J) {
        self.writer.write_later(job);
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

/// Facts about the database at `path`, read without changing anything; nothing if there is no database yet.
pub fn peek_meta<const N: usize>(path: &Path, names: [&str; N]) -> Result<[Option<Vec<u8>>; N], Error> {
    let mut found = [const { None }; N];
    if !path.metadata().is_ok_and(|file| file.len() > 0) {
        return Ok(found);
    }
    let conn = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let has_table: bool =
        conn.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'meta')", [], |row| {
            row.get(0)
        })?;
    if has_table {
        for (value, name) in found.iter_mut().zip(names) {
            *value = meta::find(&conn, name)?;
        }
    }
    Ok(found)
}

/// A new file gives space back page by page (see `backup::FreePages`); that is settled before its first page.
const SETTLED_FIRST: &str = "PRAGMA auto_vacuum = INCREMENTAL;";

fn open_for_writing(path: &Path) -> Result<Connection, Error> {
    make_private(path)?;
    refuse_other_files(path)?;
    let conn = Connection::open(path)?;
    if path.metadata().is_ok_and(|file| file.len() == 0) {
        // Only then: on a database with tables it would be a commit at each start.
        conn.execute_batch(SETTLED_FIRST)?;
    }
    // What is deleted is wiped: an old row with its keyed hash, left on a free page, could come back by damage.
    conn.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA secure_delete = ON;
         PRAGMA busy_timeout = 5000;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -8000;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA trusted_schema = OFF;",
    )?;
    keep_plans(&conn)?;
    Ok(conn)
}

/// Statements are prepared once and used with many values. The planner of a build with `SQLITE_ENABLE_STAT4` would
/// look at the values and have a statement prepared again after each binding, at ten times the cost of its run.
fn keep_plans(conn: &Connection) -> Result<(), Error> {
    conn.set_prepared_statement_cache_capacity(128);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// SQLite takes a file that was cut to a few bytes for a new one.
fn refuse_other_files(path: &Path) -> Result<(), Error> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let failed = |cause| Error::internal(format!("read {}", path.display()), cause);
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAGIC.len() as u64).read_to_end(&mut head).map_err(failed)?;
    match head.is_empty() || head == MAGIC {
        true => Ok(()),
        false => Err(Error::Damaged(format!("{} is no SQLite database, or was cut short", path.display()))),
    }
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

/// Whether an error tells of what is stored, and not of a disk or a moment that may pass.
pub fn is_damage(error: &Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let cause = match error {
        Error::Damaged(_) => return true,
        Error::Internal(failure) => &failure.cause,
        _ => return false,
    };
    let code = cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    code.is_none_or(|code| matches!(code, DatabaseCorrupt | NotADatabase))
}

const UNAVAILABLE: &str =
    "the server cannot use its disk now (its log says why); nothing was stored, try again";

impl From<rusqlite::Error> for Error {
    fn from(cause: rusqlite::Error) -> Error {
        if let rusqlite::Error::SqliteFailure(_, Some(words)) = &cause
            && words.ends_with(mac::NOT_AS_WRITTEN)
        {
            return Error::Damaged(words.clone());
        }
        match cause.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Error::OutOfSpace,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Damaged(cause.to_string()),
            Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                log::error!("the database cannot be used: {cause}");
                Error::Unavailable(UNAVAILABLE.into())
            }
            _ => Error::internal("use the database", cause),
        }
    }
}
