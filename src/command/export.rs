//! `export`: every stack's state as files that the CLI reads by itself (`pulumi login file://DIR`), for the day on which
//! this server is no more. Its source is the server, a stopped database, or a backup.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::Client;
use super::output::secrets_of;
use super::progress::Progress;
use super::stack::{StackName, all};
use super::{Invocation, remark};
use crate::config::Config;
use crate::crypto::passphrase::Passphrase;
use crate::domain::deployment::Deployment;
use crate::domain::json::{self, Object};
use crate::error::Error;
use crate::ops::backup::scratch::Scratch;
use crate::server::restore;

/// Ciphertexts in one call.
const BATCH: usize = 1000;

/// Writes the latest state of every stack; secrets of this server are sealed anew, with a passphrase.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Error> {
    let to = invocation.option("to").ok_or_else(|| Error::invalid("to", "is missing: an empty folder"))?;
    let to = Path::new(to);
    refuse_if_not_empty(to)?;
    let passphrase = Passphrase::new(&passphrase_text(invocation)?)?;
    let config = invocation.config()?;
    let scratch;
    let client = match invocation.option("from") {
        None => invocation.client()?,
        Some(from) => {
            scratch = Scratch::make(&config.db)?;
            let db = restore::unpack_to(&config, from, &scratch)?;
            Client::open(Config { db, ..config }, false)?
        }
    };
    let names: Vec<StackName> = all(&client)?.iter().map(StackName::of).collect();
    let orgs: BTreeSet<&str> = names.iter().map(StackName::org).collect();
    let mut progress = Progress::of("exporting", "stacks", names.len() as u64);
    for (n_done, name) in names.iter().enumerate() {
        progress.show(n_done as u64);
        let folder = if orgs.len() > 1 { to.join(name.org()) } else { to.to_path_buf() };
        write(&folder.join(".pulumi/meta.yaml"), "version: 1\n")?;
        let text = checkpoint(&client, name, &passphrase)?;
        write(&file_of(&folder, name), &text)?;
    }
    drop(progress);
    let n = names.len();
    invocation.show(&json!({ "stacks": n, "to": to.display().to_string() }), || {
        let full = std::path::absolute(to).unwrap_or(to.into());
        let folder = if orgs.len() > 1 { "/ORGANIZATION" } else { "" };
        format!(
            "{n} stacks; PULUMI_CONFIG_PASSPHRASE opens their secrets\n\n  pulumi login file://{}{folder}\n",
            full.display()
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// Files of two exports would be mixed.
fn refuse_if_not_empty(to: &Path) -> Result<(), Error> {
    let is_empty = fs::read_dir(to).map_or(true, |mut entries| entries.next().is_none());
    if is_empty { Ok(()) } else { Err(Error::Conflict(format!("{} is not empty", to.display()))) }
}

fn passphrase_text(invocation: &Invocation) -> Result<Zeroizing<String>, Error> {
    let given = match invocation.option("passphrase-file") {
        Some(file) => fs::read_to_string(file)
            .map_err(|cause| Error::invalid("passphrase-file", format!("cannot read {file}: {cause}")))?,
        None => std::env::var("PULUMI_CONFIG_PASSPHRASE").unwrap_or_default(),
    };
    let text = Zeroizing::new(given.trim_end_matches(['\r', '\n']).to_string());
    if text.is_empty() {
        let why = "or PULUMI_CONFIG_PASSPHRASE is needed: secrets leave this server only under a passphrase";
        return Err(Error::invalid("passphrase-file", why));
    }
    Ok(text)
}

/// Source: pkg/backend/diy/store.go, `projectReferenceStore`.
fn file_of(folder: &Path, name: &StackName) -> PathBuf {
    folder.join(".pulumi/stacks").join(name.project()).join(format!("{}.json", name.stack()))
}

/// What the CLI keeps in a file. Source: sdk/go/common/apitype/core.go, `VersionedCheckpoint` and `CheckpointV3`.
fn checkpoint(client: &Client, name: &StackName, passphrase: &Passphrase) -> Result<String, Error> {
    let answer = client.call("GET", &format!("{}/export", name.path()), &[])?;
    let text = String::from_utf8(answer.body).map_err(|cause| Error::internal("read a state", cause))?;
    let text = with_passphrase(client, name, text, passphrase)?;
    let flawed = |_| Error::internal(format!("read the state of {name}"), "it is no JSON object");
    let mut whole = Object::parse(&text).map_err(flawed)?;
    let latest = whole.get("deployment").unwrap_or("null").to_string();
    let stack = json::string(&format!("organization/{}/{}", name.project(), name.stack()));
    whole.remove("deployment");
    whole.set("checkpoint", format!("{{\"stack\":{stack},\"latest\":{latest}}}"));
    Ok(whole.to_text())
}

/// The state with the passphrase provider in the place of this server. Another provider's secrets stay as they are.
fn with_passphrase(
    client: &Client,
    name: &StackName,
    text: String,
    passphrase: &Passphrase,
) -> Result<String, Error> {
    let state: Value =
        serde_json::from_str(&text).map_err(|cause| Error::internal("read a state", cause.to_string()))?;
    match state["deployment"]["secrets_providers"]["type"].as_str() {
        Some("service") => {}
        Some(other) => {
            remark(&format!("{name}: its secrets stay as they are, under the provider '{other}'"));
            return Ok(text);
        }
        None => return Ok(text),
    }
    let ciphertexts = secrets_of(&state);
    let mut sealed = HashMap::new();
    for batch in ciphertexts.chunks(BATCH) {
        let body = json!({ "ciphertexts": batch });
        let opened = client.json("POST", &format!("{}/batch-decrypt", name.path()), Some(&body))?;
        for ciphertext in batch {
            let plain = opened["plaintexts"][ciphertext].as_str().unwrap_or_default();
            let plain = STANDARD.decode(plain).map(Zeroizing::new);
            let plain = plain.map_err(|cause| Error::internal("read an opened secret", cause.to_string()))?;
            sealed.insert(ciphertext.as_str(), passphrase.seal(&plain)?);
        }
    }
    // A ciphertext has no quote and no backslash in it: it is the whole of a text between two quotes.
    let pieces: Vec<&str> =
        text.split('"').map(|piece| sealed.get(piece).map_or(piece, String::as_str)).collect();
    let text = pieces.join("\"");
    let mut deployment = Deployment::parse(&text)?;
    let provider = json!({ "type": "passphrase", "state": { "salt": passphrase.state()? } });
    deployment.set_member("secrets_providers", &provider.to_string())?;
    Ok(deployment.to_text())
}

/// A new file that only its owner can read, in folders that only its owner can enter.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |cause| Error::internal(format!("write {}", path.display()), cause);
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}
