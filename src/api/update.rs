//! The life of an update: create, start, renew, complete, cancel.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::deployment::with_warning;
use super::stack::{Tags, tags_json};
use super::user;
use crate::app::App;
use crate::call::{self, Call};
use crate::crypto;
use crate::crypto::token::LeaseToken;
use crate::domain::update::{UpdateKind, UpdateStatus};
use crate::error::Error;
use crate::http::{Deflated, Response};
use crate::limits;
use crate::program::Program;
use crate::state::{self, Ending};
use crate::store;
use crate::store::audit::Audited;
use crate::store::update::{CreateUpdate, RenewLease, StartUpdate, Update};

/// The newest journal version that is understood.
const JOURNAL_VERSION_MAX: i64 = 1;

/// Creates a preview.
pub fn create_preview(app: &App, call: &mut Call) -> Result<Response, Error> {
    create(app, call, UpdateKind::Preview)
}

/// Creates an update; of `pulumi import` it is a resource import.
pub fn create_update(app: &App, call: &mut Call) -> Result<Response, Error> {
    let user_agent = call.request.header("User-Agent").unwrap_or("");
    let is_import = user_agent.split([';', '(', ')']).any(|part| part.trim() == "cmd=import");
    create(app, call, if is_import { UpdateKind::ResourceImport } else { UpdateKind::Update })
}

/// Creates a refresh.
pub fn create_refresh(app: &App, call: &mut Call) -> Result<Response, Error> {
    create(app, call, UpdateKind::Refresh)
}

/// Creates a destroy.
pub fn create_destroy(app: &App, call: &mut Call) -> Result<Response, Error> {
    create(app, call, UpdateKind::Destroy)
}

/// Records what is wanted; it locks nothing. A preview is one by its path or by `options.dryRun`.
///
/// Source: apitype/updates.go, `UpdateProgramRequest` and `UpdateProgramResponse`.
fn create(app: &App, call: &mut Call, kind: UpdateKind) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let stack = app.store.read(|conn| store::stack::get(conn, &stack_ref))?;
    let (text, deflated) = call.packed_text()?;
    let program: Program = call::parse_object(&text)?;
    check(&program)?;

    let uid = crypto::random_uuid()?;
    let key = app.stack_key(&stack)?;
    let deflated = deflated.as_ref().map(Deflated::as_slice);
    app.store.write(CreateUpdate {
        stack_id: stack.id,
        uid: uid.clone(),
        kind,
        is_dry_run: program.options.dry_run || kind == UpdateKind::Preview,
        requested_by: call.user_name().to_string(),
        program: store::program::seal(&key, &uid, &text, deflated)?,
        now_unix: app.now_unix(),
    })?;
    let response = Response::json(&json!({ "updateID": uid, "requiredPolicies": [], "messages": [] }))?;
    user::with_backup_warning(app, call, response)
}

/// A key without a namespace would make the CLI refuse the whole history later.
fn check(program: &Program) -> Result<(), Error> {
    if program.metadata.message.len() > limits::MESSAGE_CHARS_MAX {
        return Err(Error::invalid(
            "metadata.message",
            format!("is over {} bytes", limits::MESSAGE_CHARS_MAX),
        ));
    }
    match program.config.keys().find(|key| !key.contains(':')) {
        Some(key) => {
            Err(Error::invalid("config", format!("the key '{key}' has no namespace, as project:key")))
        }
        None => Ok(()),
    }
}

/// Source: apitype/updates.go, `StartUpdateRequest`.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct StartRequest {
    tags: Option<Tags>,
    journal_version: i64,
}

/// Source: apitype/updates.go, `StartUpdateResponse`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartResponse<'a> {
    version: i64,
    token: &'a str,
    token_expiration: i64,
    journal_version: i64,
}

/// Starts a created update and hands the CLI its lease token.
///
/// Errors: 404 no such update on this stack; 409 another update has the stack, or this one was started before.
pub fn start(app: &App, call: &mut Call) -> Result<Response, Error> {
    let update = find(app, call)?;
    let request: Option<StartRequest> = call.json()?;
    let request = request.unwrap_or_default();
    let lease_token = LeaseToken::random()?;
    state::end_expired(app)?;

    let now_unix = app.now_unix();
    let lease_expires_at_unix = now_unix + app.config.lease_secs;
    let journal_version = request.journal_version.clamp(0, JOURNAL_VERSION_MAX);
    let mut event = call.stack_event(now_unix, "update.start", &call.stack_ref()?);
    event.detail = format!("{} {}", update.kind.as_str(), update.uid);
    let job = StartUpdate {
        update_id: update.id,
        lease_hash: lease_token.hash(),
        lease_expires_at_unix,
        holder_address: call.address.clone(),
        tags: request.tags.as_ref().map(tags_json).transpose()?,
        journal_version,
        now_unix,
    };
    let entry = (!update.is_dry_run).then(|| app.entry(event));
    let version = app.store.write(Audited { job, entry })?;
    Response::json(&StartResponse {
        version,
        token: lease_token.reveal(),
        token_expiration: lease_expires_at_unix,
        journal_version,
    })
}

