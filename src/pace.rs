//! Pace: how fast long work may go, how far it has come, and when it is to end. Must not know what the work is.
//!
//! Whoever works tells it; whoever waits reads its meter, and decides nothing by it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;

/// Work in one go; the rest after it is as long.
const STRETCH: Duration = Duration::from_millis(10);
/// The longest rest, for a stretch that had to wait for something.
const REST_MAX: Duration = Duration::from_millis(200);

/// Says when to go on.
#[derive(Clone)]
pub struct Pace {
    is_stopped: Arc<AtomicBool>,
    /// Where the present stretch of work began; none works without a rest.
    since: Option<Instant>,
    meter: Meter,
}

impl Pace {
    /// Half of the time; ends when `is_stopped` is set.
    pub fn gentle(is_stopped: Arc<AtomicBool>, meter: Meter) -> Pace {
        Pace { is_stopped, since: Some(Instant::now()), meter }
    }

    /// All of the time, for a command that somebody waits for.
    pub fn full(meter: Meter) -> Pace {
        Pace { is_stopped: Arc::default(), since: None, meter }
    }

    /// A new part of the work begins, as "copying". `n_all` is 0 if nobody knows how much it is.
    pub fn begin(&self, part: &'static str, n_all: u64) {
        *self.meter.lock() = Reading { part, n_done: 0, n_all };
    }

    /// So much more of the part is done. Rests if it is time to. Errors: the work is to end.
    pub fn done(&mut self, n: u64) -> Result<(), Error> {
        self.meter.lock().n_done += n;
        self.go_on()
    }

    /// So much of the part is done in all.
    pub fn reached(&self, n_done: u64) {
        self.meter.lock().n_done = n_done;
    }

    /// Rests if it is time to. Errors: the work is to end.
    pub fn go_on(&mut self) -> Result<(), Error> {
        if let Some(since) = self.since
            && since.elapsed() >= STRETCH
        {
            thread::sleep(since.elapsed().min(REST_MAX));
            self.since = Some(Instant::now());
        }
        match self.is_stopped.load(Ordering::Relaxed) {
            true => Err(Error::Unavailable("the server is being stopped".into())),
            false => Ok(()),
        }
    }
}

/// How far a work has come.
#[derive(Clone, Default)]
pub struct Meter(Arc<Mutex<Reading>>);

/// What a meter shows.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The part of the work that is being done, as "copying"; empty before the first.
    pub part: &'static str,
    /// Of this part: bytes, or things that are looked at.
    pub n_done: u64,
    /// Of this part; 0 if nobody knows.
    pub n_all: u64,
}

impl Meter {
    /// What it shows now.
    pub fn read(&self) -> Reading {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().expect("no panic under this lock")
    }
}

/// The works that are under way.
#[derive(Default)]
pub struct Works(Mutex<Vec<(&'static str, Meter)>>);

/// Takes its work off the list at its end.
pub struct Entered<'a> {
    works: &'a Works,
    meter: Meter,
}

impl Works {
    /// A work of this kind, as "backup", begins.
    pub fn enter(&self, kind: &'static str, meter: &Meter) -> Entered<'_> {
        self.lock().push((kind, meter.clone()));
        Entered { works: self, meter: meter.clone() }
    }

    /// All of them, the oldest first: kind, and how far it is.
    pub fn list(&self) -> Vec<(&'static str, Reading)> {
        self.lock().iter().map(|(kind, meter)| (*kind, meter.read())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(&'static str, Meter)>> {
        self.0.lock().expect("no panic under this lock")
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.works.lock().retain(|(_, meter)| !Arc::ptr_eq(&meter.0, &self.meter.0));
    }
}
