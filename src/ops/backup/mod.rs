//! Backups: made while the server works, put where they are to be kept, and restored at once for a check.

pub mod archive;
pub mod drill;
pub mod keep;
pub mod name;
pub mod pace;
pub mod place;
pub mod s3;
pub mod scratch;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};

use self::archive::Manifest;
use self::pace::Pace;
use self::place::{Place, Target};
use self::scratch::Scratch;
use crate::app::App;
use crate::call::{self, Call, Caller};
use crate::clock;
use crate::error::Error;
use crate::http::Response;
use crate::store;
use crate::store::audit::Event;
use crate::store::backup::{Backup, ForgetBackups, RecordBackup, Standing};

/// What the audit record calls a backup, be it asked for or made by the clock.
pub const CREATE: &str = "backup.create";

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct MakeRequest {
    to: Option<String>,
}

/// Makes a backup, checks it by a restore, and answers how that went. Over the network the answer to one that takes
/// longer than the gate waits is lost; the backup is made all the same.
///
/// `to` in the body chooses the place; without it, it is that of the settings. Shape: `name`, `place`, `bytes`, `madeAt`,
/// `verifiedAt` (null if it is no good), `problem`, `seconds` of each part, `deleted` (old backups that went).
pub fn make(app: &App, call: &mut Call) -> Result<Response, Error> {
    let text = call.text()?;
    let request: MakeRequest =
        if text.trim().is_empty() { MakeRequest::default() } else { call::parse_object(&text)? };
    if request.to.is_some() && !matches!(call.caller, Caller::LocalAdmin) {
        let why = "can only be given on the machine of the server; from elsewhere, --backup-dir counts";
        return Err(Error::invalid("to", why));
    }
    let event = call.event(app.now_unix(), CREATE, "", "");
    let made = run(app, request.to.as_deref(), &mut Pace::gentle(Default::default()), event)?;
    Response::json(&made)
}

/// The backups that are known or lie in the place of the settings, newest first, and how they stand.
pub fn list(app: &App, _: &mut Call) -> Result<Response, Error> {
    let (mut known, standing) =
        app.store.read(|conn| Ok((store::backup::list(conn, None)?, store::backup::standing(conn)?)))?;
    let in_place = place_of_settings(app)
        .and_then(|target| target.map_or(Ok(()), |target| add_unknown(&target.place, &mut known)));
    if let Err(cause) = in_place {
        // What is recorded is worth showing all the same.
        log::warn!("the backups in {} cannot be listed: {cause}", app.config.backup.dir);
    }
    let shown: Vec<Value> = known.iter().map(shown).collect();
    Response::json(&json!({ "backups": shown, "standing": standing_json(app, &standing) }))
}

/// How backups stand, as `doctor` and others read it.
pub fn standing_json(app: &App, standing: &Standing) -> Value {
    let last = standing.last.as_ref();
    json!({
        "lastVerifiedAt": standing.last_verified_made_at_unix.map(time),
        "lastAttemptAt": last.map(|last| time(last.made_at_unix)),
        "lastProblem": last.and_then(|last| last.problem.clone()),
        "isOverdue": standing.is_overdue(app.config.backup.warn_after_secs, app.now_unix()),
    })
}

fn place_of_settings(app: &App) -> Result<Option<Target>, Error> {
    let dir = &app.config.backup.dir;
    (!dir.is_empty()).then(|| Target::parse(dir, &app.config.backup.s3)).transpose()
}

/// Backups that this database does not know of: made after the one that it was restored from, or by another.
fn add_unknown(place: &Place, known: &mut Vec<Backup>) -> Result<(), Error> {
    let shown = place.to_string();
    for listed in place.list()? {
        if known.iter().any(|backup| backup.name == listed.name && backup.place == shown) {
            continue;
        }
        known.push(Backup {
            name: listed.name,
            place: shown.clone(),
            made_at_unix: 0,
            n_bytes: listed.n_bytes,
            key_fingerprint: String::new(),
            verified_at_unix: None,
            problem: None,
        });
    }
    known.sort_by(|a, b| b.name.cmp(&a.name));
    Ok(())
}

fn time(unix: i64) -> String {
    format!("{}Z", clock::date_time(unix))
}

fn shown(backup: &Backup) -> Value {
    json!({
        "name": backup.name,
        "place": backup.place,
        "bytes": backup.n_bytes,
        "madeAt": (backup.made_at_unix > 0).then(|| time(backup.made_at_unix)),
        "keyFingerprint": backup.key_fingerprint,
        "verifiedAt": backup.verified_at_unix.map(time),
        "problem": backup.problem,
    })
}

