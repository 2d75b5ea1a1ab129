//! Exports as they were last sent: gzip files of stored deployments, which never change.
//!
//! Nothing is decided from it. A deployment's row id is never used for another text, so an entry cannot be stale.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The gzip file of a deployment's text.
pub type Gzip = Arc<Vec<u8>>;

/// The most recently used exports, up to a number of bytes.
pub struct ExportCache {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_deployment: HashMap<i64, Entry>,
    n_bytes: usize,
    /// Counts uses; the entry with the lowest is the first to go.
    clock: u64,
}

struct Entry {
    gzip: Gzip,
    last_use: u64,
}

impl ExportCache {
    /// Keeps up to `bytes_max` bytes; 0 keeps nothing.
    pub fn new(bytes_max: usize) -> ExportCache {
        ExportCache { bytes_max, kept: Mutex::default() }
    }

    /// The export of this deployment, if it is kept.
    pub fn get(&self, deployment_id: i64) -> Option<Gzip> {
        let mut kept = self.kept.lock().expect("no panic under this lock");
        kept.clock += 1;
        let clock = kept.clock;
        let entry = kept.by_deployment.get_mut(&deployment_id)?;
        entry.last_use = clock;
        Some(entry.gzip.clone())
    }

    /// Keeps an export, if it is not larger than half of all there is room for; the longest unused make room.
    pub fn put(&self, deployment_id: i64, gzip: Gzip) {
        if gzip.len() > self.bytes_max / 2 {
            return;
        }
        let mut kept = self.kept.lock().expect("no panic under this lock");
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
