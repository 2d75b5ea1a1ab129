//! What a stack's state is at this moment, and how an update ends: one decision for all exits.
//!
//! The heavy work (read, replay, compress) is done here by whoever asks; the writer's job checks that the update
//! did not go on meanwhile, and if it did, the work is done anew.

use crate::app::App;
use crate::cache::Gzip;
use crate::call;
use crate::crypto::keyring::StackKey;
use crate::domain::deployment::Deployment;
use crate::domain::integrity;
use crate::domain::journal::{self, Manifest};
use crate::domain::update::UpdateStatus;
use crate::error::Error;
use crate::http;
use crate::limits;
use crate::store::stack::Stack;
use crate::store::update::{EndState, EndUpdate, Progress, Update};
use crate::store::version::Encoded;
use crate::store::{self, Connection};

/// A stack's deployment.
pub enum State {
    /// It never had one.
    Empty,
    /// Stored under this id.
    Stored(i64),
    /// What a running update has reported so far, as text.
    Running(String),
}

/// The stack's deployment now; while an update runs, with all it has reported.
pub fn current(app: &App, conn: &Connection, stack: &Stack) -> Result<State, Error> {
    if let Some(update) = store::update::find_running(conn, stack.id)?
        && store::update::find_progress(conn, update.id)? != Progress::default()
    {
        let written = Written::read(conn, &*app.stack_key(stack)?, &update)?;
        let now = app.clock.now_rfc3339();
        return written.with_deployment(&update, now, |now, _| Ok(State::Running(now.to_text())));
    }
    Ok(stack.deployment_id.map_or(State::Empty, State::Stored))
}

/// The gzip file of a stored deployment, from memory if it was asked for lately.
pub fn export_gzip(app: &App, conn: &Connection, stack: &Stack, deployment_id: i64) -> Result<Gzip, Error> {
    if let Some(kept) = app.exports.get(deployment_id) {
        return Ok(kept);
    }
    let text = store::version::read_text(conn, &*app.stack_key(stack)?, deployment_id)?;
    let gzip = Gzip::new(http::gzip::compress(text.as_bytes()));
    app.exports.put(deployment_id, gzip.clone());
    Ok(gzip)
}

/// Makes the export of a stack ready, for it is the next thing that anyone asks for after an update.
pub fn warm(app: &App, stack_id: i64) -> Result<(), Error> {
    app.store.read(|conn| {
        let stack = store::stack::read(conn, stack_id)?;
        match stack.deployment_id {
            Some(id) => export_gzip(app, conn, &stack, id).map(drop),
            None => Ok(()),
        }
    })
}

/// The text of a stored deployment, or of the empty one.
pub fn stored(conn: &Connection, key: &StackKey, deployment_id: Option<i64>) -> Result<String, Error> {
    match deployment_id {
        Some(id) => store::version::read_text(conn, key, id),
        None => Ok(Deployment::empty().to_text()),
    }
}

/// Who or what ends an update, and as what.
pub struct Ending {
    /// The status it gets.
    pub status: UpdateStatus,
    /// Why, if not by its own CLI.
    pub note: Option<String>,
    /// If given: only if the lease has run out by this time.
    pub only_if_expired_by_unix: Option<i64>,
}

/// Ends a running update: what it reported becomes the stack's state.
///
/// Answers what is not sound in that state, a sentence a line.
/// Errors: `Forbidden` if it has ended already; `Busy` if it goes on faster than its end can be worked out.
pub fn end(app: &App, update_id: i64, ending: &Ending) -> Result<Option<String>, Error> {
    for _ in 0..limits::END_ATTEMPTS_MAX {
        let (update, key, written) = app.store.read(|conn| {
            let update = store::update::read_running(conn, update_id)?;
            let key = app.stack_key(&store::stack::read(conn, update.stack_id)?)?;
            let written = Written::read(conn, &key, &update)?;
            Ok((update, key, written))
        })?;
        if ending.only_if_expired_by_unix.is_some_and(|by| update.lease_expires_at_unix > Some(by)) {
            return Ok(None);
        }
        let progress = written.progress.clone();
        let (state, findings) = written.end_state(app, &key, &update)?;
        if let Some(findings) = &findings {
            log::warn!("update {}: the resulting state is not sound: {findings}", update.uid);
        }
        let is_done = app.store.write(EndUpdate {
            update_id,
            status: ending.status,
            note: ending.note.clone(),
            progress,
            state,
            findings: store::update::seal_findings(&key, &update.uid, findings.as_deref())?,
            only_if_expired_by_unix: ending.only_if_expired_by_unix,
            now_unix: app.now_unix(),
        })?;
        if is_done {
            // If the housekeeper is busy, the one who asks waits a little longer.
            let _ = app.warm.try_send(update.stack_id);
            return Ok(findings);
        }
    }
    Err(Error::Busy)
}

