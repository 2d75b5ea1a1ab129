//! Which steps an operation takes, and in which order they may go: the program is held against what there is.

use super::engine::Engine;
use super::program::Want;
use serde_json::{Value, json};
use std::collections::HashSet;

/// What a step does.
#[derive(Clone)]
pub enum Work {
    /// What is not there yet.
    Create { state: Value },
    /// Nothing has changed, at least not in the world.
    Same { key: usize, state: Value },
    /// It changes in its place.
    Update { key: usize, state: Value },
    /// Makes the new one; the old one, `key`, is marked and deleted later.
    CreateReplacement { key: usize, state: Value },
    /// Makes anew what was deleted first.
    CreateReplaced { key: usize, state: Value },
    /// Deletes what is made anew afterwards.
    DeleteFirst { key: usize },
    /// Forgets what was deleted first and is not wanted any more.
    RemovePendingReplace { key: usize },
    /// Deletes it.
    Delete { key: usize },
    /// What a refresh found: nothing when the resource is gone. `is_step` when it is a step of its own in the journal.
    Refresh { key: usize, found: Option<Value>, is_step: bool },
}

/// A piece of work in its place.
pub struct Step {
    /// What is done.
    pub work: Work,
    /// The steps, by their places in the plan, that must have ended before it begins.
    pub after: Vec<usize>,
    /// Whether it will fail.
    pub is_failing: bool,
}

