//! Keys: shown by fingerprint, rotated, renewed.

use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::key_file;
use crate::app::App;
use crate::call::{self, Call};
use crate::config::KeySource;
use crate::crypto::keyring;
use crate::crypto::master::MasterKey;
use crate::error::Error;
use crate::http::Response;
use crate::limits;
use crate::store;
use crate::store::audit::Event;
use crate::store::key::{RenewStackKey, RotateKeys};

/// Fingerprint and source of the master key, and the stack keys under it.
pub fn show(app: &App, _: &mut Call) -> Result<Response, Error> {
    let keys = app.store.read(store::key::list)?;
    let stacks = keys.iter().map(|key| {
        Ok(json!({
            "stack": key.stack_name,
            "generations": app.keyring.check_stack_key(&key.stack_uid, &key.sealed)?,
            "seals": key.n_seals,
        }))
    });
    Response::json(&json!({
        "fingerprint": app.keyring.fingerprint(),
        "source": app.config.key_source.to_string(),
        "renewedAfterSeals": keyring::SEALS_TO_RENEW,
        "stacks": stacks.collect::<Result<Vec<Value>, Error>>()?,
    }))
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct RotateRequest {
    new_key: Option<String>,
}

/// Puts all keys under another master key, in one commit, while everything goes on.
///
/// Without a new key one is made, if the key is in a file: then the file is exchanged and the old one kept.
pub fn rotate(app: &App, call: &mut Call) -> Result<Response, Error> {
    let new = new_key(app, call)?;
    let _alone = app.keyring.begin_rotation();
    let from = app.keyring.fingerprint();
    let file = match &app.config.key_source {
        KeySource::File(path) => Some(path),
        _ => None,
    };
    if let Some(path) = file {
        key_file::write_next(path, &new)?;
    }
    let mut event = call.event(app.now_unix(), "key.rotate", "", "master key");
    event.detail = format!("from {from} to {}", new.fingerprint());
    let n_stacks = reseal_all(app, &new, &event)?;
    let kept = file.map(|path| key_file::take_next(path, &from)).transpose()?;
    let to = app.keyring.fingerprint();
    log::info!("the master key was changed from {from} to {to}; {n_stacks} stack keys were sealed anew");
    Response::json(&json!({
        "from": from,
        "to": to,
        "stacks": n_stacks,
        "oldKeyKeptAs": kept.map(|path| std::path::absolute(&path).unwrap_or(path).display().to_string()),
        "source": app.config.key_source.to_string(),
    }))
}

/// The key in the request, or one that is made where this server can write it down.
fn new_key(app: &App, call: &mut Call) -> Result<MasterKey, Error> {
    let text = Zeroizing::new(call.text()?);
    let request: RotateRequest = match text.trim() {
        "" => RotateRequest::default(),
        text => call::parse_object(text)?,
    };
    match (request.new_key.map(Zeroizing::new), &app.config.key_source) {
        (Some(text), _) => {
            MasterKey::parse(&text).map_err(|cause| Error::invalid("newKey", cause.to_string()))
        }
        (None, KeySource::File(_)) => MasterKey::random(),
        (None, source) => Err(Error::invalid(
            "newKey",
            format!(
                "is missing: this server's key is {source}, where it cannot write; give the new key \
                 (--new-key-file FILE), and put it there before the next start"
            ),
        )),
    }
}

/// The number of stacks. Stacks that are made or deleted meanwhile make it begin again.
fn reseal_all(app: &App, new: &MasterKey, event: &Event) -> Result<usize, Error> {
    app.keyring.expect(new);
    for _ in 0..limits::END_ATTEMPTS_MAX {
        let keys = app.store.read(store::key::list)?;
        let resealed = keys.into_iter().map(|key| {
            let under_new = app.keyring.reseal_stack_key(new, &key.stack_uid, &key.sealed)?;
            Ok((key.stack_id, key.sealed, under_new))
        });
        let stack_keys = resealed.collect::<Result<Vec<_>, Error>>()?;
        let n_stacks = stack_keys.len();
        let job = RotateKeys {
            from_fingerprint: app.keyring.fingerprint(),
            to_fingerprint: new.fingerprint(),
            server_key: app.keyring.reseal_server_key(new)?,
            stack_keys,
        };
        if app.write_recorded(job, event.clone())? {
            app.keyring.adopt(new);
            return Ok(n_stacks);
        }
    }
    Err(Error::Busy)
}

/// Gives the stack in the path a new key for what is written from now on.
pub fn renew(app: &App, call: &mut Call) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let _alone = app.keyring.begin_rotation();
    let stack = app.store.read(|conn| store::stack::get(conn, &stack_ref))?;
    let event = call.stack_event(app.now_unix(), "key.renew", &stack_ref);
    renew_stack(app, stack.id, &stack.uid, stack.key_sealed, event)?;
    Response::json(&json!({ "stack": stack_ref.to_string() }))
}

/// Counts what the stacks' keys have sealed, if it is `n_min` at least, and renews those that have sealed much. For
/// the housekeeper.
pub fn renew_used_up(app: &App, n_min: u64) -> Result<(), Error> {
    let counts = app.keyring.take_seal_counts(n_min);
    if counts.is_empty() {
        return Ok(());
    }
    app.store.write(store::key::CountSeals { counts: counts.clone() })?;
    let _alone = app.keyring.begin_rotation();
    let used_up = app.store.read(|conn| {
        let keys = store::key::list(conn)?;
        Ok(keys.into_iter().filter(|key| key.n_seals >= keyring::SEALS_TO_RENEW).collect::<Vec<_>>())
    })?;
    for key in used_up {
        let event = app.own_event("key.renew", &key.stack_name);
        renew_stack(app, key.stack_id, &key.stack_uid, key.sealed, event)?;
        log::info!(
            "the key of stack {} was renewed, as it had sealed {} values",
            key.stack_name,
            key.n_seals
        );
    }
    Ok(())
}

fn renew_stack(app: &App, stack_id: i64, uid: &str, old: Vec<u8>, event: Event) -> Result<(), Error> {
    let (new, fingerprint) = app.keyring.renew_stack_key(uid, &old)?;
    let job = RenewStackKey { stack_id, old, new, fingerprint };
    match app.write_recorded(job, event)? {
        true => Ok(()),
        false => Err(Error::Busy),
    }
}
