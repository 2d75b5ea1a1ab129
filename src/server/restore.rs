//! A restore: the backup becomes the database while no server runs on it; what was there stays beside it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::{Data, control, lock};
use crate::call::LOCAL_ADMIN;
use crate::clock::{Clock, date_time};
use crate::config::Config;
use crate::crypto::keyring::Keyring;
use crate::crypto::unhex;
use crate::domain::update::UpdateStatus;
use crate::error::Error;
use crate::ops::backup::archive::{Archive, Manifest};
use crate::ops::backup::place::Target;
use crate::ops::backup::scratch::{self, Scratch};
use crate::ops::backup::{drill, name};
use crate::ops::key_source;
use crate::pace::{Meter, Pace};
use crate::state::{self, Ending};
use crate::store::audit::{Event, Who};
use crate::store::backup::{ForgetUnfinished, Losses, list_lost, list_running, read_facts};
use crate::store::disk::beside;
use crate::store::key::SERVER_KEY;
use crate::store::peek_meta;
use crate::store::revoked::{self, Revoked, TakeAway};

/// What is restored, and what is in the way of it.
pub struct Request<'a> {
    /// A file, a folder of backups, or a bucket.
    pub from: &'a str,
    /// Of a folder or bucket: the newest backup that is not younger, as names have the time.
    pub at: Option<String>,
    /// Whether a database that is there may be put aside.
    pub is_forced: bool,
    /// Whether a backup in which something is damaged is better than nothing.
    pub takes_damaged: bool,
}

/// How a restore went.
pub struct Restored {
    /// The backup's name.
    pub name: String,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Where the database is that was there before.
    pub kept: Option<PathBuf>,
    /// What is not right in it, if that was accepted.
    pub problems: Vec<String>,
    /// Updates that were running when it was made.
    pub n_ended: usize,
    /// What was taken away since the backup, and is taken away here too; none if the old database did not come from
    /// it, or cannot be read, with the reason.
    pub revoked: Result<Option<Revoked>, String>,
    /// What is lost, and what is back that was taken away; none if the old database cannot be read, with the reason.
    pub lost: Result<Losses, String>,
}

/// Puts a backup in the place of the database.
///
/// Errors: a server runs on it; a database is there and `is_forced` is not set; another key; a damaged file.
pub fn restore(config: &Config, request: &Request, meter: &Meter) -> Result<Restored, Error> {
    if control::connect(&config.db).is_ok() {
        return Err(Error::Conflict(format!(
            "a server runs on {}; stop it, then restore",
            config.db.display()
        )));
    }
    let _lock = lock::Lock::take(&config.db)?;
    let is_there = config.db.metadata().is_ok_and(|file| file.len() > 0);
    if is_there && !request.is_forced {
        return Err(Error::Conflict(format!(
            "{} is there; with --force it is put aside, and kept beside the restored one",
            config.db.display()
        )));
    }
    scratch::sweep(&config.db);
    let scratch = Scratch::make(&config.db)?;
    let pace = &mut Pace::full(meter.clone());
    let Unpacked { name, manifest, db, mut problems } =
        unpack(config, request.from, &request.at, &scratch, pace)?;
    let keyring = open_key(config, &db, &manifest)?;
    problems.extend(drill::problems_of(&db, &keyring, pace)?);
    if !problems.is_empty() && !request.takes_damaged {
        return Err(Error::internal(
            "restore",
            format!(
                "the backup is damaged, nothing was changed (--damaged takes it): {}",
                problems.join("; ")
            ),
        ));
    }
    let revoked = match is_there {
        true => find_revoked(config, &db, &manifest, &keyring).map_err(|cause| cause.to_string()),
        false => Ok(None),
    };
    let to_take = revoked.as_ref().ok().cloned().flatten();
    let n_ended = end_running(config, &db, &manifest, request.takes_damaged, to_take)?;
    let lost = match is_there {
        true => list_lost(&config.db, &db).map_err(|cause| cause.to_string()),
        false => Ok(Losses::default()),
    };
    let kept = exchange(&config.db, &db)?;
    Ok(Restored { name, manifest, kept, problems, n_ended, revoked, lost })
}

/// Checks a backup as a restore would, and changes nothing. Answers its name, manifest and what is not right.
pub fn verify(config: &Config, from: &str, meter: &Meter) -> Result<(String, Manifest, Vec<String>), Error> {
    let scratch = Scratch::make(&config.db)?;
    let pace = &mut Pace::full(meter.clone());
    let Unpacked { name, manifest, db, mut problems } = unpack(config, from, &None, &scratch, pace)?;
    let keyring = open_key(config, &db, &manifest)?;
    problems.extend(drill::problems_of(&db, &keyring, pace)?);
    Ok((name, manifest, problems))
}

/// Takes the database out of a backup, for a command that reads it. Answers where in `scratch` it is.
pub fn unpack_to(config: &Config, from: &str, scratch: &Scratch) -> Result<PathBuf, Error> {
    let pace = &mut Pace::full(Meter::default());
    Ok(unpack(config, from, &None, scratch, pace)?.db)
}

/// A backup taken out of its file.
struct Unpacked {
    name: String,
    manifest: Manifest,
    db: PathBuf,
    problems: Vec<String>,
}