/// Makes a backup, records it, checks it and deletes old ones. `to` as in `make`.
///
/// One that could not be made, or is not whole, is recorded, and an answer with a `problem`. `event` says who asked.
pub fn run(app: &App, to: Option<&str>, pace: &mut Pace, mut event: Event) -> Result<Value, Error> {
    let target = match to {
        Some(to) => Target::parse(to, &app.config.backup.s3)?,
        None => place_of_settings(app)?.ok_or_else(|| {
            Error::invalid("to", "nothing says where the backup goes: give --to, or set --backup-dir")
        })?,
    };
    let made_at_unix = app.now_unix();
    let mut backup = Backup {
        name: match target.name {
            Some(name) => name,
            None => name::make(made_at_unix)?,
        },
        place: target.place.to_string(),
        made_at_unix,
        n_bytes: 0,
        key_fingerprint: app.keyring.fingerprint(),
        verified_at_unix: None,
        problem: None,
    };
    event.target = backup.name.clone();
    let begun = Instant::now();
    let written = write(app, &target.place, &mut backup, pace);
    let manifest = match written {
        Ok(manifest) => manifest,
        Err(cause @ (Error::Internal(_) | Error::OutOfSpace | Error::Damaged(_))) => {
            log::error!("backup {} was not made: {cause}", backup.name);
            backup.problem = Some(format!("not made: {cause}"));
            record(app, &backup, event)?;
            return Ok(shown(&backup));
        }
        // Refused before anything was tried, as for a name that is taken.
        Err(refused) => {
            (event.result, event.detail) = ("refused".into(), refused.to_string());
            app.record(event)?;
            return Err(refused);
        }
    };
    app.store.write(RecordBackup(backup.clone()))?;
    let written_in = begun.elapsed();
    check(app, &target.place, &mut backup, &manifest, pace);
    record(app, &backup, event)?;
    let deleted = keep::delete_old(app, &target.place)?;
    let mut answer = shown(&backup);
    answer["databaseBytes"] = json!(manifest.database_bytes);
    answer["counts"] = json!(manifest.counts);
    answer["seconds"] = json!({
        "write": written_in.as_secs_f64(),
        "check": (begun.elapsed() - written_in).as_secs_f64(),
    });
    answer["deleted"] = json!(deleted);
    Ok(answer)
}

/// What became of it, in the list of backups and in the audit record.
fn record(app: &App, backup: &Backup, mut event: Event) -> Result<(), Error> {
    event.detail = format!("{} bytes in {}", backup.n_bytes, backup.place);
    if let Some(problem) = &backup.problem {
        (event.result, event.detail) = ("failed".into(), problem.clone());
    }
    app.write_recorded(RecordBackup(backup.clone()), event)
}

/// Snapshot, file, place. Nothing is left behind on the way, and nothing has the final name before it is whole.
fn write(app: &App, place: &Place, backup: &mut Backup, pace: &mut Pace) -> Result<Manifest, Error> {
    let scratch = Scratch::make(&app.config.db)?;
    let copy = scratch.file("copy");
    // Made first, so that it is private from its first byte; SQLite takes an empty file for none.
    scratch::create_private(&copy)?;
    let mut pace_of_copy = pace.clone();
    store::backup::copy(&app.config.db, &copy, move || pace_of_copy.go_on().is_ok())?;
    let manifest = Manifest::new(store::backup::read_facts(&copy)?, backup.made_at_unix);
    backup.key_fingerprint = manifest.key_fingerprint.clone();
    let staged = place.staging(&backup.name, scratch.path())?;
    let put = write_file(&copy, manifest, &staged, pace).and_then(|(manifest, n_bytes)| {
        backup.n_bytes = n_bytes;
        place.put(&backup.name, &staged)?;
        Ok(manifest)
    });
    if put.is_err() {
        // It may not even have been begun.
        let _ = std::fs::remove_file(&staged);
    }
    put
}

/// The whole file, on disk, under its staging name.
fn write_file(db: &Path, manifest: Manifest, to: &Path, pace: &mut Pace) -> Result<(Manifest, u64), Error> {
    let failed = |cause| Error::internal(format!("write {}", to.display()), cause);
    let mut out = BufWriter::new(scratch::create_private(to)?);
    let manifest = archive::pack(&mut File::open(db).map_err(failed)?, manifest, &mut out, pace)?;
    out.flush().map_err(failed)?;
    let file = out.get_ref();
    file.sync_all().map_err(failed)?;
    let n_bytes = file.metadata().map_err(failed)?.len();
    Ok((manifest, n_bytes))
}

/// Restores it for a check and notes the result.
fn check(app: &App, place: &Place, backup: &mut Backup, manifest: &Manifest, pace: &mut Pace) {
    let checked = drill::run(app, place, &backup.name, &manifest.database_sha256, pace);
    let problem = match checked {
        Ok(problems) if problems.is_empty() => None,
        Ok(problems) => Some(problems.join("; ")),
        Err(cause) => Some(format!("could not be restored for a check: {cause}")),
    };
    match &problem {
        None => backup.verified_at_unix = Some(app.now_unix()),
        Some(problem) => log::error!("backup {} is no good: {problem}", backup.name),
    }
    backup.problem = problem;
}

/// Forgets backups that are deleted.
fn forget(app: &App, place: &Place, names: &[String]) -> Result<(), Error> {
    if names.is_empty() {
        return Ok(());
    }
    let mut event = app.own_event("backup.delete", &names.join(" "));
    event.detail = format!("in {place}, by --backup-keep or --backup-keep-days");
    app.write_recorded(ForgetBackups { place: place.to_string(), names: names.to_vec() }, event)
}
