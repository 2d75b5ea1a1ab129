//! Backups as the database sees them: a copy of itself, what is in a copy, the record of those that were made, and
//! space given back to the file system.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row};

use super::{Job, Tx, audit, key, meta};
use crate::error::Error;
use crate::limits;
use crate::pace::Pace;

/// Steps of SQLite's machine between two looks at whether to go on; a row takes about five.
const STEPS_BETWEEN_LOOKS: i32 = 50;

/// Copies the database `from`, as it is at this moment, to the empty file `to`. Others read and write meanwhile.
///
/// If `pace` says that it is to end, it does so with an error.
pub fn copy(from: &Path, to: &Path, pace: &mut Pace) -> Result<(), Error> {
    let mut conn = open_to_read(from)?;
    pace.begin("copying", count_used_bytes(&conn)?);
    let copy = File::open(to).map_err(|cause| Error::internal(format!("open {}", to.display()), cause))?;
    let (mut pace_inside, mut n_synced) = (pace.clone(), 0);
    let go_on = move || {
        let n_bytes = copy.metadata().map_or(0, |file| file.len());
        pace_inside.reached(n_bytes);
        if n_bytes >= n_synced + limits::UNSYNCED_BYTES_MAX {
            // If this fails, so does SQLite's own at the end.
            let _ = copy.sync_data();
            n_synced = n_bytes;
        }
        pace_inside.go_on().is_err()
    };
    conn.progress_handler(STEPS_BETWEEN_LOOKS, Some(go_on))?;
    let to = to.to_str().ok_or_else(|| Error::invalid("db", "its path must be UTF-8 to be copied"))?;
    let copied = conn.execute("VACUUM INTO ?1", [to]);
    // Why it was told to end says more than that it was interrupted.
    pace.go_on()?;
    copied.map(drop).map_err(|cause| match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::OutOfSpace,
        // What the disk said helps more than that it cannot be used.
        _ => Error::internal("copy the database", cause),
    })
}

/// What a copy will have.
fn count_used_bytes(conn: &Connection) -> Result<u64, Error> {
    let value =
        |name: &str| -> Result<u64, Error> { Ok(conn.pragma_query_value(None, name, |row| row.get(0))?) };
    Ok((value("page_count")? - count_free_pages(conn)?) * value("page_size")?)
}

fn open_to_read(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.execute_batch(
        "PRAGMA busy_timeout = 5000; PRAGMA cache_size = -4000; PRAGMA trusted_schema = OFF;",
    )?;
    Ok(conn)
}

/// What a database file holds, as far as it can be told without a key.
#[derive(PartialEq, Eq, Debug)]
pub struct Facts {
    /// Migrations that have run.
    pub schema_version: u32,
    /// Rows of each table.
    pub counts: BTreeMap<String, u64>,
    /// Of the master key that it needs.
    pub key_fingerprint: String,
    /// The last entry of the audit record and its hash, if there is one.
    pub audit_head: Option<(i64, Vec<u8>)>,
}

/// Looks at a database that nobody writes. Linear in its size.
pub fn read_facts(path: &Path) -> Result<Facts, Error> {
    let conn = open_to_read(path)?;
    let fingerprint = meta::find(&conn, key::FINGERPRINT)?.unwrap_or_default();
    Ok(Facts {
        schema_version: conn.pragma_query_value(None, "user_version", |row| row.get(0))?,
        counts: count_rows(&conn)?,
        key_fingerprint: String::from_utf8_lossy(&fingerprint).into_owned(),
        audit_head: audit::find_head(&conn)?,
    })
}

fn count_rows(conn: &Connection) -> Result<BTreeMap<String, u64>, Error> {
    const SQL: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = conn.prepare(SQL)?;
    let names = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    let counts = names.into_iter().map(|name| {
        let n = count_rows_of(conn, &name)?;
        Ok((name, n))
    });
    counts.collect()
}

pub(super) fn count_rows_of(conn: &Connection, table: &str) -> Result<u64, Error> {
    let sql = format!("SELECT count(*) FROM \"{table}\"");
    Ok(conn.query_row(&sql, [], |row| row.get(0))?)
}

