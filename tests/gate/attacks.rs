//! What strangers do to a server: the cases that bring down or starve a bare tiny_http, each followed by a
//! well-behaved client.

use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pulumi_backend::gate::Settings;

use crate::support::client::Client;
use crate::support::engine::N_WORKERS;
use crate::support::process::GateProcess;
use crate::support::{PROMPT, TestGate};

/// A well-behaved client is answered soon, and all workers are there for it.
#[track_caller]
fn expect_well(gate: &TestGate) {
    expect_prompt(&mut gate.connect());
    let mut clients: Vec<_> = (0..N_WORKERS).map(|_| gate.connect()).collect();
    for client in &mut clients {
        client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    gate.engine.wait_for_held(N_WORKERS);
    expect_prompt_health(&mut gate.connect());
    gate.engine.counts.release();
    for client in &mut clients {
        client.reply().expect(200);
    }
}

#[track_caller]
fn expect_prompt(client: &mut Client) {
    let start = Instant::now();
    client.get("/echo").expect(200);
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
}

#[track_caller]
fn expect_prompt_health(client: &mut Client) {
    let start = Instant::now();
    client.get("/healthz").expect(200);
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
}

fn post(path: &str, length: impl std::fmt::Display) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn enormous_lengths() {
    let gate = TestGate::start();
    for length in ["999999999999", "18446744073709551615", "9223372036854775807"] {
        for path in ["/echo", "/secret", "/unread"] {
            let clients: Vec<_> = (0..N_WORKERS + 2).map(|_| gate.connect()).collect();
            for mut client in clients {
                client.send(post(path, length));
                let expected = if path == "/secret" { 401 } else { 413 };
                client.reply().expect(expected);
            }
        }
    }
    expect_well(&gate);
}

#[test]
fn bursts_of_connections_are_all_served() {
    let gate = TestGate::start();
    for _ in 0..5 {
        let mut clients: Vec<_> = (0..64).map(|_| gate.connect()).collect();
        for client in &mut clients {
            client.send("GET /bytes/10 HTTP/1.1\r\nHost: h\r\n\r\n");
        }
        for client in &mut clients {
            client.reply().expect(200);
        }
    }
    expect_well(&gate);
}

#[test]
fn an_even_number_of_descriptors_runs_out() {
    descriptors_run_out("attacks::an_even_number_of_descriptors_runs_out", 64);
}

#[test]
fn an_odd_number_of_descriptors_runs_out() {
    descriptors_run_out("attacks::an_odd_number_of_descriptors_runs_out", 65);
}

fn descriptors_run_out(test: &str, n_descriptors: usize) {
    let limit = format!("ulimit -n {n_descriptors}");
    let Some(mut gate) = GateProcess::start(test, &limit, Settings::default()) else { return };
    let before = gate.usage();
    for _ in 0..3 {
        let mut clients: Vec<_> = (0..80).map(|_| gate.connect()).collect();
        // As many as there are descriptors for are served meanwhile.
        clients[0].get("/echo").expect(200);
        clients[9].get("/echo").expect(200);
    }
    gate.connect().get("/echo").expect(200);
    gate.expect_back_at(before);
}

#[test]
fn http2_with_prior_knowledge_leaves_nothing_behind() {
    let test = "attacks::http2_with_prior_knowledge_leaves_nothing_behind";
    let Some(mut gate) = GateProcess::start(test, "", Settings::default()) else { return };
    gate.connect().get("/echo").expect(200);
    let before = gate.usage();
    for _ in 0..50 {
        let mut client = gate.connect();
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        client.reply().expect(505);
    }
    gate.connect().get("/echo").expect(200);
    gate.expect_back_at(before);
}

#[test]
fn clients_that_reset_before_they_are_accepted() {
    let test = "attacks::clients_that_reset_before_they_are_accepted";
    let Some(mut gate) = GateProcess::start(test, "", Settings::default()) else { return };
    let before = gate.usage();
    gate.signal("STOP");
    for _ in 0..20 {
        let mut client = gate.connect();
        client.send("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
        reset_on_close(client.socket());
    }
    gate.signal("CONT");
    gate.connect().get("/echo").expect(200);
    gate.expect_back_at(before);
}

/// The close will be a reset, as of a client whose machine has gone.
#[allow(unsafe_code)]
fn reset_on_close(socket: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (value, length) = (std::ptr::from_ref(&linger).cast(), size_of::<libc::linger>() as libc::socklen_t);
    // SAFETY: `value` points to a `linger` of `length` bytes that outlives the call.
    let failed =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, value, length) };
    assert_eq!(failed, 0);
}

