//! `backup`, `restore`: the data goes to another place, and comes back.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::Client;
use super::progress::{Line, Stage, Watch};
use super::stack::table;
use super::{Invocation, remark};
use crate::clock::date_time;
use crate::error::Error;
use crate::ops::backup::archive::Manifest;
use crate::ops::backup::name;
use crate::pace::Meter;
use crate::server::restore::{self, Request, Restored};
use crate::store::backup::Losses;
use crate::store::revoked::Revoked;

/// Between two questions after a backup, at first and later.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(320);

/// Makes a backup and checks it by a restore. Exit code 1 if it is no good.
pub fn make(invocation: &Invocation) -> Result<ExitCode, Error> {
    let body = match invocation.option("to") {
        None => json!({}),
        Some(to) => json!({ "to": full(to)? }),
    };
    let client = invocation.client()?;
    let begun = client.json("POST", "/api/admin/backup", Some(&body))?;
    if begun["isNew"] == false {
        remark("it is being made already, as somebody else asked for it");
    }
    let made = wait(&client, begun["location"].as_str().unwrap_or_default())?;
    let text = |key: &str| made[key].as_str().unwrap_or_default().to_string();
    let problem = made["problem"].as_str();
    if let Some(why) = made["notDeleted"].as_str() {
        remark(&format!("old backups were not deleted: {why}"));
    }
    invocation.show(&made, || {
        let outcome = match problem {
            None => "restored for a check: every stack is whole".to_string(),
            Some(problem) => format!("NOT GOOD: {problem}"),
        };
        format!("{} in {}, {} bytes\n{outcome}\n", text("name"), text("place"), made["bytes"])
    });
    Ok(if problem.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks until it has ended.
fn wait(client: &Client, location: &str) -> Result<Value, Error> {
    let mut line = Line::new();
    let mut pause = PAUSE_MIN;
    loop {
        let backup = client.json("GET", location, None)?;
        if backup["status"] != "running" {
            return Ok(backup);
        }
        line.show(&Stage::of(&backup["progress"]));
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// The server has another working folder.
fn full(path: &str) -> Result<String, Error> {
    if path.starts_with("s3://") {
        return Ok(path.into());
    }
    let full = std::path::absolute(path).map_err(|cause| Error::invalid("to", cause.to_string()))?;
    // Its end says whether it is a folder.
    let is_folder = path.ends_with('/');
    Ok(format!("{}{}", full.display().to_string().trim_end_matches('/'), if is_folder { "/" } else { "" }))
}

/// The backups, and whether they are good.
pub fn list(invocation: &Invocation) -> Result<ExitCode, Error> {
    let answer = invocation.client()?.json("GET", "/api/admin/backups", None)?;
    let backups = answer["backups"].as_array().cloned().unwrap_or_default();
    invocation.show(&answer, || match backups.is_empty() {
        true => "no backup was made yet: pulumi-backend backup --to DIR\n".into(),
        false => table(&["BACKUP", "BYTES", "CHECKED", "KEY", "PLACE"], backups.iter().map(row)),
    });
    Ok(ExitCode::SUCCESS)
}

fn row(backup: &Value) -> Vec<String> {
    let text = |key: &str| backup[key].as_str().unwrap_or("").to_string();
    let checked = match (backup["problem"].as_str(), backup["verifiedAt"].as_str()) {
        _ if backup["status"] == "running" => Stage::of(&backup["progress"]).to_string(),
        (Some(problem), _) => format!("NOT GOOD: {problem}"),
        (None, Some(at)) => at.to_string(),
        (None, None) => "not yet".into(),
    };
    vec![text("name"), backup["bytes"].to_string(), checked, text("keyFingerprint"), text("place")]
}

/// Puts a backup in the place of the database.
pub fn restore(invocation: &Invocation) -> Result<ExitCode, Error> {
    let from = invocation.option("from").ok_or_else(|| {
        Error::invalid("from", "is missing: a backup's file, a folder of them, or s3://bucket/prefix")
    })?;
    let request = Request {
        from,
        at: invocation.option("at").map(name::parse_time).transpose()?,
        is_forced: invocation.has("force"),
        takes_damaged: invocation.has("damaged"),
    };
    let config = invocation.config()?;
    let meter = Meter::default();
    let watch = Watch::of(&meter);
    let done = restore::restore(&config, &request, &meter);
    drop(watch);
    let done = done?;
    tell_lost(&done);
    invocation.show(&restored_json(&done), || {
        let kept = done.kept.as_ref().map_or(String::new(), |kept| {
            format!("what was there before is kept as {}\n", kept.display())
        });
        format!(
            "restored {} of {} to {}\n{kept}{} updates that ran then were ended; tokens made since are unknown here\n",
            done.name,
            done.manifest.made_at,
            config.db.display(),
            done.n_ended,
        )
    });
    Ok(ExitCode::SUCCESS)
}

fn tell_lost(done: &Restored) {
    for problem in &done.problems {
        remark(&format!("damaged: {problem}"));
    }
    match &done.revoked {
        Err(cause) => remark(&format!(
            "what was revoked since cannot be told ({cause}): look through token list, user list and grants"
        )),
        Ok(None) => {}
        Ok(Some(Revoked { tokens, users, grants })) => {
            tokens.iter().for_each(|(_, token)| remark(&format!("revoked again: token {token}")));
            users.iter().for_each(|user| remark(&format!("locked out again: user {user}")));
            grants.iter().for_each(|grant| remark(&format!("taken back again: {}", grant_text(grant))));
        }
    }
    match &done.lost {
        Err(cause) => {
            remark(&format!("what was written since cannot be told, the old database is no help: {cause}"))
        }
        Ok(Losses { updates, stacks, revived_tokens }) => {
            for stack in stacks {
                remark(&format!("lost: stack {stack}, made after the backup"));
            }
            for update in updates {
                let at = date_time(update.started_at_unix);
                remark(&format!(
                    "lost: {} version {} of {}, started {at}Z",
                    update.kind, update.version, update.stack
                ));
            }
            for token in revived_tokens {
                remark(&format!("valid again: token {token}, which was revoked after the backup"));
            }
        }
    }
}

fn grant_text([user, org, project, stack, role]: &[String; 5]) -> String {
    format!("{role} of {user} on {org}/{project}/{stack}")
}

fn restored_json(done: &Restored) -> Value {
    let lost = done.lost.as_ref().ok().map(|Losses { updates, stacks, revived_tokens }| {
        let updates = updates.iter().map(|update| {
            json!({
                "stack": update.stack, "version": update.version, "kind": update.kind, "status": update.status,
                "startedAt": format!("{}Z", date_time(update.started_at_unix)),
            })
        });
        json!({ "updates": updates.collect::<Vec<_>>(), "stacks": stacks, "revivedTokens": revived_tokens })
    });
    json!({
        "name": done.name,
        "madeAt": done.manifest.made_at,
        "keyFingerprint": done.manifest.key_fingerprint,
        "counts": done.manifest.counts,
        "kept": done.kept.as_ref().map(|kept| kept.display().to_string()),
        "problems": done.problems,
        "endedUpdates": done.n_ended,
        "lost": lost,
        "revoked": done.revoked.as_ref().ok().and_then(Option::as_ref).map(|revoked| json!({
            "tokens": revoked.tokens.iter().map(|(_, token)| token).collect::<Vec<_>>(),
            "users": revoked.users,
            "grants": revoked.grants.iter().map(grant_text).collect::<Vec<_>>(),
        })),
    })
}

/// Checks a backup as a restore would, and changes nothing. Exit code 1 if it is no good.
pub fn verify(invocation: &Invocation) -> Result<ExitCode, Error> {
    let (config, meter) = (invocation.config()?, Meter::default());
    let watch = Watch::of(&meter);
    let verified = restore::verify(&config, invocation.argument(0), &meter);
    drop(watch);
    let (name, manifest, problems) = verified?;
    let Manifest { made_at, counts, key_fingerprint, audit_head, .. } = &manifest;
    let shown = json!({
        "name": name, "madeAt": made_at, "counts": counts, "keyFingerprint": key_fingerprint,
        "auditHead": audit_head, "serverVersion": manifest.server_version, "problems": problems,
    });
    invocation.show(&shown, || match problems.is_empty() {
        true => format!("{name} of {made_at} is whole: {} stacks\n", counts.get("stacks").unwrap_or(&0)),
        false => problems.iter().map(|problem| format!("damaged: {problem}\n")).collect(),
    });
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
