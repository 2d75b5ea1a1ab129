//! An engine that runs made-up programs: several steps at once, some of which fail, until it ends or is stopped.
//! It changes the `State` as Pulumi's engine changes its snapshot, and writes a journal entry for each change.

use super::program::{Program, Want, Writer};
use super::script::{Ending, Recorder, Script, pointer};
use super::state::State;
use crate::support::seed::Rng;
use serde_json::{Value, json};
use std::collections::HashSet;

/// What the person at the CLI asked for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Operation {
    /// `up`.
    Update,
    /// `up --refresh`: the refresh first, then the rest on what it found.
    UpdateAfterRefresh,
    /// `up --refresh --run-program`: each resource is refreshed just before its own step.
    UpdateWithRefresh,
    /// `refresh`.
    Refresh,
    /// `destroy`.
    Destroy,
}

/// Where a run is stopped, if it gets so far.
#[derive(Clone, Copy)]
pub struct Stop {
    /// After how many changes of the state.
    pub after_changes: usize,
    /// `Failed` for Ctrl-C, which lets steps end; `Cancelled` for a CLI that is gone at once.
    pub ending: Ending,
}

/// What a step does.
#[derive(Clone)]
enum Work {
    Create {
        state: Value,
    },
    Same {
        key: usize,
        state: Value,
    },
    Update {
        key: usize,
        state: Value,
    },
    /// Makes the new one; the old one, `key`, is marked and deleted later.
    CreateReplacement {
        key: usize,
        state: Value,
    },
    /// Makes anew what was deleted first.
    CreateReplaced {
        key: usize,
        state: Value,
    },
    DeleteFirst {
        key: usize,
    },
    RemovePendingReplace {
        key: usize,
    },
    Delete {
        key: usize,
    },
    /// What a refresh found: nothing when the resource is gone. `is_step` when it is a step of its own in the journal.
    Refresh {
        key: usize,
        found: Option<Value>,
        is_step: bool,
    },
}

/// A piece of work, the steps (by index) that must have ended before it, and how it will end.
struct Step {
    work: Work,
    after: Vec<usize>,
    is_failing: bool,
}

/// Runs `program` on `state` and tells what the CLI sends about it.
pub fn run(
    operation: Operation,
    program: &Program,
    writer: &Writer,
    state: State,
    secrets_provider: &Value,
    stop: Stop,
    rng: &mut Rng,
) -> Script {
    let kind = match operation {
        Operation::Refresh => "refresh",
        Operation::Destroy => "destroy",
        _ => "update",
    };
    let recorder = Recorder::new(kind, &state, secrets_provider);
    let parallel = *rng.pick(&[1, 2, 4, 8]);
    let failures = if rng.chance(25) { 12 } else { 0 };
    let mut engine =
        Engine { program, writer, state, recorder, rng, parallel, stop, failures, has_failed: false };
    engine.run(operation);
    engine.finish()
}

struct Engine<'a> {
    program: &'a Program,
    writer: &'a Writer,
    state: State,
    recorder: Recorder,
    rng: &'a mut Rng,
    parallel: usize,
    stop: Stop,
    /// How many of a hundred steps fail.
    failures: usize,
    has_failed: bool,
}

