//! The write-ahead log as a backup leaves it, for nobody can fold what a reader still needs: so long that the writer
//! would be away for a second. It is folded back beside the writer, while others write.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

/// From one beginning to the next: a reader may be in the way for minutes.
const PAUSE: Duration = Duration::from_secs(1);

/// Folds a long log, one time after the other.
pub struct LongFold {
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
    begun: Option<Instant>,
}

impl LongFold {
    /// For the database at `path`.
    pub fn new(path: &Path) -> LongFold {
        LongFold { path: path.into(), thread: None, begun: None }
    }

    /// Begins, unless it was begun a moment ago. Failing is harmless: the log stays and is read.
    pub fn begin(&mut self) {
        if self.is_running() || self.begun.is_some_and(|begun| begun.elapsed() < PAUSE) {
            return;
        }
        self.begun = Some(Instant::now());
        let path = self.path.clone();
        let run = move || {
            if let Err(cause) = fold(&path) {
                log::warn!("could not fold the write-ahead log into the database: {cause}");
            }
        };
        self.thread = std::thread::Builder::new().name("fold".into()).spawn(run).ok();
    }

    /// Whether it is at work.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Waits for its end.
    pub fn wait(&mut self) {
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("folding the write-ahead log had panicked");
        }
    }
}

/// Whatever is on its way into the log meanwhile is left there.
fn fold(path: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;")?;
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
