//! Whole updates: every call that `pulumi up` makes for the state, one CLI at a time and many at once.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use super::event::events_body;
use super::journal::{first_steps, stack_and_base};
use crate::deployment::{Deployment, Rng};
use crate::entry::Journal;
use crate::figures::{Figures, bytes};
use crate::floor::{Work, mb};
use crate::stack::{CREATE_UPDATE, START_WITH_JOURNAL, Stack};
use crate::target::{Body, Target};

const N_RESOURCES: usize = 600;
const RESOURCE_BYTES: usize = 16_000;
const N_UPDATES: usize = 5;

/// 600 resources of 16 KB, all of them journaled in another order each time, `n_changed` of them changed.
///
/// Times are of the server's answers alone, all of one update together.
pub fn whole(target: &Target, figures: &mut Figures, n_changed: usize) {
    let (mut stack, mut state) = Stack::with_resources(target, N_RESOURCES, RESOURCE_BYTES);
    let mut rng = Rng(9);
    // The first version is the import's; only what comes after an update counts.
    let mut unmeasured = Figures::default();
    state = up(&mut stack, &mut unmeasured, &state, &mut rng, n_changed);
    let disk_before = target.disk_bytes();
    stack.reconnect();
    for _ in 0..N_UPDATES {
        state = up(&mut stack, figures, &state, &mut rng, n_changed);
    }
    if let (Some(before), Some(after)) = (disk_before, target.disk_bytes()) {
        let grown = after.saturating_sub(before) / N_UPDATES as u64;
        figures.notes.push(format!("disk grew by {} a version", bytes(grown)));
    }
    stack.reconnect();
    stack.check(&state);
}

/// One update; the state after it.
pub fn up(
    stack: &mut Stack,
    figures: &mut Figures,
    state: &Deployment,
    rng: &mut Rng,
    n_changed: usize,
) -> Deployment {
    let changed: Vec<usize> = (0..n_changed).map(|_| 2 + rng.below(state.resources.len() - 2)).collect();
    let revision = (rng.next() >> 40) as usize;
    let mut journal = Journal::new(state.resources.len());
    for place in state.shuffled(rng) {
        if changed.contains(&place) {
            journal.update(state, place, state.bucket(state.number(place), revision));
        } else {
            journal.same(state, place);
        }
    }
    let batches = journal.take_batches(100);
    let bodies: Vec<Body> = batches.iter().map(|text| Body::Gzip(crate::gzip::pack(text, 1))).collect();
    let text_bytes = batches.iter().map(String::len).sum();
    figures.work = Work { inflate_mb: mb(text_bytes), ..Work::commits(bodies.len() + 6, bodies.len() + 4) };

    figures.begin(stack.target);
    let mut spent = Spent::default();
    let update = spent.time("start", || stack.start_update(START_WITH_JOURNAL));
    let (export, get) = (stack.get("export"), stack.target.get(&stack.path));
    spent.time("export", || stack.client.call(&export));
    spent.time("get", || stack.client.call(&get));
    for body in &bodies {
        let request = stack.lease_request(&update, "PATCH", "journalentries", body);
        spent.time("journal", || stack.client.call(&request));
    }
    let events = stack.lease_request(&update, "POST", "events/batch", &events_body(0, 3, 200));
    spent.time("events", || stack.client.call(&events));
    let complete = stack.complete_request(&update);
    spent.time("complete", || stack.client.call(&complete));
    figures.times.push(spent.total());
    figures.end(stack.target, 1);
    figures.notes = vec![spent.to_string()];
    journal.replayed(state)
}

/// Time by the kind of call.
#[derive(Default)]
struct Spent(Vec<(&'static str, Duration)>);

impl Spent {
    fn time<T>(&mut self, kind: &'static str, call: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = call();
        let elapsed = started.elapsed();
        match self.0.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, sum)) => *sum += elapsed,
            None => self.0.push((kind, elapsed)),
        }
        result
    }

    fn total(&self) -> Duration {
        self.0.iter().map(|(_, time)| *time).sum()
    }
}

impl std::fmt::Display for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("last:")?;
        self.0.iter().try_for_each(|(kind, time)| write!(f, " {kind} {:.1}", time.as_secs_f64() * 1000.0))?;
        f.write_str(" ms")
    }
}

/// Updates in which nothing happens: create, start, complete.
pub fn empty(target: &Target, figures: &mut Figures) {
    const N: usize = 300;
    let mut stack = Stack::create(target);
    figures.begin(target);
    for _ in 0..N {
        figures.time(|| {
            let update = stack.start_update(START_WITH_JOURNAL);
            stack.complete(&update);
        });
    }
    figures.end(target, N);
    figures.work = Work::commits(3, 3);
    assert_eq!(
        stack.client.call(&stack.get("updates?pageSize=10&page=1")).json()["updates"][0]["version"],
        N
    );
}

