//! Every command of this program that README shows is carried out here, in its order, as it stands there.

use crate::support::server::TestServer;
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};

/// Lines of the blocks marked `sh` that call this program.
fn documented() -> Vec<String> {
    let readme = include_str!("../../../README.md");
    // The page on backups is about a server of its own, and has a test of its own, in drill.rs.
    let (before, page) = readme.split_once("\n## Backup and restore\n").expect("the page on backups");
    let (_, after) = page.split_once("\n## ").expect("another page");
    let pages = [before, after].concat();
    let blocks = pages.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).map(str::trim);
    lines.filter(|line| line.starts_with("pulumi-backend")).map(String::from).collect()
}

#[test]
fn every_documented_command_works() {
    let server = TestServer::start();
    let stack = server.create_stack("demo", "dev");
    let mut state = stack.deployment(&["a"]);
    state["deployment"]["resources"][0]["outputs"] = json!({ "note": "hello" });
    stack.import(&state).ok();
    let lines = documented();
    assert!(lines.len() > 15, "README shows commands: {lines:?}");
    for line in lines {
        // These are about an update that runs.
        if line.contains("lock show") || line.contains("lock release") || line.contains("stack cancel") {
            let has_lock = stack.info()["currentOperation"].is_object();
            if !has_lock {
                stack.start_update();
            }
        }
        run(&server.folder(), &line);
    }
}

#[track_caller]
fn run(folder: &Path, line: &str) {
    let programs = Path::new(env!("CARGO_BIN_EXE_pulumi-backend")).parent().expect("a folder");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .expect("run sh");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{line}\nout:\n{out}err:\n{err}");
}
