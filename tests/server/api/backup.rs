//! Backups made by calls and commands, put where they are asked for, checked at once, and restored.
//! Routes: createBackup, getBackup, getProgress, listBackups.

use crate::support::clocked::ClockedServer;
use crate::support::command::{run, run_with};
use crate::support::deployment::assert_same_deployment;
use crate::support::http::Request;
use crate::support::people::{People, text};
use crate::support::process::TempDir;
use crate::support::server::TestServer;
use crate::support::update::{create_entries, secrets_entry};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const DB: &str = "pulumi-backend.db";

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("list a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("list a folder").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Makes a backup in the folder `backups` beside the database; its file's name.
fn back_up(folder: &Path) -> String {
    let made = run(folder, &["backup", "--to", "backups/", "--json"]).json();
    assert_eq!(made["problem"], Value::Null, "{made}");
    made["name"].as_str().expect("a name").to_string()
}

#[test]
fn a_backup_is_one_whole_private_file_and_was_restored_for_a_check() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.update_to(&["a", "b"]);
    let folder = server.folder();
    let name = back_up(&folder);
    assert!(name.starts_with("pulumi-backend-20") && name.ends_with(".backup"), "{name}");
    assert_eq!(names(&folder.join("backups")), [name.as_str()], "nothing else is left there");
    let file = folder.join("backups").join(&name);
    assert_eq!(file.metadata().expect("the file").permissions().mode() & 0o777, 0o600);
    assert!(!names(&folder).iter().any(|name| name.contains("scratch/")), "{:?}", names(&folder));

    let listed = server.get("/api/admin/backups").ok().json();
    assert_eq!(listed["backups"][0]["name"], json!(name));
    assert!(listed["backups"][0]["verifiedAt"].is_string(), "{listed}");
    assert!(listed["standing"]["lastVerifiedAt"].is_string(), "{listed}");
    let shown = run(&folder, &["backup", "list"]).ok();
    assert!(shown.contains(&name) && !shown.contains("not yet"), "{shown}");
    let verified = run(&folder, &["verify", file.to_str().expect("UTF-8")]).ok();
    assert!(verified.contains("is whole: 1 stacks"), "{verified}");
}

#[test]
fn a_call_from_the_network_names_no_place() {
    let folder = TempDir::new("backups");
    let dir = folder.path().join("there");
    let server = TestServer::start_with(&["--backup-dir", dir.to_str().expect("UTF-8")]);
    server.post("/api/admin/backup", &json!({ "to": "/tmp/x" })).expect(&[400]);
    let made = server.back_up();
    assert_eq!(names(&dir), [made["name"].as_str().expect("a name")]);
    let bare = TestServer::start();
    let refused = bare.post("/api/admin/backup", &json!({})).expect(&[400]);
    assert!(refused.text().contains("--backup-dir"), "{refused}");
}

#[test]
fn a_file_of_ones_own_name_is_never_written_over() {
    let server = TestServer::start();
    let folder = server.folder();
    run(&folder, &["backup", "--to", "mine.backup"]).ok();
    let before = fs::read(folder.join("mine.backup")).expect("the backup");
    let refused = run(&folder, &["backup", "--to", "mine.backup"]).fails(5);
    assert!(refused.contains("exists already"), "{refused}");
    assert!(fs::read(folder.join("mine.backup")).expect("the backup") == before);
    assert!(!names(&folder).iter().any(|name| name.ends_with(".part")), "{:?}", names(&folder));
}

#[test]
fn what_was_lost_is_told_and_what_was_there_is_kept() {
    let server = TestServer::start();
    let stack = server.create_stack("web", "dev");
    stack.update_to(&["a"]);
    let running = server.create_stack("web", "busy").start_update();
    running.journal(&[secrets_entry(1)]).ok();
    let state = json!({ "urn": running.stack.urn("a:b:C", "made"), "custom": false, "type": "a:b:C" });
    running.journal(&create_entries(2, 1, &state)).ok();
    let folder = server.folder();
    let name = back_up(&folder);
    let before = stack.export_tree();
    stack.update_to(&["a", "lost"]);
    server.create_stack("late", "dev");

    let from = format!("backups/{name}");
    let refused = run(&folder, &["restore", "--from", &from, "--force"]).fails(5);
    assert!(refused.contains("stop it"), "{refused}");
    server.stop();
    let refused = run(&folder, &["restore", "--from", &from]).fails(5);
    assert!(refused.contains("--force"), "{refused}");
    let told = run(&folder, &["restore", "--from", &from, "--force"]);
    assert!(told.err.contains("lost: update version 2 of organization/web/dev"), "{}", told.err);
    assert!(told.err.contains("lost: stack organization/late/dev"), "{}", told.err);
    assert!(told.ok().contains("1 updates that ran then were ended"));
    let kept: Vec<String> =
        names(&folder).into_iter().filter(|name| name.contains("-before-restore-")).collect();
    assert_eq!(kept.len(), 1, "{:?}", names(&folder));

    server.restart();
    assert_same_deployment(&stack.export_tree(), &before, "restored");
    let refused = running.journal(&[]).expect(&[403]);
    assert!(refused.text().contains("restored from a backup"), "{refused}");
    assert_eq!(running.stack.resource_names(), ["made"], "what it had reported is the state");
    running.stack.start_update();
    let old = run(
        &folder,
        &["stack", "list", "--json", "--db", &kept[0], "--master-key-file", "pulumi-backend.key"],
    );
    assert_eq!(old.json()["stacks"].as_array().expect("stacks").len(), 3, "the old data can still be opened");
}

