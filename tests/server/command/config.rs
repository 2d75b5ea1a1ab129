//! `config`: values, origins, and whether they are good.

use crate::support::command::{run, run_with};
use crate::support::process::TempDir;

#[test]
fn each_value_is_shown_with_its_origin() {
    let folder = TempDir::new("config-show");
    std::fs::write(folder.path().join("settings"), "workers=2\nPULUMI_BACKEND_ORG='acme'\n").expect("write");
    let arguments = ["config", "show", "--json", "--config", "settings", "--user", "eva"];
    let shown = run_with(folder.path(), &arguments, &[("PULUMI_BACKEND_CACHE_SIZE", "7")]).json();
    let row = |name: &str| {
        let rows = shown["settings"].as_array().expect("settings");
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        format!("{} from {}", row["value"].as_str().expect("text"), row["origin"].as_str().expect("text"))
    };
    assert_eq!(row("user"), "eva from flag");
    assert_eq!(row("cache-size"), "7 from environment PULUMI_BACKEND_CACHE_SIZE");
    assert_eq!(row("workers"), "2 from settings:1");
    assert_eq!(row("org"), "acme from settings:2");
    assert_eq!(row("lease-duration"), "300 from default");
    let text = run(folder.path(), &["config", "show", "--workers", "3"]).ok();
    assert!(text.lines().any(|line| line.split_whitespace().eq(["workers", "3", "flag"])), "{text}");
}

#[test]
fn settings_are_checked_without_a_server() {
    let folder = TempDir::new("config-check");
    let check = |text: &str| {
        std::fs::write(folder.path().join("settings"), text).expect("write");
        run(folder.path(), &["config", "check", "--config", "settings"])
    };
    assert_eq!(check("workers=2\n").ok(), "the settings are good\n");
    let twice = check("workers=2\n# again\nPULUMI_BACKEND_WORKERS=3\n").fails(2);
    assert!(twice.contains("settings:3: workers has been set before, at settings:1"), "{twice}");
    for (wrong, words) in [
        ("log-format=xml", "log-format: 'xml' is not text, json or journald"),
        ("log-requests=maybe", "log-requests: 'maybe' is neither true nor false"),
        ("max-state-versions=-1", "max-state-versions: '-1' is not a whole number"),
        ("management-addr=here", "management-addr: 'here' is not HOST:PORT"),
        ("addr=unix:", "addr: unix: needs a path"),
        ("disk-free-mn=1", "did you mean PULUMI_BACKEND_DISK_FREE_MIN?"),
    ] {
        let err = check(wrong).fails(2);
        assert!(err.contains(words), "{wrong}: {err}");
    }
    assert!(!folder.path().join("pulumi-backend.db").exists(), "a check makes no database");
}

/// They are taken, so that the settings of another backend go on working, and the log says what they do not do.
#[test]
fn settings_without_effect_say_so() {
    let folder = TempDir::new("config-remarks");
    let names = ["--event-buffer-size", "100", "--event-flush-interval", "5s"];
    let check = run(folder.path(), &[&["config", "check"], &names[..]].concat()).ok();
    assert!(check.contains("event-buffer-size does nothing here"), "{check}");
    assert!(check.contains("event-flush-interval does nothing here"), "{check}");
    let server = crate::support::process::ServerProcess::start(&names);
    assert!(server.log().contains("event-buffer-size does nothing here"), "{}", server.log());
}