/// Ends every update, previews too, whose lease has run out.
pub fn end_expired(app: &App) -> Result<(), Error> {
    let by_unix = app.now_unix() - app.config.lease_grace_secs();
    for update_id in app.store.read(|conn| store::update::list_expired(conn, by_unix))? {
        let ending = Ending {
            status: UpdateStatus::Cancelled,
            note: Some("its lease ran out, as the CLI that held it was not heard of any more".into()),
            only_if_expired_by_unix: Some(by_unix),
        };
        match end(app, update_id, &ending) {
            // It ended by itself meanwhile.
            Ok(_) | Err(Error::Forbidden(_) | Error::NotFound(_)) => {}
            Err(cause) => log::error!("could not end update {update_id}, whose lease has run out: {cause}"),
        }
    }
    Ok(())
}

/// What a running update has written, as it is stored.
struct Written {
    progress: Progress,
    /// The text of what it started from, if it journals.
    base: String,
    /// Batches of journal entries, in order of arrival.
    batches: Vec<String>,
    /// The last checkpoint: where it is stored, and its text.
    checkpoint: Option<(i64, String)>,
    cli_version: String,
}

impl Written {
    fn read(conn: &Connection, key: &StackKey, update: &Update) -> Result<Written, Error> {
        let progress = store::update::find_progress(conn, update.id)?;
        let is_journal = progress.last_journal_row > 0;
        let checkpoint = match store::checkpoint::find(conn, update.id)? {
            Some(found) => {
                Some((found.deployment_id, store::version::read_text(conn, key, found.deployment_id)?))
            }
            None => None,
        };
        Ok(Written {
            base: if is_journal { stored(conn, key, update.base_deployment_id)? } else { String::new() },
            batches: store::journal::list_batches(conn, key, update)?,
            checkpoint,
            cli_version: if is_journal { cli_version(conn, key, update)? } else { String::new() },
            progress,
        })
    }

    fn is_nothing(&self) -> bool {
        self.batches.is_empty() && self.checkpoint.is_none()
    }

    /// Replays the journal, or takes the checkpoint, and hands over the deployment with what is not sound in the
    /// journal. Linear in the base and the entries.
    fn with_deployment<T>(
        &self,
        update: &Update,
        now: String,
        use_it: impl FnOnce(Deployment, Vec<String>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let failed = |cause| Error::internal(format!("work out the state of update {}", update.uid), cause);
        if let Some((_, text)) = &self.checkpoint {
            return use_it(Deployment::parse(text).map_err(failed)?, Vec::new());
        }
        let base = Deployment::parse(&self.base).map_err(failed)?;
        let mut entries = Vec::new();
        for batch in &self.batches {
            entries.extend(journal::parse_batch(batch).map_err(failed)?);
        }
        let manifest = Manifest { time: now, version: self.cli_version.clone() };
        let replayed = journal::replay(base, &entries, &manifest).map_err(failed)?;
        use_it(replayed.deployment, replayed.findings)
    }

    fn end_state(
        &self,
        app: &App,
        key: &StackKey,
        update: &Update,
    ) -> Result<(EndState, Option<String>), Error> {
        if self.is_nothing() || update.is_dry_run {
            return Ok((EndState::Base, None));
        }
        self.with_deployment(update, app.clock.now_rfc3339(), |deployment, mut findings| {
            findings.extend(integrity::check(&deployment));
            let findings = (!findings.is_empty()).then(|| findings.join("\n"));
            let state = match &self.checkpoint {
                Some((id, _)) => EndState::Checkpoint(*id),
                None => EndState::Written(Encoded::new(&app.store, key, Some(update.stack_id), &deployment)?),
            };
            Ok((state, findings))
        })
    }
}

/// The version of the CLI that runs an update, for the manifest of what it leaves.
fn cli_version(conn: &Connection, key: &StackKey, update: &Update) -> Result<String, Error> {
    let program = store::update::read_program(conn, key, update)?;
    let program: crate::program::Program = call::parse(&program)?;
    Ok(program.metadata.environment.get("pulumi.version").cloned().unwrap_or_default())
}
