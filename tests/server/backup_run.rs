//! A backup that takes its time: who asks for another meanwhile, who asks how it goes, and what is left of it when it
//! fails or its server is killed.

use crate::support::command::run;
use crate::support::people::{People, text};
use crate::support::process::TempDir;
use crate::support::s3::{ACCESS_KEY, Fault, S3Server, SECRET_KEY};
use crate::support::seed::Rng;
use crate::support::server::TestServer;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A server whose backups go to a bucket that answers when it is told to.
fn with_bucket(s3: &S3Server, folder: &TempDir) -> TestServer {
    let keys = folder.path().join("keys");
    fs::write(&keys, format!("aws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n"))
        .expect("write");
    let keys = keys.to_str().expect("UTF-8");
    TestServer::start_with(&["--backup-dir", &s3.url("x"), "--s3-credentials-file", keys])
}

fn scratch(server: &TestServer) -> PathBuf {
    server.folder().join("pulumi-backend.db-scratch")
}

#[test]
fn of_many_who_ask_one_begins_and_all_are_told_of_the_same() {
    let (s3, folder) = (S3Server::start(), TempDir::new("bucket"));
    let server = with_bucket(&s3, &folder);
    s3.fail_with(&[Fault::Hold]);
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| server.post("/api/admin/backup", &json!({})).expect(&[202]).json()))
            .collect();
        calls.into_iter().map(|call| call.join().expect("an answer")).collect()
    });
    assert_eq!(answers.iter().filter(|answer| answer["isNew"] == true).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer["name"] == answers[0]["name"]), "{answers:?}");
    let late = server.post("/api/admin/backup", &json!({})).expect(&[202]);
    assert_eq!(late.json()["name"], answers[0]["name"]);
    assert_eq!(late.header("Location"), late.json()["location"].as_str());
    // It has come to the bucket, which does not answer.
    let held = server.wait_for_backup(&late, |backup| backup["progress"]["part"] == "storing");
    assert_eq!((&held["status"], &held["problem"]), (&json!("running"), &Value::Null));
    let works = server.get("/api/admin/progress").ok().json();
    assert_eq!(
        (&works["works"][0]["kind"], &works["works"][0]["part"]),
        (&json!("backup"), &json!("storing"))
    );
    let shown = run(&server.folder(), &["backup", "list"]).ok();
    assert!(shown.contains("storing"), "{shown}");
    // It stands for nothing yet.
    assert_eq!(server.get("/api/admin/backups").ok().json()["standing"]["lastAttemptAt"], Value::Null);
    let elsewhere = run(&server.folder(), &["backup", "--to", "elsewhere/"]).fails(5);
    assert!(elsewhere.contains(&text(&held, "name")), "{elsewhere}");

    std::thread::scope(|scope| {
        let folder = server.folder();
        let command = scope.spawn(move || run(&folder, &["backup", "--json"]));
        s3.release();
        let done = server.wait_for_backup(&late, |backup| backup["status"] != "running");
        assert_eq!((&done["status"], &done["problem"]), (&json!("done"), &Value::Null), "{done}");
        assert!(done["databaseBytes"].is_u64() && done["verifiedAt"].is_string(), "{done}");
        // Whether it came in time to join this one or has made its own, it saw a good one to its end.
        assert_eq!(command.join().expect("the command").json()["status"], "done");
    });
    assert!((1..=2).contains(&s3.objects().len()), "{:?}", s3.objects().keys());
    assert_eq!(server.get("/api/admin/progress").ok().json()["works"], json!([]));
}

#[test]
fn a_file_that_is_asked_for_twice_is_made_once() {
    let server = TestServer::start();
    import_noise(&server);
    let folder = server.folder();
    // Each begins it, joins it, or comes too late and finds the file; nobody spoils it.
    let codes: Vec<i32> = std::thread::scope(|scope| {
        let command = || scope.spawn(|| run(&folder, &["backup", "--to", "it is mine.backup"]).code);
        let commands = [command(), command(), command()];
        commands.into_iter().map(|command| command.join().expect("a command")).collect()
    });
    assert!(codes.contains(&0) && codes.iter().all(|code| [0, 5].contains(code)), "{codes:?}");
    run(&folder, &["verify", "it is mine.backup"]).ok();
    let shown = server.get("/api/admin/backups/it%20is%20mine.backup").ok().json();
    assert_eq!(shown["status"], "done");
    server.get("/api/admin/backups/another.backup").expect(&[404]);
}

#[test]
fn who_asks_is_told_why_it_failed() {
    let folder = TempDir::new("backups");
    let file = folder.path().join("file");
    fs::write(&file, "no folder").expect("write");
    let server = TestServer::start_with(&["--backup-dir", file.join("x").to_str().expect("UTF-8")]);
    let failed = server.back_up();
    assert_eq!(failed["status"], "failed");
    assert!(text(&failed, "problem").contains("Not a directory"), "{failed}");
    assert_eq!(failed["name"], server.get("/api/admin/backups").ok().json()["backups"][0]["name"]);
    assert!(!scratch(&server).exists());
}

