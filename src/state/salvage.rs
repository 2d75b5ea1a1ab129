//! The end of an update of which a part is damaged, when a person has it cancelled: what can be worked out stays,
//! what cannot is left out, and the history and the log say so. Without this its stack would be locked for ever.

use crate::app::App;
use crate::crypto::keyring::StackKey;
use crate::domain::deployment::Deployment;
use crate::domain::integrity;
use crate::domain::journal::{self, Entry, Manifest};
use crate::domain::leak::Marks;
use crate::error::Error;
use crate::state;
use crate::state::written::Outcome;
use crate::store::update::{EndState, Progress, Update};
use crate::store::version::{self, Encoded};
use crate::store::{self, Connection};

/// What a damaged update ends with, and the sentences that say so.
///
/// Errors: `cause`, which kept the update from ending as others do, if nothing of it is found to be damaged: then it
/// may pass.
pub fn outcome(
    app: &App,
    key: &StackKey,
    marks: Option<&Marks>,
    update: &Update,
    cause: Error,
) -> Result<Outcome, Error> {
    let left = app.store.read(|conn| Left::read(conn, key, update))?;
    if !left.is_damaged {
        return Err(cause);
    }
    let (state, kept, mut findings) = match (&left.checkpoint, left.replay(app, key, marks, update)?) {
        (_, Some((encoded, n_entries, findings))) => {
            (EndState::Written(encoded), format!("the first {n_entries} entries of its journal"), findings)
        }
        (Some(id), None) => (EndState::Checkpoint(*id), "its last checkpoint".into(), Vec::new()),
        (None, None) => (EndState::Base, "what it started from".into(), Vec::new()),
    };
    let lost = format!(
        "a part of what update {} had reported is damaged in the database and was left out; kept was {kept}. \
         Compare the state with what exists (`pulumi refresh`)",
        update.uid
    );
    log::error!("{lost}: {cause}");
    findings.insert(0, lost);
    let leaks = match &state {
        EndState::Written(encoded) => encoded.leaks().to_vec(),
        EndState::Checkpoint(id) => app.store.read(|conn| version::read_leaks(conn, key, *id))?,
        EndState::Base => Vec::new(),
    };
    Ok(Outcome { progress: left.progress, state, findings: Some(findings.join("\n")), leaks })
}

/// What of an update can still be read.
struct Left {
    progress: Progress,
    base: Option<String>,
    batches: Vec<String>,
    checkpoint: Option<i64>,
    is_damaged: bool,
}

impl Left {
    fn read(conn: &Connection, key: &StackKey, update: &Update) -> Result<Left, Error> {
        let progress = store::update::find_progress(conn, update.id)?;
        let base = sound(state::stored(conn, key, update.base_deployment_id))?;
        let batches = sound(store::journal::list_readable(conn, key, update))?.unwrap_or_default();
        let has_program = sound(store::program::read(conn, key, update))?.is_some();
        let found = sound(store::checkpoint::find(conn, update.id))?.flatten();
        let text = found.as_ref().map(|it| sound(store::version::read_text(conn, key, it.deployment_id)));
        let text = text.transpose()?.flatten().filter(|text| Deployment::parse(text).is_ok());
        let checkpoint = found.as_ref().filter(|_| text.is_some()).map(|it| it.deployment_id);
        let is_damaged = base.is_none()
            || batches.len() as i64 != update.n_journal_rows
            || !has_program
            || checkpoint.is_none() && (found.is_some() || update.checkpoint_sequence > 0);
        Ok(Left { progress, base, batches, checkpoint, is_damaged })
    }

    /// The state after the entries up to the first that is missing, how many those are, and what is not sound in it.
    /// Nothing if there are none, or nothing to put them on.
    fn replay(
        &self,
        app: &App,
        key: &StackKey,
        marks: Option<&Marks>,
        update: &Update,
    ) -> Result<Option<(Encoded, usize, Vec<String>)>, Error> {
        let Some(base) = self.base.as_deref().and_then(|text| Deployment::parse(text).ok()) else {
            return Ok(None);
        };
        let entries = self.entries();
        let manifest = Manifest { time: app.clock.now_rfc3339(), version: String::new() };
        let Some(replayed) = journal::replay(base, &entries, &manifest).ok().filter(|_| !entries.is_empty())
        else {
            return Ok(None);
        };
        let mut findings = replayed.findings;
        findings.extend(integrity::check(&replayed.deployment));
        let digests = version::digests(&replayed.deployment, key)?;
        let encode = |conn: &Connection| {
            Encoded::whole(conn, key, update.stack_id, &replayed.deployment, digests, marks)
        };
        let encoded = app.store.read(encode)?;
        Ok(Some((encoded, entries.len(), findings)))
    }

    /// In order, up to the first that is missing.
    fn entries(&self) -> Vec<Entry<'_>> {
        let parsed = self.batches.iter().filter_map(|batch| journal::parse_batch(batch).ok());
        let mut entries: Vec<Entry> = parsed.flatten().collect();
        entries.sort_by_key(Entry::sequence_id);
        let n_whole = (1..).zip(&entries).take_while(|(n, entry)| entry.sequence_id() == *n).count();
        entries.truncate(n_whole);
        entries
    }
}

/// Nothing for what is damaged; an error for what may be had at another time.
fn sound<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if store::is_damage(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
