//! `doctor`: what is not as it should be, each with the command that mends it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::Invocation;
use crate::clock::{Clock, date_time};
use crate::config::edge::TlsSource;
use crate::config::given::Origin;
use crate::config::table::SETTINGS;
use crate::config::{Addr, Config, KeySource};
use crate::error::Error;
use crate::gate::{LOCAL_CA, LOCAL_CA_KEY, Tls};
use crate::limits;
use crate::store::disk::beside;

/// Something that a person should know of.
struct Finding {
    about: &'static str,
    what: String,
    mend: String,
}

/// Looks at files, settings and data. Exit code 1 if something was found.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Error> {
    let config = invocation.config()?;
    let client = invocation.client()?;
    let status = client.json("GET", "/api/admin/status", None)?;
    let backups = client.json("GET", "/api/admin/backups", None)?;
    drop(client);
    let mut findings = Vec::new();
    version_of_server(&status, &mut findings);
    permissions(invocation, &config, &mut findings);
    certificate(&config, &mut findings);
    key_beside_backups(invocation, &config, &mut findings);
    clock(&status, &mut findings);
    disk(&config, &status, &mut findings);
    leases(&status, &mut findings);
    settings(&config, &mut findings);
    upgrades(&config, &mut findings);
    backup(&backups["standing"], &mut findings);
    let shown: Vec<Value> = findings
        .iter()
        .map(|finding| json!({ "about": finding.about, "finding": finding.what, "mend": finding.mend }))
        .collect();
    invocation.show(&json!({ "findings": shown, "status": status }), || match findings.is_empty() {
        true => {
            format!(
                "all is well: schema {}, SQLite {}\n",
                status["schemaVersion"],
                status["sqliteVersion"].as_str().unwrap_or("?")
            )
        }
        false => findings.iter().map(text).collect(),
    });
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(finding: &Finding) -> String {
    format!("{}: {}\n    {}\n", finding.about, finding.what, finding.mend)
}

/// After an upgrade the old server goes on until it is restarted.
fn version_of_server(status: &Value, findings: &mut Vec<Finding>) {
    let (here, there) = (env!("CARGO_PKG_VERSION"), status["version"].as_str().unwrap_or("?"));
    if here != there {
        findings.push(Finding {
            about: "version",
            what: format!("the server that runs is {there}, this program is {here}"),
            mend: "systemctl restart pulumi-backend".into(),
        });
    }
}

/// Who can read the data or the keys, and who could replace them.
fn permissions(invocation: &Invocation, config: &Config, findings: &mut Vec<Finding>) {
    let mut check = |path: &Path, bits: u32, what: &str, mend: &str| {
        let Ok(file) = path.metadata() else { return };
        let mode = file.permissions().mode();
        // In a folder with the sticky bit nobody can replace what belongs to others.
        if mode & bits != 0 && mode & 0o1000 == 0 {
            findings.push(Finding {
                about: "permissions",
                what: format!("{what} {}", path.display()),
                mend: format!("{mend} {}", path.display()),
            });
        }
    };
    for path in private_files(invocation, config) {
        check(&path, 0o077, "others than its owner can read", "chmod 600");
    }
    check(folder_of(&config.db), 0o002, "everybody can replace files in", "chmod o-w");
}

/// The data, and whatever has a key or a token in it.
fn private_files(invocation: &Invocation, config: &Config) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = ["", "-wal", "-shm"].map(|end| beside(&config.db, end)).into();
    files.extend(key_file(config).map(PathBuf::from));
    match &config.edge.tls {
        Some(TlsSource::Files { key, .. }) => files.push(key.clone()),
        Some(TlsSource::LocalCa { folder, .. }) => files.push(folder.join(LOCAL_CA_KEY)),
        None => {}
    }
    files.extend(config.backup.s3.credentials_file.clone());
    let is_in_file = |name: &&str| matches!(invocation.values.origin(name), Origin::File(_));
    if ["master-key", "single-tenant-token"].iter().any(is_in_file) {
        files.push(invocation.values.text("config").into());
    }
    files
}

