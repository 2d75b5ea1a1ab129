//! What the gate costs: the same engine reached through it and directly, side by side in one run.
//!
//! `cargo bench --bench gate`. Rounds alternate, because the machine's mood changes; compare, do not quote.

#[allow(dead_code)]
mod support;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use pulumi_backend::gate::Settings;
use support::TestGate;
use support::client::Client;
use support::engine;
use support::process::{GateProcess, Usage};

const N_ROUNDS: usize = 7;

fn main() {
    // In a child process these serve instead, and the rest is not for it.
    let is_for_tls = std::env::args().any(|argument| argument == "tls");
    let Some(mut plain) = GateProcess::start("plain", "", many_idle(is_for_tls)) else { return };
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
    let connect = Client::connect;
    cost_of_idle(&mut plain, 1_000, connect);
    cost_of_idle(&mut plain, 9_000, connect);
    #[cfg(feature = "tls")]
    over_tls();
}

/// Room for 10,000 connections that do nothing.
fn many_idle(is_for_tls: bool) -> Settings {
    let settings =
        Settings { connections_max: 20_000, connections_per_address_max: 20_000, ..Settings::default() };
    match is_for_tls {
        #[cfg(feature = "tls")]
        true => Settings { tls: Some(local_ca()), ..settings },
        _ => settings,
    }
}

/// The same for a child process as for this one.
#[cfg(feature = "tls")]
fn local_ca() -> std::sync::Arc<pulumi_backend::gate::Tls> {
    let tls = pulumi_backend::gate::Tls::from_local_ca(&ca_folder(), &[], Default::default());
    std::sync::Arc::new(tls.unwrap())
}

#[cfg(feature = "tls")]
fn ca_folder() -> std::path::PathBuf {
    std::env::temp_dir().join("gate-bench-ca")
}

/// Connections that have asked once and ask no more.
fn cost_of_idle(gate: &mut GateProcess, n: usize, connect: impl Fn(SocketAddr) -> Client) {
    let before = gate.usage();
    let start = Instant::now();
    let clients: Vec<_> = (0..n)
        .map(|_| {
            let mut client = connect(gate.address);
            client.get("/bytes/200").expect(200);
            client
        })
        .collect();
    let secs = start.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(2));
    let now = gate.usage();
    println!(
        "{n} idle connections: {:.1} KiB resident each, {} threads, {} descriptors; {:.0} connects/s",
        (now.resident_bytes - before.resident_bytes) as f64 / 1024.0 / n as f64,
        now.n_threads - before.n_threads,
        now.n_descriptors - before.n_descriptors,
        n as f64 / secs,
    );
    drop(clients);
    gate.expect_back_at(Usage { resident_bytes: usize::MAX / 2, ..before });
}

#[cfg(feature = "tls")]
fn over_tls() {
    let gate = TestGate::start_with(Settings { tls: Some(local_ca()), ..Settings::default() });
    let config = support::client::trusting(&ca_folder());
    let start = Instant::now();
    let mut n_handshakes = 0;
    while start.elapsed() < Duration::from_secs(3) {
        Client::connect_tls(gate.address, config.clone(), "localhost").unwrap().get("/bytes/200").expect(200);
        n_handshakes += 1;
    }
    println!(
        "TLS: {:.0} connects with handshake and request/s, one after the other",
        n_handshakes as f64 / 3.0
    );
    let mut client = Client::connect_tls(gate.address, config.clone(), "localhost").unwrap();
    let micros = timed(&mut client, "/bytes/200");
    println!("TLS, 1 client, /bytes/200: p50 {:.1} µs", percentile(micros, 0.5));
    let Some(mut idle) = GateProcess::start("tls", "", Settings::default()) else { return };
    cost_of_idle(&mut idle, 2_000, |address| {
        Client::connect_tls(address, config.clone(), "localhost").unwrap()
    });
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
    let per_sec = micros.len() as f64;
    Figures { p50: percentile(micros.clone(), 0.5), p99: percentile(micros, 0.99), per_sec }
}

fn percentile(mut micros: Vec<f64>, share: f64) -> f64 {
    micros.sort_by(f64::total_cmp);
    micros[(micros.len() as f64 * share) as usize]
}

fn one_client(path: &str, address: SocketAddr) -> Vec<f64> {
    timed(&mut Client::connect(address), path)
}

/// A second of requests, one after the other; the first ones are not counted.
fn timed(client: &mut Client, path: &str) -> Vec<f64> {
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
