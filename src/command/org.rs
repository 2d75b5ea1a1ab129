//! `org`, `grant`, `revoke`: organizations, and who may do what in them.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::Invocation;
use super::target::{escape, with_query};
use crate::error::Error;

/// Makes an organization.
pub fn add(invocation: &Invocation) -> Result<ExitCode, Error> {
    let name = invocation.argument(0);
    let added =
        invocation.client_or_new()?.json("POST", "/api/admin/orgs", Some(&json!({ "name": name })))?;
    invocation.show(&added, || format!("organization {name} is made\n"));
    Ok(ExitCode::SUCCESS)
}

/// All organizations but personal ones.
pub fn list(invocation: &Invocation) -> Result<ExitCode, Error> {
    let orgs = invocation.client()?.json("GET", "/api/admin/orgs", None)?;
    invocation.show(&orgs, || {
        let names =
            orgs["organizations"].as_array().into_iter().flatten().filter_map(|org| org["name"].as_str());
        names.map(|name| format!("{name}\n")).collect()
    });
    Ok(ExitCode::SUCCESS)
}

/// Gives a user a role on some stacks.
pub fn grant(invocation: &Invocation) -> Result<ExitCode, Error> {
    let (role, user, pattern) = (invocation.argument(0), invocation.argument(1), invocation.argument(2));
    let body = json!({ "role": role, "user": user, "pattern": pattern });
    invocation.client()?.json("POST", &grants_of(pattern), Some(&body))?;
    invocation.show(&body, || format!("{user} has the role {role} on {pattern}\n"));
    Ok(ExitCode::SUCCESS)
}

/// Takes a grant back.
pub fn revoke(invocation: &Invocation) -> Result<ExitCode, Error> {
    let (role, user, pattern) = (invocation.argument(0), invocation.argument(1), invocation.argument(2));
    let pairs = [("role", role), ("user", user), ("pattern", pattern)];
    invocation.client()?.json("DELETE", &with_query(&grants_of(pattern), &pairs), None)?;
    let done: Value = json!({ "role": role, "user": user, "pattern": pattern });
    invocation.show(&done, || format!("{user} has no more the role {role} on {pattern}\n"));
    Ok(ExitCode::SUCCESS)
}

/// A pattern's first part is its organization.
fn grants_of(pattern: &str) -> String {
    let org = pattern.split('/').next().unwrap_or("");
    format!("/api/orgs/{}/grants", escape(org))
}
