//! Many clients with faults for a long time, by name: `SOAK_SECS=3600 cargo test --test server soak -- --ignored
//! --nocapture`. Memory, threads and descriptors are printed each minute, and must be flat at the end.

use crate::fake::cli::Patience;
use crate::fake::life::Life;
use crate::fake::proxy::FaultProxy;
use crate::support::http::{Client, Request, connect};
use crate::support::seed::Rng;
use crate::support::server::{ORG, TestServer, Usage};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// Fake CLIs whose calls get lost, doubled and cut.
const N_CLIS: u64 = 100;
/// Strangers: half requests, garbage, answers that nobody reads.
const N_STRANGERS: u64 = 100;
/// What may come on top in the second half, in KiB: what an allocator keeps.
const GROWTH_KIB: usize = 64 << 10;

#[test]
#[ignore = "takes SOAK_SECS, an hour unless set"]
fn mixed_clients_leave_nothing_behind() {
    let secs = std::env::var("SOAK_SECS").map_or(3600, |secs| secs.parse().expect("seconds"));
    let server = TestServer::start();
    let before = server.usage();
    println!("before: {before:?}");
    let half = clients(&server, Duration::from_secs(secs / 2), 1);
    let middle = settled(&server, before);
    println!("{half} lives; at rest: {middle:?}\n{}", caches(&server));
    let other_half = clients(&server, Duration::from_secs(secs / 2), 1_000_000_000);
    let end = settled(&server, before);
    println!("{other_half} lives; at rest: {end:?}\n{}", caches(&server));
    assert!(end.resident_kib <= middle.resident_kib + GROWTH_KIB, "{middle:?} {end:?}");
    server.get("/readyz").ok();
}

/// What the server keeps in memory on purpose.
fn caches(server: &TestServer) -> String {
    let page = server.get("/metrics").ok();
    let lines = page.text().lines().filter(|line| line.contains("_cache_") && !line.starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

/// Runs all clients for so long; how many lives were lived.
fn clients(server: &TestServer, time: Duration, first_seed: u64) -> usize {
    let end = Instant::now() + time;
    let proxy = FaultProxy::start(server.client.address());
    let n_lives = std::thread::scope(|scope| {
        let clis: Vec<_> = (0..N_CLIS)
            .map(|n| {
                let proxy = &proxy;
                scope.spawn(move || lives(server, proxy, first_seed + n * 1_000_000, end))
            })
            .collect();
        (0..N_STRANGERS).for_each(|n| drop(scope.spawn(move || stranger(server, n, end))));
        while Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(Duration::from_secs(60)));
            println!("{:?}", server.usage());
        }
        clis.into_iter().map(|cli| cli.join().expect("a life without a failure")).sum()
    });
    println!("{} calls were harmed", proxy.n_faults());
    n_lives
}

/// A stack after the other, each updated several times, checked and removed.
fn lives(server: &TestServer, proxy: &FaultProxy, first_seed: u64, end: Instant) -> usize {
    let client = Client::new(proxy.address());
    for n_lived in 0.. {
        if Instant::now() >= end {
            return n_lived;
        }
        let seed = first_seed + n_lived as u64;
        let project = format!("wild-{seed}");
        // The creation's answer may be lost; then another project is begun.
        let Some(mut life) = Life::new(&client, &project, seed, Patience::FourAttempts) else { continue };
        (0..3).for_each(|_| life.live());
        life.check(false);
        let stack = Request::new("DELETE", format!("/api/stacks/{ORG}/{project}/dev?force=true"));
        server.send(&stack).ok();
    }
    unreachable!("the loop ends with the time")
}

/// Each of them does one unmannerly thing after the other.
fn stranger(server: &TestServer, n: u64, end: Instant) {
    let mut rng = Rng::new(n + 77);
    while Instant::now() < end {
        // A server that is full may refuse, and that is all.
        let Ok(mut stream) = connect(server.client.address()) else { continue };
        let head =
            "POST /api/stacks/organization/a/b/import HTTP/1.1\r\nHost: x\r\nAuthorization: token x\r\n";
        let bytes = match rng.below(6) {
            0 => b"GET /api/us".to_vec(),
            1 => format!("{head}Content-Length: 100000\r\n\r\nshort").into_bytes(),
            2 => format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhel").into_bytes(),
            3 => vec![0x16; 2000],
            4 => "GET /api/capabilities HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500).into_bytes(),
            _ => Request::new("GET", "/api/user").to_bytes(),
        };
        // Whatever becomes of it.
        let _ = stream.write_all(&bytes);
        std::thread::sleep(Duration::from_millis(rng.below(500) as u64));
        let _ = stream.read(&mut [0; 1000]);
    }
}

/// What is used once all clients are gone and their threads with them.
fn settled(server: &TestServer, before: Usage) -> Usage {
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        let now = server.usage();
        // Connections to the database are opened as they are needed, and stay.
        let is_at_rest =
            now.n_threads <= before.n_threads + 2 && now.n_descriptors <= before.n_descriptors + 40;
        if is_at_rest {
            return now;
        }
        assert!(Instant::now() < deadline, "before {before:?}, now {now:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
