//! Values that are read once and then kept, by the row that they are of. A row's id is never used for another, and
//! what is kept changes only here, together with what is stored: so it cannot be stale.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// The values that were asked for lately, up to a weight in all.
pub struct Kept<T> {
    weight_max: usize,
    weigh: fn(&T) -> usize,
    all: Mutex<All<T>>,
}

struct All<T> {
    by_id: HashMap<i64, Entry<T>>,
    weight: usize,
    /// Counts uses; the entry with the lowest is the first to go.
    clock: u64,
}

type Slot<T> = Arc<Mutex<Option<T>>>;

struct Entry<T> {
    slot: Slot<T>,
    weight: usize,
    last_use: u64,
}

impl<T> Kept<T> {
    /// Keeps what weighs up to `weight_max`, and always the one that is in use.
    pub fn new(weight_max: usize, weigh: fn(&T) -> usize) -> Kept<T> {
        let all = All { by_id: HashMap::new(), weight: 0, clock: 0 };
        Kept { weight_max, weigh, all: Mutex::new(all) }
    }

    /// Works with the value of a row, alone; `read` brings it if it is not kept.
    pub fn with<R>(
        &self,
        id: i64,
        read: impl FnOnce() -> Result<T, Error>,
        work: impl FnOnce(&mut T) -> R,
    ) -> Result<R, Error> {
        let slot = self.slot(id);
        // What a panic may have left is as good as what was before.
        let mut kept = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let value = match &mut *kept {
            Some(value) => value,
            none => none.insert(read()?),
        };
        let result = work(value);
        let weight = (self.weigh)(value);
        drop(kept);
        self.make_room(id, weight);
        Ok(result)
    }

    /// The value of this row is not needed any more.
    pub fn forget(&self, id: i64) {
        let mut all = self.lock();
        if let Some(removed) = all.by_id.remove(&id) {
            all.weight -= removed.weight;
        }
    }

    fn slot(&self, id: i64) -> Slot<T> {
        let mut all = self.lock();
        all.clock += 1;
        let All { by_id, weight, clock } = &mut *all;
        let entry = by_id.entry(id).or_insert_with(|| {
            // Until it is read.
            *weight += 1;
            Entry { slot: Slot::default(), weight: 1, last_use: 0 }
        });
        entry.last_use = *clock;
        entry.slot.clone()
    }

    /// Notes what one weighs now, and forgets the longest unused. One that somebody works with stays: two copies of it
    /// would not know what the other one gets.
    fn make_room(&self, id: i64, weight: usize) {
        let mut all = self.lock();
        if let Some(entry) = all.by_id.get_mut(&id) {
            let before = std::mem::replace(&mut entry.weight, weight);
            all.weight = all.weight - before + weight;
        }
        while all.weight > self.weight_max {
            let unused = all.by_id.iter().filter(|(_, entry)| Arc::strong_count(&entry.slot) == 1);
            let oldest = unused.min_by_key(|(_, entry)| entry.last_use).map(|(id, _)| *id);
            let Some(removed) = oldest.and_then(|id| all.by_id.remove(&id)) else { return };
            all.weight -= removed.weight;
        }
    }

    fn lock(&self) -> MutexGuard<'_, All<T>> {
        self.all.lock().expect("no panic under this lock")
    }
}
