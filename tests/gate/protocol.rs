//! What a client that means well gets: HTTP/1.1 as it should be.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::engine::{pattern, sum};
use crate::support::{PATIENCE, TestGate};

#[test]
fn a_request_and_its_answer() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    let reply = client.get("/echo?a=b&c=%20").expect(200);
    assert!(reply.text().starts_with("GET /echo?a=b&c=%20\n"), "{}", reply.text());
    assert_eq!(reply.header("connection"), None);
    assert_eq!(reply.header("server"), None);
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    for n in [0, 1, 1000, 40_000] {
        let body = pattern(n);
        let reply = client.post("/echo", &body).expect(200);
        assert!(reply.text().ends_with(&format!("body {n} {}\n", sum(&body))), "{}", reply.text());
    }
}

#[test]
fn the_engine_sees_a_canonical_request() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    client.send(
        "POST /echo HTTP/1.1\r\nhOsT: h\r\nConnection: x-one, Upgrade, HTTP2-Settings\r\nX-One: 1\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nTE: chunked\r\nKeep-Alive: 9\r\n\
         X-Gate-Peer: 6.6.6.6\r\nx-gate-tls: 1\r\nX-Gate-Anything: 1\r\nTransfer-Encoding: chunked\r\n\
         X-Two: \t two words \t\r\n\r\n5\r\nhello\r\n3;ext=1\r\nabc\r\n0\r\nTrailer: gone\r\n\r\n",
    );
    let expected = format!(
        "POST /echo\ncontent-length: 8\nhost: h\nx-gate-peer: 127.0.0.1\nx-gate-tls: 0\nx-two: two words\nbody 8 {}\n",
        sum(b"helloabc")
    );
    assert_eq!(client.reply().expect(200).text(), expected);
}

#[test]
fn large_answers_arrive_whole() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    for n in [0, 1, 1 << 20, (1 << 20) + 1, 10_000_000] {
        let reply = client.get(&format!("/bytes/{n}")).expect(200);
        assert_eq!(reply.header("content-length"), Some(n.to_string().as_str()));
        assert!(reply.body == pattern(n), "{n} bytes");
        let reply = client.get(&format!("/stream/{n}")).expect(200);
        assert!(reply.body == pattern(n), "{n} bytes, streamed");
    }
}

#[test]
fn a_stream_for_an_old_client_ends_with_the_connection() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    client.send("GET /stream/3000000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let reply = client.reply().expect(200);
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(reply.body == pattern(3_000_000));
}

#[test]
fn keep_alive_and_close() {
    let gate = TestGate::start();
    check(&gate, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", None);
    check(&gate, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", Some("close"));
    check(&gate, "GET / HTTP/1.1\r\nHost: h\r\nConnection: x, CLOSE\r\n\r\n", Some("close"));
    check(&gate, "GET / HTTP/1.0\r\n\r\n", Some("close"));
    check(&gate, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", Some("keep-alive"));

    #[track_caller]
    fn check(gate: &TestGate, request: &str, connection: Option<&str>) {
        let mut client = gate.connect();
        client.send(request);
        assert_eq!(client.reply().expect(200).header("connection"), connection, "{request:?}");
        match connection {
            Some("close") => client.expect_end(),
            _ => drop(client.get("/").expect(200)),
        }
    }
}

#[test]
fn head_has_a_length_and_no_body() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    client.send("HEAD /bytes/5000 HTTP/1.1\r\nHost: h\r\n\r\n");
    let reply = client.reply_to_head().expect(200);
    assert_eq!(reply.header("content-length"), Some("5000"));
    client.get("/bytes/3").expect(200);
    client.send("HEAD /secret HTTP/1.1\r\nHost: h\r\n\r\n");
    client.reply_to_head().expect(401);
    client.get("/bytes/3").expect(200);
}

#[test]
fn answers_without_a_body() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    assert_eq!(client.get("/status/204").expect(204).header("content-length"), None);
    client.get("/status/304").expect(304);
    client.get("/bytes/3").expect(200);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    let requests: String = (0..100).map(|n| format!("GET /bytes/{n} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    client.send(requests);
    for n in 0..100 {
        assert_eq!(client.reply().expect(200).body.len(), n);
    }
}

#[test]
fn expect_100_continue() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    client.reply().expect(100);
    client.send("hello");
    client.reply().expect(200);
    // Whoever sends at once needs no permission.
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    client.reply().expect(200);
    // Too much: the answer comes instead of the permission.
    client.send("POST /small HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 17\r\n\r\n");
    client.reply().expect(413);
    client.expect_end();
}

#[test]
fn a_refusal_by_the_server_needs_no_worker() {
    let gate = TestGate::start();
    let mut client = gate.connect();
    assert_eq!(client.get("/secret").expect(401).text(), "{\"code\":401,\"message\":\"who are you?\"}");
    client.send("GET /secret HTTP/1.1\r\nHost: h\r\nauthorization: token right\r\n\r\n");
    client.reply().expect(200);
    client.get("/panic-in-admit").expect(500);
    client.get("/").expect(200);
    assert_eq!(gate.engine.counts.n_requests.load(Ordering::Relaxed), 2);
}

#[test]
fn stop_finishes_what_is_in_flight() {
    let gate = TestGate::start();
    let mut idle = gate.connect();
    idle.get("/").expect(200);
    let mut busy = gate.connect();
    busy.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    gate.engine.wait_for_held(1);
    let counts = gate.engine.counts.clone();
    let stopping = std::thread::spawn(move || gate.stop(PATIENCE));
    idle.expect_end();
    counts.release();
    assert_eq!(busy.reply().expect(200).header("connection"), Some("close"));
    busy.expect_end();
    stopping.join().unwrap();
}

#[test]
fn stop_cuts_what_does_not_finish() {
    let gate = TestGate::start();
    let mut slow = gate.connect();
    slow.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nh");
    let mut busy = gate.connect();
    busy.get("/").expect(200);
    gate.stop(Duration::from_millis(50));
    assert!(busy.try_reply(false).is_none());
    // The cut may look like an end or come with a word; it must come.
    slow.try_reply(false);
}
