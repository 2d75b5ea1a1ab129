//! An engine that runs made-up programs: several steps at once, some of which fail, until it ends or is stopped.
//! It changes the `State` as Pulumi's engine changes its snapshot, and writes a journal entry for each change.

use super::plan::{Step, Work, op_of};
use super::program::{Program, Writer};
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

/// An engine at work on one operation.
pub struct Engine<'a> {
    /// What is wanted.
    pub program: &'a Program,
    /// Writes resources.
    pub writer: &'a Writer,
    /// What there is.
    pub state: State,
    recorder: Recorder,
    /// Decides what happens.
    pub rng: &'a mut Rng,
    parallel: usize,
    stop: Stop,
    /// How many of a hundred steps fail.
    pub failures: usize,
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
