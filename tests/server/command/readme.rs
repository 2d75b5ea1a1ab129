//! Every command of this program that README shows is carried out here, in its order, as it stands there.

use crate::support::oidc::Signer;
use crate::support::process::TempDir;
use crate::support::published::Published;
use crate::support::server::TestServer;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

/// Sections whose commands are carried out by other tests, for they need more than a shell: which, and where.
const ELSEWHERE: &[(&str, &str)] = &[("Backup and restore", "tests/server/drill.rs")];
/// The section that ends the open mode; it is carried out on data of its own.
const USERS: &str = "Users, tokens and CI";

/// Commands of this program in the blocks marked `sh`, with the section they stand in.
fn documented() -> Vec<(String, String)> {
    let readme = include_str!("../../../README.md").replace("\\\n", "");
    let mut commands = Vec::new();
    for section in readme.split("\n## ").skip(1) {
        let title = section.lines().next().unwrap_or_default();
        let blocks = section.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
        let lines = blocks.flat_map(str::lines).map(str::trim);
        // Those that run the server are the business of tests/server/edge.
        let is_server =
            |line: &str| ["pulumi-backend --", "pulumi-backend serve"].iter().any(|it| line.starts_with(it));
        let ours = lines.filter(|line| line.starts_with("pulumi-backend") && !is_server(line));
        commands.extend(ours.map(|line| (title.to_string(), line.to_string())));
    }
    commands
}

#[test]
fn every_documented_command_works() {
    let server = TestServer::start();
    let stack = server.create_stack("demo", "dev");
    let mut state = stack.deployment(&["a"]);
    state["deployment"]["resources"][0]["outputs"] = json!({ "note": "hello" });
    stack.import(&state).ok();
    let is_here = |title: &str| title != USERS && ELSEWHERE.iter().all(|(other, _)| *other != title);
    let lines: Vec<_> = documented().into_iter().filter(|(title, _)| is_here(title)).collect();
    assert!(lines.len() > 15, "README shows commands: {lines:?}");
    for (_, line) in lines {
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

#[test]
fn the_documented_commands_about_users_work() {
    let site_folder = TempDir::new("published");
    let site = Published::start(site_folder.path());
    site.publish(&[Signer::ed25519().jwk("one")]);
    let server = TestServer::start_with(&["--issuer-ca-file", site.ca.to_str().expect("UTF-8")]);
    let folder = server.folder();
    run(&folder, "pulumi-backend user add alice --admin");
    let keys = json!({ "keys": [Signer::ed25519().jwk("one")] });
    std::fs::write(folder.join("jwks.json"), keys.to_string()).expect("write the issuer's keys");
    let lines: Vec<_> = documented().into_iter().filter(|(title, _)| title == USERS).collect();
    assert!(lines.len() > 10, "README shows commands: {lines:?}");
    for (_, line) in lines {
        let mut line = line.replace("https://ci.example/keys", &site.url("/keys"));
        if line.contains("NUMBER:HASH") && line.contains("--head") {
            line = line.replace("NUMBER:HASH", run(&folder, "pulumi-backend audit head").trim());
        }
        if line.ends_with(" ID") {
            let tokens = run(&folder, "pulumi-backend token list --json");
            let tokens: Value = serde_json::from_str(&tokens).expect("JSON");
            line = line.replace(" ID", &format!(" {}", tokens["tokens"][0]["id"].as_str().expect("an id")));
        }
        run(&folder, &line);
    }
}

#[track_caller]
fn run(folder: &Path, line: &str) -> String {
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
    out.into_owned()
}