const N_CLIENTS: usize = 32;
const N_SMALL_RESOURCES: usize = 10;

/// 32 CLIs, each with small updates one after the other: create, start, three batches of journal, two of events,
/// complete. Times are of single calls.
pub fn crowd(target: &Target, figures: &mut Figures) {
    const N_EACH: usize = 20;
    let mut clients: Vec<_> = (0..N_CLIENTS).map(|_| SmallUpdates::prepare(target)).collect();
    let start = Barrier::new(N_CLIENTS + 1);
    figures.begin(target);
    std::thread::scope(|scope| {
        for client in &mut clients {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                (0..N_EACH).for_each(|n| client.update(n));
            });
        }
        start.wait();
    });
    figures.end(target, N_CLIENTS * N_EACH);
    for mut client in clients {
        figures.times.append(&mut client.times);
        client.stack.check(&client.states[(N_EACH - 1) % 2]);
    }
}

/// A stack whose few resources change to and fro between two states.
struct SmallUpdates<'t> {
    stack: Stack<'t>,
    states: [Deployment; 2],
    journals: [Vec<Body>; 2],
    events: [Body; 2],
    times: Vec<Duration>,
}

impl<'t> SmallUpdates<'t> {
    fn prepare(target: &'t Target) -> SmallUpdates<'t> {
        let (stack, base) = Stack::with_resources(target, N_SMALL_RESOURCES, 1000);
        let states = [1, 2].map(|revision| {
            let mut state = base.clone();
            (2..N_SMALL_RESOURCES).for_each(|i| state.resources[i] = base.bucket(i, revision));
            state
        });
        let journals = [1, 0].map(|to| {
            let (from, to) = (&states[1 - to], &states[to]);
            let mut journal = Journal::new(N_SMALL_RESOURCES);
            first_steps(&mut journal, from);
            (2..N_SMALL_RESOURCES).for_each(|i| journal.update(from, i, to.resources[i].clone()));
            journal.take_batches(7).iter().map(|text| Body::packed(text)).collect()
        });
        // The first update leads to the first state.
        let [second, first] = journals;
        let events = [events_body(0, 20, 500), events_body(20, 20, 500)];
        SmallUpdates { stack, states, journals: [first, second], events, times: Vec::new() }
    }

    fn call(&mut self, request: Vec<u8>) -> crate::client::Answer {
        let started = Instant::now();
        let answer = self.stack.client.call(&request);
        self.times.push(started.elapsed());
        answer
    }

    fn update(&mut self, n: usize) {
        let created = self.call(self.stack.post("update", &Body::Json(CREATE_UPDATE.into()))).json();
        let id = created["updateID"].as_str().expect("an update id").to_string();
        let start = self.stack.post(&format!("update/{id}"), &Body::Json(START_WITH_JOURNAL.into()));
        let started = self.call(start).json();
        let update = crate::stack::Update {
            path: format!("{}/update/{id}", self.stack.path),
            lease: started["token"].as_str().expect("a lease token").to_string(),
        };
        for body in self.journals[n % 2].clone() {
            self.call(self.stack.lease_request(&update, "PATCH", "journalentries", &body));
        }
        for body in self.events.clone() {
            self.call(self.stack.lease_request(&update, "POST", "events/batch", &body));
        }
        self.call(self.stack.complete_request(&update));
    }
}

/// Memory after 32 updates of 1,000 resources, eight at a time.
pub fn memory(target: &Target, figures: &mut Figures) {
    figures.begin(target);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..4).for_each(|_| create_all(target, 1000)));
        }
    });
    figures.end(target, 32);
    let resident = target.proc_number("status", "VmRSS");
    figures.notes.extend(resident.map(|kb| format!("{} afterwards", bytes(kb << 10))));
}

/// A new stack whose first update creates `n_resources`.
fn create_all(target: &Target, n_resources: usize) {
    let (mut stack, base) = stack_and_base(target, 0);
    let wanted = Deployment::new(&stack.name, n_resources, 1000);
    let mut journal = Journal::new(0);
    wanted.resources.iter().for_each(|state| journal.create(state.clone()));
    let update = stack.start_update(START_WITH_JOURNAL);
    stack.journal(&update, &journal.take_batches(100));
    stack.complete(&update);
    stack.check(&journal.replayed(&base));
}
