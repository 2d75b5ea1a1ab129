//! Valid requests with random damage, against the real server: whatever comes, it answers or closes, fails in no way
//! of its own, and nothing grows.

use crate::support::http::connect;
use crate::support::server::TestServer;
use crate::support::update::{TestUpdate, create_entries, secrets_entry};
use damage::damaged;
use random::Random;
use serde_json::json;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

#[path = "../gate/support/damage.rs"]
mod damage;
#[path = "../gate/support/random.rs"]
mod random;

const N_REQUESTS: u64 = 10_000;
const N_THREADS: u64 = 4;
/// How long a server may take to give back what its clients used.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn ten_thousand_damaged_requests() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.update_to(&["web", "db"]);
    let requests = requests(&stack.start_update());
    let first_seed = std::env::var("SEED").map_or(1, |seed| seed.parse().expect("a number"));
    // So that what is made once is made.
    send_all(&server, &requests, 1_000_000, 500);
    let before = server.usage();
    std::thread::scope(|scope| {
        for thread in 0..N_THREADS {
            let (server, requests) = (&server, &requests);
            let n = N_REQUESTS / N_THREADS;
            scope.spawn(move || send_all(server, requests, first_seed + thread * n, n));
        }
    });
    server.get("/readyz").ok();
    let deadline = Instant::now() + PATIENCE;
    // Connections to the database are opened as they are needed, three descriptors each, and stay.
    loop {
        let now = server.usage();
        let is_back = now.n_threads <= before.n_threads
            && now.n_descriptors <= before.n_descriptors + 24
            && now.resident_kib <= before.resident_kib + (32 << 10);
        if is_back {
            break;
        }
        assert!(Instant::now() < deadline, "before {before:?}, now {now:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A request of each kind that the CLI makes, as it goes over the wire.
fn requests(update: &TestUpdate) -> Vec<Vec<u8>> {
    let stack = &update.stack;
    let entries = create_entries(2, 1, &stack.resource("web"));
    let journal = [&[secrets_entry(1)][..], &entries].concat();
    let event =
        json!({ "sequence": 1, "timestamp": 1, "stdoutEvent": { "message": "hello", "color": "raw" } });
    let state = json!({ "version": 3, "deployment": stack.deployment(&["web"])["deployment"] });
    let plain = |request: crate::support::http::Request| request.to_bytes();
    vec![
        plain(stack.request("GET", "")),
        plain(stack.request("GET", "/export")),
        plain(stack.request("GET", "/updates?output-type=service&pageSize=10&page=1")),
        plain(stack.request("POST", "/import").json(&state)),
        plain(stack.request("POST", "/import").json(&state).gzip()),
        plain(stack.request("POST", "/encrypt").json(&json!({ "plaintext": "aGVsbG8=" }))),
        plain(stack.request("POST", "/batch-encrypt").json(&json!({ "plaintexts": ["aGVsbG8=", ""] }))),
        plain(stack.request("PATCH", "/tags").json(&json!({ "a": "b" }))),
        plain(stack.request("GET", "/config")),
        plain(update.journal_request(&journal)),
        plain(
            update
                .journal_request(&journal)
                .without_header("Content-Encoding")
                .json(&json!({ "entries": journal })),
        ),
        plain(update.events_request(&[event])),
        plain(update.renew_request(300)),
        plain(crate::support::http::Request::new("GET", "/api/user/stacks?organization=organization")),
        plain(crate::support::http::Request::new("GET", "/api/capabilities")),
    ]
}

fn send_all(server: &TestServer, requests: &[Vec<u8>], first_seed: u64, n: u64) {
    for seed in first_seed..first_seed + n {
        let request = damaged(requests, &mut Random::new(seed));
        let mut stream = connect(server.client.address()).expect("connect");
        // The server may have had enough before all of it is sent.
        let _ = stream.write_all(&request).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut answers = Vec::new();
        let end = stream.read_to_end(&mut answers);
        let is_late = end.is_err_and(|error| {
            matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        });
        let shown = String::from_utf8_lossy(&request);
        assert!(!is_late, "SEED={seed}: no end after {shown:?}");
        for status in statuses(&answers) {
            let is_known = status < 500 || matches!(status, 501 | 505);
            assert!(is_known, "SEED={seed}: {status} to {shown:?}");
        }
    }
}

/// Of all answers. Bodies are JSON or gzip and hold no status line.
fn statuses(answers: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answers);
    let starts = text.match_indices("HTTP/1.1 ");
    starts.filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok()).collect()
}
