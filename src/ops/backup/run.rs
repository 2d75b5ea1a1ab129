//! A backup from its beginning to its end. One is made at a time, whoever asked for it: a call, a command, the clock.
//!
//! It is recorded when it is begun, so that one whose server is killed is found and told of at the next start.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde_json::{Value, json};

use super::archive::{self, Manifest};
use super::place::{self, Place, Target};
use super::scratch::{self, Scratch, Steady};
use super::{CREATE, drill, keep, name, shown, target_of};
use crate::app::App;
use crate::app::backups::{Order, Running};
use crate::error::Error;
use crate::pace::{Meter, Pace};
use crate::store;
use crate::store::audit::Event;
use crate::store::backup::{Backup, RecordBackup};

/// Begins a backup, which then is made by itself. Answers it, and whether it is one that was being made already.
///
/// `to` is a place or a file; without it, the place of the settings counts. `event` says who asked.
/// Errors: no place; a file of that name is there; a backup to elsewhere is being made.
pub fn begin(app: &App, to: Option<&str>, mut event: Event) -> Result<(Running, bool), Error> {
    let target = target_of(app, to)?;
    if let Some(running) = app.backups.running() {
        return join(running, &target);
    }
    refuse_taken(&target)?;
    let made_at_unix = app.now_unix();
    let backup = Backup {
        name: match &target.name {
            Some(name) => name.clone(),
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
    let running = Running { backup: backup.clone(), meter: Meter::default() };
    let order = Order { running: running.clone(), to: to.map(String::from), event };
    match app.backups.begin(order, || app.store.write(RecordBackup(backup)))? {
        None => Ok((running, false)),
        Some(other) => join(other, &target),
    }
}

/// A second call for the same is answered by the first.
fn join(running: Running, target: &Target) -> Result<(Running, bool), Error> {
    let Backup { name, place, .. } = &running.backup;
    let is_same =
        *place == target.place.to_string() && target.name.as_ref().is_none_or(|asked| asked == name);
    match is_same {
        true => Ok((running, true)),
        false => Err(Error::Conflict(format!(
            "the backup {name} to {place} is being made, and two at a time are not; ask again when it is done"
        ))),
    }
}

/// What is there is never written over. Whether it is there may not be known before it is written.
fn refuse_taken(target: &Target) -> Result<(), Error> {
    match &target.name {
        Some(name) if target.place.has(name).unwrap_or(false) => {
            Err(Error::Conflict(format!("{}/{name} exists already", target.place)))
        }
        _ => Ok(()),
    }
}

/// Makes a backup that was begun: writes, records and checks it, and deletes old ones.
///
/// However it goes, it has ended then, and how is recorded. It is given up when `is_stopped` is set.
pub fn carry_out(app: &App, order: Order, is_stopped: &Arc<AtomicBool>) {
    let Order { running: Running { mut backup, meter }, to, event } = order;
    let _work = app.works.enter("backup", &meter);
    let mut pace = Pace::gentle(is_stopped.clone(), meter);
    let make = || make(app, to.as_deref(), &mut backup, &mut pace);
    let made = catch_unwind(AssertUnwindSafe(make));
    let made = made.unwrap_or_else(|_| Err(Error::internal("make it", "a panic, which the log has")));
    if let Err(cause) = &made {
        let step = if backup.n_bytes == 0 { "made" } else { "checked" };
        backup.problem = Some(format!("not {step}: {cause}"));
    }
    if let Err(cause) = record(app, &backup, event) {
        log::error!("backup {} is not recorded: {cause}", backup.name);
        backup.problem.get_or_insert(format!("not recorded: {cause}"));
    }
    match &backup.problem {
        None => log::info!("backup {} of {} bytes was made and found whole", backup.name, backup.n_bytes),
        Some(problem) => log::error!("backup {} is no good: {problem}", backup.name),
    }
    let mut told = shown(&backup);
    if let Ok(Some(more)) = made {
        more.into_iter().for_each(|(name, value)| told[name] = value);
    }
    if backup.n_bytes > 0 {
        match target_of(app, to.as_deref()).and_then(|target| keep::delete_old(app, &target.place, &mut pace))
        {
            Ok(deleted) => told["deleted"] = json!(deleted),
            Err(cause) => {
                log::error!("old backups were not deleted: {cause}");
                told["notDeleted"] = json!(cause.to_string());
            }
        }
    }
    app.backups.end(told);
}

type More = Vec<(&'static str, Value)>;

/// Writes and checks it. What is found wrong with it is noted in `backup`.
fn make(app: &App, to: Option<&str>, backup: &mut Backup, pace: &mut Pace) -> Result<Option<More>, Error> {
    let place = target_of(app, to)?.place;
    let begun = Instant::now();
    let manifest = write(app, &place, backup, pace)?;
    app.store.write(RecordBackup(backup.clone()))?;
    app.backups.note(backup);
    let written_in = begun.elapsed();
    let problems = drill::run(app, &place, &backup.name, &manifest.database_sha256, pace);
    match problems {
        Ok(problems) if problems.is_empty() => backup.verified_at_unix = Some(app.now_unix()),
        Ok(problems) => backup.problem = Some(problems.join("; ")),
        Err(cause) => backup.problem = Some(format!("could not be restored for a check: {cause}")),
    }
    let seconds =
        json!({ "write": written_in.as_secs_f64(), "check": (begun.elapsed() - written_in).as_secs_f64() });
    Ok(Some(vec![
        ("databaseBytes", json!(manifest.database_bytes)),
        ("counts", json!(manifest.counts)),
        ("seconds", seconds),
    ]))
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
    store::backup::copy(&app.config.db, &copy, pace)?;
    let manifest = Manifest::new(store::backup::read_facts(&copy)?, backup.made_at_unix);
    backup.key_fingerprint = manifest.key_fingerprint.clone();
    let staged = place.staging(&backup.name, scratch.path())?;
    let put = write_file(&copy, manifest, &staged, pace).and_then(|(manifest, n_bytes)| {
        pace.begin("storing", 0);
        place.put(&backup.name, &staged)?;
        backup.n_bytes = n_bytes;
        Ok(manifest)
    });
    if put.is_err() {
        // It may not even have been begun.
        let _ = scratch::remove(&staged, pace);
    }
    pace.begin("clearing up", 0);
    scratch.remove("copy", pace);
    put
}

/// The whole file, on disk, under its staging name.
fn write_file(db: &Path, manifest: Manifest, to: &Path, pace: &mut Pace) -> Result<(Manifest, u64), Error> {
    let failed = |cause| Error::internal(format!("write {}", to.display()), cause);
    let mut db = File::open(db).map_err(failed)?;
    pace.begin("writing", db.metadata().map_err(failed)?.len());
    let mut out = Steady::create(to)?;
    let manifest = archive::pack(&mut db, manifest, &mut out, pace)?;
    Ok((manifest, out.finish().map_err(failed)?))
}

/// Ends the backup that was being made when the server was killed: what it left goes, and it is told that it failed.
///
/// Nobody else makes one: for whoever holds the lock of the database.
pub fn give_up_unfinished(app: &App) -> Result<(), Error> {
    for mut backup in app.store.read(store::backup::list_unfinished)? {
        place::remove_part(&backup.place, &backup.name);
        let step = if backup.n_bytes == 0 { "made" } else { "checked" };
        backup.problem = Some(format!("not {step}: the server was killed meanwhile"));
        log::warn!("the backup {} was not {step}: the server was killed meanwhile", backup.name);
        record(app, &backup, app.own_event(CREATE, &backup.name))?;
    }
    Ok(())
}