#[test]
fn a_killed_server_leaves_no_part_of_a_file_and_nothing_that_runs_for_ever() {
    let folder = TempDir::new("backups");
    let server = TestServer::start_with(&["--backup-dir", folder.path().to_str().expect("UTF-8")]);
    import_noise(&server);
    let begun = loop {
        let begun = server.post("/api/admin/backup", &json!({})).expect(&[202]);
        let seen = server.wait_for_backup(&begun, |backup| {
            backup["status"] != "running" || backup["progress"]["part"] == "writing"
        });
        if seen["status"] == "running" {
            break begun;
        }
    };
    server.crash_and_restart();
    let gone = server.wait_for_backup(&begun, |backup| backup["status"] != "running");
    let problem = text(&gone, "problem");
    // It may have been written whole while the kill was on its way.
    assert!(gone["status"] == "done" || problem.contains("the server was killed meanwhile"), "{gone}");
    assert!(!scratch(&server).exists());
    let parts = entries(folder.path()).into_iter().filter(|name| name.ends_with(".part"));
    assert_eq!(parts.collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(server.back_up()["status"], "done");
}

#[test]
fn a_backup_whose_server_was_killed_is_told_of() {
    let (s3, folder) = (S3Server::start(), TempDir::new("bucket"));
    let server = with_bucket(&s3, &folder);
    let people = People::first(&server);
    s3.fail_with(&[Fault::Hold]);
    let begun = people.admin("POST", "/api/admin/backup", json!({})).expect(&[202]);
    let path = begun.header("Location").expect("a place to ask").to_string();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while people.admin("GET", &path, Value::Null).ok().json()["progress"]["part"] != "storing" {
        assert!(std::time::Instant::now() < deadline, "it never came to the bucket");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(scratch(&server).exists());
    server.crash_and_restart();
    let gone = people.admin("GET", &path, Value::Null).ok().json();
    assert_eq!(gone["status"], "failed");
    assert_eq!(gone["problem"], "not made: the server was killed meanwhile");
    assert!(!scratch(&server).exists());
    let record = people.audit("backup.create").remove(0);
    assert_eq!((&record["result"], &record["user"]), (&json!("failed"), &json!("(server)")), "{record}");
    let standing = people.admin("GET", "/api/admin/backups", Value::Null).ok().json()["standing"].clone();
    assert_eq!(standing["lastProblem"], gone["problem"]);
    s3.release();
}

#[test]
fn a_server_that_is_stopped_gives_its_backup_up_and_says_so() {
    let folder = TempDir::new("backups");
    let server = TestServer::start_with(&["--backup-dir", folder.path().to_str().expect("UTF-8")]);
    import_noise(&server);
    let begun = server.post("/api/admin/backup", &json!({})).expect(&[202]);
    server.stop();
    server.restart();
    let ended = server.wait_for_backup(&begun, |backup| backup["status"] != "running");
    assert!(
        ended["status"] == "done" || text(&ended, "problem").contains("the server is being stopped"),
        "{ended}"
    );
    let is_there = !entries(folder.path()).is_empty();
    assert_eq!(is_there, ended["bytes"] != 0, "{ended} {:?}", entries(folder.path()));
}

#[test]
fn a_restored_database_does_not_take_its_own_backup_for_a_failed_one() {
    let server = TestServer::start();
    let folder = server.folder();
    run(&folder, &["backup", "--to", "backups/"]).ok();
    server.stop();
    run(&folder, &["restore", "--from", "backups/", "--force"]).ok();
    server.restart();
    let listed = server.get("/api/admin/backups").ok().json();
    assert_eq!(listed["backups"], json!([]), "of the backups there it knows none");
    assert_eq!(listed["standing"]["lastProblem"], Value::Null);
}

#[test]
fn a_backup_that_goes_stays_whole_under_its_other_name() {
    let folder = TempDir::new("backups");
    let dir = folder.path().join("dir");
    let server =
        TestServer::start_with(&["--backup-dir", dir.to_str().expect("UTF-8"), "--backup-keep", "1"]);
    import_noise(&server);
    let first = text(&server.back_up(), "name");
    let other = folder.path().join("other.backup");
    fs::hard_link(dir.join(&first), &other).expect("link");
    // Of two in one second either is the older one; in the end one is left.
    let second = server.back_up();
    assert_eq!(second["deleted"].as_array().map(Vec::len), Some(1), "{second}");
    assert_eq!(entries(&dir).len(), 1);
    run(&server.folder(), &["verify", other.to_str().expect("UTF-8")]).ok();
}

/// About 20 MB that do not get smaller, so that a backup takes a while.
fn import_noise(server: &TestServer) {
    let stack = server.create_stack("web", "noise");
    let mut state = stack.deployment(&["a"]);
    let mut rng = Rng::new(1);
    let text: String = (0..2_500_000).map(|_| format!("{:016x}", rng.next())).collect();
    state["deployment"]["resources"][1]["outputs"] = json!({ "text": text });
    stack.import(&state).ok();
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("list a folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}
