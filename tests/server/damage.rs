//! A database that lay on a bad disk: bits flipped, pages garbled, zeroed, exchanged, files cut short. Whatever is
//! asked for is either as it was, or not answered with a 200; never something else.
//!
//! `SEEDS=10000` tries so many cases of each kind.

use crate::support::http::{Client, Request};
use crate::support::process::TempDir;
use crate::support::seed::{Rng, for_each_seed, seeds};
use crate::support::stack::TestStack;
use crate::support::update::{create_entries, line_event, secrets_entry};
use pulumi_backend::clock::Clock;
use pulumi_backend::config::{Config, given};
use pulumi_backend::gate::LocalAddress;
use pulumi_backend::server::Server;
use pulumi_backend::store::mac::GUARDED;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

const DB: &str = "pulumi-backend.db";
const WAL: &str = "pulumi-backend.db-wal";
const KEY: &str = "pulumi-backend.key";
const PAGE_BYTES: usize = 4096;
/// Cases of each kind when nobody asks for another number.
const N_SEEDS: u64 = 250;

/// What each call may answer with a 200.
type Answers = BTreeMap<String, BTreeSet<String>>;

fn start(folder: &Path) -> Result<(Server, Client), String> {
    let db = folder.join(DB).display().to_string();
    let arguments = ["--addr", "127.0.0.1:0", "--db", &db, "--lease-duration", "86400", "--workers", "2"];
    let given = given::read(arguments.map(str::to_string), [], |_, _| None).expect("good arguments");
    let config = Config::from_values(&given.values).expect("a configuration");
    let server = Server::start(config, Clock::default()).map_err(|error| error.to_string())?;
    let Some(LocalAddress::Tcp(address)) = server.address().cloned() else { panic!("it listens on TCP") };
    Ok((server, Client::new(address.to_string())))
}

/// The files of a database with some history, and what they answer.
struct Base {
    key: Vec<u8>,
    /// As a crash would leave them, all changes still in the log.
    db: Vec<u8>,
    wal: Vec<u8>,
    /// After each change that the log has.
    ever: Answers,
    /// As a clean stop leaves it.
    folded: Vec<u8>,
    last: Answers,
}

fn base() -> Base {
    let folder = TempDir::new("damage");
    let (server, client) = start(folder.path()).expect("a server");
    let mut ever = Answers::new();
    let mut targets = vec!["/api/user/stacks".to_string(), "/api/admin/locks".to_string()];
    record(&client, &targets, &mut ever);
    for name in ["dev", "prod", "test"] {
        live(&client, name, &mut targets, &mut ever);
    }
    let read = |name: &str| fs::read(folder.path().join(name)).expect("a file");
    let (db, wal) = (read(DB), read(WAL));
    let mut last = Answers::new();
    record(&client, &targets, &mut last);
    server.stop();
    Base { key: read(KEY), db, wal, ever, folded: read(DB), last }
}

/// Two updates, an import, and one that runs.
fn live(client: &Client, name: &str, targets: &mut Vec<String>, ever: &mut Answers) {
    let stack = TestStack::new(client, "web", name);
    let path = |rest: &str| stack.path(rest);
    targets.extend(["", "/export", "/updates", "/updates/latest", "/updates/latest/previews"].map(path));
    targets.extend((1..5).flat_map(|n| [path(&format!("/export/{n}")), path(&format!("/updates/{n}"))]));
    stack.create(json!({})).ok();
    record(client, targets, ever);
    for names in [&["a", "b"][..], &["a", "b", "c"]] {
        let update = stack.start_checkpoints();
        targets.push(update.path("/events"));
        record(client, targets, ever);
        update.post_events(&[line_event(0), line_event(1)]).ok();
        record(client, targets, ever);
        update.checkpoint(&stack.deployment(names)).ok();
        record(client, targets, ever);
        update.complete("succeeded").ok();
        record(client, targets, ever);
    }
    stack.import(&stack.deployment(&["a", "d"])).ok();
    record(client, targets, ever);
    let running = stack.start_update();
    targets.push(running.path("/events"));
    record(client, targets, ever);
    running.journal(&[secrets_entry(1)]).ok();
    record(client, targets, ever);
    running.journal(&create_entries(2, 1, &stack.resource("e"))).ok();
    record(client, targets, ever);
}

fn record(client: &Client, targets: &[String], answers: &mut Answers) {
    for target in targets {
        let text = ask(client, target).unwrap_or_default();
        answers.entry(target.clone()).or_default().insert(text);
    }
}

/// The answer if it is a 200, without the time at which it was made.
fn ask(client: &Client, target: &str) -> Option<String> {
    let response = client.send(&Request::new("GET", target)).ok()?;
    if response.status != 200 {
        return None;
    }
    let mut answer = response.json();
    if let Some(manifest) = answer.pointer_mut("/deployment/manifest") {
        manifest["time"] = Value::Null;
    }
    // When a lock was taken is told by the clock of the day; the rest counts.
    answer.pointer_mut("/locks").into_iter().flat_map(|locks| locks.as_array_mut()).flatten().for_each(
        |lock| {
            lock["lastHeartbeat"] = Value::Null;
        },
    );
    Some(answer.to_string())
}

