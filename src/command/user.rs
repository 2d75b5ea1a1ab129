//! `user`: who may call.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::Invocation;
use super::target::escape;
use crate::error::Error;

/// Makes a user, and prints the first token: it is shown this once.
pub fn add(invocation: &Invocation) -> Result<ExitCode, Error> {
    let orgs: Vec<&str> = invocation.options("org").collect();
    let body = json!({
        "name": invocation.argument(0), "isAdmin": invocation.has("admin"), "organizations": orgs,
        "role": invocation.option("role"),
    });
    let added = invocation.client_or_new()?.json("POST", "/api/admin/users", Some(&body))?;
    invocation.show(&added, || {
        format!(
            "{}\n\nThis is the token of {}; it is not shown again. To use it:\n\n  PULUMI_ACCESS_TOKEN=… pulumi login URL\n",
            added["tokenValue"].as_str().unwrap_or(""),
            invocation.argument(0)
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// All users, with what they were granted.
pub fn list(invocation: &Invocation) -> Result<ExitCode, Error> {
    let users = invocation.client()?.json("GET", "/api/admin/users", None)?;
    invocation.show(&users, || {
        let lines = users["users"].as_array().into_iter().flatten().map(line);
        lines.collect()
    });
    Ok(ExitCode::SUCCESS)
}

fn line(user: &Value) -> String {
    let mut marks = Vec::new();
    if user["isAdmin"] == true {
        marks.push("administrator of the server".to_string());
    }
    if user["isDisabled"] == true {
        marks.push("disabled".into());
    }
    let grants = user["grants"].as_array().into_iter().flatten();
    let text = |grant: &Value, key: &str| grant[key].as_str().unwrap_or("").to_string();
    marks.extend(grants.map(|grant| format!("{} on {}", text(grant, "role"), text(grant, "pattern"))));
    format!("{:<24} {}\n", text(user, "name"), marks.join(", "))
}

/// Locks a user out.
pub fn disable(invocation: &Invocation) -> Result<ExitCode, Error> {
    set(invocation, true, "is locked out; updates that run go on")
}

/// Lets a user in again.
pub fn enable(invocation: &Invocation) -> Result<ExitCode, Error> {
    set(invocation, false, "is let in again")
}

fn set(invocation: &Invocation, is_disabled: bool, done: &str) -> Result<ExitCode, Error> {
    let name = invocation.argument(0);
    let target = format!("/api/admin/users/{}", escape(name));
    invocation.client()?.json("PATCH", &target, Some(&json!({ "isDisabled": is_disabled })))?;
    invocation.show(&json!({ "name": name, "isDisabled": is_disabled }), || format!("{name} {done}\n"));
    Ok(ExitCode::SUCCESS)
}

/// Removes a user with all tokens and grants.
pub fn remove(invocation: &Invocation) -> Result<ExitCode, Error> {
    let name = invocation.argument(0);
    invocation.client()?.json("DELETE", &format!("/api/admin/users/{}", escape(name)), None)?;
    invocation.show(&json!({ "name": name }), || format!("{name} is removed\n"));
    Ok(ExitCode::SUCCESS)
}
