//! The end of an update: what it costs to make a version of it, by the size of the state.

use super::journal::first_steps;
use crate::deployment::Deployment;
use crate::entry::Journal;
use crate::figures::Figures;
use crate::floor::Work;
use crate::stack::{START_WITH_JOURNAL, Stack};
use crate::target::Target;

const RESOURCE_BYTES: usize = 1000;
const N_UPDATES: usize = 5;

/// Updates that change one resource of `n_resources`, from a server that has just started.
pub fn after_one_change(target: &Target, figures: &mut Figures, n_resources: usize) {
    let (mut stack, mut state) = Stack::with_resources(target, n_resources, RESOURCE_BYTES);
    target.restart();
    stack.reconnect();
    for revision in 1..=N_UPDATES {
        let mut journal = Journal::new(n_resources);
        first_steps(&mut journal, &state);
        change_one(&mut journal, &state, revision);
        state = complete(&mut stack, figures, &state, journal);
    }
    stack.check(&state);
    figures.work = Work::commits(1, 1);
}

/// Changes a resource that nothing depends on.
fn change_one(journal: &mut Journal, state: &Deployment, revision: usize) {
    let number = 4 * (1 + revision * 37 % (state.resources.len() / 4 - 1));
    journal.update(state, state.place_of(number), state.bucket(number, revision));
}

/// Updates that report every resource: one in a hundred changed, the others the same.
pub fn after_all(target: &Target, figures: &mut Figures, n_resources: usize) {
    let (mut stack, mut state) = Stack::with_resources(target, n_resources, RESOURCE_BYTES);
    for revision in 1..=2 {
        let mut journal = Journal::new(n_resources);
        first_steps(&mut journal, &state);
        for place in 2..n_resources {
            match place % 100 {
                0 => journal.update(&state, place, state.bucket(place, revision)),
                _ => journal.same(&state, place),
            }
        }
        state = complete(&mut stack, figures, &state, journal);
    }
    stack.check(&state);
    figures.work = Work::commits(1, 1);
}

/// Sends the journal, then times the end alone. The state that the stack has now.
fn complete(
    stack: &mut Stack,
    figures: &mut Figures,
    state: &Deployment,
    mut journal: Journal,
) -> Deployment {
    let update = stack.start_update(START_WITH_JOURNAL);
    stack.journal(&update, &journal.take_batches(100));
    let request = stack.complete_request(&update);
    figures.begin(stack.target);
    figures.time(|| stack.client.call(&request));
    figures.end(stack.target, 1);
    journal.replayed(state)
}
