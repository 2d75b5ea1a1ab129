//! The life of one stack under fake CLIs, and what must be true of it afterwards.

use super::cli::{Cli, Mode, Patience};
use super::engine::{Operation, Stop, run};
use super::program::{Program, Writer};
use super::script::{Ending, Script};
use super::state::State;
use crate::support::deployment::assert_same_deployment;
use crate::support::http::{Client, Request};
use crate::support::json::Tree;
use crate::support::seed::Rng;
use crate::support::server::ORG;
use crate::support::stack::TestStack;
use pulumi_backend::clock::Clock;
use serde_json::{Value, json};

/// One stack, what was done to it, and what must have come of it.
pub struct Life<'a> {
    cli: Cli<'a>,
    rng: Rng,
    program: Program,
    writer: Writer,
    secrets_provider: Value,
    state: Value,
    past: Vec<Past>,
    n_messages: usize,
}

/// One version of the stack.
struct Past {
    id: String,
    version: u64,
    kind: &'static str,
    message: String,
    result: &'static str,
    resource_changes: Value,
    state: Value,
    events: Vec<Value>,
}

impl<'a> Life<'a> {
    /// A new stack whose calls go through `client`; nothing when the answer to its creation was lost.
    pub fn new(client: &'a Client, project: &str, seed: u64, patience: Patience) -> Option<Life<'a>> {
        let cli = Cli { stack: TestStack::new(client, project, "dev"), patience, lease_clock: None };
        let body = json!({ "stackName": "dev", "tags": { "pulumi:project": project } });
        client.send(&Request::new("POST", format!("/api/stacks/{ORG}/{project}")).json(&body)).ok()?.ok();
        let mut rng = Rng::new(seed);
        let program = Program::random(&mut rng, 9);
        let writer = Writer { project: project.into(), stack: "dev".into() };
        let state = json!({ "version": 3, "deployment": { "manifest": { "time": "0001-01-01T00:00:00Z", "magic": "", "version": "" } } });
        let secrets_provider = json!({ "type": "b64" });
        Some(Life { cli, rng, program, writer, secrets_provider, state, past: Vec::new(), n_messages: 0 })
    }

    /// The same, but nobody cancels updates whose CLI is gone; the server lives by `clock`.
    pub fn leaving_leases_to_run_out(mut self, clock: &Clock) -> Life<'a> {
        self.cli.lease_clock = Some(clock.clone());
        self
    }

    /// One more thing happens to the stack: an update of some kind, a preview, an import.
    pub fn live(&mut self) {
        self.program.change(&mut self.rng);
        match self.rng.below(10) {
            0 => self.preview(),
            1 if !self.past.is_empty() => self.import(),
            _ => self.update(),
        }
    }

    fn script(&mut self) -> Script {
        use Operation::*;
        let operation = *self.rng.pick(&[
            Update,
            Update,
            Update,
            UpdateAfterRefresh,
            UpdateWithRefresh,
            UpdateWithRefresh,
            Refresh,
            Destroy,
        ]);
        let ending =
            *self.rng.pick(&[Ending::Succeeded, Ending::Succeeded, Ending::Failed, Ending::Cancelled]);
        let after_changes = if ending == Ending::Succeeded { usize::MAX } else { self.rng.between(2, 40) };
        let state = State::new(&self.state, self.secrets_provider.clone());
        let stop = Stop { after_changes, ending };
        run(operation, &self.program, &self.writer, state, &self.secrets_provider, stop, &mut self.rng)
    }

    fn update(&mut self) {
        let script = self.script();
        let mode = *self.rng.pick(&[
            Mode::Journal,
            Mode::Checkpoint,
            Mode::Delta { cutoff_bytes: 0 },
            Mode::Delta { cutoff_bytes: 2500 },
        ]);
        loop {
            self.n_messages += 1;
            let message = format!("update {}", self.n_messages);
            match self.cli.run(&script, mode, &message, &self.state, &mut self.rng) {
                Ok(carried) => {
                    let is_told = script.ending != Ending::Cancelled;
                    self.past.push(Past {
                        id: carried.id,
                        version: carried.version,
                        kind: script.kind,
                        message,
                        result: if script.ending == Ending::Succeeded { "succeeded" } else { "failed" },
                        resource_changes: if is_told { json!(script.resource_changes) } else { json!({}) },
                        state: carried.state.clone(),
                        events: script.events,
                    });
                    self.state = carried.state;
                    return;
                }
                Err(_) => self.free(),
            }
        }
    }

    /// The answer to a call that is sent once was lost: nobody knows the lease, so the update is cancelled.
    fn free(&self) {
        let info = self.cli.retried(&self.cli.stack.request("GET", "")).ok().json();
        if info.get("currentOperation").is_some_and(|it| !it.is_null()) {
            let id = info["activeUpdate"].as_str().expect("activeUpdate");
            let request = self.cli.stack.request("POST", &format!("/update/{id}/cancel"));
            self.cli.retried(&request).expect(&[200, 204, 409]);
        }
    }