#[test]
fn only_its_own_key_opens_a_backup() {
    let server = TestServer::start();
    server.create_stack("web", "dev").update_to(&["a"]);
    let folder = server.folder();
    let name = back_up(&folder);
    let rotated = run(&folder, &["key", "rotate", "--json"]).json();
    server.stop();
    let from = format!("backups/{name}");
    let before = fs::read(folder.join(DB)).expect("the database");
    let refused = run(&folder, &["restore", "--from", &from, "--force"]).fails(2);
    assert!(refused.contains(rotated["from"].as_str().expect("text")), "{refused}");
    assert!(fs::read(folder.join(DB)).expect("the database") == before, "nothing was changed");
    let kept = rotated["oldKeyKeptAs"].as_str().expect("a path");
    run(&folder, &["restore", "--from", &from, "--force", "--master-key-file", kept]).ok();
    let listed = run(&folder, &["stack", "list", "--json", "--master-key-file", kept]).json();
    assert_eq!(listed["stacks"][0]["stackName"], "dev");
}

#[test]
fn a_folder_gives_the_backup_of_a_time() {
    let server = TestServer::start();
    let folder = server.folder();
    server.create_stack("web", "one");
    let first = back_up(&folder);
    server.stop();
    // Of another day, so that the times differ whatever the clock does.
    let old = "pulumi-backend-20200101T000000Z-00000000.backup";
    fs::rename(folder.join("backups").join(&first), folder.join("backups").join(old)).expect("rename");
    server.restart();
    server.create_stack("web", "two");
    let second = back_up(&folder);
    server.stop();
    let restored = |at: &[&str]| {
        let arguments = [&["restore", "--from", "backups", "--force", "--json"], at].concat();
        run(&folder, &arguments).json()["name"].as_str().expect("a name").to_string()
    };
    assert_eq!(restored(&["--at", "2021-01-01"]), old);
    assert_eq!(restored(&[]), second);
    run(&folder, &["restore", "--from", "backups", "--force", "--at", "2019-01-01"]).fails(3);
    run(&folder, &["restore", "--from", "backups", "--force", "--at", "yesterday"]).fails(2);
}

