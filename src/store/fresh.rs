//! A new database, made whole beside its place: there is one with its tables and keys, or none. That is also
//! quicker than to make it in place, where each step of SQLite to its first table is a sync or two.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::journal::Ledgers;
use super::key::SetServerKey;
use super::mac::RowHasher;
use super::{Job, SETTLED_FIRST, Tx, disk, mac, make_private, schema};
use crate::error::Error;

/// Makes the database at `path` if nothing has that name, on disk when it returns.
pub fn make_if_none(path: &Path, row_hasher: &RowHasher, keys: SetServerKey) -> Result<(), Error> {
    // A link that leads nowhere is left to SQLite, which makes what it names.
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    let aside = disk::beside(path, "-new");
    remove(&aside)?;
    let made = fill(&aside, row_hasher, keys).and_then(|()| {
        let failed = |cause| Error::internal(format!("create {}", path.display()), cause);
        File::open(&aside).and_then(|file| file.sync_all()).map_err(failed)?;
        set_old_log_aside(path).map_err(failed)?;
        fs::rename(&aside, path).map_err(failed)?;
        disk::sync_folder(path).map_err(failed)
    });
    if made.is_err() {
        // What cannot be removed now is removed by the next start.
        let _ = remove(&aside);
    }
    made
}

/// What a start that was cut short has left.
fn remove(aside: &Path) -> Result<(), Error> {
    for end in ["", "-wal", "-shm", "-journal"] {
        let file = disk::beside(aside, end);
        match fs::remove_file(&file) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(Error::internal(format!("remove {}", file.display()), cause));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where somebody has removed a database and left its log, the new one must not be read with that.
fn set_old_log_aside(path: &Path) -> io::Result<()> {
    let log = disk::beside(path, "-wal");
    let kept = disk::beside(&log, ".without-database");
    match fs::rename(&log, &kept) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed?,
    }
    log::warn!("found a write-ahead log without its database; it is now {}", kept.display());
    disk::sync_folder(path)
}

fn fill(aside: &Path, row_hasher: &RowHasher, keys: SetServerKey) -> Result<(), Error> {
    make_private(aside)?;
    let mut conn = Connection::open(aside)?;
    // Nobody has the file yet, and one that is not whole gets no name.
    conn.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;",
    )?;
    conn.execute_batch(SETTLED_FIRST)?;
    mac::register(&conn, row_hasher)?;
    schema::migrate(&mut conn, aside, schema::MIGRATIONS)?;
    mac::install(&conn)?;
    keys.run(&mut Tx { conn: &conn, ledgers: &mut Ledgers::default() })?;
    // As the last step, for from then on there would be a log beside the file.
    conn.execute_batch("PRAGMA journal_mode = WAL;")?;
    conn.close().map_err(|(_, cause)| cause.into())
}