/// Updates that run, previews too.
pub fn list_running(conn: &Connection) -> Result<Vec<i64>, Error> {
    let mut statement = conn.prepare("SELECT id FROM updates WHERE status = 'running' ORDER BY id")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// An update that another database does not have, or not as far.
pub struct Lost {
    /// The stack, as `org/project/name`.
    pub stack: String,
    /// The version it made.
    pub version: i64,
    /// What it did.
    pub kind: String,
    /// Where it was.
    pub status: String,
    /// When it was started.
    pub started_at_unix: i64,
}

/// How a database differs from the backup that takes its place.
#[derive(Default)]
pub struct Losses {
    /// Updates that are lost, oldest first.
    pub updates: Vec<Lost>,
    /// Names of stacks that are lost.
    pub stacks: Vec<String>,
    /// Owners and names of tokens that had been revoked since, and are valid again.
    pub revived_tokens: Vec<String>,
}

/// The database at `old` as `main`, and beside it the one at `new` as `restored`.
pub(super) fn open_both(old: &Path, new: &Path) -> Result<Connection, Error> {
    let conn = Connection::open(old)?;
    conn.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF;")?;
    conn.execute("ATTACH ?1 AS restored", [new.to_str().unwrap_or_default()])?;
    Ok(conn)
}

/// What the database at `old` has and the one at `new` does not. The write-ahead log of `old` is folded into it.
pub fn list_lost(old: &Path, new: &Path) -> Result<Losses, Error> {
    let conn = open_both(old, new)?;
    conn.query_row("PRAGMA main.wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    const UPDATES: &str = "
        SELECT s.org || '/' || s.project || '/' || s.name, u.version, u.kind, u.status, u.started_at_unix
        FROM updates u JOIN stacks s ON s.id = u.stack_id
        WHERE u.version IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM restored.updates r
                          WHERE r.uid = u.uid AND (r.status = u.status OR u.status = 'running'))
        ORDER BY u.started_at_unix, u.id";
    let mut statement = conn.prepare(UPDATES)?;
    let updates = statement.query_map([], |row| {
        Ok(Lost {
            stack: row.get(0)?,
            version: row.get(1)?,
            kind: row.get(2)?,
            status: row.get(3)?,
            started_at_unix: row.get(4)?,
        })
    })?;
    let updates = updates.collect::<Result<_, _>>()?;
    const STACKS: &str = "
        SELECT org || '/' || project || '/' || name FROM stacks s
        WHERE NOT EXISTS (SELECT 1 FROM restored.stacks r WHERE r.uid = s.uid) ORDER BY 1";
    let mut statement = conn.prepare(STACKS)?;
    let stacks = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    const TOKENS: &str = "
        SELECT a.name || ' ' || t.name FROM restored.tokens t JOIN restored.accounts a ON a.id = t.account_id
        WHERE NOT EXISTS (SELECT 1 FROM main.tokens o WHERE o.uid = t.uid)
          AND EXISTS (SELECT 1 FROM main.accounts o WHERE o.name = a.name) ORDER BY 1";
    let mut statement = conn.prepare(TOKENS)?;
    let revived_tokens = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(Losses { updates, stacks, revived_tokens })
}

/// The record of one backup, or of one that failed. One that was neither verified nor has a problem is being made.
#[derive(Clone, Debug)]
pub struct Backup {
    /// The file's name.
    pub name: String,
    /// The folder or bucket that it was put in.
    pub place: String,
    /// When it was begun.
    pub made_at_unix: i64,
    /// How large the file is; 0 if none was made.
    pub n_bytes: u64,
    /// Of the master key that it needs.
    pub key_fingerprint: String,
    /// When it was last restored for a check without a problem.
    pub verified_at_unix: Option<i64>,
    /// Why it was not made, or is no good.
    pub problem: Option<String>,
}

/// Remembers a backup, or what is known of it now.
pub struct RecordBackup(pub Backup);

impl Job for RecordBackup {
    const NAME: &'static str = "record_backup";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        const SQL: &str = "
            INSERT INTO backups (name, place, made_at_unix, n_bytes, key_fingerprint, verified_at_unix, problem)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            ON CONFLICT (place, name) DO UPDATE SET
                made_at_unix = excluded.made_at_unix, n_bytes = excluded.n_bytes, key_fingerprint = excluded.key_fingerprint,
                verified_at_unix = excluded.verified_at_unix, problem = excluded.problem";
        let Backup { name, place, made_at_unix, n_bytes, key_fingerprint, verified_at_unix, problem } =
            self.0;
        let row = (name, place, made_at_unix, n_bytes, key_fingerprint, verified_at_unix, problem);
        tx.conn.prepare_cached(SQL)?.execute(row)?;
        forget_failed(tx)
    }
}

/// Attempts that left no file are of no use for long; a place that is full for a month would leave thousands.
fn forget_failed(tx: &Tx) -> Result<(), Error> {
    const SQL: &str = "
        DELETE FROM backups
        WHERE n_bytes = 0 AND problem IS NOT NULL AND id NOT IN (
            SELECT id FROM backups WHERE n_bytes = 0 AND problem IS NOT NULL ORDER BY made_at_unix DESC, id DESC LIMIT ?1)";
    tx.conn.prepare_cached(SQL)?.execute([limits::FAILED_BACKUPS_MAX])?;
    Ok(())
}

/// Forgets the backup that was being made when this database was copied: it is the copy.
pub struct ForgetUnfinished;

