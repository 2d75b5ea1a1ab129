//! What one run of the engine gives the CLI to send: journal entries, or states, and events, in their order.

use super::state::{Place, State};
use crate::support::update::entry;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How an update ends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Ending {
    /// Everything was done.
    Succeeded,
    /// A step failed, or somebody pressed Ctrl-C; the CLI says so itself.
    Failed,
    /// The CLI is gone in the middle, and somebody else cancels its update.
    Cancelled,
}

/// One change of the state.
pub struct Change {
    /// Its journal entry.
    pub entry: Value,
    /// The whole state after it.
    pub after: State,
    /// Whether the CLI may wait with saving it: a step that changed nothing.
    pub is_elided: bool,
}

/// One run of the engine.
pub struct Script {
    /// `update`, `refresh` or `destroy`, as in the path.
    pub kind: &'static str,
    /// In the order of their sequence ids.
    pub changes: Vec<Change>,
    /// Engine events in the order of their sequence.
    pub events: Vec<Value>,
    /// How it ends.
    pub ending: Ending,
    /// How often each kind of step was done, as the summary tells it.
    pub resource_changes: BTreeMap<&'static str, u64>,
}

/// Writes a script down while the engine runs.
pub struct Recorder {
    script: Script,
    next_operation: u64,
}

impl Recorder {
    /// Begins with the entry that every journal begins with.
    pub fn new(kind: &'static str, state: &State, secrets_provider: &Value) -> Recorder {
        let script = Script {
            kind,
            changes: Vec::new(),
            events: Vec::new(),
            ending: Ending::Succeeded,
            resource_changes: BTreeMap::new(),
        };
        let mut recorder = Recorder { script, next_operation: 1 };
        recorder.event("preludeEvent", json!({ "config": { "web:size": "10" } }));
        recorder.change(6, 0, json!({ "secretsProvider": secrets_provider }), state, true);
        recorder
    }

    /// An id for a step.
    pub fn operation(&mut self) -> u64 {
        self.next_operation += 1;
        self.next_operation - 1
    }

    /// How many changes there are by now.
    pub fn n_changes(&self) -> usize {
        self.script.changes.len()
    }

    /// Writes down a change after which the state is `after`.
    pub fn change(&mut self, kind: u64, operation: u64, fields: Value, after: &State, is_elided: bool) {
        let sequence_id = self.script.changes.len() as u64 + 1;
        let entry = entry(kind, sequence_id, operation, fields);
        self.script.changes.push(Change { entry, after: after.clone(), is_elided });
    }

    /// Writes down an event.
    pub fn event(&mut self, name: &str, payload: Value) {
        let sequence = self.script.events.len();
        self.script.events.push(json!({ "sequence": sequence, "timestamp": 1_755_000_000, name: payload }));
    }

    /// Counts a step that was done.
    pub fn count(&mut self, op: &'static str) {
        *self.script.resource_changes.entry(op).or_default() += 1;
    }

    /// The script of an engine that has ended.
    pub fn finish(mut self, ending: Ending) -> Script {
        self.script.ending = ending;
        if ending != Ending::Cancelled {
            let result = if ending == Ending::Succeeded { "succeeded" } else { "failed" };
            let changes = json!(self.script.resource_changes);
            self.event(
                "summaryEvent",
                json!({ "maybeCorrupt": false, "durationSeconds": 1, "resourceChanges": changes,
                "PolicyPacks": {}, "isPreview": false, "result": result }),
            );
        }
        self.script
    }
}

/// The field that points at `place`: `remove` gives `removeOld` or `removeNew`.
pub fn pointer(action: &str, place: Place) -> (String, u64) {
    match place {
        Place::Base(index) => (format!("{action}Old"), index),
        Place::New(operation) => (format!("{action}New"), operation),
    }
}
