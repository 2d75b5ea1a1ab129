//! Checkpoints: whole, verbatim, or as a delta on the last verbatim text.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::cache::last_text::LastText;
use crate::call::{self, Call};
use crate::crypto::keyring::StackKey;
use crate::domain::delta;
use crate::domain::deployment::Deployment;
use crate::domain::json::{Flaw, Scanner};
use crate::domain::update::UpdateStatus;
use crate::error::Error;
use crate::http::Response;
use crate::state::guard;
use crate::state::last_text::{self, Cutting, Last};
use crate::store::checkpoint::SaveCheckpoint;
use crate::store::update::Update;
use crate::store::version;
use crate::store::{self, Connection};

/// What of a checkpoint's body is not its deployment; values are JSON texts.
#[derive(Default)]
struct Envelope<'a> {
    is_invalid: Option<&'a str>,
    version: Option<&'a str>,
    features: Option<&'a str>,
    sequence_number: Option<&'a str>,
}

/// Reads a body whose member `name` holds a deployment, which `cut` cuts: the body may be large, and is looked
/// through once.
fn scan<'a>(
    text: &'a str,
    name: &str,
    mut cut: impl FnMut(&mut Scanner<'a>) -> Result<(), Error>,
) -> Result<Envelope<'a>, Error> {
    let broken = |flaw: Flaw| Error::invalid("body", format!("not the JSON expected here: {flaw}"));
    let mut envelope = Envelope::default();
    let mut scanner = Scanner::new(text);
    scanner.open_object().map_err(broken)?;
    while let Some(key) = scanner.next_member().map_err(broken)? {
        if key == name && scanner.peek() != b'n' {
            cut(&mut scanner)?;
            continue;
        }
        let value = Some(scanner.value().map_err(broken)?).filter(|value| *value != "null");
        match &*key {
            "isInvalid" => envelope.is_invalid = value,
            "version" => envelope.version = value,
            "features" => envelope.features = value,
            "sequenceNumber" => envelope.sequence_number = value,
            _ => {}
        }
    }
    scanner.end().map_err(broken)?;
    Ok(envelope)
}

fn integer(value: Option<&str>, name: &str) -> Result<i64, Error> {
    let value = value.ok_or_else(|| Error::invalid(name, "is missing"))?;
    value.parse().map_err(|_| Error::invalid(name, "must be a whole number"))
}

/// Replaces the update's state so far; the last one counts.
///
/// Source: apitype/updates.go, `PatchUpdateCheckpointRequest`.
pub fn whole(app: &App, call: &mut Call) -> Result<Response, Error> {
    let text = call.text()?;
    let update = call.lease()?;
    let key = app.key_of(update.stack_id)?;
    let last = last(app, &key, update)?;
    let mut cut = None;
    let envelope = scan(&text, "deployment", |scanner| {
        let mut cutting = Cutting::new(&key, last.as_ref());
        cut = Some((Deployment::scan_inner(scanner, &mut cutting)?, cutting));
        Ok(())
    })?;
    let Some((deployment, cutting)) = cut else {
        let is_invalid = envelope.is_invalid == Some("true");
        let why = if is_invalid { "invalidating a checkpoint is not supported" } else { "is missing" };
        return Err(Error::invalid("deployment", why));
    };
    let deployment = deployment.wrapped(integer(envelope.version, "version")?, envelope.features)?;
    let hash = version::hash(&key, &deployment, cutting.digests());
    if update.status != UpdateStatus::Running {
        return refuse_unless_taken_before(app, update, &hash);
    }
    let start = resources_start(&text, &deployment);
    let checkpoint =
        Checkpoint { update, key: &key, deployment, cutting, hash, expected_sequence: None, sequence: 0 };
    let saved = checkpoint.save(app)?;
    keep(app, update, saved, text, None, start)
}

