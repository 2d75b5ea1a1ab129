//! Journal entries: appended durably, judged on arrival.

use super::checkpoint::{refuse_unless_taken_before, require_writing};
use crate::app::App;
use crate::call::Call;
use crate::crypto::keyring::StackKey;
use crate::domain::digest::TextHash;
use crate::domain::journal::{Entry, Noted, parse_batch};
use crate::domain::update::UpdateStatus;
use crate::error::Error;
use crate::http::{Deflated, Response};
use crate::limits;
use crate::state;
use crate::store::fold::Shared;
use crate::store::journal::{self, AppendJournal};
use crate::store::update::Update;
use crate::store::version;

/// Appends a batch. A batch, or entries of it, that came before change nothing.
///
/// Source: apitype/updates.go, `JournalEntries`.
/// Errors: 400 for entries that are no entries or point nowhere, and nothing of the batch is stored; 409 for
/// another entry under a sequence id that is taken; 403 after the end of the update.
pub fn append(app: &App, call: &mut Call) -> Result<Response, Error> {
    let (text, deflated) = call.packed_text()?;
    let update = call.lease()?;
    let key = app.key_of(update.stack_id)?;
    let is_running = update.status == UpdateStatus::Running;
    let entries = match parse_batch(&text) {
        // What matters then is whether it came before.
        Err(_) if !is_running => Vec::new(),
        entries => entries?,
    };
    let digester = version::digester(&key);
    let hashed = |entry: &Entry<'_>| entry.state.map(|state| digester.text(state));
    let hashes: Vec<Option<TextHash>> = entries.iter().map(hashed).collect();
    let hash = journal::hash(&key, &text, &entries, &hashes);
    if !is_running {
        return refuse_unless_taken_before(app, update, &hash);
    }
    require_writing(update)?;
    if update.journal_version == 0 {
        return Err(Error::invalid(
            "",
            "this update was started without a journal; it must send checkpoints",
        ));
    }
    let shared = unchanged(app, &key, update, &text, &entries, &hashes);
    let entries: Vec<Noted> = entries.iter().map(Noted::of).collect();
    let deflated = deflated.as_ref().map(Deflated::as_slice);
    let body = journal::seal(&key, &update.uid, &hash, &text, deflated, &shared)?;
    app.store.write(AppendJournal { update_id: update.id, key, entries, hash, text, body })?;
    Ok(Response::no_content())
}

/// Where a batch repeats resources of the update's base, if it is worth looking for that.
fn unchanged(
    app: &App,
    key: &StackKey,
    update: &Update,
    text: &str,
    entries: &[Entry],
    hashes: &[Option<TextHash>],
) -> Vec<Shared> {
    let Some(base_id) = update.base_deployment_id else { return Vec::new() };
    let candidates: Vec<Candidate> = entries.iter().zip(hashes).filter_map(Candidate::of).collect();
    let n_bytes: usize = candidates.iter().map(|candidate| candidate.state.len()).sum();
    if n_bytes < limits::SHARED_BYTES_MIN || n_bytes < text.len() / 2 {
        return Vec::new();
    }
    // If it cannot be read, entries are stored as they came.
    let Ok(base) = app.store.read(|conn| state::base(app, conn, key, base_id)) else { return Vec::new() };
    let is_same = |candidate: &Candidate| {
        candidate.index < base.n_resources()
            && base.digest(base.place(candidate.index)).text == candidate.hash
    };
    let same = candidates.into_iter().filter(is_same);
    same.map(|candidate| candidate.place_in(text)).collect()
}

/// An entry that takes the place of a resource of the base, as a step does that changes nothing.
struct Candidate<'a> {
    index: usize,
    state: &'a str,
    hash: TextHash,
}

impl<'a> Candidate<'a> {
    fn of((entry, hash): (&Entry<'a>, &Option<TextHash>)) -> Option<Candidate<'a>> {
        let index = usize::try_from(entry.step.remove_old?).ok()?;
        Some(Candidate { index, state: entry.state?, hash: (*hash)? })
    }

    fn place_in(&self, text: &str) -> Shared {
        let start = self.state.as_ptr().addr() - text.as_ptr().addr();
        Shared { start, n_bytes: self.state.len(), index: self.index }
    }
}
