//! Idle connections: they cost no thread, and everything works as if they did.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use pulumi_backend::gate::Settings;

use crate::support::process::GateProcess;
use crate::support::{PATIENCE, TestGate};

const SOON: Duration = Duration::from_millis(5);

fn parking_soon() -> Settings {
    Settings { park_after: SOON, ..Settings::default() }
}

#[test]
fn idle_connections_cost_no_threads() {
    let test = "parking::idle_connections_cost_no_threads";
    let Some(mut gate) = GateProcess::start(test, "", parking_soon()) else { return };
    let before = gate.usage();
    let mut clients: Vec<_> = (0..200).map(|_| gate.connect()).collect();
    // Half of them have asked something.
    for client in &mut clients[..100] {
        client.get("/bytes/30000").expect(200);
    }
    // All of them are accepted and parked.
    wait_until(|| {
        let now = gate.usage();
        now.n_threads == before.n_threads && now.n_descriptors == before.n_descriptors + 200
    });
    let parked = gate.usage();
    assert!(parked.resident_bytes < before.resident_bytes + (8 << 20), "{before:?} {parked:?}");
    for client in clients.iter_mut().rev() {
        client.get("/echo").expect(200);
    }
    wait_until(|| gate.usage().n_threads == before.n_threads);
    drop(clients);
    gate.expect_back_at(before);
}

#[test]
fn a_parked_connection_serves_request_after_request() {
    let gate = TestGate::start_with(parking_soon());
    let mut clients: Vec<_> = (0..20).map(|_| gate.connect()).collect();
    for pause in [0, 1, 5, 6, 20, 5, 0] {
        for client in &mut clients {
            client.post("/echo", b"hello").expect(200);
        }
        std::thread::sleep(Duration::from_millis(pause));
    }
    // A request in two halves, and two at once.
    for client in &mut clients {
        client.send("GET /echo HT");
    }
    std::thread::sleep(2 * SOON);
    for client in &mut clients {
        client.send("TP/1.1\r\nHost: h\r\n\r\nGET /bytes/5 HTTP/1.1\r\nHost: h\r\n\r\n");
        client.reply().expect(200);
        assert_eq!(client.reply().expect(200).body.len(), 5);
    }
}

#[test]
fn a_parked_connection_is_closed_after_the_idle_time() {
    let idle_deadline = Duration::from_millis(50);
    let gate = TestGate::start_with(Settings { idle_deadline, ..parking_soon() });
    let mut client = gate.connect_and_get("/echo");
    client.expect_end();
    gate.wait_for_no_connections();
}

#[test]
fn a_parked_connection_makes_room_for_another() {
    let gate = TestGate::start_with(Settings { connections_max: 1, ..parking_soon() });
    let mut first = gate.connect();
    first.get("/echo").expect(200);
    gate.wait_for_idle();
    // Long enough to be parked, most times; it makes room from its thread as well.
    std::thread::sleep(4 * SOON);
    let mut second = gate.connect();
    second.get("/echo").expect(200);
    first.expect_end();
    second.get("/echo").expect(200);
}

#[test]
fn stop_closes_parked_connections() {
    let gate = TestGate::start_with(parking_soon());
    let mut clients: Vec<_> = (0..20).map(|_| gate.connect()).collect();
    for client in &mut clients {
        client.get("/echo").expect(200);
    }
    std::thread::sleep(4 * SOON);
    let start = Instant::now();
    gate.stop(PATIENCE);
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    for client in &mut clients {
        client.expect_end();
    }
}

/// Clients whose requests come about when they are being parked.
#[test]
fn requests_at_the_moment_of_parking_are_not_lost() {
    let gate = TestGate::start_with(Settings { park_after: Duration::from_millis(1), ..Settings::default() });
    std::thread::scope(|scope| {
        for n in 0..8 {
            let gate = &gate;
            scope.spawn(move || {
                let mut client = gate.connect();
                for round in 0..200 {
                    client.get("/bytes/100").expect(200);
                    std::thread::sleep(Duration::from_micros(700 + (n * 200 + round) * 7 % 800));
                }
            });
        }
    });
}

#[cfg(feature = "tls")]
#[test]
fn parked_tls_connections() {
    use std::sync::Arc;

    use pulumi_backend::gate::Tls;

    use crate::support::client::{Client, trusting};
    use crate::support::folder::Folder;

    let folder = Folder::new();
    let tls = Tls::from_local_ca(folder.path(), &[], Default::default()).unwrap();
    let gate = TestGate::start_with(Settings { tls: Some(Arc::new(tls)), ..parking_soon() });
    let connect = || Client::connect_tls(gate.address, trusting(folder.path()), "localhost").unwrap();
    let mut clients: Vec<_> = (0..10).map(|_| connect()).collect();
    for _ in 0..3 {
        for client in &mut clients {
            client.get("/bytes/2000000").expect(200);
        }
        std::thread::sleep(4 * SOON);
    }
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
