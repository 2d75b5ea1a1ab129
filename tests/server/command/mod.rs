//! Commands on the machine of the server: over its control socket, or on data that no server has.

mod config;
mod doctor;
mod lock;
mod papers;
mod progress;
mod readme;
mod stack;

use crate::support::command::{run, run_with};
use crate::support::process::{ServerProcess, TempDir};
use crate::support::server::TestServer;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

#[test]
fn a_command_reaches_the_running_server_and_a_stopped_database() {
    let server = TestServer::start();
    server.create_stack("web", "dev");
    let folder = server.folder();
    let list = run(&folder, &["stack", "list", "--json"]);
    assert_eq!(list.err, "");
    assert_eq!(list.json()["stacks"][0]["stackName"], "dev");
    assert_eq!(run(&folder, &["health"]).ok(), "ready\n");

    server.stop();
    let list = run(&folder, &["stack", "list", "--json"]);
    assert!(list.err.contains("no server is running"), "{}", list.err);
    assert_eq!(list.json()["stacks"][0]["projectName"], "web");
    run(&folder, &["health"]).fails(1);
    assert!(!folder.join("pulumi-backend.db-control").exists(), "the command took its socket away");
}

#[test]
fn a_killed_server_leaves_nothing_in_the_way_of_commands() {
    let mut process = ServerProcess::start(&[]);
    process.kill();
    assert!(process.dir().join("pulumi-backend.db-control").exists());
    run(process.dir(), &["stack", "list"]).ok();
    process.restart();
    assert_eq!(run(process.dir(), &["health"]).ok(), "ready\n");
}

#[test]
fn only_its_owner_may_open_the_control_socket() {
    let process = ServerProcess::start(&[]);
    let socket = process.dir().join("pulumi-backend.db-control").metadata().expect("the socket");
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_long_path_is_no_obstacle() {
    let folder = TempDir::new("long");
    let deep = folder.path().join("x".repeat(120));
    std::fs::create_dir(&deep).expect("make a folder");
    let db = deep.join("data.db");
    let process = ServerProcess::start(&["--db", db.to_str().expect("UTF-8")]);
    let health = run(process.dir(), &["health", "--db", db.to_str().expect("UTF-8")]);
    assert_eq!(health.ok(), "ready\n");
}

#[test]
fn wrong_words_are_answered_with_the_right_ones() {
    let folder = TempDir::new("words");
    let says = |arguments: &[&str], words: &str| {
        let err = run(folder.path(), arguments).fails(2);
        assert!(err.contains(words), "{arguments:?}: {err}");
    };
    says(&["stak", "list"], "did you mean 'stack list'?");
    says(&["stack", "lst"], "stack list");
    says(&["serv"], "did you mean 'serve'?");
    says(&["serve", "now"], "too many arguments");
    says(&["--adr", ":1"], "did you mean --addr?");
    says(&["health", "--jsn"], "--jsn");
    assert!(run(folder.path(), &["stack", "list"]).fails(3).contains("there is no database"));
    assert!(!folder.path().join("pulumi-backend.db").exists(), "a look makes no database");
}

#[test]
fn help_is_everywhere() {
    let folder = TempDir::new("help");
    let overview = run(folder.path(), &["--help"]).ok();
    assert!(overview.contains("stack list") && overview.contains("--lease-duration"), "{overview}");
    for arguments in [&["stack", "list", "--help"][..], &["help", "stack", "list"], &["stack", "--help"]] {
        assert!(run(folder.path(), arguments).ok().contains("stack list"), "{arguments:?}");
    }
    assert!(run(folder.path(), &["-V"]).ok().starts_with("pulumi-backend "));
}

#[test]
fn a_flag_counts_more_than_the_environment_and_that_more_than_the_file() {
    let folder = TempDir::new("config");
    let file = folder.path().join("settings");
    let says = |text: &str, arguments: &[&str], environment: &[(&str, &str)], words: &str| {
        std::fs::write(&file, text).expect("write the settings");
        let all = [&["health", "--config", "settings"], arguments].concat();
        let done = run_with(folder.path(), &all, environment);
        assert!((done.out.clone() + &done.err).contains(words), "{} {}", done.out, done.err);
    };
    let file_db = "# where\n; the data is\n\nPULUMI_BACKEND_DB=\"file.db\"\nworkers=2\n";
    says(file_db, &[], &[], "file.db");
    says(file_db, &[], &[("PULUMI_BACKEND_DB", "environment.db")], "environment.db");
    says(file_db, &["--db", "flag.db"], &[("PULUMI_BACKEND_DB", "environment.db")], "flag.db");
    says(
        "PULUMI_BACKEND_WORKRS=3",
        &[],
        &[],
        "settings:1: PULUMI_BACKEND_WORKRS: is not a setting; did you mean PULUMI_BACKEND_WORKERS?",
    );
    says("workers", &[], &[], "settings:1: is not a line NAME=value");
    says("workers=many", &[], &[], "workers: 'many' is not a whole number");
    let none = run(folder.path(), &["health", "--config", "none"]).fails(2);
    assert!(none.contains("cannot read none"), "{none}");
}
