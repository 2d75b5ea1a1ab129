//! Values that are read once and then kept, by the row that they are of. A row's id is never used for another, and
//! what is kept changes only here, together with what is stored: so it cannot be stale.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::by_use::ByUse;
use crate::error::Error;

/// The values that were asked for lately, up to a weight in all.
pub struct Kept<T> {
    weight_max: usize,
    weigh: fn(&T) -> usize,
    slots: Mutex<ByUse<Slot<T>>>,
}

type Slot<T> = Arc<Mutex<Option<T>>>;

impl<T> Kept<T> {
    /// Keeps what weighs up to `weight_max`, and always the one that is in use.
    pub fn new(weight_max: usize, weigh: fn(&T) -> usize) -> Kept<T> {
        Kept { weight_max, weigh, slots: Mutex::default() }
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
        self.lock().remove(id);
    }

    /// What all that is kept weighs.
    pub fn weight(&self) -> usize {
        self.lock().weight()
    }

    fn slot(&self, id: i64) -> Slot<T> {
        let mut slots = self.lock();
        if let Some(slot) = slots.get(id) {
            return slot.clone();
        }
        let slot = Slot::default();
        // Until it is read.
        slots.insert(id, slot.clone(), 1);
        slot
    }

    /// Notes what one weighs now, and forgets the longest unused. One that somebody works with stays: two copies of it
    /// would not know what the other one gets.
    fn make_room(&self, id: i64, weight: usize) {
        let mut slots = self.lock();
        slots.weigh(id, weight);
        slots.shrink_to(self.weight_max, |slot| Arc::strong_count(slot) == 1);
    }

    fn lock(&self) -> MutexGuard<'_, ByUse<Slot<T>>> {
        self.slots.lock().expect("no panic under this lock")
    }
}
