//! Secrets: encrypted and decrypted with the stack's key. Nothing of them is logged.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use super::deployment::note_read;
use crate::app::App;
use crate::call::Call;
use crate::crypto::keyring::StackKey;
use crate::domain::rename::{self, Names};
use crate::error::Error;
use crate::http::Response;
use crate::limits;
use crate::state::guard;
use crate::store;
use crate::store::secret::RecordDecryption;

#[derive(Deserialize)]
struct EncryptRequest {
    plaintext: String,
}

#[derive(Deserialize)]
struct DecryptRequest {
    ciphertext: String,
}

#[derive(Deserialize)]
struct BatchEncryptRequest {
    plaintexts: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct BatchDecryptRequest {
    ciphertexts: Option<Vec<String>>,
}

#[derive(Serialize)]
struct BatchEncryptResponse {
    ciphertexts: Vec<String>,
}

#[derive(Serialize)]
struct BatchDecryptResponse<'a> {
    plaintexts: BTreeMap<&'a str, String>,
}

/// `{"plaintext": base64}` → `{"ciphertext": base64}`.
pub fn encrypt(app: &App, call: &mut Call) -> Result<Response, Error> {
    let (stack_id, key) = key(app, call)?;
    let request: EncryptRequest = call.json()?;
    let plaintext = decode(|| "plaintext".into(), &request.plaintext)?;
    guard::remember(app, &key, stack_id, std::slice::from_ref(&plaintext))?;
    Response::json_secrets(&json!({ "ciphertext": seal(&key, &plaintext)? }))
}

/// `{"ciphertext": base64}` → `{"plaintext": base64}`. 400 for what is no ciphertext of this stack.
pub fn decrypt(app: &App, call: &mut Call) -> Result<Response, Error> {
    let (_, key) = key(app, call)?;
    let request: DecryptRequest = call.json()?;
    let plaintext = decrypt_one(&key, || "ciphertext".into(), &request.ciphertext)?;
    note_decryption(app, call, 1)?;
    Response::json_secrets(&json!({ "plaintext": plaintext }))
}

/// As `encrypt`, for many; the answers are in the order of the questions.
pub fn batch_encrypt(app: &App, call: &mut Call) -> Result<Response, Error> {
    let (stack_id, key) = key(app, call)?;
    let request: BatchEncryptRequest = call.json()?;
    let plaintexts = request.plaintexts.unwrap_or_default();
    check_count("plaintexts", plaintexts.len())?;
    let decoded = plaintexts.iter().enumerate().map(|(i, text)| decode(|| format!("plaintexts[{i}]"), text));
    let decoded = decoded.collect::<Result<Vec<_>, _>>()?;
    guard::remember(app, &key, stack_id, &decoded)?;
    let sealed = key.encrypt(&decoded)?;
    let ciphertexts: Vec<String> = sealed.iter().map(|sealed| STANDARD.encode(sealed)).collect();
    Response::json_secrets(&BatchEncryptResponse { ciphertexts })
}

/// As `decrypt`, for many. Each ciphertext asked for is a key of the answer; one that does not open fails all.
pub fn batch_decrypt(app: &App, call: &mut Call) -> Result<Response, Error> {
    let (_, key) = key(app, call)?;
    let request: BatchDecryptRequest = call.json()?;
    let ciphertexts = request.ciphertexts.unwrap_or_default();
    check_count("ciphertexts", ciphertexts.len())?;
    let mut plaintexts = BTreeMap::new();
    for (i, ciphertext) in ciphertexts.iter().enumerate() {
        if !plaintexts.contains_key(ciphertext.as_str()) {
            let plaintext = decrypt_one(&key, || format!("ciphertexts[{i}]"), ciphertext)?;
            plaintexts.insert(ciphertext.as_str(), plaintext);
        }
    }
    note_decryption(app, call, ciphertexts.len())?;
    Response::json_secrets(&BatchDecryptResponse { plaintexts })
}

fn note_decryption(app: &App, call: &Call, n_values: usize) -> Result<(), Error> {
    note_read(app, call, "secret.decrypt", &call.stack_ref()?, format!("{n_values} values"))
}

/// The stack in the path and its key. Asked before the body is read.
fn key(app: &App, call: &Call) -> Result<(i64, Arc<StackKey>), Error> {
    let stack_ref = call.stack_ref()?;
    let stack = app.store.read(|conn| store::stack::get(conn, &stack_ref))?;
    Ok((stack.id, app.stack_key(&stack)?))
}

fn check_count(field: &str, n_values: usize) -> Result<(), Error> {
    match n_values > limits::BATCH_VALUES_MAX {
        true => {
            Err(Error::invalid(field, format!("more than {} values in one call", limits::BATCH_VALUES_MAX)))
        }
        false => Ok(()),
    }
}

/// Wiped after use, for what is freed keeps its bytes.
type Wiped = Zeroizing<Vec<u8>>;

fn decode(field: impl Fn() -> String, text: &str) -> Result<Wiped, Error> {
    STANDARD
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|cause| Error::invalid(field(), format!("is not base64: {cause}")))
}

fn seal(key: &StackKey, plaintext: &[u8]) -> Result<String, Error> {
    Ok(STANDARD.encode(key.encrypt(&[plaintext])?.concat()))
}

fn decrypt_one(key: &StackKey, field: impl Fn() -> String, ciphertext: &str) -> Result<String, Error> {
    let plaintext = key.decrypt(&decode(&field, ciphertext)?).ok_or_else(|| {
        Error::invalid(field(), "was not encrypted by this server for this stack, or is damaged")
    })?;
    Ok(STANDARD.encode(Zeroizing::new(plaintext)))
}

/// A secret of a renamed stack with the new names in it; nothing if there is nothing to change.
pub fn rewrite(key: &StackKey, ciphertext: &str, from: Names, to: Names) -> Option<String> {
    let plaintext = Zeroizing::new(key.decrypt(&STANDARD.decode(ciphertext).ok()?)?);
    let renamed = rename::rename_plaintext(std::str::from_utf8(&plaintext).ok()?, from, to)?;
    seal(key, Zeroizing::new(renamed).as_bytes()).ok()
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LogRequest {
    secret_name: String,
    command_name: String,
}

/// The CLI tells that it showed a secret of another provider.
pub fn log_decryption(app: &App, call: &mut Call) -> Result<Response, Error> {
    let request: LogRequest = call.json()?;
    record(app, call, request.secret_name)
}

/// The CLI tells that a command showed secrets.
pub fn log_batch_decryption(app: &App, call: &mut Call) -> Result<Response, Error> {
    let request: LogRequest = call.json()?;
    record(app, call, request.command_name)
}

fn record(app: &App, call: &Call, what: String) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let stack = app.store.read(|conn| store::stack::get(conn, &stack_ref))?;
    let (user_name, now_unix) = (call.user_name().to_string(), app.now_unix());
    let what = store::secret::seal_what(&*app.stack_key(&stack)?, &user_name, now_unix, &what)?;
    // Which secret it was is told to those who may read the stack, not to all who may read the audit record.
    let event = call.stack_event(now_unix, "secret.show", &stack_ref);
    app.write_recorded(RecordDecryption { stack_id: stack.id, user_name, what, now_unix }, event)?;
    Ok(Response::no_content())
}
