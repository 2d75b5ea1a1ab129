//! Backups: made while the server works, put where they are to be kept, and restored at once for a check.

pub mod archive;
pub mod drill;
pub mod keep;
pub mod name;
pub mod place;
pub mod run;
pub mod s3;
pub mod scratch;

use serde::Deserialize;
use serde_json::{Value, json};

use self::place::{Place, Target};
use self::s3::sign::encode;
use crate::app::App;
use crate::app::backups::{Known, Running};
use crate::call::{self, Call, Caller};
use crate::clock;
use crate::error::Error;
use crate::http::Response;
use crate::pace::Reading;
use crate::store;
use crate::store::backup::{Backup, ForgetBackups, Standing};

/// What the audit record calls a backup, be it asked for or made by the clock.
pub const CREATE: &str = "backup.create";

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct MakeRequest {
    to: Option<String>,
}

/// Begins a backup: 202 at once, for it may take longer than anybody waits. How it goes is told by `show`, whose path
/// is in `Location`.
///
/// A call that comes while one is made begins none: it is answered with the one that runs (`isNew` is false), if that
/// goes where this one was to go. `to` in the body chooses the place; without it, it is that of the settings.
pub fn make(app: &App, call: &mut Call) -> Result<Response, Error> {
    let text = call.text()?;
    let request: MakeRequest =
        if text.trim().is_empty() { MakeRequest::default() } else { call::parse_object(&text)? };
    if request.to.is_some() && !matches!(call.caller, Caller::LocalAdmin) {
        let why = "can only be given on the machine of the server; from elsewhere, --backup-dir counts";
        return Err(Error::invalid("to", why));
    }
    let event = call.event(app.now_unix(), CREATE, "", "");
    let (running, is_joined) = run::begin(app, request.to.as_deref(), event)?;
    let location = format!("/api/admin/backups/{}", encode(&running.backup.name, false));
    let mut told = running_json(&running);
    (told["isNew"], told["location"]) = (json!(!is_joined), json!(location));
    let response = Response::json(&told)?;
    Ok(Response { status: 202, ..response }.with_header("Location", location))
}

/// One backup, by its name: whether it is being made and how far that is, or how it ended.
///
/// Beside what lists have, one that ended lately has `databaseBytes`, `counts`, `seconds` of each part, and `deleted`:
/// old backups that went.
pub fn show(app: &App, call: &mut Call) -> Result<Response, Error> {
    let name = call.parameter(0);
    match app.backups.find(name) {
        Some(Known::Running(running)) => return Response::json(&running_json(&running)),
        Some(Known::Ended(told)) => return Response::json(&told),
        None => {}
    }
    let found = app.store.read(|conn| store::backup::find(conn, name))?;
    let found = found.ok_or_else(|| Error::NotFound(format!("there is no record of a backup {name}")))?;
    Response::json(&shown(&found))
}

/// What takes long and is under way: its kind, the part that it is at, and how much of this is done.
pub fn progress(app: &App, _: &mut Call) -> Result<Response, Error> {
    let works = app.works.list().into_iter().map(|(kind, reading)| {
        let mut work = reading_json(&reading);
        work["kind"] = json!(kind);
        work
    });
    Response::json(&json!({ "works": works.collect::<Vec<_>>() }))
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
    let shown: Vec<Value> = known.iter().map(|backup| shown_now(app, backup)).collect();
    Response::json(&json!({ "backups": shown, "standing": standing_json(app, &standing) }))
}

/// As recorded, or as it is now, if it has no end yet or its end could not be recorded.
fn shown_now(app: &App, backup: &Backup) -> Value {
    match app.backups.find(&backup.name).filter(|_| status(backup) == UNKNOWN) {
        Some(Known::Running(running)) => running_json(&running),
        Some(Known::Ended(told)) => told,
        None => shown(backup),
    }
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

fn target_of(app: &App, to: Option<&str>) -> Result<Target, Error> {
    match to {
        Some(to) => Target::parse(to, &app.config.backup.s3),
        None => place_of_settings(app)?.ok_or_else(|| {
            Error::invalid("to", "nothing says where the backup goes: give --to, or set --backup-dir")
        }),
    }
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

fn running_json(running: &Running) -> Value {
    let mut told = shown(&running.backup);
    (told["status"], told["progress"]) = (json!("running"), reading_json(&running.meter.read()));
    told
}

fn reading_json(reading: &Reading) -> Value {
    json!({ "part": reading.part, "done": reading.n_done, "all": reading.n_all })
}

const UNKNOWN: &str = "unknown";

fn status(backup: &Backup) -> &'static str {
    match (&backup.problem, backup.verified_at_unix) {
        (Some(_), _) => "failed",
        (None, Some(_)) => "done",
        (None, None) => UNKNOWN,
    }
}

fn shown(backup: &Backup) -> Value {
    json!({
        "status": status(backup),
        "name": backup.name,
        "place": backup.place,
        "bytes": backup.n_bytes,
        "madeAt": (backup.made_at_unix > 0).then(|| time(backup.made_at_unix)),
        "keyFingerprint": backup.key_fingerprint,
        "verifiedAt": backup.verified_at_unix.map(time),
        "problem": backup.problem,
    })
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
