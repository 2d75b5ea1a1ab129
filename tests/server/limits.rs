//! What is too large is refused with 413 and a sentence; what is bad costs the server nothing that others need.

use crate::support::http::{Request, connect, read_response};
use crate::support::server::{ORG, TestServer};
use crate::support::update::TestUpdate;
use serde_json::{Value, json};
use std::io::{BufReader, Write};

/// More than any call with a few fields may carry.
const LARGE: usize = (1 << 20) + 1;

#[test]
fn a_body_over_its_limit_is_refused() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    let large = json!({ "newName": "x".repeat(LARGE), "newProject": "web" }).to_string();
    for request in [
        stack.request("POST", "/rename"),
        stack.request("PATCH", "/tags"),
        Request::new("POST", update.path("/complete")).lease(&update.token),
        Request::new("POST", update.path("/renew_lease")).lease(&update.token),
        Request::new("POST", update.path("")),
    ] {
        stack.send(&request.clone().bytes(large.clone())).expect(&[413]);
        // What counts is the size after unpacking: 1 MiB of one letter is a thousand bytes.
        stack.send(&request.bytes(large.clone()).gzip()).expect(&[413]);
    }
    update.complete("succeeded").ok();
}

#[test]
fn a_length_beyond_everything_is_refused_before_the_body_comes() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    for length in ["999999999999", "18446744073709551615"] {
        let mut stream = connect(server.client.address()).expect("connect");
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: token x\r\nContent-Length: {length}\r\n\r\n{{",
            stack.path("/import")
        );
        stream.write_all(head.as_bytes()).expect("send");
        let request = Request::new("POST", "an endless body");
        read_response(&mut BufReader::new(stream), &request).expect("an answer").expect(&[400, 413]);
    }
    stack.info();
}

#[test]
fn bad_requests_cost_no_worker() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    let update = stack.start_update();
    let requests = bad_requests(&update);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for request in requests.iter().cycle().take(requests.len() * 10) {
                    let status = stack.send(request).status;
                    assert!((400..500).contains(&status), "{} {}: {status}", request.method, request.target);
                }
            });
        }
    });
    // As many good ones at once as there can be workers, and more.
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| (0..5).for_each(|_| drop(stack.info())));
        }
    });
    update.complete("succeeded").ok();
    assert_eq!(stack.resources(), [] as [Value; 0]);
}

fn bad_requests(update: &TestUpdate) -> Vec<Request> {
    let stack = &update.stack;
    let with_lease = |rest: &str| Request::new("PATCH", update.path(rest)).lease(&update.token);
    vec![
        stack.request("POST", "/import").bytes("{"),
        stack
            .request("POST", "/import")
            .bytes(b"\x1f\x8b\x08\xff".to_vec())
            .header("Content-Encoding", "gzip"),
        stack.request("POST", "/import").bytes("[".repeat(100_000)),
        stack.request("POST", "/update").bytes("\"\\ud800\""),
        stack.request("POST", "/decrypt").json(&json!({ "ciphertext": "AAAA" })),
        stack.request("GET", "/export/18446744073709551616"),
        stack.request("GET", "/updates?page=-1&pageSize=0"),
        stack.request("GET", "/%00"),
        stack.request("GET", "/export").authorization(""),
        with_lease("/journalentries").bytes(format!(r#"{{"entries":{}}}"#, "[".repeat(10_000))),
        with_lease("/journalentries").json(&json!({ "entries": [{ "kind": 1, "sequenceID": -1 }] })),
        with_lease("/checkpoint").json(&json!({ "version": 3, "deployment": { "resources": 1 } })),
        with_lease("/checkpointdelta")
            .json(&json!({ "sequenceNumber": 1, "checkpointHash": "", "deploymentDelta": [] })),
        Request::new("POST", format!("/api/stacks/{ORG}/web")).json(&json!({ "stackName": "a\u{0}b" })),
    ]
}