#[test]
fn a_body_nobody_reads_is_not_the_next_request() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    let inner = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    for path in ["/unread", "/panic"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\n");
        let n_before = gate.engine.counts.n_requests.load(Ordering::Relaxed);
        client.send(format!("{head}Content-Length: {}\r\n\r\n{inner}", inner.len()));
        client.send(format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n",
            inner.len()
        ));
        client
            .send(format!("{head}Content-Length: 40000\r\n\r\n{inner}{}", "x".repeat(40_000 - inner.len())));
        client.send("GET /bytes/7 HTTP/1.1\r\nHost: h\r\n\r\n");
        for _ in 0..3 {
            client.reply().expect(if path == "/panic" { 500 } else { 200 });
        }
        assert_eq!(client.reply().expect(200).body.len(), 7);
        assert_eq!(gate.engine.counts.n_requests.load(Ordering::Relaxed), n_before + 4);
    }
    expect_well(&gate);
}

#[test]
fn slow_senders_hold_no_worker() {
    let gate = TestGate::start();
    let mut slow: Vec<_> = (0..64).map(|_| gate.connect()).collect();
    for client in &mut slow {
        client.send(post("/echo", 1_000_000));
        client.send("slow");
    }
    expect_well(&gate);
    assert_eq!(gate.engine.counts.n_requests.load(Ordering::Relaxed), 1 + N_WORKERS);
    for client in &mut slow {
        client.send("x".repeat(999_996));
        client.reply().expect(200);
    }
}

