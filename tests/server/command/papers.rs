//! What the program prints about itself. The whole texts are golden files: `UPDATE_GOLDEN=1` writes them anew.

use crate::support::command::run;
use crate::support::golden::check_golden;
use crate::support::process::TempDir;
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn the_texts_are_those_of_the_golden_files() {
    let folder = TempDir::new("papers");
    let program = env!("CARGO_BIN_EXE_pulumi-backend");
    for (name, arguments) in [
        ("systemd.service", &["systemd"][..]),
        ("systemd.socket", &["systemd", "--socket"]),
        ("Dockerfile", &["dockerfile"]),
        ("compose.yaml", &["dockerfile", "--compose"]),
    ] {
        let text = run(folder.path(), arguments).ok();
        check_golden(&format!("papers/{name}"), &text.replace(program, "/usr/local/bin/pulumi-backend"));
    }
}

#[test]
fn the_unit_follows_the_settings() {
    let folder = TempDir::new("unit");
    let unit = run(folder.path(), &["systemd", "--credential", "/etc/key"]).ok();
    assert!(unit.contains("LoadCredential=master-key:/etc/key\n"), "{unit}");
    assert!(unit.contains("IPAddressDeny=any\n"), "loopback only: {unit}");
    let unit = run(folder.path(), &["systemd", "--addr", "0.0.0.0:80"]).ok();
    assert!(!unit.contains("IPAddressDeny") && unit.contains("PULUMI_BACKEND_ADDR=0.0.0.0:80\n"), "{unit}");
}

/// systemd's own judgement, where it is installed: below 2.0 of 10, and no line of the unit that it does not know.
#[test]
fn systemd_finds_the_unit_sound_and_safe() {
    let version = Command::new("systemd-analyze").arg("--version").output();
    let version = version.map(|done| String::from_utf8_lossy(&done.stdout).into_owned()).unwrap_or_default();
    let version: Option<u32> = version.split_whitespace().nth(1).and_then(|number| number.parse().ok());
    if version.is_none_or(|version| version < 250) {
        println!("skipped: there is no systemd-analyze that judges a file (250 or newer)");
        return;
    }
    let folder = TempDir::new("analyze");
    let unit = folder.path().join("pulumi-backend.service");
    for arguments in [&["systemd"][..], &["systemd", "--addr", "0.0.0.0:8080", "--credential", "/etc/key"]] {
        std::fs::write(&unit, run(folder.path(), arguments).ok()).expect("write");
        let analyze = |arguments: &[&str]| {
            Command::new("systemd-analyze").args(arguments).arg(&unit).output().expect("systemd-analyze")
        };
        let done = analyze(&["security", "--offline=true", "--no-pager", "--threshold=20"]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
        let done = analyze(&["verify"]);
        let complaints = String::from_utf8_lossy(&done.stderr);
        assert!(!complaints.contains("pulumi-backend.service"), "{complaints}");
    }
}

#[test]
fn the_version_is_that_of_the_crate() {
    let folder = TempDir::new("version");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(run(folder.path(), &["version"]).ok(), format!("pulumi-backend {version}\n"));
    assert_eq!(run(folder.path(), &["version", "--json"]).json()["version"], version);
}

/// Every command and every setting is in it, and no line of text is taken for a request of roff.
#[test]
fn the_man_page_is_complete() {
    let folder = TempDir::new("man");
    let page = run(folder.path(), &["man"]).ok();
    for command in pulumi_backend::command::COMMANDS {
        assert!(page.contains(&format!(".B {}", command.name)), "{}", command.name);
    }
    for setting in pulumi_backend::config::table::SETTINGS {
        assert!(page.contains(&format!("\\-\\-{}", setting.name.replace('-', "\\-"))), "{}", setting.name);
    }
    let known = [".TH", ".SH", ".TP", ".B", ".BI", ".I", ".RS", ".RE"];
    for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
        assert!(known.contains(&line.split(' ').next().unwrap_or("")), "{line}");
    }
}

#[test]
fn a_shell_takes_its_completion() {
    let folder = TempDir::new("completion");
    let script = run(folder.path(), &["completion", "bash"]).ok();
    let offers = |words: &[&str], expected: &[&str]| {
        let n = words.len();
        let call = format!(
            "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; _pulumi_backend; echo \"${{COMPREPLY[*]}}\"\n",
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            n - 1
        );
        let mut bash = Command::new("bash");
        let mut bash =
            bash.args(["--norc", "-s"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash");
        bash.stdin.take().expect("piped").write_all(call.as_bytes()).expect("write");
        let out = bash.wait_with_output().expect("bash");
        let out = String::from_utf8(out.stdout).expect("UTF-8");
        let offered: Vec<&str> = out.split_whitespace().collect();
        expected.iter().for_each(|word| assert!(offered.contains(word), "{words:?}: {out}"));
    };
    offers(&["pulumi-backend", "st"], &["stack"]);
    offers(
        &["pulumi-backend", "stack", ""],
        &["list", "info", "output", "export", "versions", "cancel", "delete"],
    );
    offers(&["pulumi-backend", "stack", "output", "dev", "--sh"], &["--show-secrets"]);
    offers(&["pulumi-backend", "--lea"], &["--lease-duration"]);
    assert!(run(folder.path(), &["completion", "zsh"]).ok().starts_with("#compdef pulumi-backend\n"));
    assert!(run(folder.path(), &["completion", "fish"]).ok().contains("-l lease-duration"));
    run(folder.path(), &["completion", "csh"]).fails(2);
}

/// Each query of the dashboard names figures that `/metrics` has.
#[test]
fn the_dashboard_asks_for_what_there_is() {
    let server = crate::support::server::TestServer::start();
    server.create_stack("web", "dev");
    let page = server.get("/metrics").ok();
    let dashboard = run(&server.folder(), &["dashboard"]).json();
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(!panels.is_empty());
    for query in panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets")) {
        let query = query["expr"].as_str().expect("a query");
        let names = query.split(|c: char| !c.is_alphanumeric() && c != '_');
        let names = names.filter(|name| name.starts_with("pulumi_backend") || name.starts_with("process_"));
        for name in names {
            let is_there =
                |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
            assert!(page.text().lines().any(is_there), "{name} of {query}");
        }
    }
}
