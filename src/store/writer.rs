//! The one thread that writes. It takes all that is queued, runs each job in a savepoint of one transaction,
//! commits once (one fsync), and only then answers. A panic here ends the process: it may not guess about state.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use rusqlite::Connection;

use super::disk;
use super::journal::Ledgers;
use super::long_fold::LongFold;
use crate::error::Error;
use crate::limits;
use crate::observe::figures::WriterFigures;

/// How long the queue must be empty before the write-ahead log is folded back.
const IDLE: Duration = Duration::from_millis(50);

/// One decision: load, decide, save, in one transaction. It brings its own time and random ids, so the same
/// job on the same rows gives the same rows.
pub trait Job: Send + 'static {
    /// For the log and the metrics.
    const NAME: &'static str;
    /// What the caller learns once it is on disk.
    type Output: Send + 'static;
    /// Runs in a savepoint: an error undoes what it did, and nothing else.
    fn run(self, tx: &mut Tx) -> Result<Self::Output, Error>;
    /// Whether a job that ended well did what it is for; some find that they must be prepared anew.
    fn is_done(_: &Self::Output) -> bool {
        true
    }
}

/// The writable connection inside a transaction, with what the writer remembers of running journals.
pub struct Tx<'a> {
    /// The connection.
    pub conn: &'a Connection,
    pub(super) ledgers: &'a mut Ledgers,
}

/// What a job came to, as the writer keeps it until the commit: it knows no job's type.
struct Ran {
    result: JobResult,
    /// Why its changes must be undone.
    failed: Option<Failure>,
}

/// The `Result<Output, Error>` of a job.
type JobResult = Box<dyn Any + Send>;

/// Runs a job, and forgets its type.
type Run = Box<dyn FnOnce(&mut Tx) -> Ran + Send>;

/// A job on its way, with the way back for its result.
struct Pending {
    job: Option<Run>,
    ran: Option<JobResult>,
    reply: Sender<Result<JobResult, Error>>,
}

impl Pending {
    fn new<J: Job>(job: J, reply: Sender<Result<JobResult, Error>>) -> Pending {
        let run = move |tx: &mut Tx| {
            let result = job.run(tx);
            let failed = result.as_ref().err().map(|error| note(J::NAME, error));
            Ran { result: Box::new(result), failed }
        };
        Pending { job: Some(Box::new(run)), ran: None, reply }
    }

    /// Runs the job and keeps its result; an error if its changes must be undone.
    fn run(&mut self, tx: &mut Tx) -> Result<(), Failure> {
        let Ran { result, failed } = self.job.take().expect("a job runs once")(tx);
        self.ran = Some(result);
        failed.map_or(Ok(()), Err)
    }

    /// Hands the kept result to the caller, or the failure of the whole commit.
    fn answer(self, commit: &Result<(), Failure>) {
        let result = match commit {
            Ok(()) => Ok(self.ran.expect("answered after it ran")),
            Err(why) => Err(why.to_error()),
        };
        // The caller may have given up; the job is done all the same.
        let _ = self.reply.send(result);
    }
}

/// A failure of a job; one that is ours goes to the log.
fn note(job: &str, error: &Error) -> Failure {
    if let Error::Internal(failure) = error {
        log::error!("job {job}: could not {}: {}", failure.during, failure.cause);
    }
    Failure::of(error)
}

/// Why a job, or a whole commit, was not stored.
#[derive(Clone)]
enum Failure {
    OutOfSpace,
    Unavailable(String),
    Other(String),
}

impl Failure {
    fn of(error: &Error) -> Failure {
        match error {
            Error::OutOfSpace => Failure::OutOfSpace,
            Error::Unavailable(sentence) => Failure::Unavailable(sentence.clone()),
            other => Failure::Other(other.to_string()),
        }
    }