#[test]
fn slow_readers_hold_no_worker() {
    let gate = TestGate::start();
    let mut slow: Vec<_> = (0..N_WORKERS + 4).map(|_| gate.connect()).collect();
    for client in &mut slow {
        client.send("GET /bytes/20000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    expect_well(&gate);
    for client in &mut slow {
        assert_eq!(client.reply().expect(200).body.len(), 20_000_000);
    }
}

#[test]
fn slow_readers_beyond_the_memory_hold_few_workers() {
    let gate = TestGate::start_with(Settings { bodies_bytes_max: 1 << 20, ..Settings::default() });
    let mut slow: Vec<_> = (0..N_WORKERS + 4).map(|_| gate.connect()).collect();
    for client in &mut slow {
        client.send("GET /bytes/20000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    // One of them may hold one; all the others' workers are free.
    let mut held: Vec<_> = (0..N_WORKERS - 1).map(|_| gate.connect()).collect();
    for client in &mut held {
        client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    gate.engine.wait_for_held(N_WORKERS - 1);
    gate.engine.counts.release();
    for client in &slow {
        client.end_sending();
    }
    let n_whole = slow.iter_mut().map(Client::reads_whole_answer).filter(|is_whole| *is_whole).count();
    assert!((1..N_WORKERS + 4).contains(&n_whole), "{n_whole} slow readers got all");
    drop(slow);
    expect_prompt(&mut gate.connect());
}

#[test]
fn endless_heads_take_no_memory() {
    let test = "attacks::endless_heads_take_no_memory";
    let Some(mut gate) = GateProcess::start(test, "", Settings::default()) else { return };
    gate.connect().get("/echo").expect(200);
    let before = gate.usage();
    for line in ["X: y\r\n".repeat(10_000), "x".repeat(64 * 1024)] {
        let mut client = gate.connect();
        client.send("GET /echo HTTP/1.1\r\nHost: h\r\nX: ");
        // 300 MB of it, or as much as the gate takes.
        let n_sent = (0..300_000_000 / line.len()).take_while(|_| client.try_send(&line)).count();
        assert!(n_sent * line.len() < 100_000_000, "the gate took it all");
        client.reply().expect(431);
        let now = gate.usage();
        assert!(now.resident_bytes < before.resident_bytes + (8 << 20), "{before:?} {now:?}");
    }
    gate.expect_back_at(before);
}

#[test]
fn endless_pipelining_takes_no_memory() {
    let test = "attacks::endless_pipelining_takes_no_memory";
    let Some(mut gate) = GateProcess::start(test, "", Settings::default()) else { return };
    gate.connect().get("/echo").expect(200);
    let before = gate.usage();
    let mut client = gate.connect();
    // The answers are not read, so the gate stops taking requests; what is under way is in the kernel's buffers.
    client.socket().set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let requests = "GET /bytes/100000 HTTP/1.1\r\nHost: h\r\n\r\n".repeat(200);
    let n_sent = (0..1000).take_while(|_| client.try_send(&requests)).count();
    assert!(n_sent < 1000, "200,000 requests were taken at once");
    let now = gate.usage();
    assert!(now.resident_bytes < before.resident_bytes + (8 << 20), "{before:?} {now:?}");
    gate.connect().get("/echo").expect(200);
    drop(client);
    gate.expect_back_at(before);
}

#[test]
fn an_upgrade_with_a_body_is_an_ordinary_request() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert!(client.reply().expect(200).text().contains("body 5 "));
    expect_prompt(&mut client);
}

#[test]
fn answers_have_a_length_whatever_the_client_asks_for() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    for n in [31_000, 33_000, 20_000_000] {
        client.send(format!("GET /bytes/{n} HTTP/1.1\r\nHost: h\r\nTE: chunked\r\n\r\n"));
        let reply = client.reply().expect(200);
        assert_eq!(reply.header("content-length"), Some(n.to_string().as_str()));
        assert_eq!(reply.header("transfer-encoding"), None);
    }
}

/// Without TCP_NODELAY every one of these takes 44 ms.
#[test]
fn answers_of_two_packets_do_not_wait_for_an_acknowledgement() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    let mut times: Vec<_> = (0..51)
        .map(|_| {
            let start = Instant::now();
            client.get("/bytes/4000").expect(200);
            start.elapsed()
        })
        .collect();
    // The quickest of the later ones: the machine may be slow for some of them, and the first are acknowledged at once.
    let quickest = times.split_off(25).into_iter().min().unwrap();
    assert!(quickest < Duration::from_millis(30), "{quickest:?}");
}

#[test]
fn a_client_that_is_still_uploading_can_read_why_it_is_refused() {
    let gate = TestGate::start();
    for (path, status) in [("/secret", 401), ("/small", 413)] {
        let mut client = gate.connect();
        client.send(post(path, 100_000_000));
        let piece = vec![0; 1 << 20];
        // Sends on as long as it can, as simple clients do, and only then looks.
        let _n_sent = (0..100).take_while(|_| client.try_send(&piece)).count();
        client.reply().expect(status);
    }
    expect_well(&gate);
}

#[test]
fn a_panic_costs_no_worker() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    for _ in 0..3 * N_WORKERS {
        client.get("/panic").expect(500);
    }
    assert_eq!(gate.engine.counts.n_panics.load(Ordering::Relaxed), 3 * N_WORKERS);
    expect_well(&gate);
}

#[test]
fn a_broken_answer_costs_no_connection_to_the_engine() {
    let gate =
        TestGate::start_with(Settings { answer_deadline: Duration::from_secs(2), ..Settings::default() });
    let mut client = gate.connect();
    for _ in 0..2 * N_WORKERS {
        client.get("/garbage").expect(502);
        expect_prompt(&mut client);
    }
    client.get("/short").expect(504);
    expect_prompt(&mut client);
    let mut clients: Vec<_> = (0..N_WORKERS).map(|_| gate.connect()).collect();
    for client in &mut clients {
        client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    gate.engine.wait_for_held(N_WORKERS);
    gate.engine.counts.release();
}

#[test]
fn bytes_one_by_one() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    let request =
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n";
    for byte in request.repeat(3).bytes() {
        client.send([byte]);
    }
    for _ in 0..3 {
        assert!(client.reply().expect(200).text().contains("body 5 "));
    }
}

#[test]
fn a_gate_survives_its_clients_killed_midway() {
    let test = "attacks::a_gate_survives_its_clients_killed_midway";
    let Some(mut gate) = GateProcess::start(test, "", Settings::default()) else { return };
    gate.connect().get("/echo").expect(200);
    let before = gate.usage();
    for n in 0..200 {
        let mut client = gate.connect();
        let request = post("/bytes/3000000", 100_000) + &"x".repeat(100_000);
        client.send(&request.as_bytes()[..request.len() * n / 200]);
        if n % 2 == 0 {
            reset_on_close(client.socket());
        }
    }
    gate.connect().get("/echo").expect(200);
    gate.expect_back_at(before);
}

#[test]
fn large_writes_from_many_clients_at_once() {
    let gate = TestGate::start();
    let body = vec![7; 3_000_000];
    std::thread::scope(|scope| {
        for _ in 0..2 * N_WORKERS {
            scope.spawn(|| {
                let mut client = gate.connect();
                for _ in 0..3 {
                    client.post("/echo", &body).expect(200);
                    client.get("/bytes/3000000").expect(200);
                }
            });
        }
    });
    expect_well(&gate);
}
