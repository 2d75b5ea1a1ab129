//! `key`: look at the keys, and change them.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Invocation;
use crate::error::Error;
use crate::ops::key_file;

/// Fingerprints, never keys.
pub fn show(invocation: &Invocation) -> Result<ExitCode, Error> {
    let keys = invocation.client()?.json("GET", "/api/admin/keys", None)?;
    invocation.show(&keys, || {
        let text = |name: &str| keys[name].as_str().unwrap_or_default().to_string();
        let stacks = keys["stacks"].as_array().cloned().unwrap_or_default();
        let lines = stacks.iter().map(|stack| {
            let renewed = stack["generations"].as_u64().unwrap_or(1).saturating_sub(1);
            format!(
                "  {:<60} renewed {renewed} times, about {} values sealed\n",
                stack["stack"].as_str().unwrap_or_default(),
                stack["seals"]
            )
        });
        format!(
            "master key  {}\nfrom        {}\n{}",
            text("fingerprint"),
            text("source"),
            lines.collect::<String>()
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// A new master key for all.
pub fn rotate(invocation: &Invocation) -> Result<ExitCode, Error> {
    let body = match invocation.option("new-key-file") {
        None => json!({}),
        Some(path) => json!({ "newKey": *key_file::read(Path::new(path))?.reveal_hex() }),
    };
    let client = invocation.client()?;
    let done = client.json("POST", "/api/admin/keys/rotate", Some(&body))?;
    invocation.show(&done, || told(&done));
    Ok(ExitCode::SUCCESS)
}

fn told(done: &Value) -> String {
    let text = |name: &str| done[name].as_str().unwrap_or_default();
    let next = match done["oldKeyKeptAs"].as_str() {
        Some(kept) => format!(
            "the new key is in {}; copy it to a safe place.\n\
             The old one was kept as {kept}; older backups need it. Remove it when `pulumi-backend verify` has \
             found everything well and there are newer backups.\n",
            text("source")
        ),
        None => format!(
            "the running server goes on; put the new key where it is taken from ({}) before the next start.\n",
            text("source")
        ),
    };
    format!(
        "master key {} -> {}, {} stack keys sealed anew\n{next}",
        text("from"),
        text("to"),
        done["stacks"]
    )
}

/// A new key for one stack.
pub fn renew(invocation: &Invocation) -> Result<ExitCode, Error> {
    let target = format!("/api/admin/keys/renew/{}", invocation.argument(0));
    let done = Zeroizing::new(invocation.client()?.json("POST", &target, None)?.to_string());
    let done: Value = serde_json::from_str(&done).unwrap_or_default();
    invocation.show(&done, || {
        format!("{} has a new key for what is written from now on\n", invocation.argument(0))
    });
    Ok(ExitCode::SUCCESS)
}