    fn preview(&mut self) {
        let script = self.script();
        while self.cli.preview(&script, &mut self.rng).is_err() {}
        self.cli.check_export(&self.state, "after a preview");
    }

    /// `pulumi state` and its like: what is pending is cleared, the rest comes in as it is.
    fn import(&mut self) {
        let mut state = self.state.clone();
        state["deployment"].as_object_mut().expect("a deployment").remove("pending_operations");
        let request = self.cli.stack.request("POST", "/import").json(&state).gzip();
        while self.cli.stack.client.send(&request).map(|it| it.ok()).is_err() {
            let history = self.history();
            if history.first().is_some_and(|it| {
                it["kind"] == "import" && it["version"].as_u64() > self.past.last().map(|it| it.version)
            }) {
                break; // It was done; only the answer was lost.
            }
        }
        let entry = self.history().remove(0);
        self.past.push(Past {
            id: String::new(),
            version: entry["version"].as_u64().expect("a version"),
            kind: "import",
            message: entry["message"].as_str().unwrap_or_default().to_string(),
            result: "succeeded",
            resource_changes: json!({}),
            state: state.clone(),
            events: Vec::new(),
        });
        self.state = state;
    }

    fn history(&self) -> Vec<Value> {
        let answer = self.cli.retried(&self.cli.stack.request("GET", "/updates")).ok();
        answer.json()["updates"].as_array().expect("updates").clone()
    }

    /// Demands that state, history and events are what the program did. Where starts may have been lost, the history
    /// may hold further updates that ended without having changed anything.
    #[track_caller]
    pub fn check(&self, may_hold_lost_starts: bool) {
        self.cli.check_export(&self.state, "at the end");
        let history = self.history();
        let known: Vec<u64> = self.past.iter().map(|it| it.version).collect();
        let (listed, lost): (Vec<_>, Vec<_>) =
            history.iter().partition(|it| known.contains(&it["version"].as_u64().expect("a version")));
        assert!(may_hold_lost_starts || lost.is_empty(), "not ours: {lost:?}");
        assert!(lost.iter().all(|it| it["result"] == "failed"), "{lost:?}");
        assert_eq!(listed.len(), self.past.len(), "updates in the history: {history:?}");
        for (entry, past) in listed.iter().rev().zip(&self.past) {
            past.check_entry(entry);
            past.check_state(&self.cli);
            past.check_events(&self.cli);
        }
    }

    /// How many versions of the stack are known.
    pub fn n_versions(&self) -> usize {
        self.past.len()
    }

    /// Nothing holds the stack: the next update starts and ends.
    #[track_caller]
    pub fn check_is_free(&self) {
        let update = self.cli.stack.start_update();
        self.cli.retried(&update.complete_request("succeeded")).ok();
    }
}

impl Past {
    #[track_caller]
    fn check_entry(&self, entry: &Value) {
        let n_resources = self.state["deployment"]["resources"].as_array().map_or(0, Vec::len);
        for (name, expected) in [
            ("kind", json!(self.kind)),
            ("message", json!(self.message)),
            ("result", json!(self.result)),
            ("version", json!(self.version)),
            ("resourceCount", json!(n_resources)),
        ] {
            assert_eq!(entry[name], expected, "{name} of {entry}");
        }
        let changes =
            if entry["resourceChanges"].is_null() { json!({}) } else { entry["resourceChanges"].clone() };
        assert_eq!(changes, self.resource_changes, "resourceChanges of {entry}");
        let (start, end) =
            (entry["startTime"].as_i64().expect("startTime"), entry["endTime"].as_i64().expect("endTime"));
        assert!(0 < start && start <= end, "{entry}");
    }

    #[track_caller]
    fn check_state(&self, cli: &Cli) {
        let request = cli.stack.request("GET", &format!("/export/{}", self.version));
        let export = Tree::parse(cli.retried(&request).ok().text());
        assert_same_deployment(&export, &Tree::from(&self.state), &format!("version {}", self.version));
    }

    #[track_caller]
    fn check_events(&self, cli: &Cli) {
        let (mut events, mut query) = (Vec::new(), String::new());
        while !self.id.is_empty() {
            let request = cli.stack.request("GET", &format!("/update/{}/events{query}", self.id));
            let page = cli.retried(&request).ok().json();
            events.extend(page["events"].as_array().expect("events").iter().cloned());
            let Some(token) = page["continuationToken"].as_str() else { break };
            query = format!("?continuationToken={token}");
        }
        assert_eq!(events.len(), self.events.len(), "events of version {}", self.version);
        for (event, expected) in events.iter().zip(&self.events) {
            let mut event = event.clone();
            // The number need not be told again; the order tells it.
            event["sequence"] = expected["sequence"].clone();
            assert_eq!(event, *expected, "an event of version {}", self.version);
        }
    }
}
