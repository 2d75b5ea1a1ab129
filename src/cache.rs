//! Exports of stored deployments, which never change, as they were last sent.
//!
//! A deployment's row id is never used for another text, so an entry cannot be stale, whatever happens.

pub mod kept;
pub mod last_text;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

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

#[derive(Default)]
struct Kept {
    by_deployment: HashMap<i64, Entry>,
    n_bytes: usize,
    /// Counts uses; the entry with the lowest is the first to go.
    clock: u64,
    /// Those that somebody makes at this moment.
    in_making: HashSet<i64>,
}

struct Entry {
    gzip: Gzip,
    last_use: u64,
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
            if let Some(gzip) = kept.get(deployment_id) {
                return Ok(gzip);
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
        if gzip.len() > self.bytes_max / 2 {
            return;
        }
        let mut kept = self.lock();
        kept.clock += 1;
        let entry = Entry { gzip, last_use: kept.clock };
        kept.n_bytes += entry.gzip.len();
        if let Some(before) = kept.by_deployment.insert(deployment_id, entry) {
            kept.n_bytes -= before.gzip.len();
        }
        while kept.n_bytes > self.bytes_max {
            let oldest = kept.by_deployment.iter().min_by_key(|(_, entry)| entry.last_use).map(|(id, _)| *id);
            let removed = oldest.and_then(|id| kept.by_deployment.remove(&id));
            kept.n_bytes -= removed.expect("bytes are of entries").gzip.len();
        }
    }
}

impl Kept {
    fn get(&mut self, deployment_id: i64) -> Option<Gzip> {
        self.clock += 1;
        let clock = self.clock;
        let entry = self.by_deployment.get_mut(&deployment_id)?;
        entry.last_use = clock;
        Some(entry.gzip.clone())
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