/// No client comes in after its end.
fn certificate(config: &Config, findings: &mut Vec<Finding>) {
    let (path, days, mend) = match &config.edge.tls {
        None => return,
        Some(TlsSource::Files { certificate, .. }) => (
            certificate.clone(),
            limits::CERTIFICATE_WARN_DAYS,
            "renew it; the server takes the new files by itself".into(),
        ),
        Some(TlsSource::LocalCa { folder, .. }) => {
            let (ca, key) = (folder.join(LOCAL_CA), folder.join(LOCAL_CA_KEY));
            if !ca.exists() {
                // The server has not made it yet.
                return;
            }
            let mend = format!(
                "rm {} {}, restart the server, and tell every machine of the new one",
                ca.display(),
                key.display()
            );
            (ca, limits::LOCAL_CA_WARN_DAYS, mend)
        }
    };
    let what = match Tls::ends_before(&path, Clock::default().now_unix() + days * 86_400) {
        Ok(None) => return,
        Ok(Some(day)) => format!("{} ends on {day}, or has ended", path.display()),
        Err(cause) => cause.to_string(),
    };
    findings.push(Finding { about: "certificate", what, mend });
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The master key's file, if it is in one that the administrator keeps.
fn key_file(config: &Config) -> Option<&Path> {
    match &config.key_source {
        KeySource::File(path) => Some(path),
        KeySource::Text { .. } | KeySource::Credential(_) | KeySource::Command(_) => None,
    }
}

/// Whoever gets hold of a backup must not get the key with it.
fn key_beside_backups(invocation: &Invocation, config: &Config, findings: &mut Vec<Finding>) {
    let Some(key_file) = key_file(config) else { return };
    let Ok(key_folder) = folder_of(key_file).canonicalize() else { return };
    let is_setting = SETTINGS.iter().any(|setting| setting.name == "backup-dir");
    let backup_folder = if is_setting { invocation.values.text("backup-dir") } else { "" };
    let is_named =
        !backup_folder.is_empty() && Path::new(backup_folder).canonicalize().ok() == Some(key_folder.clone());
    let is_backup =
        |name: &str| name.contains("backup-") || name.contains(".bak") || name.ends_with(".backup");
    let entries = std::fs::read_dir(&key_folder).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    if is_named || names.any(|name| is_backup(&name)) {
        findings.push(Finding {
            about: "key",
            what: format!("the master key lies beside backups, in {}", key_folder.display()),
            mend: format!(
                "keep the backups elsewhere, or move {} to another place and name it with --master-key-file",
                key_file.display()
            ),
        });
    }
}

/// Against the newest thing in the data, for there is no other clock to ask.
fn clock(status: &Value, findings: &mut Vec<Finding>) {
    let now_unix = Clock::default().now_unix();
    let newest = status["newestUnix"].as_i64().unwrap_or(0);
    if newest > now_unix + limits::CLOCK_SLACK_SECS {
        findings.push(Finding {
            about: "clock",
            what: format!(
                "it is {}Z here, and the data was written at {}Z",
                date_time(now_unix),
                date_time(newest)
            ),
            mend: "timedatectl set-ntp true".into(),
        });
    }
}

fn backup(standing: &Value, findings: &mut Vec<Finding>) {
    let last = standing["lastVerifiedAt"].as_str().unwrap_or("never");
    let what = match standing["lastProblem"].as_str() {
        Some(problem) => format!("the last one is no good: {problem}; the last good one: {last}"),
        None if standing["isOverdue"] == true => {
            format!("the last good one is older than --backup-warn-after allows: {last}")
        }
        None => return,
    };
    findings.push(Finding { about: "backup", what, mend: "pulumi-backend backup".into() });
}

fn disk(config: &Config, status: &Value, findings: &mut Vec<Finding>) {
    let number = |key: &str| status[key].as_u64();
    if let Some(free) = number("diskFreeBytes").filter(|free| *free < config.disk_free_bytes_min) {
        findings.push(Finding {
            about: "disk",
            what: format!(
                "only {free} bytes are left, fewer than {} (--disk-free-min)",
                config.disk_free_bytes_min
            ),
            mend: "make room, or lower --max-state-versions".into(),
        });
    }
    if let Some(wal) = number("walBytes").filter(|wal| *wal > limits::WAL_BYTES_MAX) {
        findings.push(Finding {
            about: "write-ahead log",
            what: format!(
                "it has {wal} bytes, more than {}: something reads for very long",
                limits::WAL_BYTES_MAX
            ),
            mend: "systemctl restart pulumi-backend".into(),
        });
    }
}

fn leases(status: &Value, findings: &mut Vec<Finding>) {
    let n = status["leasesExpired"].as_i64().unwrap_or(0);
    if n > 0 {
        findings.push(Finding {
            about: "leases",
            what: format!(
                "{n} updates hold their stack though their lease has run out; the grace may still be on"
            ),
            mend: "pulumi-backend lock list, then: pulumi-backend lock release STACK".into(),
        });
    }
}

/// Settings that make the server weaker than it needs to be.
fn settings(config: &Config, findings: &mut Vec<Finding>) {
    let mut found = |what: String, mend: &str| {
        findings.push(Finding { about: "settings", what, mend: mend.into() });
    };
    if config.lease_secs < limits::LEASE_SECS {
        found(
            format!("lease-duration is {}: updates that take longer may lose their lease", config.lease_secs),
            "leave out --lease-duration",
        );
    }
    if config.log_level >= log::LevelFilter::Debug {
        found(
            "log-level is debug: the log tells who does what, and grows fast".into(),
            "leave out --log-level",
        );
    }
    if let Addr::Tcp(addr) = &config.addr
        && !addr.ip().is_loopback()
        && !config.has_tls()
    {
        found(
            format!(
                "{addr} is reached from other machines without TLS, and only a proxy keeps tokens private"
            ),
            "let nobody but the proxy reach it, or give it a certificate",
        );
    }
    if let Some(addr) = config.management_addr.filter(|addr| !addr.ip().is_loopback()) {
        found(
            format!("{addr} (--management-addr) tells figures of this server to everybody who can reach it"),
            "give it a loopback address, or let only the monitors reach it",
        );
    }
    if config.disk_free_bytes_min == 0 {
        found(
            "disk-free-min is 0: a full disk is noticed when it is full".into(),
            "leave out --disk-free-min",
        );
    }
    config.remarks.iter().for_each(|remark| found(remark.clone(), "leave it out"));
}

/// Snapshots of upgrades that went well have done their duty.
fn upgrades(config: &Config, findings: &mut Vec<Finding>) {
    let folder = folder_of(&config.db);
    let Some(name) = config.db.file_name() else { return };
    let start = format!("{}-before-schema-", name.to_string_lossy());
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&start) {
            findings.push(Finding {
                about: "upgrade",
                what: format!("{} is the data as it was before an upgrade", entry.path().display()),
                mend: format!("if all works: rm {}", entry.path().display()),
            });
        }
    }
}
