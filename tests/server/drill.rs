//! The whole rehearsal: fake CLIs at work, a backup meanwhile, the data gone, a restore, and every stack as it was.

use crate::fake::cli::Patience;
use crate::fake::life::Life;
use crate::support::command::run;
use crate::support::deployment::assert_same_deployment;
use crate::support::http::Client;
use crate::support::json::Tree;
use crate::support::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use crate::support::seed::seeds;
use crate::support::server::{ORG, TestServer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const N_CLIS: u64 = 3;

/// The states of all versions of all stacks, by stack and version.
fn versions(server: &TestServer, stacks: &[String]) -> BTreeMap<(String, u64), Tree> {
    let mut found = BTreeMap::new();
    for project in stacks {
        let stack = server.stack(project, "dev");
        for update in stack.history() {
            let version = update["version"].as_u64().expect("a version");
            let text = stack.get(&format!("/export/{version}")).ok();
            found.insert((project.clone(), version), Tree::parse(text.text()));
        }
    }
    found
}

fn stacks_of(folder: &Path) -> Vec<String> {
    let listed = run(folder, &["stack", "list", "--json"]).json();
    let stacks = listed["stacks"].as_array().expect("stacks");
    stacks.iter().map(|stack| stack["projectName"].as_str().expect("a project").to_string()).collect()
}

#[test]
fn a_backup_under_load_brings_every_stack_back() {
    let seed = seeds(1)[0];
    eprintln!("SEED={seed}");
    let server = TestServer::start();
    let folder = server.folder();
    let is_over = AtomicBool::new(false);
    let n_lives = AtomicUsize::new(0);
    let live = |cli: u64| {
        let client = Client::new(server.client.address());
        let mut n = 0;
        while !is_over.load(Ordering::Relaxed) {
            n += 1;
            let name = format!("drill-{cli}-{n}");
            let mut life = Life::new(&client, &name, seed * 1000 + cli * 100 + n, Patience::FourAttempts)
                .expect("a stack");
            for _ in 0..4 {
                life.live();
            }
            life.check(false);
            n_lives.fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut made = Vec::new();
    std::thread::scope(|scope| {
        let clis: Vec<_> = (0..N_CLIS).map(|cli| scope.spawn(move || live(cli))).collect();
        let _over = SetOnDrop(&is_over);
        while n_lives.load(Ordering::Relaxed) < 6 && !clis.iter().any(|cli| cli.is_finished()) {
            let done = run(&folder, &["backup", "--to", "backups/", "--json"]).json();
            assert_eq!(done["problem"], Value::Null, "{done}");
            made.push(done["name"].as_str().expect("a name").to_string());
        }
    });
    let before = versions(&server, &stacks_of(&folder));
    assert!(before.len() > 20, "{} versions: hardly anything was at work", before.len());
    let last = run(&folder, &["backup", "--to", "backups/", "--json"]).json();
    made.push(last["name"].as_str().expect("a name").to_string());
    server.stop();

    for (n, name) in made.iter().enumerate() {
        for end in ["", "-wal", "-shm"] {
            // What is not there needs no removal.
            fs::remove_file(folder.join(format!("pulumi-backend.db{end}"))).unwrap_or_default();
        }
        run(&folder, &["restore", "--from", &format!("backups/{name}")]).ok();
        server.restart();
        let after = versions(&server, &stacks_of(&folder));
        for (version, state) in &after {
            // An update that was cut off by the backup ended otherwise than it did in the end.
            let is_cut = was_cut(&server, version);
            assert!(is_cut || before.contains_key(version), "{version:?} came from nowhere");
            if !is_cut {
                assert_same_deployment(state, &before[version], &format!("backup {n}, {version:?}"));
            }
        }
        if n + 1 == made.len() {
            assert_eq!(after.len(), before.len(), "the last backup has all");
        }
        server.stop();
    }
}

/// Whether the restore ended this update.
fn was_cut(server: &TestServer, (project, version): &(String, u64)) -> bool {
    let path = format!("/api/stacks/{ORG}/{project}/dev/updates/{version}");
    server.get(&path).ok().json()["result"] != "succeeded"
}

/// The page "Backup and restore": the server that it starts, then each line in a shell.
#[test]
fn every_line_of_the_readme_runs() {
    let readme = fs::read_to_string("README.md").expect("README.md");
    let (_, page) = readme.split_once("\n## Backup and restore\n").expect("the page");
    let page = page.split("\n## ").next().expect("its text");
    let is_command =
        |line: &&str| line.starts_with("pulumi-backend ") || line.starts_with("PULUMI_CONFIG_PASSPHRASE=");
    let lines: Vec<&str> = page.lines().filter(is_command).collect();
    let s3 = S3Server::start();
    let serve: Vec<&str> = lines[0].split(' ').skip(2).collect();
    assert!(lines[0].starts_with("pulumi-backend serve ") && lines.len() == 11, "{lines:#?}");
    let server = TestServer::start_with(&serve);
    server.create_stack("web", "dev").update_to(&["a", "b"]);
    for line in &lines[1..] {
        if line.contains(" restore ") && server.is_running() {
            server.stop();
        }
        let line = line.replace("127.0.0.1:9000", &s3.address).replace("2026-11-21T17:50:00Z", "2999-01-01");
        let output = Command::new("sh")
            .args(["-c", &line.replace("pulumi-backend ", "\"$PULUMI\" ")])
            .env("PULUMI", env!("CARGO_BIN_EXE_pulumi-backend"))
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .current_dir(server.folder())
            .output()
            .expect("run sh");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}:\n{said}");
    }
    server.restart();
    assert_eq!(server.stack("web", "dev").resource_names(), ["web-dev", "a", "b"]);
}

/// Ends the others' work also when this thread fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
