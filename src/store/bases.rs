//! Sketches of the deployments that running updates started from: each batch of a journal is compared with its base,
//! and the end of the update is worked out from it.
//!
//! A deployment never changes and its row id is never used for another, so one that is kept cannot be stale.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::sketch::Sketch;
use crate::crypto::keyring::StackKey;
use crate::error::Error;
use crate::limits;

type Slot = Arc<Mutex<Option<Arc<Sketch>>>>;

/// The sketches that were asked for lately.
#[derive(Default)]
pub struct Bases {
    /// By deployment; the longest unused first.
    kept: Mutex<Vec<(i64, Slot)>>,
}

impl Bases {
    /// The sketch of a stored deployment; if it is not kept, it is read, once for all who ask.
    pub fn get(&self, conn: &Connection, key: &StackKey, deployment_id: i64) -> Result<Arc<Sketch>, Error> {
        let slot = self.slot(deployment_id);
        // What a panic may have left is as good as what was before.
        let mut kept = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let sketch = match &*kept {
            Some(sketch) => sketch.clone(),
            None => kept.insert(Arc::new(Sketch::read(conn, key, deployment_id)?)).clone(),
        };
        drop(kept);
        self.make_room();
        Ok(sketch)
    }

    fn slot(&self, deployment_id: i64) -> Slot {
        let mut kept = self.kept.lock().expect("no panic under this lock");
        let at = kept.iter().position(|(id, _)| *id == deployment_id);
        let slot = at.map(|at| kept.remove(at)).unwrap_or_else(|| (deployment_id, Slot::default()));
        kept.push(slot.clone());
        slot.1
    }

    /// Forgets the longest unused beyond `BASE_RESOURCES_MAX`; but one is always kept.
    fn make_room(&self) {
        let mut kept = self.kept.lock().expect("no panic under this lock");
        // One that is being read counts when it is there.
        let count = |(_, slot): &(i64, Slot)| match slot.try_lock().as_deref() {
            Ok(Some(sketch)) => 1 + sketch.n_resources(),
            _ => 1,
        };
        let mut n_resources: usize = kept.iter().map(count).sum();
        while n_resources > limits::BASE_RESOURCES_MAX && kept.len() > 1 {
            n_resources = n_resources.saturating_sub(count(&kept.remove(0)));
        }
    }
}
