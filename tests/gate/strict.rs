//! One reading of each message, or none: what two parsers could see differently is refused and the connection closed.

use std::sync::atomic::Ordering;

use crate::support::TestGate;

/// Sends `request`, and behind it a request that must never be seen.
#[track_caller]
fn check_closed(gate: &TestGate, request: impl AsRef<[u8]>, status: u16) {
    let request = request.as_ref();
    let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
    let n_before = gate.engine.counts.n_requests.load(Ordering::Relaxed);
    let mut client = gate.connect();
    client.send(request);
    // The gate may have closed already.
    client.try_send("GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
    let reply = client.reply();
    assert_eq!(reply.status, status, "{shown:?}: {}", reply.text());
    assert_eq!(reply.header("connection"), Some("close"), "{shown:?}");
    client.expect_end();
    assert_eq!(
        gate.engine.counts.n_requests.load(Ordering::Relaxed),
        n_before,
        "{shown:?} reached the engine"
    );
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}")
}

#[test]
fn lengths_with_two_readings() {
    let gate = TestGate::start();
    let forty = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n1234567";
    for (fields, status) in [
        ("Content-Length: 0\r\nContent-Length: 40\r\n", 400),
        ("Content-Length: 40\r\ncontent-length: 40\r\n", 400),
        ("Content-Length: 5, 5\r\n", 400),
        ("Content-Length: +3\r\n", 400),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: 0x5\r\n", 400),
        ("Content-Length: 5 5\r\n", 400),
        ("Content-Length:\r\n", 400),
        ("Content-Length: \u{665}\r\n", 400),
        ("Content-Length : 5\r\n", 400),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
        ("Transfer-Encoding : chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: gzip\r\n", 501),
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
        ("Transfer-Encoding: chunked, chunked\r\n", 501),
        ("Transfer-Encoding: xchunked\r\n", 501),
        ("Transfer-Encoding: \x0bchunked\r\n", 400),
        ("Transfer-Encoding:\r\n", 501),
        ("Expect: 200-ok\r\nContent-Length: 5\r\n", 417),
        ("Content-Length: 999999999999\r\n", 413),
        ("Content-Length: 18446744073709551615\r\n", 413),
        ("Content-Length: 99999999999999999999999999\r\n", 413),
    ] {
        check_closed(&gate, post(fields, forty), status);
    }
    check_closed(&gate, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}

#[test]
fn chunks_with_two_readings() {
    let gate = TestGate::start();
    for body in [
        "x\r\n",
        "-1\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\nbare: x\n\r\n",
        "ffffffffffffffffff\r\n",
        "5;\x01\r\nhello\r\n0\r\n\r\n",
    ] {
        check_closed(&gate, post("Transfer-Encoding: chunked\r\n", body), 400);
    }
    check_closed(&gate, post("Transfer-Encoding: chunked\r\n", "fffffffffff\r\nx"), 413);
    let endless_line = "5;".to_string() + &"x".repeat(1000);
    check_closed(&gate, post("Transfer-Encoding: chunked\r\n", &endless_line), 400);
    let endless_trailer = "0\r\n".to_string() + &"a: b\r\n".repeat(2000);
    check_closed(&gate, post("Transfer-Encoding: chunked\r\n", &endless_trailer), 400);
}

#[test]
fn heads_with_two_readings() {
    let gate = TestGate::start();
    for request in [
        "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / junk HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / http/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.12\r\nHost: h\r\n\r\n",
        "G{T / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /#x HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a\x01b HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a\x7fb HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\nHost: h\n\n",
        "GET / HTTP/1.1\r\nHost: h\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n X: folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\tX: folded\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX Y: z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX : z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n: z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: \u{e9}\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01",
    ] {
        check_closed(&gate, request, 400);
    }
}

#[test]
fn other_versions_and_methods() {
    let gate = TestGate::start();
    check_closed(&gate, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
    check_closed(&gate, "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505);
    check_closed(&gate, "GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505);
    check_closed(&gate, "GET / HTTP/0.9\r\n\r\n", 505);
    check_closed(&gate, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 501);
    check_closed(&gate, "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 501);
    let mut client = gate.connect();
    client.send("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.reply().expect(200).text().starts_with("OPTIONS *\n"));
    client.send("BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.reply().expect(200).text().starts_with("BREW /pot\n"));
}

#[test]
fn heads_over_their_limits() {
    let gate = TestGate::start();
    let long = "x".repeat(16 * 1024);
    check_closed(&gate, format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), 431);
    check_closed(&gate, format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", &long[..8192]), 414);
    check_closed(&gate, format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n"), 431);
    check_closed(&gate, format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(100)), 431);
    check_closed(
        &gate,
        format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: {}\r\n\r\n", "a,".repeat(600)),
        431,
    );
    let mut client = gate.connect();
    client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(99)));
    client.reply().expect(200);
    client.get(&format!("/{}", &long[..8191])).expect(200);
    client.send(format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", &long[..16 * 1024 - 32]));
    client.reply().expect(200);
}

#[test]
fn bodies_over_their_limits() {
    let gate = TestGate::start();
    check_closed(&gate, "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 17\r\n\r\n", 413);
    check_closed(&gate, "POST /no-body HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", 413);
    let chunked = "POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    check_closed(&gate, format!("{chunked}a\r\n0123456789\r\n7\r\n"), 413);
    let mut client = gate.connect();
    client.send(format!("{chunked}a\r\n0123456789\r\n6\r\n012345\r\n0\r\n\r\n"));
    client.reply().expect(200);
    client.post("/small", b"0123456789abcdef").expect(200);
}

#[test]
fn a_body_that_stops_early_never_reaches_the_engine() {
    let gate = TestGate::start();
    for request in [
        post("Content-Length: 40\r\n", "half"),
        post("Content-Length: 4000000\r\n", &"x".repeat(100_000)),
        post("Transfer-Encoding: chunked\r\n", "5\r\nhel"),
        post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
        post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n"),
        post("Transfer-Encoding: chunked\r\n", "5"),
    ] {
        let mut client = gate.connect();
        client.send(&request);
        client.end_sending();
        client.reply().expect(400);
        client.expect_end();
    }
    assert_eq!(gate.engine.counts.n_requests.load(Ordering::Relaxed), 0);
}

#[test]
fn a_head_that_stops_early_gets_no_answer() {
    let gate = TestGate::start();
    for request in ["", "G", "GET / HTTP/1.1\r\nHost: h\r\n"] {
        let mut client = gate.connect();
        client.send(request);
        client.end_sending();
        client.expect_end();
    }
}
