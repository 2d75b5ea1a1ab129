//! What lies in the memory of a server at rest: nothing of a secret that passed through it, and no text of its master
//! key. A core dump would show the same.

use crate::sealed::{MARKER, send_everywhere};
#[cfg(feature = "tls")]
use crate::support::http::Request;
#[cfg(feature = "tls")]
use crate::support::process::ServerProcess;
#[cfg(feature = "tls")]
use crate::support::server::ORG;
use crate::support::server::TestServer;
use crate::support::stack::TestStack;
#[cfg(feature = "tls")]
use crate::support::tls::TlsClient;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

/// Long enough that it is found in pieces of memory that were used again in part.
fn marker(name: &str) -> String {
    format!("marker-of-{name}-{}", "0123456789abcdef".repeat(4))
}

/// Every readable byte of a process that is its own, with the line that says what it is.
fn memory(pid: u32) -> Vec<(String, Vec<u8>)> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the maps of the server");
    let mut mem = fs::File::open(format!("/proc/{pid}/mem")).expect("the memory of the server");
    let mut parts = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw") && !line.contains("[v")) {
        let (start, end) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        let number = |text| u64::from_str_radix(text, 16).expect("a number");
        let mut bytes = Vec::new();
        mem.seek(SeekFrom::Start(number(start))).expect("go there");
        // A stack that shrank, or the like, has nothing to show.
        let _ = (&mut mem).take(number(end) - number(start)).read_to_end(&mut bytes);
        parts.push((line.to_string(), bytes));
    }
    assert!(
        parts.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > 1 << 20,
        "hardly any memory:\n{maps}"
    );
    parts
}

fn has(bytes: &[u8], wanted: &[u8]) -> bool {
    let first = wanted[0];
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
    starts.into_iter().any(|(at, _)| bytes[at..].starts_with(wanted))
}

/// Which of these lie in memory, and where.
fn hits(pid: u32, wanted: &[(String, Vec<u8>)]) -> Vec<String> {
    let parts = memory(pid);
    let mut hits = Vec::new();
    for (place, bytes) in &parts {
        let found = wanted.iter().filter(|(_, wanted)| has(bytes, wanted));
        hits.extend(found.map(|(what, _)| format!("{what} in {place}")));
    }
    hits
}

fn ciphertext(answer: &Value) -> String {
    answer["ciphertext"].as_str().expect("a ciphertext").to_string()
}

/// Every call that carries a secret in the clear, packed and not, refused ones too.
fn send_secrets(stack: &TestStack) {
    let body = |name: &str| STANDARD.encode(marker(name));
    let one = ciphertext(&stack.post("/encrypt", &json!({ "plaintext": body("encrypt") })).ok().json());
    stack.post("/decrypt", &json!({ "ciphertext": one })).ok();
    let many = json!({ "plaintexts": [body("batch"), body("second")] });
    stack.post("/batch-encrypt", &many).ok();
    let many = stack.send(&stack.request("POST", "/batch-encrypt").json(&many).gzip()).ok().json();
    stack.post("/batch-decrypt", &many).ok();
    stack.send(&stack.request("POST", "/batch-decrypt").json(&many).gzip()).ok();
    stack.post("/encrypt", &json!({ "plaintext": body("refused"), "more": 1 }));
    stack.post("/batch-encrypt", &json!({ "plaintexts": [body("refused"), "!"] })).expect(&[400]);
}

/// Waits until none of these lies in memory: whoever answers may still be at the end of its work, and what rests gives
/// its memory back after a moment.
#[track_caller]
fn check_is_gone(pid: u32, wanted: &[(String, Vec<u8>)], context: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let hits = hits(pid, wanted);
        if hits.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{context}: {hits:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A secret as it is, and as it goes over the wire.
fn both_forms(name: &str) -> [(String, Vec<u8>); 2] {
    [
        (format!("{name} in the clear"), marker(name).into_bytes()[..72].to_vec()),
        (format!("{name} in base64"), STANDARD.encode(marker(name)).into_bytes()[..72].to_vec()),
    ]
}

#[test]
fn an_idle_server_has_no_secret_and_no_text_of_its_key() {
    let server = TestServer::start();
    let key = fs::read_to_string(server.folder().join("pulumi-backend.key")).expect("the key");
    let bytes: Vec<u8> =
        (0..64).step_by(2).map(|at| u8::from_str_radix(&key[at..at + 2], 16).expect("hex")).collect();
    let keys = [
        ("the key in hex".to_string(), key.as_bytes()[..48].to_vec()),
        ("the key in base64".to_string(), STANDARD.encode(&bytes).as_bytes()[..36].to_vec()),
    ];
    let stack = server.create_stack("web", "dev");
    let names = ["encrypt", "batch", "second", "refused"];
    let mut wanted: Vec<_> = names.iter().flat_map(|name| both_forms(name)).chain(keys).collect();
    for round in 0..2 {
        send_secrets(&stack);
        check_is_gone(server.pid(), &wanted, &format!("round {round}"));
        server.crash_and_restart();
    }
    // The search finds what is there: the name of a stack is no secret.
    let name = "a-name-that-is-no-secret-0123456789";
    server.create_stack("web", name);
    wanted.push(("the name".into(), name.as_bytes().to_vec()));
    assert!(!hits(server.pid(), &wanted).is_empty(), "the search is blind");
}

#[test]
fn an_idle_server_has_nothing_of_what_a_cli_sent() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    send_everywhere(&server, &stack);
    let wanted = [("the marker".to_string(), MARKER.as_bytes().to_vec())];
    check_is_gone(server.pid(), &wanted, "after all calls");
}

#[cfg(feature = "tls")]
#[test]
fn an_idle_connection_with_tls_has_nothing_of_what_went_over_it() {
    let server = ServerProcess::start(&["--tls-local-ca", "localhost"]);
    let mut client = TlsClient::connect(server.address(), "localhost", None).expect("connect");
    client
        .send(&Request::new("POST", format!("/api/stacks/{ORG}/web")).json(&json!({ "stackName": "dev" })))
        .ok();
    let path = format!("/api/stacks/{ORG}/web/dev/encrypt");
    let secret = json!({ "plaintext": STANDARD.encode(marker("tls")) });
    client.send(&Request::new("POST", path).json(&secret)).ok();
    check_is_gone(server.pid(), &both_forms("tls"), "TLS");
    client.send(&Request::new("GET", "/api/user")).ok();
}
