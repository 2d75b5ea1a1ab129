//! Waiting without sleep, for about as long as a call takes.
//!
//! To wake a processor that has gone to sleep takes longer than most of what a call does on it: 50 to 150 µs in a virtual
//! machine, and a call is handed on four to six times. While one thread asks again and again, and yields to every
//! other in between, nothing has to be woken. One such thread is enough for all requests.

use std::os::fd::RawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::system::is_readable;

/// Whether a thread waits here.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Returns when `fd` can be read (or has failed, which a read will tell), and after `patience` in any case. At once if
/// another thread waits like this, or if there is only one processor, which who waits would take from who works.
pub(super) fn wait_readable_awake(fd: RawFd, patience: Duration) {
    if !has_several_processors() || IS_TAKEN.swap(true, Ordering::Relaxed) {
        return;
    }
    let started = Instant::now();
    while !is_readable(fd) && started.elapsed() < patience {
        std::thread::yield_now();
    }
    IS_TAKEN.store(false, Ordering::Relaxed);
}

fn has_several_processors() -> bool {
    static SEVERAL: OnceLock<bool> = OnceLock::new();
    *SEVERAL.get_or_init(|| std::thread::available_parallelism().is_ok_and(|n| n.get() > 1))
}
