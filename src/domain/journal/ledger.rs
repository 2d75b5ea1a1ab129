//! What was journaled so far, as far as it is needed to judge new entries when they arrive. Holds no resource text.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};

use crate::domain::journal::entry::{Entry, Kind, Step};
use crate::domain::journal::plan::{outside_base, unknown_operation};
use crate::error::Error;

/// The journal of one running update, without its texts.
///
/// Entries may overtake each other. What comes behind a gap is held back here, and judged when the gap closes.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// After all entries below `next_sequence_id`.
    known: Known,
    next_sequence_id: i64,
    /// Entries behind a gap.
    ahead: BTreeMap<i64, Step>,
    /// Sequence id → hash of the entry's text.
    hashes: HashMap<i64, u64>,
}

/// What is to be done with a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Places in the batch of the entries that are new; the others were delivered before.
    pub new: Vec<usize>,
}

/// What a ledger needs to know of an entry: its numbers, and a hash of its text.
#[derive(Debug, Clone, Copy)]
pub struct Noted {
    step: Step,
    hash: u64,
}

impl Noted {
    /// Reads the whole text of the entry once.
    pub fn of(entry: &Entry<'_>) -> Noted {
        Noted { step: entry.step, hash: hash(entry.raw) }
    }
}

impl Ledger {
    /// An empty journal on a base of that many resources.
    pub fn new(n_base_resources: usize) -> Ledger {
        let known = Known { n_base: n_base_resources, ..Known::default() };
        Ledger { known, next_sequence_id: 1, ahead: BTreeMap::new(), hashes: HashMap::new() }
    }

    /// The ledger of a journal that was accepted before, from its stored entries in any order.
    pub fn restore(n_base_resources: usize, entries: &[Noted]) -> Ledger {
        let mut ledger = Ledger::new(n_base_resources);
        let new = (0..entries.len()).collect();
        ledger.apply(entries, &Verdict { new });
        ledger
    }

    /// How many entries there are.
    pub fn n_entries(&self) -> usize {
        self.hashes.len()
    }

    /// Judges a batch and changes nothing.
    ///
    /// `Error::Conflict` for another body under a known sequence id; `Error::Invalid` for an entry that points
    /// nowhere, as soon as all before it are known. Cost grows with the batch, not with the journal.
    pub fn check(&self, entries: &[Noted]) -> Result<Verdict, Error> {
        let new = self.new_entries(entries)?;
        let mut steps: BTreeMap<i64, (&Step, Option<usize>)> = BTreeMap::new();
        for &i in &new {
            steps.insert(entries[i].step.sequence_id, (&entries[i].step, Some(i)));
        }
        let mut outlook = Outlook::new(&self.known);
        for sequence_id in self.next_sequence_id.. {
            let held_back = || self.ahead.get(&sequence_id).map(|step| (step, None));
            let Some((step, place)) = steps.get(&sequence_id).copied().or_else(held_back) else { break };
            // What was acknowledged cannot be refused any more; the replay ignores where it points.
            if let (Some(i), Some((field, why))) = (place, outlook.dangling(step)) {
                return Err(Error::invalid(format!("entries[{i}].{field}"), why));
            }
            outlook.apply(step);
        }
        Ok(Verdict { new })
    }

    /// Takes the new entries of a batch in, once they are stored.
    pub fn apply(&mut self, entries: &[Noted], verdict: &Verdict) {
        for entry in verdict.new.iter().map(|&i| &entries[i]) {
            self.hashes.insert(entry.step.sequence_id, entry.hash);
            self.ahead.insert(entry.step.sequence_id, entry.step);
        }
        while let Some(step) = self.ahead.remove(&self.next_sequence_id) {
            self.known.apply(&step);
            self.next_sequence_id += 1;
        }
    }

    /// Places of the entries that are not known yet, in the batch's order.
    fn new_entries(&self, entries: &[Noted]) -> Result<Vec<usize>, Error> {
        let mut new = Vec::with_capacity(entries.len());
        let mut in_batch = HashMap::with_capacity(entries.len());
        for (i, entry) in entries.iter().enumerate() {
            let Noted { step: Step { sequence_id, .. }, hash } = *entry;
            match self.hashes.get(&sequence_id).or_else(|| in_batch.get(&sequence_id)) {
                Some(known) if *known == hash => continue,
                Some(_) => return Err(Error::Conflict(another_body(sequence_id))),
                None => {
                    in_batch.insert(sequence_id, hash);
                    new.push(i);
                }
            }
        }
        Ok(new)
    }
}