impl Job for ForgetUnfinished {
    const NAME: &'static str = "forget_unfinished_backups";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        tx.conn.execute("DELETE FROM backups WHERE verified_at_unix IS NULL AND problem IS NULL", [])?;
        Ok(())
    }
}

/// Forgets backups that are deleted.
pub struct ForgetBackups {
    /// Where they were.
    pub place: String,
    /// Their names.
    pub names: Vec<String>,
}

impl Job for ForgetBackups {
    const NAME: &'static str = "forget_backups";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        let mut statement = tx.conn.prepare_cached("DELETE FROM backups WHERE place = ?1 AND name = ?2")?;
        for name in &self.names {
            statement.execute((&self.place, name))?;
        }
        Ok(())
    }
}

/// The recorded backups, newest first; `place` chooses one.
pub fn list(conn: &Connection, place: Option<&str>) -> Result<Vec<Backup>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM backups WHERE ?1 IS NULL OR place = ?1 ORDER BY made_at_unix DESC, name DESC"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    Ok(statement.query_map([place], from_row)?.collect::<Result<_, _>>()?)
}

/// The newest recorded backup of this name, wherever it is.
pub fn find(conn: &Connection, name: &str) -> Result<Option<Backup>, Error> {
    let sql =
        format!("SELECT {COLUMNS} FROM backups WHERE name = ?1 ORDER BY made_at_unix DESC, id DESC LIMIT 1");
    Ok(conn.prepare_cached(&sql)?.query_row([name], from_row).optional()?)
}

/// Backups that are being made, or were when the server was killed.
pub fn list_unfinished(conn: &Connection) -> Result<Vec<Backup>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM backups WHERE verified_at_unix IS NULL AND problem IS NULL");
    let mut statement = conn.prepare(&sql)?;
    Ok(statement.query_map([], from_row)?.collect::<Result<_, _>>()?)
}

const COLUMNS: &str = "name, place, made_at_unix, n_bytes, key_fingerprint, verified_at_unix, problem";

fn from_row(row: &Row) -> rusqlite::Result<Backup> {
    Ok(Backup {
        name: row.get(0)?,
        place: row.get(1)?,
        made_at_unix: row.get(2)?,
        n_bytes: row.get(3)?,
        key_fingerprint: row.get(4)?,
        verified_at_unix: row.get(5)?,
        problem: row.get(6)?,
    })
}

/// How backups stand: for `doctor`, metrics and warnings.
#[derive(Default, Debug)]
pub struct Standing {
    /// When the newest backup was begun that was found whole by a restore.
    pub last_verified_made_at_unix: Option<i64>,
    /// The latest attempt that has ended.
    pub last: Option<Backup>,
    /// Recorded backups, failed ones included.
    pub n_recorded: u64,
}

impl Standing {
    /// Whether the last good backup is older than it may be; without a limit it never is.
    pub fn is_overdue(&self, warn_after_secs: Option<i64>, now_unix: i64) -> bool {
        let Some(warn_after_secs) = warn_after_secs else { return false };
        let is_old = |made_at_unix| made_at_unix < now_unix - warn_after_secs;
        self.last_verified_made_at_unix.is_none_or(is_old)
    }
}

/// How backups stand.
pub fn standing(conn: &Connection) -> Result<Standing, Error> {
    let last = format!(
        "SELECT {COLUMNS} FROM backups WHERE verified_at_unix IS NOT NULL OR problem IS NOT NULL
         ORDER BY made_at_unix DESC, id DESC LIMIT 1"
    );
    const SQL: &str = "
        SELECT count(*), max(made_at_unix) FILTER (WHERE verified_at_unix IS NOT NULL AND problem IS NULL)
        FROM backups";
    let (n_recorded, last_verified_made_at_unix) =
        conn.prepare_cached(SQL)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let last = conn.prepare_cached(&last)?.query_row([], from_row).optional()?;
    Ok(Standing { last_verified_made_at_unix, last, n_recorded })
}

/// Gives pages that nothing uses back to the file system, a few at a time. Answers how many are left.
pub struct FreePages {
    /// So many at the most.
    pub n_max: u64,
}

impl Job for FreePages {
    const NAME: &'static str = "free_pages";
    type Output = u64;

    fn run(self, tx: &mut Tx) -> Result<u64, Error> {
        // Each row of the answer is one page that was moved or cut off.
        let mut statement = tx.conn.prepare(&format!("PRAGMA incremental_vacuum({})", self.n_max))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        count_free_pages(tx.conn)
    }
}

/// Pages of the file that nothing uses.
pub fn count_free_pages(conn: &Connection) -> Result<u64, Error> {
    Ok(conn.pragma_query_value(None, "freelist_count", |row| row.get(0))?)
}
