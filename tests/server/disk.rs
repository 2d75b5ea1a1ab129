//! A disk that takes no more: what was acknowledged stays, what was not is refused with a sentence, and the server
//! goes on by itself when there is room again.

use crate::support::backup::end_of;
use crate::support::http::{Client, Request};
use crate::support::process::TempDir;
use crate::support::stack::TestStack;
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A server whose files may not grow over `kib`, for now.
fn spawn(folder: &TempDir, kib: usize, more: &str) -> (Child, Client) {
    let program = env!("CARGO_BIN_EXE_pulumi-backend");
    // Without the trap the system ends a process that writes beyond.
    let script = format!("trap '' XFSZ; ulimit -S -f {kib}; exec {program} --addr 127.0.0.1:0 {more}");
    let mut child = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the server");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = lines.find_map(|line| line.ok()?.strip_prefix("listening on http://").map(String::from));
    // The rest of what it prints is of no interest, but the pipe must stay open.
    std::thread::spawn(move || lines.for_each(drop));
    (child, Client::new(line.expect("an address")))
}

/// Lifts the limit of a running process.
fn lift_limit(child: &Child) {
    limit(child, libc::RLIM_INFINITY);
}

/// Sets the limit of a running process.
#[allow(unsafe_code)] // std has no way to another process's limits.
fn limit(child: &Child, bytes_max: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: bytes_max, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the new limit lives through the call, and no old one is asked for.
    let done =
        unsafe { libc::prlimit(child.id() as libc::pid_t, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Imports states that cannot be compressed by much, until one is refused; how many were taken.
fn fill(stack: &TestStack) -> usize {
    let mut noise = 1u64;
    for n in 0.. {
        let mut state = stack.deployment(&["a"]);
        let text: String = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{noise:016x}")
        })
        .take(2000)
        .collect();
        state["deployment"]["resources"][1]["outputs"] = json!({ "n": n, "text": text });
        let answer = stack.import(&state);
        if !answer.is_ok() {
            let answer = answer.expect(&[503, 507]);
            let message = answer.json()["message"].as_str().expect("a message").to_string();
            assert!(message.contains("nothing was stored"), "{message}");
            assert!(answer.header("retry-after").is_some(), "{answer}");
            return n;
        }
        assert!(n < 1000, "the limit was never reached");
    }
    unreachable!()
}

fn n_of(stack: &TestStack) -> Option<u64> {
    stack.export()["deployment"]["resources"][1]["outputs"]["n"].as_u64()
}

#[test]
fn a_disk_that_takes_no_more_loses_nothing() {
    let folder = TempDir::new("disk");
    let (mut child, client) = spawn(&folder, 1000, "");
    let stack = TestStack::new(&client, "web", "dev");
    stack.create(json!({})).ok();
    let n_taken = fill(&stack);
    assert!(n_taken > 2, "some room was there: {n_taken}");
    for _ in 0..3 {
        assert_eq!(n_of(&stack), Some(n_taken as u64 - 1), "what was acknowledged is read");
        assert_eq!(stack.history().len(), n_taken);
        stack.import(&large(&stack)).expect(&[503, 507]);
    }
    lift_limit(&child);
    stack.import(&large(&stack)).ok();
    assert_eq!(stack.history().len(), n_taken + 1, "it goes on by itself");
    child.kill().expect("kill");
    child.wait().expect("wait");

    let (mut child, client) = spawn(&folder, 1 << 20, "");
    let stack = TestStack::new(&client, "web", "dev");
    assert_eq!(stack.history().len(), n_taken + 1, "after a crash all of it is there");
    let last = stack.get(&format!("/export/{n_taken}")).ok().json();
    assert_eq!(last["deployment"]["resources"][1]["outputs"]["n"].as_u64(), Some(n_taken as u64 - 1));
    child.kill().expect("kill");
    child.wait().expect("wait");
}

/// Larger than what is left.
fn large(stack: &TestStack) -> serde_json::Value {
    let mut state = stack.deployment(&["a"]);
    let text: Vec<u64> = (0..60_000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    state["deployment"]["resources"][1]["outputs"] = json!({ "text": text });
    state
}

#[test]
fn a_backup_without_room_fails_and_says_so_and_the_server_goes_on() {
    let folder = TempDir::new("disk");
    let (mut child, client) = spawn(&folder, 1 << 20, "");
    let stack = TestStack::new(&client, "web", "dev");
    stack.create(json!({})).ok();
    let state = large(&stack);
    (0..5).for_each(|_| drop(stack.import(&state).ok()));
    // What ends in good order leaves a short log.
    Command::new("kill").arg(child.id().to_string()).status().expect("run kill");
    assert!(child.wait().expect("wait").success());

    let (mut child, client) = spawn(&folder, 1 << 20, "--backup-dir backups");
    let stack = TestStack::new(&client, "web", "dev");
    let back_up = || {
        let begin = Request::new("POST", "/api/admin/backup").json(&json!({}));
        end_of(client.send(&begin).expect("an answer"), |path| {
            client.send(&Request::new("GET", path)).expect("an answer")
        })
    };
    limit(&child, 256 << 10);
    let failed = back_up();
    assert!(failed["status"] == "failed" && failed["problem"].is_string(), "{failed}");
    assert!(!folder.path().join("pulumi-backend.db-scratch").exists());
    assert!(!folder.path().join("backups").exists(), "it did not get so far");
    stack.create(json!({})).expect(&[409]);
    lift_limit(&child);
    assert_eq!(back_up()["status"], "done");
    child.kill().expect("kill");
    child.wait().expect("wait");
}