fn another_body(sequence_id: i64) -> String {
    format!(
        "The journal has another entry under the sequence ID {sequence_id}; nothing of this batch was stored."
    )
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// The replayer's state, as numbers.
#[derive(Debug, Default, Clone)]
struct Known {
    n_base: usize,
    n_new: usize,
    /// Operation id → place among the new resources.
    pushed: HashMap<i64, usize>,
    removed_operations: HashSet<i64>,
    removed: HashSet<i64>,
}

impl Known {
    fn apply(&mut self, step: &Step) {
        match step.kind {
            Kind::Success => {
                if step.has_state {
                    self.pushed.insert(step.operation_id, self.n_new);
                    self.n_new += 1;
                }
                self.remove(step);
            }
            Kind::RefreshSuccess if !step.has_state => self.remove(step),
            Kind::Write => self.n_base = step.n_snapshot_resources,
            Kind::RebuiltBaseState => *self = Known { n_base: self.n_generated(), ..Known::default() },
            _ => {}
        }
    }

    fn remove(&mut self, step: &Step) {
        self.removed.extend(step.remove_old);
        self.removed_operations.extend(step.remove_new);
    }

    fn n_generated(&self) -> usize {
        let dead: HashSet<_> = self.removed_operations.iter().filter_map(|id| self.pushed.get(id)).collect();
        let is_base = |index: &&i64| usize::try_from(**index).is_ok_and(|index| index < self.n_base);
        self.n_new - dead.len() + self.n_base - self.removed.iter().filter(is_base).count()
    }
}

/// What would be known after some more entries: what is known, and what they add.
struct Outlook<'l> {
    /// `None` once an entry cleared it.
    under: Option<&'l Known>,
    added: Known,
}

impl<'l> Outlook<'l> {
    fn new(known: &'l Known) -> Outlook<'l> {
        let added = Known { n_base: known.n_base, n_new: known.n_new, ..Known::default() };
        Outlook { under: Some(known), added }
    }

    fn apply(&mut self, step: &Step) {
        if step.kind == Kind::RebuiltBaseState
            && let Some(under) = self.under.take()
        {
            // Rare (once in an update), so the copy does not count.
            let mut all = under.clone();
            (all.n_base, all.n_new) = (self.added.n_base, self.added.n_new);
            all.pushed.extend(&self.added.pushed);
            all.removed.extend(&self.added.removed);
            all.removed_operations.extend(&self.added.removed_operations);
            self.added = all;
        }
        self.added.apply(step);
    }

    /// The first reference of `step` that points nowhere: its field, and why.
    fn dangling(&self, step: &Step) -> Option<(&'static str, String)> {
        let old = [
            ("removeOld", step.remove_old),
            ("deleteOld", step.delete_old),
            ("pendingReplacementOld", step.pending_replacement_old),
        ];
        let new = [
            ("removeNew", step.remove_new),
            ("deleteNew", step.delete_new),
            ("pendingReplacementNew", step.pending_replacement_new),
        ];
        // The marks of any other kind than a success are not looked at by the replay.
        let n_fields = match step.kind {
            Kind::Success => 3,
            Kind::RefreshSuccess | Kind::Outputs => 1,
            _ => 0,
        };
        let n_base = self.added.n_base;
        let is_outside = |index: &i64| usize::try_from(*index).map_or(true, |index| index >= n_base);
        // A success brings its state before it sets its marks, so it may mean itself.
        let brings = |id: i64| step.kind == Kind::Success && step.has_state && id == step.operation_id;
        let is_unknown = |id: &i64| !self.has_state(*id) && !brings(*id);
        let old = old[..n_fields].iter().find_map(|(field, index)| {
            index.filter(is_outside).map(|index| (*field, outside_base(index, n_base)))
        });
        let new = || {
            new[..n_fields]
                .iter()
                .find_map(|(field, id)| id.filter(is_unknown).map(|id| (*field, unknown_operation(id))))
        };
        old.or_else(new)
    }

    fn has_state(&self, operation_id: i64) -> bool {
        self.added.pushed.contains_key(&operation_id)
            || self.under.is_some_and(|under| under.pushed.contains_key(&operation_id))
    }
}
