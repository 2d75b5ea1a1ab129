//! Values by the row that they are of; the longest unused is the first to go.

use std::collections::{BTreeMap, HashMap};

/// Values with their weights, in the order of their last use. What each costs besides is small: some 150 bytes.
pub(super) struct ByUse<V> {
    by_id: HashMap<i64, Entry<V>>,
    /// Last uses, and whose.
    ids: BTreeMap<u64, i64>,
    weight: usize,
    n_uses: u64,
}

struct Entry<V> {
    value: V,
    weight: usize,
    last_use: u64,
}

impl<V> Default for ByUse<V> {
    fn default() -> ByUse<V> {
        ByUse { by_id: HashMap::new(), ids: BTreeMap::new(), weight: 0, n_uses: 0 }
    }
}

impl<V> ByUse<V> {
    /// The value of a row, which is used now.
    pub fn get(&mut self, id: i64) -> Option<&V> {
        let entry = self.by_id.get_mut(&id)?;
        self.ids.remove(&entry.last_use);
        self.n_uses += 1;
        entry.last_use = self.n_uses;
        self.ids.insert(entry.last_use, id);
        Some(&entry.value)
    }

    /// Keeps a value, in the place of the one before.
    pub fn insert(&mut self, id: i64, value: V, weight: usize) {
        self.remove(id);
        self.n_uses += 1;
        self.by_id.insert(id, Entry { value, weight, last_use: self.n_uses });
        self.ids.insert(self.n_uses, id);
        self.weight += weight;
    }

    /// Forgets one.
    pub fn remove(&mut self, id: i64) {
        if let Some(removed) = self.by_id.remove(&id) {
            self.ids.remove(&removed.last_use);
            self.weight -= removed.weight;
        }
    }

    /// Notes what a value weighs by now.
    pub fn weigh(&mut self, id: i64, weight: usize) {
        if let Some(entry) = self.by_id.get_mut(&id) {
            self.weight = self.weight - std::mem::replace(&mut entry.weight, weight) + weight;
        }
    }

    /// Forgets the longest unused of those that `may_go` until the others weigh `weight_max` at the most.
    pub fn shrink_to(&mut self, weight_max: usize, may_go: impl Fn(&V) -> bool) {
        while self.weight > weight_max {
            let oldest = self.ids.values().find(|id| may_go(&self.by_id[id].value)).copied();
            let Some(oldest) = oldest else { return };
            self.remove(oldest);
        }
    }

    /// What all of them weigh.
    pub fn weight(&self) -> usize {
        self.weight
    }
}
