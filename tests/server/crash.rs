//! The server is killed at random moments while fake CLIs are at work, and started again on the same data. Whatever it
//! had acknowledged is there, no stack is stuck, and the updates that were under way go on with their leases.
//!
//! `KILLS=5000` kills so often.

use crate::fake::cli::Patience;
use crate::fake::life::Life;
use crate::support::command::run;
use crate::support::http::Client;
use crate::support::process::TempDir;
use crate::support::seed::{Rng, number_from_env, seeds};
use crate::support::server::TestServer;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How many kills there are when nobody asks for another number.
const N_KILLS: u64 = 50;
/// How many CLIs are at work at once, each on stacks of its own.
const N_CLIS: u64 = 4;
/// How long a CLI waits for a server that is being started again.
const PATIENCE: Duration = Duration::from_secs(180);

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let n_kills = number_from_env("KILLS").unwrap_or(N_KILLS);
    let seed = seeds(1)[0];
    eprintln!("SEED={seed} KILLS={n_kills}");
    let server = TestServer::start();
    let is_over = AtomicBool::new(false);
    let n_updates = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for cli in 0..N_CLIS {
            let (server, is_over) = (&server, &is_over);
            let n_updates = &n_updates;
            scope.spawn(move || {
                n_updates.fetch_add(live_until(is_over, server, seed * 1000 + cli), Ordering::Relaxed)
            });
        }
        let _over = SetOnDrop(&is_over);
        let mut rng = Rng::new(seed);
        for _ in 0..n_kills {
            // The moment is random, not waited for: that is the point.
            std::thread::sleep(Duration::from_micros(rng.between(1_000, 60_000) as u64));
            server.crash_and_restart();
        }
    });
    let n_updates = n_updates.into_inner();
    eprintln!("{n_updates} versions by {N_CLIS} CLIs, each right after {n_kills} kills");
    assert!(
        n_updates > n_kills as usize / 10,
        "{n_updates} versions over {n_kills} kills: hardly anything was at work"
    );
}

/// Lives one stack after the other until the killing is over; then all of them must be right. Gives how many versions
/// they have.
fn live_until(is_over: &AtomicBool, server: &TestServer, seed: u64) -> usize {
    let client = Client::new(server.client.address());
    let mut lives: Vec<Life> = Vec::new();
    let mut n_stacks = 0;
    while !is_over.load(Ordering::Relaxed) || lives.is_empty() {
        n_stacks += 1;
        let project = format!("crash-{seed}-{n_stacks}");
        let Some(mut life) = Life::new(&client, &project, seed + 100_000 * n_stacks, Patience::For(PATIENCE))
        else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        for _ in 0..6 {
            life.live();
        }
        life.check(true);
        lives.push(life);
    }
    for life in &lives {
        life.check(true);
        life.check_is_free();
    }
    lives.iter().map(Life::n_versions).sum()
}

/// Ends the others' work also when this thread fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The first start makes the database beside its place; one that was cut short there has left its pieces.
#[test]
fn a_first_start_that_was_cut_short_is_done_again() {
    let folder = TempDir::new("cut-short");
    let left = ["", "-wal", "-journal"].map(|end| folder.path().join(format!("pulumi-backend.db-new{end}")));
    for path in &left {
        std::fs::write(path, "half of a database").expect("write a file");
    }
    run(folder.path(), &["user", "add", "alice", "--admin"]).ok();
    let users = run(folder.path(), &["user", "list"]).ok();
    assert!(users.contains("alice"), "{users}");
    for path in left {
        assert!(!path.exists(), "{} is still there", path.display());
    }
}

/// As a mount of a single file brings it: it cannot be put in place, so it is filled.
#[test]
fn an_empty_file_becomes_the_database() {
    let folder = TempDir::new("empty-file");
    std::fs::write(folder.path().join("pulumi-backend.db"), "").expect("write a file");
    run(folder.path(), &["user", "add", "alice", "--admin"]).ok();
    let users = run(folder.path(), &["user", "list"]).ok();
    assert!(users.contains("alice"), "{users}");
}

/// Somebody has removed the database and not the log beside it.
#[test]
fn a_new_database_is_not_read_with_the_log_of_an_old_one() {
    let server = TestServer::start();
    server.create_stack("web", "old");
    server.crash();
    let folder = server.folder();
    let log = folder.join("pulumi-backend.db-wal");
    assert!(log.metadata().is_ok_and(|log| log.len() > 0), "nothing was in the log");
    std::fs::remove_file(folder.join("pulumi-backend.db")).expect("remove the database");
    server.restart();
    assert!(server.log().contains("write-ahead log without its database"), "{}", server.log());
    assert!(folder.join("pulumi-backend.db-wal.without-database").exists());
    for _ in 0..2 {
        assert_eq!(server.get("/api/user/stacks").ok().json()["stacks"], serde_json::json!([]));
        server.crash_and_restart();
    }
    server.create_stack("web", "new");
}
