//! A server under watch: the address for monitors, readiness, the lines of requests, a log that nobody reads.

use crate::support::http::{Client, Request};
use crate::support::process::{ServerProcess, TempDir};
use crate::support::server::TestServer;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn monitors_have_an_address_of_their_own() {
    let process = ServerProcess::start(&["--management-addr", "127.0.0.1:0"]);
    let log = process.log();
    let address = log.split_once("monitors on http://").expect("the line").1.split_whitespace().next();
    let client = Client::new(address.expect("an address"));
    let get = |target: &str| client.send(&Request::new("GET", target).authorization("")).expect("an answer");
    assert!(get("/metrics").ok().text().contains("pulumi_backend_stacks 0\n"));
    get("/healthz").ok();
    get("/readyz").ok();
    for target in ["/", "/api/user", "/api/user/stacks", "/api/admin/status", "/nothing"] {
        get(target).expect(&[404]);
    }
    let with_token = client.send(&Request::new("GET", "/api/user"));
    with_token.expect("an answer").expect(&[404]);
}

#[test]
fn without_room_on_the_disk_it_is_alive_and_not_ready() {
    let server = TestServer::start_with(&["--disk-free-min", "18446744073709551615"]);
    server.get("/healthz").ok();
    let answer = server.get("/readyz").expect(&[503]);
    assert!(answer.json()["message"].as_str().expect("a message").contains("(--disk-free-min)"), "{answer}");
    server.create_stack("web", "dev");
}

#[test]
fn the_line_of_a_request_has_its_facts() {
    let server = ServerProcess::start(&["--log-format", "json", "--log-requests"]);
    let client = Client::new(server.address());
    let answer = client.send(&Request::new("GET", "/api/user?x=1")).expect("an answer").ok();
    client.send(&Request::new("GET", "/healthz")).expect("an answer").ok();
    let id = answer.header("x-pulumi-request-id").expect("an id").to_string();
    let line = wait_for_line(&server, &id);
    let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    for (name, expected) in [("method", "GET"), ("route", "/api/user"), ("level", "info"), ("user", "admin")]
    {
        assert_eq!(line[name], expected, "{line}");
    }
    assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &answer.body.len().into()), "{line}");
    assert!(
        line["micros"].is_u64() && line["time"].as_str().is_some_and(|time| time.ends_with('Z')),
        "{line}"
    );
    assert!(!server.log().contains("/healthz"), "monitors are not logged: {}", server.log());
}

/// A quiet server stays quiet: without the switch there is no line for a request that went well.
#[test]
fn requests_are_not_logged_unless_asked_for() {
    let mut server = ServerProcess::start(&[]);
    let client = Client::new(server.address());
    client.send(&Request::new("GET", "/api/user")).expect("an answer").ok();
    drop(client);
    server.stop();
    assert!(!server.log().contains("/api/user"), "{}", server.log());
}

#[test]
fn the_journal_gets_priorities() {
    let mut server = ServerProcess::start(&["--log-format", "journald", "--event-buffer-size", "1"]);
    server.stop();
    let log = server.log();
    assert!(log.contains("<4>event-buffer-size does nothing here"), "{log}");
    assert!(log.lines().any(|line| line.starts_with("<6>stopping")), "{log}");
}

fn wait_for_line(server: &ServerProcess, part: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let log = server.log();
        // A line is whole once its end is there.
        let whole = log.rsplit_once('\n').map_or("", |(lines, _)| lines);
        if let Some(line) = whole.lines().find(|line| line.contains(part)) {
            return line.to_string();
        }
        assert!(Instant::now() < deadline, "no line with {part} in:\n{log}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whoever read the log has gone; the server goes on, in every form of lines, and ends well.
#[test]
fn a_closed_pipe_never_ends_the_server() {
    for format in ["text", "json", "journald"] {
        let folder = TempDir::new("pipe");
        let mut child = spawn(&folder, &["--log-requests", "--log-format", format]);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = lines.find_map(|line| line.ok()?.strip_prefix("listening on http://").map(String::from));
        drop(lines);
        drop(child.stderr.take());
        let client = Client::new(line.expect("an address"));
        for _ in 0..20 {
            client.send(&Request::new("GET", "/api/user")).expect("an answer").ok();
        }
        let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(kill.expect("kill").success());
        assert!(child.wait().expect("wait").success(), "{format}");
    }
}

fn spawn(folder: &TempDir, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_pulumi-backend"))
        .args(["--addr", "127.0.0.1:0"])
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the server")
}
