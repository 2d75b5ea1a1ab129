//! What the gate costs: the same engine reached through it and directly, side by side in one run.
//!
//! `cargo bench --bench gate`. Rounds alternate, because the machine's mood changes; compare, do not quote.

#[allow(dead_code)]
mod support;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use support::TestGate;
use support::client::Client;
use support::engine;

const N_ROUNDS: usize = 7;

fn main() {
    let gate = TestGate::start();
    let direct = engine_on_tcp();
    println!(
        "{:28} {:>9} {:>9} {:>9}   {:>9} {:>9} {:>9}",
        "p50 µs, p99 µs, req/s", "direct", "", "", "gate", "", ""
    );
    for (n_clients, path) in
        [(1, "/bytes/200"), (1, "/bytes/4000"), (1, "/bytes/1000000"), (4, "/bytes/200"), (16, "/bytes/200")]
    {
        compare(n_clients, path, direct, gate.address);
    }
}

/// The same engine without a gate, listening where clients are; Nagle's algorithm off, which it cannot do itself.
fn engine_on_tcp() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let as_stream = TcpStream::from(OwnedFd::from(listener.try_clone().unwrap()));
    as_stream.set_nodelay(true).unwrap();
    engine::serve(tiny_http::Server::from_listener(listener, None).unwrap());
    address
}

fn compare(n_clients: usize, path: &'static str, direct: SocketAddr, gate: SocketAddr) {
    let mut rounds = [Vec::new(), Vec::new()];
    for round in 0..2 * N_ROUNDS {
        let address = if round % 2 == 0 { direct } else { gate };
        rounds[round % 2].push(load(n_clients, path, address));
    }
    let [direct, gate] = rounds.map(|mut rounds| {
        rounds.sort_by(|a, b| a.p50.total_cmp(&b.p50));
        rounds.swap_remove(N_ROUNDS / 2)
    });
    println!(
        "{:28} {:9.1} {:9.1} {:9.0}   {:9.1} {:9.1} {:9.0}   p50 {:+.1} µs, ×{:.2}",
        format!("{n_clients} client(s), {path}"),
        direct.p50,
        direct.p99,
        direct.per_sec,
        gate.p50,
        gate.p99,
        gate.per_sec,
        gate.p50 - direct.p50,
        gate.p50 / direct.p50
    );
}

struct Figures {
    p50: f64,
    p99: f64,
    per_sec: f64,
}

fn load(n_clients: usize, path: &'static str, address: SocketAddr) -> Figures {
    let mut micros = Vec::new();
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..n_clients).map(|_| scope.spawn(move || one_client(path, address))).collect();
        micros.extend(clients.into_iter().flat_map(|client| client.join().unwrap()));
    });
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros[(micros.len() as f64 * share) as usize];
    Figures { p50: at(0.5), p99: at(0.99), per_sec: micros.len() as f64 }
}

/// A second of requests, one after the other; the first ones are not counted.
fn one_client(path: &str, address: SocketAddr) -> Vec<f64> {
    let mut client = Client::connect(address);
    let mut micros = Vec::new();
    for _ in 0..20 {
        client.get(path).expect(200);
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        let sent = Instant::now();
        client.get(path).expect(200);
        micros.push(sent.elapsed().as_nanos() as f64 / 1e3);
    }
    micros
}
