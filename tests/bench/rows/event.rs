//! Engine events: batches of 50, up to three under way, all of them readable afterwards.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Client;
use crate::deployment::{Deployment, Rng};
use crate::figures::Figures;
use crate::floor::{Work, mb};
use crate::gzip;
use crate::stack::{START_WITH_JOURNAL, Stack, Update};
use crate::target::{Body, Target};

const N_BATCHES: usize = 240;
const N_PER_BATCH: usize = 50;
const EVENT_BYTES: usize = 2000;

/// Batches of one update over `n_connections`.
pub fn run(target: &Target, figures: &mut Figures, n_connections: usize) {
    let mut stack = Stack::create(target);
    let update = stack.start_update(START_WITH_JOURNAL);
    let bodies: Vec<Body> =
        (0..N_BATCHES).map(|n| events_body(n * N_PER_BATCH, N_PER_BATCH, EVENT_BYTES)).collect();
    figures.work = Work {
        inflate_mb: mb(N_PER_BATCH * EVENT_BYTES),
        seal_mb: mb(bodies[0].len()),
        ..Work::commits(1, 1)
    };
    let request = |body: &Body| stack.lease_request(&update, "POST", "events/batch", body);
    let requests: Vec<Vec<u8>> = bodies.iter().map(request).collect();
    let start = Barrier::new(n_connections + 1);
    figures.begin(target);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..n_connections)
            .map(|n| {
                let (start, mine) = (&start, requests.iter().skip(n).step_by(n_connections));
                let mut client = target.client();
                scope.spawn(move || send(&mut client, start, mine))
            })
            .collect();
        start.wait();
        senders.into_iter().for_each(|sender| figures.times.extend(sender.join().expect("a sender")));
    });
    figures.end(target, N_BATCHES * N_PER_BATCH);
    stack.complete(&update);
    check(&mut stack, &update, N_BATCHES * N_PER_BATCH);
}

fn send<'r>(
    client: &mut Client,
    start: &Barrier,
    requests: impl Iterator<Item = &'r Vec<u8>>,
) -> Vec<Duration> {
    start.wait();
    requests
        .map(|request| {
            let started = Instant::now();
            client.call(request);
            started.elapsed()
        })
        .collect()
}

/// Reads all pages; each event must be there once, in order.
fn check(stack: &mut Stack, update: &Update, n_events: usize) {
    let (mut n_read, mut token) = (0, String::new());
    loop {
        let page = stack
            .client
            .call(&stack.target.get(&format!("{}/events?continuationToken={token}", update.path)));
        let page = page.json();
        for event in page["events"].as_array().expect("events") {
            let title = format!("event {n_read}:");
            assert!(
                event["diagnosticEvent"]["message"].as_str().expect("a message").starts_with(&title),
                "{title}"
            );
            n_read += 1;
        }
        match &page["continuationToken"] {
            Value::String(next) => token = next.clone(),
            _ => break,
        }
    }
    assert_eq!(n_read, n_events, "events that can be read after the update");
}

/// A batch of events from `first` on, each of about `n_bytes`.
pub fn events_body(first: usize, n_events: usize, n_bytes: usize) -> Body {
    let mut rng = Rng(first as u64);
    let maker = Deployment::new("dev", 2, n_bytes.saturating_sub(200));
    let event = |sequence: usize, state: String| {
        let message = format!("event {sequence}: {state}").replace('\\', "\\\\").replace('"', "\\\"");
        let message: String = message.chars().take(n_bytes).collect();
        let message = message.trim_end_matches('\\');
        format!(
            r#"{{"sequence":{sequence},"timestamp":1755000000,"diagnosticEvent":{{"urn":"{}","message":"{message}","color":"raw","severity":"info"}}}}"#,
            maker.bucket_urn(sequence)
        )
    };
    let events: Vec<String> =
        (first..first + n_events).map(|n| event(n, maker.bucket(n, rng.below(1 << 20)))).collect();
    Body::Gzip(gzip::pack(&format!(r#"{{"events":[{}]}}"#, events.join(",")), 6))
}