    fn to_error(&self) -> Error {
        match self {
            Failure::OutOfSpace => Error::OutOfSpace,
            Failure::Unavailable(sentence) => Error::Unavailable(sentence.clone()),
            Failure::Other(why) => Error::internal("commit to the database", why.clone()),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::OutOfSpace => f.write_str("out of space"),
            Failure::Unavailable(why) | Failure::Other(why) => f.write_str(why),
        }
    }
}

/// The way to the writer thread.
pub struct Writer {
    queue: Option<Sender<Pending>>,
    thread: Option<JoinHandle<()>>,
    figures: Arc<WriterFigures>,
}

impl Writer {
    /// Takes over the connection.
    pub fn start(conn: Connection, path: &Path) -> Result<Writer, Error> {
        let (queue, jobs) = bounded(limits::WRITER_QUEUE_JOBS);
        let wal_path = disk::beside(path, "-wal");
        let long_fold = LongFold::new(path);
        let figures = Arc::new(WriterFigures::default());
        let counting = figures.clone();
        let run = move || {
            let _end = EndProcessOnPanic;
            let ledgers = Ledgers::default();
            Loop { conn, jobs, wal_path, long_fold, ledgers, has_unfolded: true, figures: counting }.run();
        };
        let thread = std::thread::Builder::new().name("writer".into()).spawn(run);
        let thread = thread.map_err(|cause| Error::internal("start the writer thread", cause))?;
        Ok(Writer { queue: Some(queue), thread: Some(thread), figures })
    }

    /// What it counts.
    pub fn figures(&self) -> &WriterFigures {
        &self.figures
    }

    /// Jobs that wait.
    pub fn n_queued(&self) -> usize {
        self.queue.as_ref().map_or(0, Sender::len)
    }

    /// Queues the job and waits for its commit.
    pub fn write<J: Job>(&self, job: J) -> Result<J::Output, Error> {
        let (reply, answer) = bounded(1);
        self.queue(Pending::new(job, reply))?;
        let result = answer.recv().map_err(|_| stopped())??;
        *result.downcast::<Result<J::Output, Error>>().expect("the result of this job")
    }

    /// Queues the job and goes on; a full queue drops it.
    pub fn write_later<J: Job>(&self, job: J) {
        if self.queue(Pending::new(job, bounded(1).0)).is_err() {
            log::debug!("job {}: left out, as the queue is full", J::NAME);
        }
    }

    fn queue(&self, pending: Pending) -> Result<(), Error> {
        let queue = self.queue.as_ref().expect("open until stopped");
        queue.try_send(pending).map_err(|refused| match refused {
            TrySendError::Full(_) => Error::Busy,
            TrySendError::Disconnected(_) => stopped(),
        })
    }

    /// Carries out what is queued, then ends the thread.
    pub fn stop(mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a panic in the writer ends the process");
        }
    }
}

fn stopped() -> Error {
    Error::internal("write", "the writer has stopped")
}

/// Ends the process when the writer thread panics, after the panic has been printed.
struct EndProcessOnPanic;

impl Drop for EndProcessOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::exit(101);
        }
    }
}

struct Loop {
    conn: Connection,
    jobs: Receiver<Pending>,
    wal_path: PathBuf,
    long_fold: LongFold,
    ledgers: Ledgers,
    /// Whether anything was committed since the log was last folded back.
    has_unfolded: bool,
    figures: Arc<WriterFigures>,
}

