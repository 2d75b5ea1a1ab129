//! Exports: just after an update, from a cold server, without gzip, and while an update runs.

use super::journal::first_steps;
use crate::deployment::Deployment;
use crate::entry::Journal;
use crate::figures::Figures;
use crate::floor::Work;
use crate::stack::{START_WITH_JOURNAL, Stack, check_resources};
use crate::target::Target;

/// How it is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// With gzip, just after an update.
    Warm,
    /// With gzip, each time from a server that has just started.
    Cold,
    /// The same without gzip.
    ColdPlain,
}

/// Exports of a state that an update has just changed.
pub fn stored(target: &Target, figures: &mut Figures, n_resources: usize, resource_bytes: usize, way: Way) {
    let (mut stack, base) = Stack::with_resources(target, n_resources, resource_bytes);
    let (_, expected) = change_some(&mut stack, &base, true);
    let path = format!("{}/export", stack.path);
    let request = if way == Way::ColdPlain { target.get_plain(&path) } else { target.get(&path) };
    let n_exports = if way == Way::Warm { 20 } else { 4 };
    for _ in 0..n_exports {
        if way != Way::Warm {
            target.restart();
            stack.reconnect();
        }
        figures.begin(target);
        let answer = figures.time(|| stack.client.call(&request));
        figures.end(target, 1);
        check_resources(&answer.text(), &expected);
    }
    figures.work = Work::calls(1);
}

/// Exports while an update runs that has reported 100 changes.
pub fn running(target: &Target, figures: &mut Figures, n_resources: usize) {
    let (mut stack, base) = Stack::with_resources(target, n_resources, 1000);
    let (update, expected) = change_some(&mut stack, &base, false);
    let request = stack.get("export");
    for _ in 0..5 {
        figures.begin(target);
        let answer = figures.time(|| stack.client.call(&request));
        figures.end(target, 1);
        check_resources(&answer.text(), &expected);
    }
    figures.work = Work::calls(1);
    stack.complete(&update);
    stack.check(&expected);
}

/// An update that changes 100 resources, ended or not; the state after it.
fn change_some(stack: &mut Stack, base: &Deployment, ends: bool) -> (crate::stack::Update, Deployment) {
    let update = stack.start_update(START_WITH_JOURNAL);
    let mut journal = Journal::new(base.resources.len());
    first_steps(&mut journal, base);
    for place in (4..404.min(base.resources.len())).step_by(4) {
        journal.update(base, place, base.bucket(place, 1));
    }
    stack.journal(&update, &journal.take_batches(100));
    if ends {
        stack.complete(&update);
    }
    (update, journal.replayed(base))
}