/// Replaces the update's state so far, and is the text that the next delta stands on.
///
/// Source: apitype/updates.go, `PatchUpdateVerbatimCheckpointRequest`.
/// Errors: 409 for another text under a number that is taken, and if a number was left out.
pub fn verbatim(app: &App, call: &mut Call) -> Result<Response, Error> {
    const NAME: &str = "untypedDeployment";
    let text = call.text()?;
    let update = call.lease()?;
    let key = app.key_of(update.stack_id)?;
    let last = last(app, &key, update)?;
    let mut cut = None;
    let envelope = scan(&text, NAME, |scanner| {
        let start = scanner.position();
        let mut cutting = Cutting::new(&key, last.as_ref());
        cut = Some((Deployment::scan(scanner, &mut cutting)?, cutting, start..scanner.position()));
        Ok(())
    })?;
    let sequence = checked_sequence(integer(envelope.sequence_number, "sequenceNumber")?)?;
    let (deployment, cutting, document) = cut.ok_or_else(|| Error::invalid(NAME, "is missing"))?;
    // As a delta announces it: after one whose answer was lost, the client sends all.
    let hash = Sha256::digest(&text[document.clone()]).into();
    if update.status != UpdateStatus::Running {
        return refuse_unless_taken_before(app, update, &hash);
    }
    if sequence <= update.checkpoint_sequence {
        return repeat(app, update, sequence, &hash);
    }
    refuse_gap(update, sequence)?;
    let expected_sequence = Some(update.checkpoint_sequence);
    let start = resources_start(&text, &deployment);
    let checkpoint = Checkpoint { update, key: &key, deployment, cutting, hash, expected_sequence, sequence };
    let saved = checkpoint.save(app)?;
    keep(app, update, saved, text, Some(document), start)
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
    let key = app.key_of(update.stack_id)?;
    let (update, last, read) = app.store.read(|conn| {
        let update = store::update::read(conn, update.id)?;
        let last = Last::find(app, conn, &key, &update)?;
        let is_here = last.as_ref().is_some_and(|last| last.document().is_some());
        let read = if is_here { None } else { Some(last_text(conn, &key, &update)?) };
        Ok((update, last, read))
    })?;
    if sequence <= update.checkpoint_sequence {
        return repeat(app, &update, sequence, &hash);
    }
    let base = last.as_ref().and_then(Last::document).or(read.as_deref()).unwrap_or_default();
    // What it answers has the hash that was announced.
    let text = delta::apply(base, request.deployment_delta.get(), &request.checkpoint_hash)?;
    drop(read);
    let mut cutting = Cutting::new(&key, last.as_ref());
    let deployment = Deployment::parse_with(&text, &mut cutting)?;
    let expected_sequence = Some(update.checkpoint_sequence);
    let start = resources_start(&text, &deployment);
    let checkpoint =
        Checkpoint { update: &update, key: &key, deployment, cutting, hash, expected_sequence, sequence };
    let saved = checkpoint.save(app)?;
    let document = Some(0..text.len());
    keep(app, &update, saved, text, document, start)
}

fn last(app: &App, key: &StackKey, update: &Update) -> Result<Option<Last>, Error> {
    app.store.read(|conn| Last::find(app, conn, key, update))
}

/// Where the first resource of a deployment stands in the text that it was cut from.
fn resources_start(text: &str, deployment: &Deployment<'_>) -> usize {
    deployment.resources.first().map_or(text.len(), |first| first.as_ptr() as usize - text.as_ptr() as usize)
}

/// The end of a call whose checkpoint was stored under `saved`, or had been by another delivery.
fn keep(
    app: &App,
    update: &Update,
    saved: Option<i64>,
    body: String,
    document: Option<Range<usize>>,
    resources_start: usize,
) -> Result<Response, Error> {
    if let Some(deployment_id) = saved {
        last_text::keep(app, update.id, LastText { deployment_id, body, document, resources_start })?;
    }
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

/// The text of the update's last checkpoint, from the disk.
fn last_text(conn: &Connection, key: &StackKey, update: &Update) -> Result<String, Error> {
    let last = store::checkpoint::find(conn, update.id)?;
    let last = last.ok_or_else(|| Error::Conflict("There is no checkpoint for this delta.".into()))?;
    version::read_text(conn, key, last.deployment_id)
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

/// A checked deployment on its way to the writer.
struct Checkpoint<'a> {
    update: &'a Update,
    key: &'a StackKey,
    deployment: Deployment<'a>,
    cutting: Cutting<'a>,
    /// To know a repeat by: the SHA-256 of the text, as a delta announces it; `version::hash` of a plain one.
    hash: [u8; 32],
    expected_sequence: Option<i64>,
    sequence: i64,
}

impl Checkpoint<'_> {
    /// The id of its deployment; none if another delivery of it won.
    fn save(self, app: &App) -> Result<Option<i64>, Error> {
        require_writing(self.update)?;
        if self.update.journal_version > 0 {
            return Err(Error::invalid(
                "",
                "this update was started with a journal; it sends no checkpoints",
            ));
        }
        let Checkpoint { update, key, deployment, cutting, .. } = self;
        let marks = guard::marks(app, key, update.stack_id)?;
        let marks = marks.as_deref();
        let encode = |conn: &Connection| cutting.encode(conn, key, update.stack_id, &deployment, marks);
        let saved = app.store.write(SaveCheckpoint {
            update_id: update.id,
            expected_sequence: self.expected_sequence,
            sequence: self.sequence,
            hash: self.hash,
            deployment: app.store.read(encode)?,
        })?;
        if saved.is_some() {
            return Ok(saved);
        }
        // Another delivery of it won; whether it was the same is seen on what it left.
        let update = app.store.read(|conn| store::update::read(conn, update.id))?;
        repeat(app, &update, self.sequence, &self.hash).map(|_| None)
    }
}
