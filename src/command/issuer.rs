//! `issuer`: whose tokens are taken in exchange for one of ours, as those of a CI system.

use std::path::Path;
use std::process::ExitCode;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::target::escape;
use super::{Invocation, time};
use crate::error::Error;

/// Trusts an issuer.
pub fn add(invocation: &Invocation) -> Result<ExitCode, Error> {
    let required = |name: &str, what: &str| {
        invocation
            .option(name)
            .ok_or_else(|| Error::invalid(format!("--{name}"), format!("is missing: {what}")))
    };
    let (url, discover) = (invocation.option("jwks-url"), invocation.has("discover"));
    let key_set = match (url, discover) {
        (None, false) => {
            let what = "the file with the issuer's public keys, or --jwks-url or --discover";
            Some(read_key_set(required("jwks", what)?)?)
        }
        _ => invocation.option("jwks").map(read_key_set).transpose()?,
    };
    let mut claims = Map::new();
    for claim in invocation.options("claim") {
        let why =
            || Error::invalid("--claim", format!("'{claim}' is not NAME=PATTERN, as sub=repo:acme/web:*"));
        let (name, pattern) = claim.split_once('=').ok_or_else(why)?;
        claims.insert(name.into(), pattern.into());
    }
    let stacks: Vec<&str> = invocation.options("stacks").collect();
    let body = json!({
        "url": invocation.argument(0),
        "organization": required("org", "the organization that tokens are given for")?,
        "audience": invocation.option("audience"), "claims": claims,
        "role": required("role", "read, decrypt, update or admin")?,
        "stacks": (!stacks.is_empty()).then_some(stacks),
        "keySet": key_set, "keySetUrl": url, "discover": discover,
        "lifetimeSecs": invocation.option("lifetime").map(|text| time::span("--lifetime", text)).transpose()?,
    });
    let added = invocation.client()?.json("POST", "/api/admin/issuers", Some(&body))?;
    invocation.show(&added, || {
        let from = added["keySetUrl"].as_str().map(|url| format!(", by the keys at {url}"));
        format!(
            "{} is trusted{}; to end that: pulumi-backend issuer remove {}\n",
            invocation.argument(0),
            from.unwrap_or_default(),
            id(&added)
        )
    });
    Ok(ExitCode::SUCCESS)
}

fn id(issuer: &Value) -> &str {
    issuer["id"].as_str().unwrap_or("")
}

fn read_key_set(path: &str) -> Result<Value, Error> {
    let failed = |why: String| Error::invalid("--jwks", format!("cannot read {path}: {why}"));
    let text = std::fs::read_to_string(Path::new(path)).map_err(|cause| failed(cause.to_string()))?;
    let raw: &RawValue = serde_json::from_str(&text).map_err(|cause| failed(cause.to_string()))?;
    serde_json::from_str(raw.get()).map_err(|cause| failed(cause.to_string()))
}

/// All trusted issuers.
pub fn list(invocation: &Invocation) -> Result<ExitCode, Error> {
    let issuers = invocation.client()?.json("GET", "/api/admin/issuers", None)?;
    invocation.show(&issuers, || {
        let lines = issuers["issuers"].as_array().into_iter().flatten().map(line);
        lines.collect()
    });
    Ok(ExitCode::SUCCESS)
}

fn line(issuer: &Value) -> String {
    let text = |key: &str| issuer[key].as_str().unwrap_or("").to_string();
    let stacks = issuer["stacks"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let stacks = stacks.collect::<Vec<_>>().join(" ");
    let from = issuer["keySetUrl"].as_str().map(|url| format!(", keys from {url}")).unwrap_or_default();
    format!(
        "{}  {} for {}: {} on {stacks} with {}{from}\n",
        id(issuer),
        text("url"),
        text("organization"),
        text("role"),
        issuer["claims"]
    )
}

/// Trusts an issuer no more.
pub fn remove(invocation: &Invocation) -> Result<ExitCode, Error> {
    let uid = invocation.argument(0);
    invocation.client()?.json("DELETE", &format!("/api/admin/issuers/{}", escape(uid)), None)?;
    invocation.show(&json!({ "id": uid }), || "removed; tokens that were given live to their end\n".into());
    Ok(ExitCode::SUCCESS)
}