/// The update in the path.
pub fn find(app: &App, call: &Call) -> Result<Update, Error> {
    let stack_ref = call.stack_ref()?;
    let uid = call.parameter(3);
    app.store.read(|conn| {
        let stack = store::stack::get(conn, &stack_ref)?;
        let update = store::update::find(conn, stack.id, uid)?;
        update.ok_or_else(|| Error::NotFound(format!("Update '{uid}' not found")))
    })
}

/// Polled after an import, which has ended by then.
///
/// Source: apitype/updates.go, `UpdateResults`.
pub fn status(app: &App, call: &mut Call) -> Result<Response, Error> {
    let update = find(app, call)?;
    Response::json(&json!({ "status": update.status.as_str(), "events": [], "continuationToken": null }))
}

/// Source: apitype/updates.go, `RenewUpdateLeaseRequest`.
#[derive(Deserialize)]
struct RenewRequest {
    duration: i64,
}

/// Extends the lease and answers the same token, so a lost answer hurts nobody.
///
/// Errors: 403 if the update has ended; the CLI then stops.
pub fn renew_lease(app: &App, call: &mut Call) -> Result<Response, Error> {
    let request: RenewRequest = call.json()?;
    if request.duration < 0 || request.duration > app.config.lease_secs.max(limits::LEASE_SECS) {
        return Err(Error::invalid("duration", format!("must be from 0 to {} seconds", limits::LEASE_SECS)));
    }
    let update_id = call.lease()?.id;
    let now_unix = app.now_unix();
    let lease_expires_at_unix = now_unix + request.duration.min(app.config.lease_secs);
    let expires = app.store.write(RenewLease { update_id, lease_expires_at_unix, now_unix })?;
    let token = call.request.header("Authorization").unwrap_or("").trim();
    let token = token.split_once(' ').map_or("", |(_, token)| token.trim());
    Response::json(&json!({ "token": token, "tokenExpiration": expires }))
}

/// Source: apitype/updates.go, `CompleteUpdateRequest`.
#[derive(Deserialize)]
struct CompleteRequest {
    status: String,
}

/// Ends the update: what it reported is the stack's state before this answers. The same again is fine.
///
/// Errors: 400 unknown status; 403 if it was cancelled or its lease ran out; 409 if it ended another way.
pub fn complete(app: &App, call: &mut Call) -> Result<Response, Error> {
    let request: CompleteRequest = call.json()?;
    let status = match request.status.as_str() {
        "succeeded" => UpdateStatus::Succeeded,
        "failed" => UpdateStatus::Failed,
        "cancelled" => UpdateStatus::Cancelled,
        other => {
            return Err(Error::invalid("status", format!("'{other}' is not succeeded, failed or cancelled")));
        }
    };
    let update_id = call.lease()?.id;
    let event = call.stack_event(app.now_unix(), "update.end", &call.stack_ref()?);
    let ending =
        Ending { status, note: None, only_if_expired_by_unix: None, leaves_out_damage: false, event };
    match state::end(app, update_id, &ending) {
        Ok(told) => Ok(with_warning(Response::json(&json!({}))?, &told)),
        Err(Error::Forbidden(_)) => after_the_end(app, update_id, status),
        Err(error) => Err(error),
    }
}

/// A second `complete`: the same is as good as the first.
fn after_the_end(app: &App, update_id: i64, status: UpdateStatus) -> Result<Response, Error> {
    let update = app.store.read(|conn| store::update::read(conn, update_id))?;
    match &update.end_note {
        Some(_) => Err(Error::Forbidden(store::update::has_ended(&update))),
        None if update.status == status => Response::json(&json!({})),
        None => Err(Error::Conflict(store::update::has_ended(&update))),
    }
}

/// Ends an update of somebody else: its CLI gets 403 from now on, and what it reported stays; but if a part of that
/// is damaged, it is left out, for otherwise the stack would be locked for ever.
///
/// Errors: 404 unknown; 409 if it has completed, or was never started.
pub fn cancel(app: &App, call: &mut Call) -> Result<Response, Error> {
    let update = find(app, call)?;
    if update.status == UpdateStatus::NotStarted {
        return Err(Error::Conflict(format!("The update '{}' has not been started.", update.uid)));
    }
    let note = format!("it was cancelled by {}", call.user_name());
    let ending = Ending {
        status: UpdateStatus::Cancelled,
        note: Some(note),
        only_if_expired_by_unix: None,
        leaves_out_damage: true,
        event: call.stack_event(app.now_unix(), "update.cancel", &call.stack_ref()?),
    };
    match state::end(app, update.id, &ending) {
        Ok(told) => Ok(with_warning(Response::json(&json!({}))?, &told)),
        Err(Error::Forbidden(_)) => {
            let update = app.store.read(|conn| store::update::read(conn, update.id))?;
            match update.status {
                UpdateStatus::Cancelled => Response::json(&json!({})),
                _ => Err(Error::Conflict("The Update has already completed".into())),
            }
        }
        Err(error) => Err(error),
    }
}
