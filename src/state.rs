//! What a stack's state is at this moment, and how an update ends: one decision for all exits.
//!
//! The heavy work (read, replay, compress) is done here by whoever asks; the writer's job checks that the update
//! did not go on meanwhile, and if it did, the work is done anew.

use crate::app::App;
use crate::call;
use crate::domain::deployment::Deployment;
use crate::domain::integrity;
use crate::domain::journal::{self, Manifest};
use crate::domain::update::UpdateStatus;
use crate::error::Error;
use crate::limits;
use crate::store::stack::Stack;
use crate::store::update::{EndState, EndUpdate, Progress, Update};
use crate::store::version::{Encoded, Stored};
use crate::store::{self, Connection};

/// A stack's deployment.
pub enum State {
    /// There never was one.
    Empty,
    /// As it is stored.
    Stored(Stored),
    /// What a running update has reported so far, as text.
    Running(String),
}

impl State {
    /// The deployment's text.
    pub fn into_text(self) -> Result<String, Error> {
        match self {
            State::Empty => Ok(Deployment::empty().to_text()),
            State::Stored(stored) => stored.text(),
            State::Running(text) => Ok(text),
        }
    }
}

/// The stack's deployment now; while an update runs, with all it has reported.
pub fn current(conn: &Connection, stack: &Stack, now: String) -> Result<State, Error> {
    if let Some(update) = store::update::find_running(conn, stack.id)? {
        let written = Written::read(conn, &update)?;
        if !written.is_nothing() {
            return Ok(State::Running(written.materialize(&update, now)?.text));
        }
    }
    stored(conn, stack.deployment_id)
}

/// A stored deployment, or none.
pub fn stored(conn: &Connection, deployment_id: Option<i64>) -> Result<State, Error> {
    Ok(match deployment_id {
        Some(id) => State::Stored(store::version::read_deployment(conn, id)?),
        None => State::Empty,
    })
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
        let (update, written) = app.store.read(|conn| {
            let update = store::update::read_running(conn, update_id)?;
            let written = Written::read(conn, &update)?;
            Ok((update, written))
        })?;
        if ending.only_if_expired_by_unix.is_some_and(|by| update.lease_expires_at_unix > Some(by)) {
            return Ok(None);
        }
        let progress = written.progress.clone();
        let (state, findings) = written.into_end_state(&update, app.clock.now_rfc3339())?;
        if let Some(findings) = &findings {
            log::warn!("update {}: the resulting state is not sound: {findings}", update.uid);
        }
        let is_done = app.store.write(EndUpdate {
            update_id,
            status: ending.status,
            note: ending.note.clone(),
            progress,
            state,
            findings: findings.clone(),
            only_if_expired_by_unix: ending.only_if_expired_by_unix,
            now_unix: app.now_unix(),
        })?;
        if is_done {
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
    base: State,
    /// Batches of journal entries, in order of arrival.
    batches: Vec<String>,
    checkpoint: Option<String>,
    cli_version: String,
}

/// The deployment that an update describes.
struct Materialized {
    text: String,
    findings: Vec<String>,
}

impl Written {
    fn read(conn: &Connection, update: &Update) -> Result<Written, Error> {
        let progress = store::update::find_progress(conn, update.id)?;
        let is_journal = progress.last_journal_row > 0;
        Ok(Written {
            base: if is_journal { stored(conn, update.base_deployment_id)? } else { State::Empty },
            batches: store::journal::list_batches(conn, update.id)?,
            checkpoint: store::checkpoint::find_text(conn, update.id)?,
            cli_version: if is_journal { cli_version(conn, update.id)? } else { String::new() },
            progress,
        })
    }

    fn is_nothing(&self) -> bool {
        self.batches.is_empty() && self.checkpoint.is_none()
    }

    /// Replays the journal, or takes the checkpoint. Linear in the base and the entries.
    fn materialize(self, update: &Update, now: String) -> Result<Materialized, Error> {
        if let Some(text) = self.checkpoint {
            return Ok(Materialized { text, findings: Vec::new() });
        }
        let failed = |cause| Error::internal(format!("replay the journal of update {}", update.uid), cause);
        let base = self.base.into_text()?;
        let base = Deployment::parse(&base).map_err(failed)?;
        let mut entries = Vec::new();
        for batch in &self.batches {
            entries.extend(journal::parse_batch(batch).map_err(failed)?);
        }
        let manifest = Manifest { time: now, version: self.cli_version };
        let replayed = journal::replay(base, &entries, &manifest).map_err(failed)?;
        Ok(Materialized { text: replayed.deployment.to_text(), findings: replayed.findings })
    }

    fn into_end_state(self, update: &Update, now: String) -> Result<(EndState, Option<String>), Error> {
        if self.is_nothing() || update.is_dry_run {
            return Ok((EndState::Base, None));
        }
        let Materialized { text, mut findings } = self.materialize(update, now)?;
        let deployment = Deployment::parse(&text)
            .map_err(|cause| Error::internal(format!("read the state of update {}", update.uid), cause))?;
        findings.extend(integrity::check(&deployment));
        let findings = (!findings.is_empty()).then(|| findings.join("\n"));
        Ok((EndState::Written(Encoded::new(&deployment)), findings))
    }
}

/// The version of the CLI that runs an update, for the manifest of what it leaves.
fn cli_version(conn: &Connection, update_id: i64) -> Result<String, Error> {
    let program = store::update::read_program(conn, update_id)?;
    let program: crate::program::Program = call::parse(&program)?;
    Ok(program.metadata.environment.get("pulumi.version").cloned().unwrap_or_default())
}