impl Engine<'_> {
    fn run(&mut self, operation: Operation) {
        if matches!(operation, Operation::Refresh | Operation::UpdateAfterRefresh) {
            let steps = self.plan_refresh();
            self.run_steps(steps);
            if self.is_over() {
                return;
            }
            self.state.rebase();
            self.recorder.change(7, 0, json!({}), &self.state, false);
        }
        if operation == Operation::Refresh {
            return;
        }
        if operation != Operation::Destroy {
            let steps = self.plan_program(operation == Operation::UpdateWithRefresh);
            self.run_steps(steps);
            self.register_outputs();
        }
        if !self.is_over() {
            let steps = self.plan_deletes(operation == Operation::Destroy);
            self.run_steps(steps);
        }
    }

    fn finish(self) -> Script {
        let is_stopped = self.is_stopped();
        let ending = match self.stop.ending {
            Ending::Cancelled if is_stopped => Ending::Cancelled,
            _ if is_stopped || self.has_failed => Ending::Failed,
            _ => Ending::Succeeded,
        };
        self.recorder.finish(ending)
    }

    fn is_stopped(&self) -> bool {
        self.recorder.n_changes() >= self.stop.after_changes
    }

    /// No further step begins.
    fn is_over(&self) -> bool {
        self.has_failed || self.is_stopped()
    }

    // ---- Plans ----

    /// Looks at everything that exists, in any order.
    fn plan_refresh(&mut self) -> Vec<Step> {
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
    fn plan_program(&mut self, is_refreshing: bool) -> Vec<Step> {
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
    fn plan_deletes(&mut self, is_all: bool) -> Vec<Step> {
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

    // ---- Running ----

    /// Runs steps, up to `parallel` at once, until none is left or the run is over.
    fn run_steps(&mut self, steps: Vec<Step>) {
        let mut waiting: Vec<usize> = (0..steps.len()).collect();
        let mut running: Vec<(usize, u64)> = Vec::new();
        let mut ended: HashSet<usize> = HashSet::new();
        loop {
            if self.is_stopped() && self.stop.ending == Ending::Cancelled {
                return; // Nobody is there any more to end what has begun.
            }
            let is_ready = |step: &usize| steps[*step].after.iter().all(|it| ended.contains(it));
            let ready: Vec<usize> = waiting.iter().copied().filter(is_ready).take(3).collect();
            let can_begin = !ready.is_empty() && running.len() < self.parallel && !self.is_over();
            if can_begin && (running.is_empty() || self.rng.chance(55)) {
                let step = *self.rng.pick(&ready);
                waiting.retain(|it| *it != step);
                running.push((step, self.begin(&steps[step].work)));
            } else if !running.is_empty() {
                let (step, operation) = running.swap_remove(self.rng.below(running.len()));
                if steps[step].is_failing {
                    self.fail(&steps[step].work, operation);
                } else {
                    self.succeed(steps[step].work.clone(), operation);
                }
                ended.insert(step);
            } else {
                return;
            }
        }
    }

    fn begin(&mut self, work: &Work) -> u64 {
        let operation = self.recorder.operation();
        let pending = match work {
            Work::Create { state }
            | Work::CreateReplacement { state, .. }
            | Work::CreateReplaced { state, .. } => {
                let mut resource = state.clone();
                resource.as_object_mut().expect("a resource").remove("id");
                Some((resource, "creating"))
            }
            Work::Update { state, .. } => Some((state.clone(), "updating")),
            Work::Delete { key } | Work::DeleteFirst { key } => {
                Some((self.state.slot(*key).state.clone(), "deleting"))
            }
            Work::Same { .. } | Work::RemovePendingReplace { .. } | Work::Refresh { .. } => None,
        };
        let mut fields = json!({});
        if let Some((resource, kind)) = pending {
            fields["operation"] = json!({ "resource": resource, "type": kind });
            self.state.begin(operation, resource, kind);
        }
        self.recorder.change(0, operation, fields, &self.state, matches!(work, Work::Same { .. }));
        self.recorder.event("resourcePreEvent", self.event_of(work));
        operation
    }

    fn fail(&mut self, work: &Work, operation: u64) {
        self.has_failed = true;
        self.state.end(operation);
        // What else a failure says is of no consequence, so it says something misleading.
        let mut fields = json!({});
        if let Work::Create { state } | Work::Update { state, .. } = work {
            fields["state"] = state.clone();
        }
        if let Work::Update { key, .. } | Work::Delete { key } = work {
            let (field, place) = pointer("remove", self.state.slot(*key).place);
            fields[field] = json!(place);
        }
        self.recorder.change(2, operation, fields, &self.state, false);
        self.recorder.event("resOpFailedEvent", self.event_of(work));
    }

    fn succeed(&mut self, work: Work, operation: u64) {
        let event = self.event_of(&work);
        let mut fields = json!({});
        let mut point = |state: &State, action: &str, key: usize| {
            let (field, place) = pointer(action, state.slot(key).place);
            fields[field] = json!(place);
        };
        let mut kind = 1;
        let mut is_elided = false;
        self.state.end(operation);
        self.recorder.count(op_of(&work));
        match work {
            Work::Create { state } => {
                fields["state"] = state.clone();
                self.state.add(operation, state);
            }
            Work::Same { key, state } => {
                point(&self.state, "remove", key);
                is_elided = self.state.slot(key).state == state;
                fields["state"] = state.clone();
                self.state.renew(key, operation, state);
            }
            Work::Update { key, state } => {
                point(&self.state, "remove", key);
                fields["state"] = state.clone();
                self.state.renew(key, operation, state);
            }
            Work::CreateReplacement { key, state } => {
                point(&self.state, "delete", key);
                fields["state"] = state.clone();
                self.state.mark(key, "delete");
                self.state.add(operation, state);
            }
            Work::CreateReplaced { key, state } => {
                point(&self.state, "remove", key);
                fields["state"] = state.clone();
                self.state.remove(key);
                self.state.add(operation, state);
            }
            Work::DeleteFirst { key } => {
                point(&self.state, "pendingReplacement", key);
                self.state.mark(key, "pendingReplacement");
            }
            Work::RemovePendingReplace { key } | Work::Delete { key } => {
                point(&self.state, "remove", key);
                self.state.remove(key);
            }
            Work::Refresh { key, found, is_step } => {
                point(&self.state, "remove", key);
                fields["isRefresh"] = json!(true);
                kind = if is_step { 1 } else { 3 };
                if let Some(state) = &found {
                    fields["state"] = state.clone();
                }
                match found {
                    Some(state) if is_step => self.state.renew(key, operation, state),
                    Some(state) => self.state.replace_in_place(key, state),
                    None => self.state.remove(key),
                }
                self.state.set_refreshed();
            }
        }
        self.recorder.change(kind, operation, fields, &self.state, is_elided);
        self.recorder.event("resOutputsEvent", event);
    }

    /// Components and the root tell their outputs once all else is made.
    fn register_outputs(&mut self) {
        let program = self.program;
        let components = program
            .wants
            .iter()
            .filter(|want| want.is_component)
            .map(|want| self.writer.want_urn(program, &want.name));
        let urns: Vec<Value> =
            components.map(Value::from).chain([self.writer.root()["urn"].clone()]).collect();
        for urn in urns {
            if self.is_over() || self.rng.chance(30) {
                continue;
            }
            let Some(slot) = self.state.slots().iter().find(|slot| slot.state["urn"] == urn) else {
                continue;
            };
            let (key, mut state) = (slot.key, slot.state.clone());
            let (field, place) = pointer("remove", slot.place);
            state["outputs"] = json!({ "n": self.rng.below(100), "name": "é" });
            let operation = self.recorder.operation();
            self.state.replace_in_place(key, state.clone());
            self.recorder.change(4, operation, json!({ "state": state, field: place }), &self.state, false);
        }
    }

    /// What the display is told of a step.
    fn event_of(&self, work: &Work) -> Value {
        let urn = match work {
            Work::Create { state } => &state["urn"],
            Work::Same { key, .. }
            | Work::Update { key, .. }
            | Work::CreateReplacement { key, .. }
            | Work::CreateReplaced { key, .. } => &self.state.slot(*key).state["urn"],
            Work::DeleteFirst { key }
            | Work::RemovePendingReplace { key }
            | Work::Delete { key }
            | Work::Refresh { key, .. } => &self.state.slot(*key).state["urn"],
        };
        json!({ "metadata": { "op": op_of(work), "urn": urn, "type": "test:index:Thing", "old": null, "new": null, "detailedDiff": null, "provider": "" } })
    }
}

/// The name of a step as events have it.
fn op_of(work: &Work) -> &'static str {
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
fn refers_to(state: &Value, urn: &Value) -> bool {
    let is_provider = state["provider"].as_str().is_some_and(|it| {
        it.strip_prefix(urn.as_str().expect("a urn")).is_some_and(|rest| rest.starts_with("::"))
    });
    is_provider
        || state["parent"] == *urn
        || state["dependencies"].as_array().is_some_and(|it| it.contains(urn))
}
