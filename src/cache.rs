//! Exports of stored deployments, which never change, as they were last sent.
//!
//! A deployment's row id is never used for another text, so an entry cannot be stale, whatever happens.

mod by_use;
pub mod kept;
pub mod last_text;

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use self::by_use::ByUse;
use crate::error::Error;

/// The gzip file of a deployment's text.
pub type Gzip = Arc<Vec<u8>>;

/// The most recently used exports, up to a number of bytes.
pub struct ExportCache {
    bytes_max: usize,
    kept: Mutex<Kept>,
    /// One was made, or could not be.
    made: Condvar,
}

/// What an export takes besides its bytes: without that a full cache of small ones would take a third more.
const ENTRY_BYTES: usize = 200;

#[derive(Default)]
struct Kept {
    exports: ByUse<Gzip>,
    /// Those that somebody makes at this moment.
    in_making: HashSet<i64>,
}

impl ExportCache {
    /// Keeps up to `bytes_max` bytes; 0 keeps nothing.
    pub fn new(bytes_max: usize) -> ExportCache {
        ExportCache { bytes_max, kept: Mutex::default(), made: Condvar::new() }
    }

    /// True if it is likely that the export of a text of `n_text_bytes` will be kept.
    pub fn has_room(&self, n_text_bytes: usize) -> bool {
        // States deflate to a sixth, and one export may take half of the room.
        n_text_bytes <= 2 * self.bytes_max
    }

    /// The export of this deployment: the one that is kept, or what `make` gives. Whoever asks while another makes
    /// it waits for that.
    pub fn get_or_make(
        &self,
        deployment_id: i64,
        make: impl FnOnce() -> Result<Gzip, Error>,
    ) -> Result<Gzip, Error> {
        let mut kept = self.lock();
        loop {
            if let Some(gzip) = kept.exports.get(deployment_id) {
                return Ok(gzip.clone());
            }
            if kept.in_making.insert(deployment_id) {
                break;
            }
            kept = self.made.wait(kept).expect("no panic under this lock");
        }
        drop(kept);
        // Also after a failure or a panic: then the next one who waits makes it.
        let _end = EndOfMaking { cache: self, deployment_id };
        let gzip = make()?;
        self.put(deployment_id, gzip.clone());
        Ok(gzip)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no panic under this lock")
    }

    /// Keeps an export, if it is not larger than half of all there is room for; the longest unused make room.
    fn put(&self, deployment_id: i64, gzip: Gzip) {
        let n_bytes = gzip.capacity() + ENTRY_BYTES;
        if n_bytes > self.bytes_max / 2 {
            return;
        }
        let mut kept = self.lock();
        kept.exports.insert(deployment_id, gzip, n_bytes);
        kept.exports.shrink_to(self.bytes_max, |_| true);
    }

    /// Bytes that all that are kept take.
    pub fn n_bytes(&self) -> usize {
        self.lock().exports.weight()
    }
}

struct EndOfMaking<'c> {
    cache: &'c ExportCache,
    deployment_id: i64,
}

impl Drop for EndOfMaking<'_> {
    fn drop(&mut self) {
        self.cache.lock().in_making.remove(&self.deployment_id);
        self.cache.made.notify_all();
    }
}
