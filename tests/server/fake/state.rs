//! The independent model of a stack's state: a list of resources in the order in which Pulumi's snapshot manager keeps
//! them. New states come first, in the order in which their steps ended; what the update has not touched follows in
//! its old order. The engine changes the list as it goes; nothing here reads a journal.

use crate::support::deployment::sha256_hex;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashSet};

/// How a journal entry refers to a resource: by its index in the base, or by the operation that made it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Place {
    /// The index in the state from which the update started.
    Base(u64),
    /// The operation whose success brought it.
    New(u64),
}

/// One resource of the list. `key` stays the same while the resource is updated, and tells old copies from new ones.
#[derive(Clone)]
pub struct Slot {
    /// Names the resource while the update runs.
    pub key: usize,
    /// How the journal refers to it.
    pub place: Place,
    /// Its JSON.
    pub state: Value,
}

/// A stack's state while an update changes it.
#[derive(Clone)]
pub struct State {
    slots: Vec<Slot>,
    n_new: usize,
    next_key: usize,
    open: Vec<(u64, Value)>,
    pending_before: Vec<Value>,
    secrets_provider: Value,
    has_refreshed: bool,
}

impl State {
    /// The state from which an update starts: an untyped deployment, or what a new stack exports.
    pub fn new(deployment: &Value, secrets_provider: Value) -> State {
        let inner = &deployment["deployment"];
        let list = |name: &str| inner[name].as_array().cloned().unwrap_or_default();
        let slot = |(i, state)| Slot { key: i, place: Place::Base(i as u64), state };
        let slots: Vec<Slot> = list("resources").into_iter().enumerate().map(slot).collect();
        // An operation that was creating something may have left it behind; the others are superseded by this update.
        let pending_before =
            list("pending_operations").into_iter().filter(|it| it["type"] == "creating").collect();
        let next_key = slots.len();
        State {
            slots,
            n_new: 0,
            next_key,
            open: Vec::new(),
            pending_before,
            secrets_provider,
            has_refreshed: false,
        }
    }

    /// All resources in their order.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The resource `key`, which is there.
    pub fn slot(&self, key: usize) -> &Slot {
        &self.slots[self.index(key)]
    }

    fn index(&self, key: usize) -> usize {
        self.slots.iter().position(|slot| slot.key == key).expect("the engine knows what exists")
    }

    /// An operation on a resource has begun and may leave it half done.
    pub fn begin(&mut self, operation: u64, resource: Value, kind: &str) {
        self.open.push((operation, json!({ "resource": resource, "type": kind })));
    }

    /// An operation has ended, well or badly.
    pub fn end(&mut self, operation: u64) {
        self.open.retain(|(open, _)| *open != operation);
    }

    /// A resource that was not there before; its key.
    pub fn add(&mut self, operation: u64, state: Value) -> usize {
        let key = self.next_key;
        self.next_key += 1;
        self.insert(key, operation, state);
        key
    }

    /// The resource `key` has gone through a step and is now `state`.
    pub fn renew(&mut self, key: usize, operation: u64, state: Value) {
        self.remove(key);
        self.insert(key, operation, state);
    }

    fn insert(&mut self, key: usize, operation: u64, state: Value) {
        self.slots.insert(self.n_new, Slot { key, place: Place::New(operation), state });
        self.n_new += 1;
    }

    /// The resource `key` is gone.
    pub fn remove(&mut self, key: usize) {
        let index = self.index(key);
        self.slots.remove(index);
        self.n_new -= usize::from(index < self.n_new);
    }

    /// The resource `key` has another state and keeps its place in the order.
    pub fn replace_in_place(&mut self, key: usize, state: Value) {
        let index = self.index(key);
        self.slots[index].state = state;
    }

    /// Sets a mark, as `delete`, on the resource `key`.
    pub fn mark(&mut self, key: usize, mark: &str) {
        let index = self.index(key);
        self.slots[index].state[mark] = json!(true);
    }

    /// A refresh has looked at a resource: from now on, what refers to lost resources is forgotten.
    pub fn set_refreshed(&mut self) {
        self.has_refreshed = true;
    }

    /// A refresh is over: the list as it is now is what everything later refers to.
    pub fn rebase(&mut self) {
        let pruned = self.resources();
        for (i, (slot, state)) in self.slots.iter_mut().zip(pruned).enumerate() {
            slot.place = Place::Base(i as u64);
            slot.state = state;
        }
        self.n_new = 0;
    }

    /// The resources as they are stored.
    pub fn resources(&self) -> Vec<Value> {
        let mut resources: Vec<Value> = self.slots.iter().map(|slot| slot.state.clone()).collect();
        if self.has_refreshed {
            forget_lost_references(&mut resources);
        }
        resources
    }

    /// The state as it is stored. Without pending operations where the CLI leaves them out.
    pub fn deployment(&self, has_pending_operations: bool) -> Value {
        let mut pending: Vec<Value> = self.open.iter().map(|(_, operation)| operation.clone()).collect();
        pending.extend(self.pending_before.iter().cloned());
        if !has_pending_operations {
            pending.clear();
        }
        let resources = self.resources();
        let features = features(resources.iter().chain(pending.iter().map(|it| &it["resource"])));
        let mut inner = json!({
            "manifest": { "time": "2026-08-21T10:00:00Z", "magic": sha256_hex(b"v3.259.0"), "version": "v3.259.0" },
            "secrets_providers": self.secrets_provider, "metadata": {}, "resources": resources,
        });
        if !pending.is_empty() {
            inner["pending_operations"] = json!(pending);
        }
        let mut whole = json!({ "version": if features.is_empty() { 3 } else { 4 }, "deployment": inner });
        if !features.is_empty() {
            whole["features"] = json!(features);
        }
        whole
    }
}

/// What a reader must know to read these resources.
fn features<'a>(resources: impl Iterator<Item = &'a Value>) -> BTreeSet<&'static str> {
    let mut features = BTreeSet::new();
    for resource in resources {
        for (field, feature) in
            [("taint", "taint"), ("resourceHooks", "hooks"), ("refreshBeforeUpdate", "refreshBeforeUpdate")]
        {
            if resource.get(field).is_some() {
                features.insert(feature);
            }
        }
    }
    features
}

/// Takes out of each resource what refers to none before it.
fn forget_lost_references(resources: &mut [Value]) {
    let mut seen: HashSet<String> = HashSet::new();
    let everyone: HashSet<String> = resources.iter().map(|it| text(&it["urn"])).collect();
    for resource in resources {
        let fields = resource.as_object_mut().expect("a resource");
        keep_known(fields, "dependencies", &seen);
        if let Some(Value::Object(lists)) = fields.get_mut("propertyDependencies") {
            let names: Vec<String> = lists.keys().cloned().collect();
            names.iter().for_each(|name| keep_known(lists, name, &seen));
            if lists.is_empty() {
                fields.remove("propertyDependencies");
            }
        }
        if fields.get("parent").is_some_and(|parent| !everyone.contains(&text(parent))) {
            fields.remove("parent");
        }
        seen.insert(text(&fields["urn"]));
    }
}

/// Keeps in the list `name` the URNs that are known; a list that has none left goes.
fn keep_known(fields: &mut Map<String, Value>, name: &str, known: &HashSet<String>) {
    if let Some(Value::Array(urns)) = fields.get_mut(name) {
        urns.retain(|urn| known.contains(&text(urn)));
        if urns.is_empty() {
            fields.remove(name);
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}
