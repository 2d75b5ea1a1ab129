//! Opens the runs of a large deployment on all processors: inflating them is most of what a cold export costs.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, Scope};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::error::Error;

/// Below this many bytes of text a thread costs more than it saves.
const BYTES_MIN: usize = 2 << 20;
/// More threads than this wait for the one that reads the runs.
const THREADS_MAX: usize = 4;
/// Runs that one thread has before it or behind it.
const RUNS_PER_THREAD: usize = 3;

/// Somebody uses them: others are as well served by the one processor that they have.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Opens a sealed run: the text, and where it starts in that.
pub type Open<'o> = dyn Fn(usize, &[u8]) -> Result<(Vec<u8>, usize), Error> + Sync + 'o;

/// Hands each sealed run that `runs` reads to `open` on one of several threads, and what comes of it to `copy`.
///
/// Answers false, and does nothing, if that is not worth it for `n_bytes` of text, or somebody else does it now.
pub fn on_all_processors(
    n_bytes: usize,
    runs: impl Iterator<Item = Result<(usize, Vec<u8>), Error>>,
    open: &Open<'_>,
    mut copy: impl FnMut(usize, &[u8]),
) -> Result<bool, Error> {
    let n_threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
    if n_bytes < BYTES_MIN || n_threads < 2 {
        return Ok(false);
    }
    let Some(_taken) = Taken::take() else { return Ok(false) };
    std::thread::scope(|scope| {
        let (sealed, to_open) = unbounded();
        let (opened, to_copy) = unbounded();
        if !(0..n_threads).all(|_| start(scope, to_open.clone(), opened.clone(), open)) {
            return Ok(false);
        }
        drop(opened);
        let mut copy_one = || -> Result<(), Error> {
            // A thread that panicked ends the scope with its panic; the others go on.
            let next = to_copy.recv().map_err(|gone| Error::internal("open a run", gone))?;
            let (index, (plain, start)): (usize, (Vec<u8>, usize)) = next?;
            copy(index, &plain[start..]);
            Ok(())
        };
        let mut n_open = 0;
        for run in runs {
            if n_open == n_threads * RUNS_PER_THREAD {
                copy_one()?;
                n_open -= 1;
            }
            sealed.send(run?).map_err(|gone| Error::internal("open a run", gone.to_string()))?;
            n_open += 1;
        }
        drop(sealed);
        (0..n_open).try_for_each(|_| copy_one())?;
        Ok(true)
    })
}

type Opened = Result<(usize, (Vec<u8>, usize)), Error>;

/// False if there is no thread to be had.
fn start<'s>(
    scope: &'s Scope<'s, '_>,
    to_open: Receiver<(usize, Vec<u8>)>,
    opened: Sender<Opened>,
    open: &'s Open<'_>,
) -> bool {
    let work = move || {
        for (index, sealed) in to_open {
            if opened.send(open(index, &sealed).map(|plain| (index, plain))).is_err() {
                return;
            }
        }
    };
    Builder::new().name("opener".into()).spawn_scoped(scope, work).is_ok()
}

struct Taken;

impl Taken {
    fn take() -> Option<Taken> {
        (!IS_TAKEN.swap(true, Ordering::Acquire)).then_some(Taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        IS_TAKEN.store(false, Ordering::Release);
    }
}
