//! `stack output`: what a program exported, secrets masked or opened.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::Invocation;
use super::client::Client;
use super::stack::StackName;
use crate::domain::read;
use crate::error::Error;

/// The key that marks a value as special, and the value that marks it as a secret.
/// Source: sdk/go/common/resource/sig, `Key` and `Secret`.
const SIGNATURE: &str = "4dabf18193072939515e22adb298388d";
const SECRET: &str = "1b47061264138c4ac30d75fd1eb44270";

/// Shows the outputs of the stack's root; with a second argument, one of them.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Error> {
    let client = invocation.client()?;
    let name = StackName::find(&client, invocation)?;
    let state = client.json("GET", &format!("{}/export", name.path()), None)?;
    let mut outputs = root_outputs(&state);
    if invocation.has("show-secrets") {
        open_secrets(&client, &name, &mut outputs)?;
    } else {
        mask(&mut outputs);
    }
    match invocation.argument(1) {
        "" => invocation.show(&outputs, || lines(&outputs)),
        wanted => {
            let value = outputs.get(wanted).ok_or_else(|| {
                Error::NotFound(format!("{name} has no output '{wanted}'; it has: {}", names(&outputs)))
            })?;
            invocation.show(value, || format!("{}\n", text(value)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn root_outputs(state: &Value) -> Value {
    let mut resources = state["deployment"]["resources"].as_array().into_iter().flatten();
    let root = resources.find(|resource| resource["type"] == "pulumi:pulumi:Stack");
    root.map_or(json!({}), |root| root["outputs"].as_object().map_or(json!({}), |all| all.clone().into()))
}

fn names(outputs: &Value) -> String {
    let names: Vec<&str> = outputs.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn lines(outputs: &Value) -> String {
    let outputs = outputs.as_object().into_iter().flatten();
    outputs.map(|(name, value)| format!("{name:<24} {}\n", text(value))).collect()
}

/// A text stands without its quotes, as for a shell.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), String::from)
}

fn is_secret(value: &Value) -> bool {
    value[SIGNATURE] == SECRET
}

fn mask(value: &mut Value) {
    if is_secret(value) {
        *value = "[secret]".into();
        return;
    }
    children(value).for_each(mask);
}

fn children(value: &mut Value) -> Box<dyn Iterator<Item = &mut Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter_mut()),
        Value::Object(fields) => Box::new(fields.iter_mut().map(|(_, field)| field)),
        _ => Box::new(std::iter::empty()),
    }
}

/// Puts the plain values in place of the ciphertexts, by one call of the API.
///
/// Errors: 400 if the stack's secrets provider is another than this server; only its owner can open those.
fn open_secrets(client: &Client, name: &StackName, outputs: &mut Value) -> Result<(), Error> {
    let mut ciphertexts = Vec::new();
    collect(outputs, &mut ciphertexts);
    if ciphertexts.is_empty() {
        return Ok(());
    }
    let body = json!({ "ciphertexts": ciphertexts });
    let opened = client.json("POST", &format!("{}/batch-decrypt", name.path()), Some(&body))?;
    put_in(outputs, &opened["plaintexts"])
}

/// The ciphertexts in a state, in its order.
pub fn secrets_of(state: &Value) -> Vec<String> {
    let mut ciphertexts = Vec::new();
    collect(&mut state.clone(), &mut ciphertexts);
    ciphertexts
}

fn collect(value: &mut Value, ciphertexts: &mut Vec<String>) {
    match value["ciphertext"].as_str() {
        Some(ciphertext) if is_secret(value) => ciphertexts.push(ciphertext.into()),
        _ => children(value).for_each(|child| collect(child, ciphertexts)),
    }
}

/// A plain text is the base64 of the value's JSON.
fn put_in(value: &mut Value, plaintexts: &Value) -> Result<(), Error> {
    let Some(ciphertext) = value["ciphertext"].as_str().filter(|_| is_secret(value)) else {
        return children(value).try_for_each(|child| put_in(child, plaintexts));
    };
    let plain = plaintexts[ciphertext].as_str().unwrap_or("");
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, plain);
    let decoded = decoded.map_err(|cause| Error::internal("read an opened secret", cause.to_string()))?;
    // A program may have made a text a secret that is no JSON; it is shown as it is.
    *value = read::from_bytes(&decoded).unwrap_or_else(|_| String::from_utf8_lossy(&decoded).into());
    Ok(())
}
