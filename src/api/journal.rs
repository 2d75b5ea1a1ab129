//! Journal entries: appended durably, judged on arrival.

use sha2::{Digest, Sha256};

use super::checkpoint::{refuse_unless_taken_before, require_writing};
use crate::app::App;
use crate::call::Call;
use crate::domain::journal::{Noted, parse_batch};
use crate::domain::update::UpdateStatus;
use crate::error::Error;
use crate::http::Response;
use crate::store::journal::AppendJournal;
use crate::store::version;

/// Appends a batch. A batch, or entries of it, that came before change nothing.
///
/// Source: apitype/updates.go, `JournalEntries`.
/// Errors: 400 for entries that are no entries or point nowhere, and nothing of the batch is stored; 409 for
/// another entry under a sequence id that is taken; 403 after the end of the update.
pub fn append(app: &App, call: &mut Call) -> Result<Response, Error> {
    let text = call.text()?;
    let update = call.lease()?;
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
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
    let entries: Vec<Noted> = parse_batch(&text)?.iter().map(Noted::of).collect();
    let body = version::deflate_text(&text);
    app.store.write(AppendJournal { update_id: update.id, entries, hash, text, body })?;
    Ok(Response::no_content())
}
