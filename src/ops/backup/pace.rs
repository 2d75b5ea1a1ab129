//! How fast a backup may work: it rests as long as it works, and ends when it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
}

impl Pace {
    /// Half of the time; ends when `is_stopped` is set.
    pub fn gentle(is_stopped: Arc<AtomicBool>) -> Pace {
        Pace { is_stopped, since: Some(Instant::now()) }
    }

    /// All of the time, for a command that somebody waits for.
    pub fn full() -> Pace {
        Pace { is_stopped: Arc::default(), since: None }
    }

    /// Rests if it is time to. Errors: it is to end.
    pub fn go_on(&mut self) -> Result<(), Error> {
        if let Some(since) = self.since
            && since.elapsed() >= STRETCH
        {
            thread::sleep(since.elapsed().min(REST_MAX));
            self.since = Some(Instant::now());
        }
        match self.is_stopped.load(Ordering::Relaxed) {
            true => Err(Error::internal("finish the backup", "the server is being stopped")),
            false => Ok(()),
        }
    }
}