impl Engine<'_> {
    /// Looks at everything that exists, in any order.
    pub fn plan_refresh(&mut self) -> Vec<Step> {
        let slots = self.state.slots().to_vec();
        let is_there =
            |state: &Value| state.get("delete").is_none() && state.get("pendingReplacement").is_none();
        let mut steps = Vec::new();
        for slot in slots.into_iter().filter(|slot| is_there(&slot.state)) {
            let found = self.look_at(&slot.state);
            steps.push(Step {
                work: Work::Refresh { key: slot.key, found, is_step: false },
                after: Vec::new(),
                is_failing: false,
            });
        }
        steps
    }

    /// What the world holds of a resource: itself, something changed, or nothing any more.
    fn look_at(&mut self, state: &Value) -> Option<Value> {
        let is_thing = state["custom"] == true && state["id"] != "provider-1";
        if is_thing && self.rng.chance(15) {
            return None;
        }
        let mut found = state.clone();
        if is_thing && self.rng.chance(30) {
            found["outputs"]["drift"] = json!(self.rng.below(1000));
        }
        Some(found)
    }

    /// Goes through the program: what is there already, what is not yet, what must change.
    pub fn plan_program(&mut self, is_refreshing: bool) -> Vec<Step> {
        let mut wanted: Vec<(Value, Option<&Want>)> =
            vec![(self.writer.root(), None), (self.writer.provider(), None)];
        let program = self.program;
        for want in &program.wants {
            wanted.push((self.writer.resource(program, want, ""), Some(want)));
        }
        let mut steps: Vec<Step> = Vec::new();
        let mut last_step_of: Vec<(Value, usize)> = Vec::new();
        for (state, want) in wanted {
            let mut after: Vec<usize> = last_step_of
                .iter()
                .filter(|(urn, _)| refers_to(&state, urn))
                .map(|(_, step)| *step)
                .collect();
            let urn = state["urn"].clone();
            for work in self.plan_resource(state, want, is_refreshing) {
                let is_failing = match work {
                    Work::Same { .. } | Work::Refresh { .. } => false,
                    // What was deleted and cannot be made anew is the hardest to get right.
                    Work::CreateReplaced { .. } => self.rng.chance(3 * self.failures),
                    _ => self.rng.chance(self.failures),
                };
                steps.push(Step { work, after, is_failing });
                after = vec![steps.len() - 1];
            }
            last_step_of.push((urn, steps.len() - 1));
        }
        steps
    }

    /// The steps of one wanted resource, one after the other.
    fn plan_resource(&mut self, mut state: Value, want: Option<&Want>, is_refreshing: bool) -> Vec<Work> {
        let has_id = state["custom"] == true && want.is_some();
        if has_id {
            state["id"] = json!(format!("id-{:x}", self.rng.next()));
        }
        let Some(old) = self
            .state
            .slots()
            .iter()
            .find(|slot| slot.state["urn"] == state["urn"] && slot.state.get("delete").is_none())
        else {
            return vec![Work::Create { state }];
        };
        let (key, old) = (old.key, old.state.clone());
        if old.get("pendingReplacement").is_some() {
            return vec![Work::CreateReplaced { key, state }];
        }
        let mut works = Vec::new();
        if is_refreshing && has_id {
            let found = self.look_at(&old);
            let is_gone = found.is_none();
            works.push(Work::Refresh { key, found, is_step: true });
            if is_gone {
                works.push(Work::Create { state });
                return works;
            }
        }
        if has_id && old["inputs"]["shape"] != state["inputs"]["shape"] {
            if want.is_some_and(|it| it.is_deleted_first) {
                works.extend([Work::DeleteFirst { key }, Work::CreateReplaced { key, state }]);
            } else {
                works.push(Work::CreateReplacement { key, state });
            }
            return works;
        }
        if has_id {
            state["id"] = old["id"].clone();
        }
        works.push(if has_id && old["inputs"] != state["inputs"] {
            Work::Update { key, state }
        } else {
            Work::Same { key, state }
        });
        works
    }

    /// Deletes what the program does not want (or all of it), dependents before what they depend on.
    pub fn plan_deletes(&mut self, is_all: bool) -> Vec<Step> {
        let wanted: HashSet<String> = if is_all { HashSet::new() } else { self.wanted_urns() };
        let is_doomed = |state: &Value| {
            state.get("delete").is_some() || !wanted.contains(state["urn"].as_str().expect("a urn"))
        };
        let doomed: Vec<_> =
            self.state.slots().iter().filter(|slot| is_doomed(&slot.state)).cloned().collect();
        let mut steps: Vec<Step> = Vec::new();
        for (i, slot) in doomed.iter().rev().enumerate() {
            let dependents = doomed.iter().rev().take(i).enumerate();
            let after = dependents
                .filter(|(_, it)| refers_to(&it.state, &slot.state["urn"]))
                .map(|(step, _)| step)
                .collect();
            let key = slot.key;
            let is_unmade = slot.state.get("pendingReplacement").is_some();
            let work = if is_unmade { Work::RemovePendingReplace { key } } else { Work::Delete { key } };
            steps.push(Step { work, after, is_failing: !is_unmade && self.rng.chance(self.failures / 2) });
        }
        steps
    }

    fn wanted_urns(&self) -> HashSet<String> {
        let names = self.program.wants.iter().map(|want| self.writer.want_urn(self.program, &want.name));
        let fixed = [self.writer.root(), self.writer.provider()];
        names.chain(fixed.iter().map(|it| it["urn"].as_str().expect("a urn").to_string())).collect()
    }
}

/// The name of a step as events have it.
pub fn op_of(work: &Work) -> &'static str {
    match work {
        Work::Create { .. } => "create",
        Work::Same { .. } => "same",
        Work::Update { .. } => "update",
        Work::CreateReplacement { .. } | Work::CreateReplaced { .. } => "create-replacement",
        Work::DeleteFirst { .. } => "delete-replaced",
        Work::RemovePendingReplace { .. } => "remove-pending-replace",
        Work::Delete { .. } => "delete",
        Work::Refresh { .. } => "refresh",
    }
}

/// Whether a resource needs the one of this URN: as its parent, its provider or a dependency.
pub fn refers_to(state: &Value, urn: &Value) -> bool {
    let is_provider = state["provider"].as_str().is_some_and(|it| {
        it.strip_prefix(urn.as_str().expect("a urn")).is_some_and(|rest| rest.starts_with("::"))
    });
    is_provider
        || state["parent"] == *urn
        || state["dependencies"].as_array().is_some_and(|it| it.contains(urn))
}