/// What happened to a file, in words for a failure.
fn damage(bytes: &mut Vec<u8>, rng: &mut Rng) -> String {
    let n_pages = (bytes.len() / PAGE_BYTES).max(1);
    let page = |n: usize| n * PAGE_BYTES..((n + 1) * PAGE_BYTES);
    let (one, other, at) = (rng.below(n_pages), rng.below(n_pages), rng.below(bytes.len()));
    match rng.below(7) {
        0 | 1 => {
            bytes[at] ^= 1 << rng.below(8);
            format!("a bit of byte {at} flipped")
        }
        2 => {
            let end = (at + rng.between(2, 64)).min(bytes.len());
            bytes[at..end].iter_mut().for_each(|byte| *byte = rng.next() as u8);
            format!("bytes {at} to {end} garbled")
        }
        3 => {
            bytes[page(one)].fill(0);
            format!("page {one} zeroed")
        }
        4 => {
            let copy = bytes[page(one)].to_vec();
            bytes.copy_within(page(other), one * PAGE_BYTES);
            bytes[page(other)].copy_from_slice(&copy);
            format!("pages {one} and {other} exchanged")
        }
        5 => {
            bytes.copy_within(page(other), one * PAGE_BYTES);
            format!("page {one} is a copy of page {other}")
        }
        _ => {
            // An empty file is a new database.
            bytes.truncate(if rng.chance(50) { at } else { page(one).start }.max(1));
            format!("cut to {} bytes", bytes.len())
        }
    }
}

/// Starts a server on these files and holds what it answers against what it may; how many calls it answered with 200.
fn check(files: &[(&str, &[u8])], allowed: &Answers, what: &str) -> usize {
    let folder = TempDir::new("damaged");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).expect("write a file");
    }
    let key = folder.path().join(KEY);
    fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("make it private");
    // That it does not start at all is an answer too.
    let Ok((server, client)) = start(folder.path()) else { return 0 };
    let mut n_answered = 0;
    for (target, texts) in allowed {
        let Some(text) = ask(&client, target) else { continue };
        n_answered += 1;
        assert!(texts.contains(&text), "{what}: {target} answered\n{text}\nand not one of\n{texts:#?}");
    }
    server.stop();
    n_answered
}

#[test]
fn damage_is_never_answered_with_wrong_data() {
    let base = base();
    let n_calls = base.last.len();
    let whole = [(DB, &base.folded[..]), (KEY, &base.key[..])];
    assert_eq!(
        check(&whole, &base.last, "no damage"),
        base.last.values().filter(|t| !t.contains("")).count()
    );
    let crashed = [(DB, &base.db[..]), (WAL, &base.wal[..]), (KEY, &base.key[..])];
    assert!(check(&crashed, &base.last, "no damage, after a crash") > 0);

    let (n_answered, n_cases) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for_each_seed(&seeds(N_SEEDS), 4, |seed| {
        let mut rng = Rng::new(seed);
        let (mut folded, mut wal) = (base.folded.clone(), base.wal.clone());
        let in_db = format!("in the database, {}", damage(&mut folded, &mut rng));
        let in_wal = format!("in the log, {}", damage(&mut wal, &mut rng));
        let n = check(&[(DB, &folded), (KEY, &base.key)], &base.last, &in_db)
            + check(&[(DB, &base.db), (WAL, &wal), (KEY, &base.key)], &base.ever, &in_wal);
        n_answered.fetch_add(n, Ordering::Relaxed);
        n_cases.fetch_add(2, Ordering::Relaxed);
    });
    let (n_answered, n_cases) = (n_answered.into_inner(), n_cases.into_inner());
    eprintln!("{n_cases} cases of damage: {n_answered} of {} calls answered, all rightly", n_cases * n_calls);
    assert!(n_answered > n_cases * n_calls / 10, "hardly anything was answered at all");
}

/// Columns that need no hash: what they hold opens only with the rest of its row.
const SEALED_IN: &[(&str, &[&str])] = &[("deployments", &["resource_order", "runs"])];

#[test]
fn every_column_of_a_guarded_table_is_guarded() {
    let folder = TempDir::new("guarded");
    let (server, _) = start(folder.path()).expect("a server");
    server.stop();
    let conn = rusqlite::Connection::open(folder.path().join(DB)).expect("open the database");
    for guarded in GUARDED {
        let sql = format!("PRAGMA table_info({})", guarded.table);
        let mut statement = conn.prepare(&sql).expect("prepare");
        let names = statement.query_map([], |row| row.get::<_, String>(1)).expect("query");
        let sealed = SEALED_IN.iter().find(|(table, _)| *table == guarded.table).map_or(&[][..], |row| row.1);
        let is_guarded = |name: &String| name != "mac" && !sealed.contains(&name.as_str());
        let there: BTreeSet<String> = names.map(|name| name.expect("a name")).filter(is_guarded).collect();
        let known: BTreeSet<String> = guarded.all_columns().map(str::to_string).collect();
        assert_eq!(there, known, "{}", guarded.table);
    }
}
