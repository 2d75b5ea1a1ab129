//! Whom a request counts for, and how many an address may make.

use crate::support::http::{Request, connect};
use crate::support::server::TestServer;
use crate::support::stack::TestStack;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long the server may take to notice that a client has gone.
const PATIENCE: Duration = Duration::from_secs(120);

const ONE_A_SECOND: [&str; 2] = ["--requests-per-second-per-address", "1"];

fn from(address: &str) -> Request {
    Request::new("GET", "/api/user").header("X-Forwarded-For", address)
}

/// Asks until there have been too many for a second; what the refusal says.
#[track_caller]
fn use_up(server: &TestServer, address: &str) {
    let mut answers = (0..1000).map(|_| server.client.send(&from(address)).expect("an answer"));
    let refused = answers.find(|answer| answer.status != 200).expect("a refusal");
    assert_eq!(refused.clone().expect(&[503]).header("retry-after"), Some("1"), "{refused}");
}

#[test]
fn behind_a_proxy_each_client_counts_for_itself() {
    let server = TestServer::start_with(&[&["--behind-proxy"], &ONE_A_SECOND[..]].concat());
    use_up(&server, "192.0.2.1");
    server.client.send(&from("192.0.2.2")).expect("an answer").ok();
    // What a client writes on the left of its own address does not count.
    use_up(&server, "192.0.2.9, 192.0.2.3");
    server.client.send(&from("192.0.2.9")).expect("an answer").ok();
    // Health checks are answered to everybody.
    server.client.send(&from("192.0.2.1").with_target("/healthz")).expect("an answer").ok();
}

#[test]
fn without_a_trusted_proxy_nobody_passes_for_another() {
    let elsewhere = ["--behind-proxy", "--trusted-proxies", "10.0.0.0/8,unix"];
    for settings in [&[][..], &elsewhere] {
        let server = TestServer::start_with(&[settings, &ONE_A_SECOND].concat());
        let mut addresses = (0..250).map(|n| format!("192.0.2.{n}"));
        let is_refused =
            |address: String| server.client.send(&from(&address)).expect("an answer").status == 503;
        assert!(addresses.any(is_refused), "every address was believed");
    }
}

/// Half of all are for one address, and one that is at work is not closed for another.
#[test]
fn connections_beyond_the_setting_are_told_to_come_again() {
    let server = TestServer::start_with(&["--max-connections", "4"]);
    let stack = server.create_stack("web", "dev");
    drop(server.get("/healthz"));
    let mut busy: Vec<_> = (0..2).map(|_| upload(&server, &stack)).collect();
    // How many of the four the test's own client holds is its affair.
    let answer = loop {
        let mut next = connect(server.client.address()).expect("connect");
        next.write_all(&Request::new("GET", "/healthz").to_bytes()).expect("send");
        let mut status = [0; 12];
        next.read_exact(&mut status).expect("an answer");
        if &status != b"HTTP/1.1 200" {
            let mut rest = String::new();
            next.read_to_string(&mut rest).expect("an answer");
            break format!("{} {rest}", String::from_utf8_lossy(&status));
        }
        busy.push(next);
        assert!(busy.len() <= 4, "there is room for more than the setting says");
    };
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Too many connections"), "{answer}");
    busy.clear();
    // The server notices in its own time.
    let deadline = Instant::now() + PATIENCE;
    while !stack.send(&stack.request("GET", "")).is_ok() {
        assert!(Instant::now() < deadline, "there is no room again");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A connection on which a body is awaited.
fn upload(server: &TestServer, stack: &TestStack) -> TcpStream {
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: token x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        stack.path("/import")
    );
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut stream = connect(server.client.address()).expect("connect");
        stream.write_all(head.as_bytes()).expect("send");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer");
        // One that has just had its answer counts until the server has seen that it rests.
        if &answer == b"HTTP/1.1 503" && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        }
        assert_eq!(&answer, b"HTTP/1.1 100");
        return stream;
    }
}