impl Loop {
    fn run(mut self) {
        loop {
            match self.jobs.recv_timeout(IDLE) {
                Ok(first) => self.run_batch(first),
                Err(RecvTimeoutError::Timeout) if self.has_unfolded => self.fold_if_idle(),
                Err(RecvTimeoutError::Timeout) => match self.jobs.recv() {
                    Ok(first) => self.run_batch(first),
                    Err(_) => break,
                },
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.close();
    }

    fn run_batch(&mut self, first: Pending) {
        let started = Instant::now();
        let mut batch = vec![first];
        let commit = self.run_jobs(&mut batch);
        self.figures.commit_secs.count_time(started.elapsed());
        self.figures.batch_jobs.count(batch.len() as f64);
        if let Err(why) = &commit {
            self.figures.n_failed.raise();
            log::error!("commit of {} jobs failed, nothing of them was stored: {why}", batch.len());
            self.ledgers.clear();
        }
        for job in batch {
            job.answer(&commit);
        }
        self.has_unfolded = true;
        if self.wal_bytes() > limits::WAL_BYTES_MAX {
            self.fold_if_more_than(0);
        }
    }

    /// Runs the jobs of `batch`, and those that are queued meanwhile, in one transaction.
    fn run_jobs(&mut self, batch: &mut Vec<Pending>) -> Result<(), Failure> {
        self.execute("BEGIN IMMEDIATE")?;
        let mut n_done = 0;
        while n_done < batch.len() {
            if let Err(why) = self.run_in_savepoint(&mut batch[n_done]) {
                self.undo();
                return Err(why);
            }
            n_done += 1;
            if n_done == batch.len() && batch.len() < limits::WRITER_BATCH_JOBS {
                batch.extend(self.jobs.try_recv());
            }
        }
        self.execute("COMMIT").inspect_err(|_| self.undo())
    }

    fn run_in_savepoint(&mut self, job: &mut Pending) -> Result<(), Failure> {
        self.execute("SAVEPOINT job")?;
        let done = job.run(&mut Tx { conn: &self.conn, ledgers: &mut self.ledgers });
        if self.conn.is_autocommit() {
            // SQLite itself rolls the whole transaction back on some errors, as a full disk.
            return Err(done.err().unwrap_or(Failure::Other("the transaction ended by itself".into())));
        }
        if done.is_ok() {
            return self.execute("RELEASE job");
        }
        self.execute("ROLLBACK TO job")?;
        self.execute("RELEASE job")
    }

    fn undo(&self) {
        // Without a transaction there is nothing to undo, which is what is wanted.
        let _ = self.execute("ROLLBACK");
    }

    fn execute(&self, sql: &str) -> Result<(), Failure> {
        let done = self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        done.map(drop).map_err(|cause| Failure::of(&cause.into()))
    }

    fn wal_bytes(&self) -> u64 {
        std::fs::metadata(&self.wal_path).map_or(0, |file| file.len())
    }

    fn fold_if_idle(&mut self) {
        self.has_unfolded = false;
        self.fold_if_more_than(limits::WAL_IDLE_PAGES);
    }

    /// What takes long is done beside this thread. When that is done too little is left to hold anybody up, and folding
    /// that here, between two jobs, lets the log begin anew.
    fn fold_if_more_than(&mut self, n_pages: i64) {
        if self.long_fold.is_running() {
            return;
        }
        let n_unfolded = self.n_unfolded_pages();
        if n_unfolded > limits::WAL_FOLD_PAGES && self.wal_bytes() <= limits::WAL_BYTES_HARD_MAX {
            self.long_fold.begin();
        } else if n_unfolded > n_pages {
            self.fold("PASSIVE");
        }
    }

    /// Pages in the write-ahead log that the database file does not have yet. The length of its file says nothing of
    /// that: it is written again from its start once it was folded, and does not become shorter.
    fn n_unfolded_pages(&self) -> i64 {
        let pages = |row: &rusqlite::Row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?);
        let statement = self.conn.prepare_cached("PRAGMA wal_checkpoint(NOOP)");
        // If it cannot be said, folding finds it out.
        statement.and_then(|mut statement| statement.query_row([], pages)).unwrap_or(i64::MAX)
    }

    /// Copies the write-ahead log into the database file. Failing is harmless: the log stays and is read.
    fn fold(&self, mode: &str) {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        if let Err(cause) = self.conn.query_row(&sql, [], |_| Ok(())) {
            log::warn!("could not fold the write-ahead log into the database: {cause}");
        }
    }

    fn close(mut self) {
        self.long_fold.wait();
        self.fold("TRUNCATE");
        if let Err((_, cause)) = self.conn.close() {
            log::warn!("could not close the database: {cause}");
        }
    }
}
