//! Checkpoints: whole, verbatim, or as a delta on the last verbatim text.

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::call::{self, Call};
use crate::domain::delta;
use crate::domain::update::UpdateStatus;
use crate::error::Error;
use crate::http::Response;
use crate::state::guard;
use crate::store::checkpoint::SaveCheckpoint;
use crate::store::update::Update;
use crate::store::version::{self, Encoded};
use crate::store::{self, Connection};

/// Source: apitype/updates.go, `PatchUpdateCheckpointRequest`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    #[serde(default)]
    is_invalid: bool,
    version: i64,
    #[serde(borrow, default)]
    features: Option<&'a RawValue>,
    #[serde(borrow, default)]
    deployment: Option<&'a RawValue>,
}

/// Replaces the update's state so far; the last one counts.
pub fn whole(app: &App, call: &mut Call) -> Result<Response, Error> {
    let text = call.text()?;
    let request: Whole = call::parse_object(&text)?;
    let update = call.lease()?;
    let Some(deployment) = request.deployment else {
        let why =
            if request.is_invalid { "invalidating a checkpoint is not supported" } else { "is missing" };
        return Err(Error::invalid("deployment", why));
    };
    let features = request.features.map_or(String::new(), |f| format!(r#","features":{}"#, f.get()));
    let text = format!(r#"{{"version":{}{features},"deployment":{}}}"#, request.version, deployment.get());
    let hash = Sha256::digest(text.as_bytes()).into();
    if update.status != UpdateStatus::Running {
        return refuse_unless_taken_before(app, update, &hash);
    }
    Checkpoint { update, text: &text, hash, expected_sequence: None, sequence: 0 }.save(app)?;
    Ok(Response::no_content())
}

/// Source: apitype/updates.go, `PatchUpdateVerbatimCheckpointRequest`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verbatim<'a> {
    #[serde(borrow)]
    untyped_deployment: &'a RawValue,
    sequence_number: i64,
}

/// Replaces the update's state so far, and is the text that the next delta stands on.
///
/// Errors: 409 for another text under a number that is taken, and if a number was left out.
pub fn verbatim(app: &App, call: &mut Call) -> Result<Response, Error> {
    let text = call.text()?;
    let request: Verbatim = call::parse_object(&text)?;
    let sequence = checked_sequence(request.sequence_number)?;
    let update = call.lease()?;
    let hash: [u8; 32] = Sha256::digest(request.untyped_deployment.get()).into();
    if update.status != UpdateStatus::Running {
        return refuse_unless_taken_before(app, update, &hash);
    }
    if sequence <= update.checkpoint_sequence {
        return repeat(app, update, sequence, &hash);
    }
    refuse_gap(update, sequence)?;
    let expected_sequence = Some(update.checkpoint_sequence);
    let text = request.untyped_deployment.get();
    Checkpoint { update, text, hash, expected_sequence, sequence }.save(app)?;
    Ok(Response::no_content())
}

/// Source: apitype/updates.go, `PatchUpdateCheckpointDeltaRequest`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delta<'a> {
    checkpoint_hash: String,
    sequence_number: i64,
    #[serde(borrow)]
    deployment_delta: &'a RawValue,
}

/// Changes the last text and makes the result the update's state so far.
///
/// Errors: 409 if the result has not the announced hash or a number was left out; 400 for what is no delta. The
/// client then sends all.
pub fn delta(app: &App, call: &mut Call) -> Result<Response, Error> {
    let text = call.text()?;
    let request: Delta = call::parse_object(&text)?;
    let sequence = checked_sequence(request.sequence_number)?;
    let update = call.lease()?;
    let hash = crate::crypto::unhex(&request.checkpoint_hash).and_then(|bytes| bytes.try_into().ok());
    let hash: [u8; 32] = hash.ok_or_else(|| Error::invalid("checkpointHash", "is not a SHA-256 in hex"))?;
    if update.status != UpdateStatus::Running {
        return refuse_unless_taken_before(app, update, &hash);
    }
    if sequence <= update.checkpoint_sequence {
        return repeat(app, update, sequence, &hash);
    }
    refuse_gap(update, sequence)?;
    // The number and the text that it belongs to, in one view: another delivery of this call may be ahead of us.
    let (update, base) = app.store.read(|conn| {
        let update = store::update::read(conn, update.id)?;
        let base = last_text(app, conn, &update)?;
        Ok((update, base))
    })?;
    if sequence <= update.checkpoint_sequence {
        return repeat(app, &update, sequence, &hash);
    }
    // What it answers has the hash that was announced.
    let text = delta::apply(&base, request.deployment_delta.get(), &request.checkpoint_hash)?;
    drop(base);
    let expected_sequence = Some(update.checkpoint_sequence);
    Checkpoint { update: &update, text: &text, hash, expected_sequence, sequence }.save(app)?;
    Ok(Response::no_content())
}

/// Numbers go up by one with each checkpoint that was taken.
fn refuse_gap(update: &Update, sequence: i64) -> Result<(), Error> {
    let last = update.checkpoint_sequence;
    match sequence == last + 1 {
        true => Ok(()),
        false => Err(Error::Conflict(format!(
            "Checkpoint {sequence} cannot follow checkpoint {last}, the last one taken."
        ))),
    }
}

/// The text of the update's last checkpoint.
fn last_text(app: &App, conn: &Connection, update: &Update) -> Result<String, Error> {
    let stack = store::stack::read(conn, update.stack_id)?;
    let last = store::checkpoint::find(conn, update.id)?;
    let last = last.ok_or_else(|| Error::Conflict("There is no checkpoint for this delta.".into()))?;
    version::read_text(conn, &*app.stack_key(&stack)?, last.deployment_id)
}

fn checked_sequence(sequence: i64) -> Result<i64, Error> {
    match sequence {
        1.. => Ok(sequence),
        _ => Err(Error::invalid("sequenceNumber", "must be 1 or more")),
    }
}

/// A checkpoint under a number that is taken: fine if it is the same text, or older than the last.
fn repeat(app: &App, update: &Update, sequence: i64, hash: &[u8; 32]) -> Result<Response, Error> {
    let stored = app.store.read(|conn| store::checkpoint::find(conn, update.id))?;
    let is_same = stored.is_some_and(|stored| stored.hash == hash);
    if sequence == update.checkpoint_sequence && !is_same {
        return Err(Error::Conflict(format!("Checkpoint {sequence} was taken before with another text.")));
    }
    Ok(Response::no_content())
}

/// `Ok` for a late repeat of what was taken before the update ended; else 403 with the reason of its end.
pub fn refuse_unless_taken_before(app: &App, update: &Update, hash: &[u8; 32]) -> Result<Response, Error> {
    if app.store.read(|conn| store::update::was_delivered(conn, update.id, hash))? {
        return Ok(Response::no_content());
    }
    Err(Error::Forbidden(store::update::has_ended(update)))
}

/// A preview writes no state.
pub fn require_writing(update: &Update) -> Result<(), Error> {
    match update.is_dry_run {
        true => Err(Error::invalid("", "a preview does not write state")),
        false => Ok(()),
    }
}

/// A checked text on its way to the writer.
struct Checkpoint<'a> {
    update: &'a Update,
    text: &'a str,
    /// SHA-256 of the text.
    hash: [u8; 32],
    expected_sequence: Option<i64>,
    sequence: i64,
}

impl Checkpoint<'_> {
    fn save(self, app: &App) -> Result<(), Error> {
        require_writing(self.update)?;
        if self.update.journal_version > 0 {
            return Err(Error::invalid(
                "",
                "this update was started with a journal; it sends no checkpoints",
            ));
        }
        let stack = app.store.read(|conn| store::stack::read(conn, self.update.stack_id))?;
        let key = app.stack_key(&stack)?;
        let (deployment, digests) = version::parse(self.text, &key)?;
        let marks = guard::marks(app, &key, stack.id)?;
        let marks = marks.as_deref();
        let encode = |conn: &Connection| Encoded::whole(conn, &key, stack.id, &deployment, digests, marks);
        let is_saved = app.store.write(SaveCheckpoint {
            update_id: self.update.id,
            expected_sequence: self.expected_sequence,
            sequence: self.sequence,
            hash: self.hash,
            deployment: app.store.read(encode)?,
        })?;
        if is_saved {
            return Ok(());
        }
        // Another delivery of it won; whether it was the same is seen on what it left.
        let update = app.store.read(|conn| store::update::read(conn, self.update.id))?;
        repeat(app, &update, self.sequence, &self.hash).map(drop)
    }
}
