//! Journal batches, from one update and from many at once, on bases of all sizes.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::deployment::Deployment;
use crate::entry::Journal;
use crate::figures::Figures;
use crate::floor::{Work, mb};
use crate::stack::{START_WITH_JOURNAL, Stack, Update};
use crate::target::{Body, Target};

/// How much is sent, and on what.
#[derive(Clone, Copy)]
pub struct Load {
    /// Updates at once, each on a stack of its own.
    pub n_clients: usize,
    /// Resources in the stack when the update starts.
    pub n_base: usize,
    /// Entries in a batch.
    pub n_per_batch: usize,
    /// Batches of each update.
    pub n_batches: usize,
}

const RESOURCE_BYTES: usize = 1000;

/// Creates resources, a begin and an end each, and sends the batches one after the other.
pub fn run(target: &Target, figures: &mut Figures, load: Load) {
    let mut clients: Vec<Sender> = (0..load.n_clients).map(|_| Sender::prepare(target, load)).collect();
    figures.work = clients[0].work(load);
    let start = Barrier::new(load.n_clients + 1);
    figures.begin(target);
    std::thread::scope(|scope| {
        for client in &mut clients {
            let start = &start;
            scope.spawn(move || client.send(start));
        }
        start.wait();
    });
    figures.end(target, load.n_clients * load.n_per_batch * load.n_batches);
    for client in clients {
        figures.times.extend(client.finish());
    }
}

/// One update, its requests ready.
struct Sender<'t> {
    stack: Stack<'t>,
    update: Update,
    requests: Vec<Vec<u8>>,
    text_bytes: usize,
    wire_bytes: usize,
    expected: Deployment,
    times: Vec<Duration>,
}

impl<'t> Sender<'t> {
    fn prepare(target: &'t Target, load: Load) -> Sender<'t> {
        let (mut stack, base) = stack_and_base(target, load.n_base);
        let update = stack.start_update(START_WITH_JOURNAL);
        let mut journal = Journal::new(base.resources.len());
        first_steps(&mut journal, &base);
        stack.journal(&update, &journal.take_batches(100));

        let maker = Deployment::new(&stack.name, 2, RESOURCE_BYTES);
        for i in 0..(load.n_batches * load.n_per_batch).div_ceil(2) {
            // Numbers that no resource of the base has, each its own group: nothing depends on them.
            journal.create(maker.bucket(500_000 + 4 * i, 0));
        }
        let batches = journal.take_batches(load.n_per_batch);
        let bodies: Vec<Body> = batches.iter().map(|text| Body::packed(text)).collect();
        let request = |body: &Body| stack.lease_request(&update, "PATCH", "journalentries", body);
        Sender {
            requests: bodies.iter().map(request).collect(),
            text_bytes: batches.iter().map(String::len).sum(),
            wire_bytes: bodies.iter().map(Body::len).sum(),
            expected: journal.replayed(&base),
            times: Vec::with_capacity(load.n_batches),
            stack,
            update,
        }
    }

    /// What one batch cannot do without.
    fn work(&self, load: Load) -> Work {
        Work {
            inflate_mb: mb(self.text_bytes / load.n_batches),
            seal_mb: mb(self.wire_bytes / load.n_batches),
            ..Work::commits(1, 1)
        }
    }

    fn send(&mut self, start: &Barrier) {
        start.wait();
        for request in &self.requests {
            let started = Instant::now();
            self.stack.client.call(request);
            self.times.push(started.elapsed());
        }
    }

    /// Ends the update and checks that all of it is there.
    fn finish(mut self) -> Vec<Duration> {
        self.stack.complete(&self.update);
        self.stack.check(&self.expected);
        self.times
    }
}

/// A stack with `n_base` resources; with none it has never been updated.
pub fn stack_and_base(target: &Target, n_base: usize) -> (Stack<'_>, Deployment) {
    if n_base > 0 {
        return Stack::with_resources(target, n_base, RESOURCE_BYTES);
    }
    let stack = Stack::create(target);
    let mut base = Deployment::new(&stack.name, 2, RESOURCE_BYTES);
    base.resources.clear();
    (stack, base)
}

/// What each program does first: the stack resource and the provider.
pub fn first_steps(journal: &mut Journal, base: &Deployment) {
    if base.resources.is_empty() {
        let new = Deployment::new(base.stack(), 2, RESOURCE_BYTES);
        new.resources.into_iter().for_each(|state| journal.create(state));
    } else {
        journal.same(base, 0);
        journal.same(base, 1);
    }
}
