//! A long history: a thousand updates of a large state, one resource changed each time.

use super::update::up;
use crate::deployment::Rng;
use crate::figures::{Figures, bytes, millis, percentile};
use crate::stack::{Stack, check_resources};
use crate::target::Target;

/// `n_versions` updates of 600 resources of 16 KB. Times are of whole updates.
pub fn run(target: &Target, figures: &mut Figures, n_versions: usize) {
    let (mut stack, mut state) = Stack::with_resources(target, 600, 16_000);
    let mut rng = Rng(1000);
    let mut kept = None;
    let disk_before = target.disk_bytes();
    stack.reconnect();
    for n in 0..n_versions {
        state = up(&mut stack, figures, &state, &mut rng, 1);
        if n == n_versions / 2 {
            // The import was version 1.
            kept = Some((n + 2, state.clone()));
        }
    }
    let n_edge = 20.min(n_versions);
    let first = percentile(&figures.times[..n_edge], 0.5);
    let last = percentile(&figures.times[n_versions - n_edge..], 0.5);
    figures.notes.push(format!("first {} last {}", millis(first), millis(last)));
    let grown = disk_before.zip(target.disk_bytes()).map(|(before, after)| after.saturating_sub(before));
    figures.notes.extend(grown.map(|n| format!("disk grew by {} a version", bytes(n / n_versions as u64))));

    stack.reconnect();
    stack.check(&state);
    let (version, expected) = kept.expect("one in the middle");
    let mut reads = Figures::default();
    let old = stack.get(&format!("export/{version}"));
    let old = reads.time(|| stack.client.call(&old));
    check_resources(&old.text(), &expected);
    let page = stack.get("updates?pageSize=10&page=1");
    let page = reads.time(|| stack.client.call(&page)).json();
    assert_eq!(page["updates"][0]["version"], n_versions + 1, "the newest version in the history");
    figures.notes.push(format!(
        "old export {}, history page {}",
        millis(reads.times.first().copied()),
        millis(reads.times.last().copied())
    ));
}