fn unpack(
    config: &Config,
    from: &str,
    at: &Option<String>,
    scratch: &Scratch,
    pace: &mut Pace,
) -> Result<Unpacked, Error> {
    let target = Target::parse(from, &config.backup.s3)?;
    let is_in_time = |name: &str| match (at, name::time_of(name)) {
        (Some(at), Some(time)) => time <= at.as_str(),
        _ => true,
    };
    let name = match target.name {
        Some(name) => name,
        None => {
            let listed = target.place.list()?;
            let found = listed.into_iter().map(|listed| listed.name).find(|name| is_in_time(name));
            found.ok_or_else(|| Error::NotFound(format!("there is no such backup in {from}")))?
        }
    };
    pace.begin("fetching", 0);
    let mut archive = Archive::open(&target.place.fetch(&name, scratch.path())?)?;
    let db = scratch.file("database");
    drill::unpack(&mut archive, &db, pace)?;
    let manifest = archive.manifest().clone();
    let problems = manifest.differs(read_facts(&db)?).into_iter().collect();
    Ok(Unpacked { name, manifest, db, problems })
}

/// The keys of a backup, with the master key of the settings.
fn open_key(config: &Config, db: &Path, manifest: &Manifest) -> Result<Keyring, Error> {
    let needed = &manifest.key_fingerprint;
    let master = key_source::read(&config.key_source).map_err(|cause| {
        Error::invalid(
            "master key",
            format!("{cause}; the backup needs the one with the fingerprint {needed}"),
        )
    })?;
    let [sealed] = peek_meta(db, [SERVER_KEY])?;
    let sealed = sealed.unwrap_or_default();
    Keyring::open(&master, &sealed).ok_or_else(|| {
        let why = format!(
            "the backup needs the master key with the fingerprint {needed}; the one {} has {}. After a change of the key the \
             old one is kept beside it as *.old-FINGERPRINT: name it with --master-key-file. Nothing was changed",
            config.key_source,
            master.fingerprint(),
        );
        Error::invalid("master key", why)
    })
}

/// What was taken away in the old database since the backup.
fn find_revoked(
    config: &Config,
    db: &Path,
    manifest: &Manifest,
    keyring: &Keyring,
) -> Result<Option<Revoked>, Error> {
    let head = manifest.audit_head.as_ref();
    let hash = head.and_then(|head| unhex(&head.hash)).unwrap_or_default();
    let head = head.map(|head| (head.sequence, hash.as_slice()));
    revoked::find(&config.db, db, head, &keyring.server().keyed_hasher("row"))
}

/// Ends the updates that were running when the backup was made: their leases open nothing any more, and what they had
/// reported is the state, as at the end of any update whose CLI is gone.
///
/// What was revoked since is revoked in the same go, with a record of it.
fn end_running(
    config: &Config,
    db: &Path,
    manifest: &Manifest,
    takes_damaged: bool,
    revoked: Option<Revoked>,
) -> Result<usize, Error> {
    let data = Data::open(Config { db: db.to_path_buf(), ..config.clone() }, Clock::default())?;
    let app = &data.app;
    let running = app.store.read(list_running)?;
    let who = Who { at_unix: app.now_unix(), actor: LOCAL_ADMIN.into(), ..Who::default() };
    let event = |action, target: &str, detail| Event {
        who: who.clone(),
        action,
        target: target.into(),
        org: String::new(),
        result: "ok".into(),
        detail,
    };
    for update_id in &running {
        let ending = Ending {
            status: UpdateStatus::Cancelled,
            note: Some(format!("the server was restored from a backup of {}", manifest.made_at)),
            only_if_expired_by_unix: None,
            leaves_out_damage: takes_damaged,
            event: event("update.restore", "", String::new()),
        };
        state::end(app, *update_id, &ending)?;
    }
    let Revoked { tokens, users, grants } = revoked.unwrap_or_default();
    let detail = format!(
        "{} updates that were running were ended; taken away as before: {} tokens, {} users, {} grants",
        running.len(),
        tokens.len(),
        users.len(),
        grants.len()
    );
    app.store.write(ForgetUnfinished)?;
    let job = TakeAway(Revoked { tokens, users, grants });
    app.write_recorded(job, event("backup.restore", &manifest.made_at, detail))?;
    data.close();
    Ok(running.len())
}

/// Gives the restored database its name. The old one has another name before it loses its own, and its write-ahead log
/// is never found beside the new one, which it would be applied to.
fn exchange(db: &Path, restored: &Path) -> Result<Option<PathBuf>, Error> {
    let failed = |cause| Error::internal(format!("put {} in its place", db.display()), cause);
    let kept = match db.exists() {
        true => Some(keep(db)?),
        false => None,
    };
    for end in ["-wal", "-shm"] {
        let (log, kept) = (beside(db, end), kept.as_ref().map(|kept| beside(kept, end)));
        match (log.exists(), kept) {
            (true, Some(kept)) => fs::rename(&log, kept).map_err(failed)?,
            (true, None) => fs::remove_file(&log).map_err(failed)?,
            (false, _) => {}
        }
    }
    File::open(restored).and_then(|file| file.sync_all()).map_err(failed)?;
    fs::rename(restored, db).map_err(failed)?;
    let folder = db.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(kept)
}

/// A second name for the database: `<db>-before-restore-20261121T175000Z`.
fn keep(db: &Path) -> Result<PathBuf, Error> {
    let time = date_time(Clock::default().now_unix()).replace(['-', ':'], "");
    let mut kept = beside(db, &format!("-before-restore-{time}Z"));
    for n in 2.. {
        match fs::hard_link(db, &kept) {
            Ok(()) => break,
            Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {
                kept = beside(db, &format!("-before-restore-{time}Z-{n}"));
            }
            // A file system without links.
            Err(_) => {
                fs::rename(db, &kept)
                    .map_err(|cause| Error::internal(format!("keep {}", kept.display()), cause))?;
                break;
            }
        }
    }
    Ok(kept)
}