#[test]
fn the_clock_makes_backups_and_old_ones_go() {
    let folder = TempDir::new("backups");
    let dir = folder.path().to_str().expect("UTF-8");
    let server = TestServer::start_with(&["--backup-dir", dir, "--backup-every", "1s", "--backup-keep", "2"]);
    server.create_stack("web", "dev");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 4 {
        assert!(std::time::Instant::now() < deadline, "only {seen:?}");
        seen.extend(names(folder.path()).into_iter().filter(|name| name.ends_with(".backup")));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    server.stop();
    // One may have been made whose predecessors were not deleted yet.
    assert!(names(folder.path()).len() <= 3, "{:?}", names(folder.path()));
}

#[test]
fn a_schedule_needs_a_place_and_a_form() {
    let folder = TempDir::new("backups");
    let says = |arguments: &[&str], words: &str| {
        let refused = run_with(folder.path(), &[&["serve"], arguments].concat(), &[]).fails(2);
        assert!(refused.contains(words), "{refused}");
    };
    says(&["--backup-every", "6h"], "--backup-dir");
    says(&["--backup-dir", "x", "--backup-every", "sometimes"], "6h");
    says(&["--backup-dir", "x", "--backup-every", "61 * * * *"], "0 to 59");
    says(&["--backup-dir", "x", "--backup-every", "0 0 31 2 *"], "never comes");
}

#[test]
fn the_cli_is_told_when_no_good_backup_is_young_enough() {
    let server = TestServer::start_with(&["--backup-warn-after", "1d"]);
    let warning =
        |server: &TestServer| server.get("/api/user").ok().header("X-Pulumi-Warning").map(String::from);
    assert!(warning(&server).is_some_and(|text| text.contains("backup")), "{:?}", warning(&server));
    back_up(&server.folder());
    assert_eq!(warning(&server), None);
    assert_eq!(warning(&TestServer::start()), None, "without the setting nobody is told");
}

#[test]
fn a_person_is_told_once_in_a_command() {
    let server = ClockedServer::start_with(&["--backup-warn-after", "1d"]);
    let stack = server.create_stack("web", "dev");
    let first = || {
        let get = |path: &str| Request::new("GET", path);
        let create =
            Request::new("POST", stack.path("/update")).json(&json!({ "metadata": {}, "options": {} }));
        let calls = [get("/api/user/organizations/default"), get("/api/user"), create];
        calls.map(|call| {
            server.client.send(&call).expect("an answer").ok().header("X-Pulumi-Warning").is_some()
        })
    };
    assert_eq!(first(), [true, false, false]);
    assert_eq!(first(), [false; 3]);
    server.clock.jump(61);
    assert_eq!(first(), [true, false, false]);
}

#[test]
fn what_was_revoked_since_the_backup_stays_revoked() {
    let server = TestServer::start();
    let people = People::first(&server);
    let (bob, carol) = (people.user_with("bob", "update", "organization"), people.user("carol"));
    let dave = people.user_with("dave", "read", "organization");
    people.admin("POST", "/api/stacks/organization/web", json!({ "stackName": "dev" })).ok();
    let extra = people.send(&bob, "POST", "/api/user/tokens", json!({ "name": "laptop" })).ok().json();
    let folder = server.folder();
    let name = back_up(&folder);
    run(&folder, &["token", "revoke", &text(&extra, "id")]).ok();
    run(&folder, &["user", "disable", "carol"]).ok();
    run(&folder, &["revoke", "read", "dave", "organization"]).ok();
    let late = people.user("erin");
    server.stop();
    let from = format!("backups/{name}");
    let restored = run(&folder, &["restore", "--from", &from, "--force", "--json"]).json();
    let expected = json!({
        "tokens": ["bob laptop"], "users": ["carol"], "grants": ["read of dave on organization/*/*"],
    });
    assert_eq!(restored["revoked"], expected, "{restored}");
    server.restart();
    people.call(&bob, "GET", "/api/stacks/organization/web/dev").ok();
    people.call(&dave, "GET", "/api/stacks/organization/web/dev").expect(&[404]);
    for token in [&text(&extra, "tokenValue"), &carol, &late] {
        people.call(token, "GET", "/api/user").expect(&[401]);
    }
    run(&folder, &["verify"]).ok();
    let records = people.audit("backup.restore");
    assert!(text(&records[0], "detail").contains("1 tokens, 1 users, 1 grants"), "{records:?}");

    // Another database, which knows nothing of these tokens, takes none away.
    server.stop();
    for file in [DB, "pulumi-backend.db-wal", "pulumi-backend.db-shm"] {
        let _ = fs::remove_file(folder.join(file));
    }
    run(&folder, &["user", "add", "zoe", "--admin"]).ok();
    let restored = run(&folder, &["restore", "--from", &from, "--force", "--json"]).json();
    assert_eq!(restored["revoked"], Value::Null);
    server.restart();
    people.call(&text(&extra, "tokenValue"), "GET", "/api/user").ok();
}

#[test]
fn attempts_that_failed_long_ago_are_forgotten() {
    let folder = TempDir::new("backups");
    let file = folder.path().join("file");
    fs::write(&file, "no folder").expect("write");
    let server = TestServer::start_with(&["--backup-dir", file.join("x").to_str().expect("UTF-8")]);
    for _ in 0..53 {
        let failed = server.back_up();
        assert!(failed["problem"].is_string(), "{failed}");
    }
    let listed = server.get("/api/admin/backups").ok().json();
    assert_eq!(listed["backups"].as_array().map(Vec::len), Some(50));
}

#[test]
fn every_stack_leaves_as_a_file_of_the_clis_own_backend() {
    let server = TestServer::start();
    server.create_stack("web", "dev").update_to(&["a"]);
    server.create_stack("web", "prod");
    let folder = server.folder();
    let name = back_up(&folder);
    server.create_stack("late", "dev");
    let passphrase = [("PULUMI_CONFIG_PASSPHRASE", "correct horse")];
    run_with(&folder, &["export", "--to", "live"], &passphrase).ok();
    let from = format!("backups/{name}");
    let said = run_with(&folder, &["export", "--to", "old", "--from", &from], &passphrase).ok();
    assert!(said.contains("pulumi login file:///"), "{said}");
    assert_eq!(names(&folder.join("live/.pulumi/stacks")), ["late", "web"]);
    assert_eq!(names(&folder.join("old/.pulumi/stacks")), ["web"]);
    let file = folder.join("old/.pulumi/stacks/web/dev.json");
    assert_eq!(file.metadata().expect("the file").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).expect("the file");
    let state: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(state["checkpoint"]["stack"], "organization/web/dev");
    let latest = &state["checkpoint"]["latest"];
    assert_eq!(latest, &server.stack("web", "dev").export()["deployment"]);
    assert_eq!(fs::read_to_string(folder.join("old/.pulumi/meta.yaml")).expect("the file"), "version: 1\n");
    let refused = run_with(&folder, &["export", "--to", "old"], &passphrase).fails(5);
    assert!(refused.contains("not empty"), "{refused}");
}
