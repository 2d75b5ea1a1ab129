//! What a stack's state is at this moment, and how an update ends: one decision for all exits.
//!
//! The heavy work (read, replay, compress) is done here by whoever asks; the writer's job checks that the update
//! did not go on meanwhile, and if it did, the work is done anew.

pub mod guard;
pub mod last_text;
mod salvage;
mod written;

use std::sync::Arc;

use self::written::{Outcome, Written};
use crate::app::App;
use crate::cache::Gzip;
use crate::crypto::keyring::StackKey;
use crate::domain::deployment::Deployment;
use crate::domain::leak::Leak;
use crate::domain::update::UpdateStatus;
use crate::error::Error;
use crate::http;
use crate::limits;
use crate::store::audit::{Audited, Event};
use crate::store::sketch::Sketch;
use crate::store::stack::Stack;
use crate::store::unused::CollectRuns;
use crate::store::update::{EndUpdate, Update};
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
    if let Some(update) = store::update::find_running(conn, stack.id)? {
        let key = app.stack_key(stack)?;
        if let Some(written) = Written::read(app, conn, &key, None, &update)? {
            return written.current(app.clock.now_rfc3339());
        }
    }
    Ok(stack.deployment_id.map_or(State::Empty, State::Stored))
}

/// The sketch of a deployment that updates start from; it is read once.
pub fn base(app: &App, conn: &Connection, key: &StackKey, deployment_id: i64) -> Result<Arc<Sketch>, Error> {
    let read = || Sketch::read(conn, key, deployment_id).map(Arc::new);
    app.bases.with(deployment_id, read, |sketch| sketch.clone())
}

/// The gzip file of a stored deployment, from memory if it was asked for lately.
pub fn export_gzip(app: &App, conn: &Connection, stack: &Stack, deployment_id: i64) -> Result<Gzip, Error> {
    app.exports.get_or_make(deployment_id, || {
        let key = app.stack_key(stack)?;
        // What is exported now is likely what the next update starts from.
        let text = base(app, conn, &key, deployment_id)?.to_text(conn, &key)?;
        let mut file = http::gzip::compress(text.as_bytes());
        file.shrink_to_fit();
        Ok(Gzip::new(file))
    })
}

/// Makes ready what is asked for next after an update: the stack's export, and what the next update starts from.
pub fn warm(app: &App, stack_id: i64) -> Result<(), Error> {
    app.store.read(|conn| {
        let stack = store::stack::read(conn, stack_id)?;
        let Some(id) = stack.deployment_id else { return Ok(()) };
        if app.exports.has_room(store::version::read_n_bytes(conn, id)?) {
            export_gzip(app, conn, &stack, id)?;
        } else {
            base(app, conn, &*app.stack_key(&stack)?, id)?;
        }
        Ok(())
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
    /// A person wants it to end even if a part of what it reported is damaged.
    pub leaves_out_damage: bool,
    /// What is recorded of it, unless it is a preview.
    pub event: Event,
}

impl Ending {
    fn event_of(&self, update: &Update) -> Event {
        let version = update.version.map_or(String::new(), |version| format!(", version {version}"));
        let detail = format!("{} {}{version}", update.kind.as_str(), update.uid);
        Event { result: self.status.as_str().into(), detail, ..self.event.clone() }
    }
}

/// What is to be told of the state that an update left.
#[derive(Default)]
pub struct Told {
    /// What is not sound in it, a sentence a line.
    pub findings: Option<String>,
    /// What lies in it in plain text.
    pub leaks: Vec<Leak>,
}

/// Ends a running update: what it reported becomes the stack's state.
///
/// Answers what is not right in that state.
/// Errors: `Forbidden` if it has ended already; `Busy` if it goes on faster than its end can be worked out.
pub fn end(app: &App, update_id: i64, ending: &Ending) -> Result<Told, Error> {
    for _ in 0..limits::END_ATTEMPTS_MAX {
        let (update, key, marks, outcome) = app.store.read(|conn| {
            let update = store::update::read_running(conn, update_id)?;
            let key = app.stack_key(&store::stack::read(conn, update.stack_id)?)?;
            let marks = guard::marks(app, &key, update.stack_id)?;
            let now = app.clock.now_rfc3339();
            let written = Written::read(app, conn, &key, marks.as_deref(), &update);
            let outcome = written.and_then(|written| written.map(|written| written.outcome(now)).transpose());
            let outcome = outcome.map(Option::unwrap_or_default);
            Ok((update, key, marks, outcome))
        })?;
        if ending.only_if_expired_by_unix.is_some_and(|by| update.lease_expires_at_unix > Some(by)) {
            return Ok(Told::default());
        }
        let Outcome { progress, state, findings, leaks } = match outcome {
            Err(cause) if ending.leaves_out_damage && store::is_damage(&cause) => {
                salvage::outcome(app, &key, marks.as_deref(), &update, cause)?
            }
            outcome => outcome?,
        };
        if let Some(findings) = &findings {
            log::warn!("update {}: the resulting state is not sound: {findings}", update.uid);
        }
        if let Some(sentence) = guard::sentence(&leaks) {
            log::warn!("update {}: {sentence}", update.uid);
        }
        let job = EndUpdate {
            update_id,
            status: ending.status,
            note: ending.note.clone(),
            progress,
            state,
            findings: store::program::seal_findings(&key, &update.uid, findings.as_deref())?,
            leaks: store::program::seal_leaks(&key, &update.uid, &leaks)?,
            only_if_expired_by_unix: ending.only_if_expired_by_unix,
            now_unix: app.now_unix(),
        };
        let entry = (!update.is_dry_run).then(|| app.entry(ending.event_of(&update)));
        if app.store.write(Audited { job, entry })? {
            app.last_texts.forget(update_id);
            // If the housekeeper is busy, the one who asks waits a little longer.
            let _ = app.warm.try_send(update.stack_id);
            return Ok(Told { findings, leaks });
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
            leaves_out_damage: false,
            event: match expiry_event(app, update_id) {
                Ok(event) => event,
                Err(Error::NotFound(_)) => continue,
                Err(cause) => return Err(cause),
            },
        };
        match end(app, update_id, &ending) {
            // It ended by itself meanwhile.
            Ok(_) | Err(Error::Forbidden(_) | Error::NotFound(_)) => {}
            Err(cause) => log::error!("could not end update {update_id}, whose lease has run out: {cause}"),
        }
    }
    Ok(())
}

fn expiry_event(app: &App, update_id: i64) -> Result<Event, Error> {
    let stack = app.store.read(|conn| {
        let update = store::update::read(conn, update_id)?;
        store::stack::read(conn, update.stack_id)
    })?;
    let event = app.own_event("update.expire", &stack.stack_ref.to_string());
    Ok(Event { org: stack.stack_ref.org.to_string(), ..event })
}

/// Takes away what superseded checkpoints have left. Other jobs go on between the steps.
pub fn collect_runs(app: &App) -> Result<(), Error> {
    let mut unused = app.store.read(store::unused::find)?;
    while let Some(some) = unused {
        unused = match app.store.write(CollectRuns(some)) {
            // Others come first; it is tried again.
            Err(Error::Busy) => None,
            left => left?,
        };
    }
    Ok(())
}
