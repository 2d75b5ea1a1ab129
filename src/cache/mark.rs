//! The marks of stacks that were asked for lately. They are read once and then added to in the same order as in the
//! database, so that memory has what that has.

use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::leak::Marks;
use crate::error::Error;
use crate::limits;

/// The marks of one stack.
pub struct KeptMarks {
    /// The marks.
    pub marks: Arc<Marks>,
    /// The last row that they are in.
    pub last_row: i64,
    /// How many rows they are in.
    pub n_rows: usize,
    /// How many marks these rows have, those that are forgotten too.
    pub n_stored: usize,
}

type Slot = Arc<Mutex<Option<KeptMarks>>>;

/// The marks of some stacks, the longest unused first.
#[derive(Default)]
pub struct MarkCache {
    slots: Mutex<Vec<(i64, Slot)>>,
}

impl MarkCache {
    /// Works with the marks of a stack, alone; `read` brings them if they are not kept.
    pub fn with<T>(
        &self,
        stack_id: i64,
        read: impl FnOnce() -> Result<KeptMarks, Error>,
        work: impl FnOnce(&mut KeptMarks) -> T,
    ) -> Result<T, Error> {
        let slot = self.slot(stack_id);
        // What a panic may have left is as good as what was before.
        let mut kept = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = match &mut *kept {
            Some(kept) => kept,
            none => none.insert(read()?),
        };
        Ok(work(kept))
    }

    fn slot(&self, stack_id: i64) -> Slot {
        let mut slots = self.slots.lock().expect("no panic under this lock");
        let at = slots.iter().position(|(id, _)| *id == stack_id);
        let slot = at.map(|at| slots.remove(at)).unwrap_or_else(|| (stack_id, Slot::default()));
        slots.push(slot.clone());
        make_room(&mut slots);
        slot.1
    }
}

/// Forgets the longest unused beyond `MARKS_CACHED_MAX`. One that is being worked with stays: two copies of it would
/// not know what the other one adds.
fn make_room(slots: &mut Vec<(i64, Slot)>) {
    // A stack without marks takes room, too.
    let count = |slot: &Slot| match slot.try_lock().as_deref() {
        Ok(Some(kept)) => 100 + kept.marks.list().len(),
        _ => 100,
    };
    let mut n_marks: usize = slots.iter().map(|(_, slot)| count(slot)).sum();
    slots.retain(|(_, slot)| {
        let stays = n_marks <= limits::MARKS_CACHED_MAX || Arc::strong_count(slot) > 1;
        n_marks -= if stays { 0 } else { count(slot) };
        stays
    });
}
