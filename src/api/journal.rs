//! Journal entries: appended durably, judged on arrival.

use sha2::Digest;

use super::checkpoint::{refuse_unless_taken_before, require_writing};
use crate::app::App;
use crate::cache::ResourceHash;
use crate::call::Call;
use crate::crypto::keyring::StackKey;
use crate::domain::journal::{Entry, Noted, parse_batch};
use crate::domain::update::UpdateStatus;
use crate::error::Error;
use crate::http::{Deflated, Response};
use crate::limits;
use crate::store::fold::{self, Shared};
use crate::store::journal::{self, AppendJournal};
use crate::store::sketch::{Resources, Sketch};
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
    let hash = journal::hash(&key, &text);
    if update.status != UpdateStatus::Running {
        return refuse_unless_taken_before(app, update, &hash);
    }
    require_writing(update)?;
    if update.journal_version == 0 {
        return Err(Error::invalid(
            "",
            "this update was started without a journal; it must send checkpoints",
        ));
    }
    let entries = parse_batch(&text)?;
    let shared = unchanged(app, &key, update, &text, &entries);
    let entries: Vec<Noted> = entries.iter().map(Noted::of).collect();
    let deflated = deflated.as_ref().map(Deflated::as_slice);
    let body = journal::seal(&key, &update.uid, &hash, &text, deflated, &shared)?;
    app.store.write(AppendJournal { update_id: update.id, key, entries, hash, text, body })?;
    Ok(Response::no_content())
}

/// Where a batch repeats resources of the update's base, if it is worth looking for that.
fn unchanged(app: &App, key: &StackKey, update: &Update, text: &str, entries: &[Entry]) -> Vec<Shared> {
    let Some(base_id) = update.base_deployment_id else { return Vec::new() };
    let candidates: Vec<(usize, &str)> = entries.iter().filter_map(repeated).collect();
    let n_bytes: usize = candidates.iter().map(|(_, state)| state.len()).sum();
    if n_bytes < limits::SHARED_BYTES_MIN || n_bytes < text.len() / 2 {
        return Vec::new();
    }
    let hashes = app.bases.get_or_make(base_id, || hashes_of(app, key, base_id));
    let is_same = |index: usize, state: &str| hashes.get(index) == Some(&hash_of(key, state));
    let same = candidates.into_iter().filter(|(index, state)| is_same(*index, state));
    let place = |(index, state): (usize, &str)| {
        let start = state.as_ptr().addr() - text.as_ptr().addr();
        Shared { start, n_bytes: state.len(), index }
    };
    same.map(place).collect()
}

/// The state of an entry that takes the place of a resource of the base, as a step does that changes nothing.
fn repeated<'a>(entry: &Entry<'a>) -> Option<(usize, &'a str)> {
    Some((usize::try_from(entry.step.remove_old?).ok()?, entry.state?))
}

/// The hash of each resource of a base; none if it is too large to be looked through, or cannot be read: then
/// entries are stored as they came.
fn hashes_of(app: &App, key: &StackKey, base_id: i64) -> Vec<ResourceHash> {
    let base = app.store.read(|conn| match version::read_n_bytes(conn, base_id)? {
        n_bytes if n_bytes > limits::SHARED_BASE_BYTES_MAX => Ok(Resources::default()),
        _ => Sketch::read(conn, key, base_id)?.resources(conn, key),
    });
    base.unwrap_or_default().iter().map(|resource| hash_of(key, fold::bare(resource))).collect()
}

fn hash_of(key: &StackKey, resource: &str) -> ResourceHash {
    let hash = key.keyed_hasher("same").chain_update(resource).finalize();
    hash[..16].try_into().expect("32 bytes")
}
