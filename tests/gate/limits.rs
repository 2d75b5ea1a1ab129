//! Ceilings and deadlines: what is refused, how it is said, and that it ends.

use std::time::{Duration, Instant};

use pulumi_backend::gate::{Settings, TrustedProxies};

use crate::support::client::{Client, Reply};
use crate::support::engine::N_WORKERS;
use crate::support::{PATIENCE, PROMPT, TestGate};

const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n";
const SLOW: &str = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nh";

#[track_caller]
fn expect_busy(reply: Reply) {
    let reply = reply.expect(503);
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert!(reply.text().contains("try again"), "{}", reply.text());
}

#[test]
fn at_the_cap_the_longest_idle_connection_makes_room() {
    let gate = TestGate::start_with(Settings { connections_max: 4, ..Settings::default() });
    let mut idle: Vec<_> = (0..4).map(|_| gate.connect()).collect();
    for client in &mut idle {
        client.get("/echo").expect(200);
        gate.wait_for_idle();
    }
    gate.connect().get("/echo").expect(200);
    idle[0].expect_end();
    idle[1].get("/echo").expect(200);
}

#[test]
fn at_the_cap_with_nobody_idle_a_client_is_told_to_come_again() {
    let gate = TestGate::start_with(Settings { connections_max: 4, ..Settings::default() });
    let mut busy = busy_clients(&gate, 4, "");
    let mut one_more = gate.connect();
    one_more.send("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_busy(one_more.reply());
    one_more.expect_end();
    for client in &mut busy {
        client.send("ello");
        client.reply().expect(200);
    }
    // A connection is idle a moment after its answer is out.
    gate.wait_for_idle();
    gate.connect().get("/echo").expect(200);
}

#[test]
fn an_address_has_a_cap_of_its_own() {
    let gate = TestGate::start_with(Settings { connections_per_address_max: 4, ..Settings::default() });
    let _busy = busy_clients(&gate, 4, "");
    let mut one_more = gate.connect();
    one_more.send("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_busy(one_more.reply());
    let trusted_proxies = TrustedProxies::parse("127.0.0.1").unwrap();
    let settings = Settings { connections_per_address_max: 4, trusted_proxies, ..Settings::default() };
    let gate = TestGate::start_with(settings);
    let _busy = busy_clients(&gate, 8, "");
    gate.connect().get("/echo").expect(200);
}

/// Clients in the middle of a body, which the gate has begun to read.
fn busy_clients(gate: &TestGate, n: usize, fields: &str) -> Vec<Client> {
    let clients = (0..n).map(|_| {
        let mut client = gate.connect();
        let head = format!(
            "POST /echo HTTP/1.1\r\nHost: h\r\n{fields}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        );
        client.send(head);
        client.reply().expect(100);
        client.send("h");
        client
    });
    clients.collect()
}

#[test]
fn a_full_queue_is_said_at_once_and_health_checks_pass_it() {
    let gate = TestGate::start_with(Settings {
        waiting_max: 8,
        waiting_per_address_max: 8,
        waiting_deadline: PATIENCE,
        ..Settings::default()
    });
    let mut held = hold_workers(&gate);
    let mut waiting: Vec<_> = (0..8).map(|_| gate.connect()).collect();
    for client in &mut waiting {
        client.send(WAIT);
    }
    gate.wait_for_waiting(8);
    let start = Instant::now();
    let mut client = gate.connect();
    for _ in 0..100 {
        expect_busy(client.get("/echo"));
    }
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    for path in ["/healthz", "/readyz?verbose"] {
        client.get(path).expect(200);
    }
    gate.engine.counts.release();
    for client in held.iter_mut().chain(&mut waiting) {
        client.reply().expect(200);
    }
    client.get("/echo").expect(200);
}

fn hold_workers(gate: &TestGate) -> Vec<Client> {
    let mut held: Vec<_> = (0..N_WORKERS).map(|_| gate.connect()).collect();
    for client in &mut held {
        client.send(WAIT);
    }
    gate.engine.wait_for_held(N_WORKERS);
    held
}

#[test]
fn a_flood_from_one_address_leaves_room_for_others() {
    let trusted_proxies = TrustedProxies::parse("127.0.0.1").unwrap();
    let (waiting_max, waiting_per_address_max) = (16, 8);
    let gate = TestGate::start_with(Settings {
        trusted_proxies,
        waiting_max,
        waiting_per_address_max,
        waiting_deadline: PATIENCE,
        ..Settings::default()
    });
    let from = |address: &str, path: &str| {
        let mut client = gate.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {address}\r\n\r\n"));
        client
    };
    let mut held: Vec<_> = (0..N_WORKERS).map(|_| from("6.6.6.6", "/wait")).collect();
    gate.engine.wait_for_held(N_WORKERS);
    // One /64 network, as one IPv6 user has, counts as one address.
    let mut flood: Vec<_> = (0..20).map(|n| from(&format!("2001:db8::{n:x}"), "/wait")).collect();
    gate.wait_for_waiting(8);
    expect_busy(from("2001:db8::ffff", "/echo").reply());
    let mut other = from("1.2.3.4", "/echo");
    gate.wait_for_waiting(9);
    gate.engine.counts.release();
    other.reply().expect(200);
    for client in &mut held {
        client.reply().expect(200);
    }
    let n_served = flood.iter_mut().filter_map(|client| (client.reply().status == 200).then_some(())).count();
    assert!(n_served >= 8, "{n_served} of the flood were served");
}

#[test]
fn a_request_that_waits_too_long_is_told_to_come_again() {
    let gate =
        TestGate::start_with(Settings { waiting_deadline: Duration::from_millis(50), ..Settings::default() });
    let mut held = hold_workers(&gate);
    let mut client = gate.connect();
    expect_busy(client.get("/echo"));
    gate.engine.counts.release();
    for client in &mut held {
        client.reply().expect(200);
    }
    // A worker is free before its answer is out, so this one does not have to wait.
    client.get("/echo").expect(200);
}

#[test]
fn bodies_share_one_memory() {
    let gate = TestGate::start_with(Settings { bodies_bytes_max: 1_000_000, ..Settings::default() });
    let head = "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 900000\r\n\r\n";
    let mut first = gate.connect();
    first.send(head);
    first.reply().expect(100);
    let mut second = gate.connect();
    second.send(head);
    expect_busy(second.reply());
    // What needs no memory to speak of goes on.
    let mut third = gate.connect();
    third.get("/echo").expect(200);
    third.post("/echo", &[0; 50_000]).expect(200);
    let chunks = format!("{:x}\r\n{}\r\n", 50_000, "x".repeat(50_000)).repeat(4) + "0\r\n\r\n";
    third.send(format!("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
    expect_busy(third.reply());
    first.send([0; 900_000]);
    first.reply().expect(200);
    // The memory is given back a moment after the answer is out.
    drop((second, third));
    gate.wait_for_idle();
    let mut fourth = gate.connect();
    fourth.send(head);
    fourth.reply().expect(100);
    // More than there ever is: coming again will not help.
    let mut fifth = gate.connect();
    fifth.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000001\r\n\r\n");
    fifth.reply().expect(413);
}

#[test]
fn deadlines_within_a_request() {
    let short = Duration::from_millis(100);
    let gate = TestGate::start_with(Settings {
        head_deadline: short,
        transfer_grace: short,
        transfer_bytes_per_sec_min: 1_000_000,
        ..Settings::default()
    });
    let mut half_a_head = gate.connect();
    half_a_head.send("GET / HT");
    half_a_head.reply().expect(408);
    half_a_head.expect_end();
    let mut half_a_body = gate.connect();
    half_a_body.send(SLOW);
    half_a_body.reply().expect(408);
    let mut half_a_chunk = gate.connect();
    half_a_chunk.send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe");
    half_a_chunk.reply().expect(408);
    let mut never_reads = gate.connect();
    never_reads.send("GET /bytes/60000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    gate.wait_for_no_connections();
    assert!(!never_reads.reads_whole_answer());
}

#[test]
fn an_idle_connection_is_closed_in_time() {
    let gate =
        TestGate::start_with(Settings { idle_deadline: Duration::from_millis(100), ..Settings::default() });
    gate.connect().expect_end();
    let mut idle = gate.connect_and_get("/echo");
    idle.expect_end();
    gate.wait_for_no_connections();
}

/// However much it took before: what stands still is cut.
#[test]
fn a_transfer_that_has_moved_and_stands_still_is_cut() {
    let gate = TestGate::start_with(Settings {
        transfer_grace: Duration::from_millis(200),
        transfer_bytes_per_sec_min: 1,
        ..Settings::default()
    });
    let mut sends_half = gate.connect();
    sends_half.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n");
    sends_half.send([0; 100_000]);
    sends_half.reply().expect(408);
    let mut reads_half = gate.connect();
    reads_half.send("GET /bytes/60000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(reads_half.is_answered_within(PROMPT));
    gate.wait_for_no_connections();
}

#[test]
fn a_slow_sender_that_moves_is_not_cut() {
    let transfer_grace = Duration::from_secs(2);
    let gate = TestGate::start_with(Settings {
        transfer_grace,
        transfer_bytes_per_sec_min: 1,
        ..Settings::default()
    });
    let mut client = gate.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n");
    let start = Instant::now();
    // Four times the pace, for longer than the grace, which only a long sleep of this thread could use up.
    for _ in 0..12 {
        client.send("x");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(start.elapsed() > transfer_grace);
    client.reply().expect(200);
}

#[test]
fn a_rate_for_each_address() {
    let gate = TestGate::start_with(Settings {
        requests_per_sec_per_address_max: Some(1),
        trusted_proxies: TrustedProxies::parse("127.0.0.1").unwrap(),
        ..Settings::default()
    });
    let mut client = gate.connect();
    let mut ask = |address: &str, path: &str| {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {address}\r\n\r\n"));
        client.reply()
    };
    let start = Instant::now();
    let (served, refused): (Vec<_>, Vec<_>) =
        (0..50).map(|_| ask("1.2.3.4", "/echo")).partition(|reply| reply.status == 200);
    // Four at once, and one more for each second that this took.
    let n_served_max = 5 + start.elapsed().as_secs() as usize;
    assert!((4..=n_served_max).contains(&served.len()), "{} of 50", served.len());
    refused.into_iter().for_each(expect_busy);
    ask("1.2.3.4", "/healthz").expect(200);
    ask("5.6.7.8", "/echo").expect(200);
}
