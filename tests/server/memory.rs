//! What lies in the memory of a server at rest: no secret in the clear that passed through it, and no text of its master
//! key. A core dump would show the same.

use crate::support::server::TestServer;
use crate::support::stack::TestStack;
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
fn hits(server: &TestServer, wanted: &[(String, Vec<u8>)]) -> Vec<String> {
    let parts = memory(server.pid());
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

#[test]
fn an_idle_server_has_no_secret_in_the_clear_and_no_text_of_its_key() {
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
    // What came over the wire, in base64, may stay in the buffers of connections until they are used again.
    let clear = |name: &&str| (format!("{name} in the clear"), marker(name).into_bytes()[..72].to_vec());
    let mut wanted: Vec<_> = names.iter().map(clear).chain(keys).collect();
    for round in 0..2 {
        send_secrets(&stack);
        // Whoever answers may still be at the end of its work.
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let hits = hits(&server, &wanted);
            if hits.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "round {round}: {hits:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        server.crash_and_restart();
    }
    // The search finds what is there: the name of a stack is no secret.
    let name = "a-name-that-is-no-secret-0123456789";
    server.create_stack("web", name);
    wanted.push(("the name".into(), name.as_bytes().to_vec()));
    assert!(!hits(&server, &wanted).is_empty(), "the search is blind");
}
