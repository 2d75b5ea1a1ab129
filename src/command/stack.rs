//! `stack`: look at stacks, and do with them what an administrator must.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::Invocation;
use super::client::Client;
use crate::error::Error;

/// All stacks, with their last update and how many resources they have.
pub fn list(invocation: &Invocation) -> Result<ExitCode, Error> {
    let stacks = all(&invocation.client()?)?;
    invocation.show(&json!({ "stacks": stacks }), || stacks.iter().map(line).collect());
    Ok(ExitCode::SUCCESS)
}

fn all(client: &Client) -> Result<Vec<Value>, Error> {
    let mut stacks = Vec::new();
    let mut target = "/api/user/stacks".to_string();
    loop {
        let page = client.json("GET", &target, None)?;
        stacks.extend(page["stacks"].as_array().cloned().unwrap_or_default());
        match page["continuationToken"].as_str() {
            Some(token) => target = format!("/api/user/stacks?continuationToken={token}"),
            None => return Ok(stacks),
        }
    }
}

fn line(stack: &Value) -> String {
    let name = |key: &str| stack[key].as_str().unwrap_or("").to_string();
    let n_resources = stack["resourceCount"].as_u64().map_or("-".into(), |n| n.to_string());
    let full = format!("{}/{}/{}", name("orgName"), name("projectName"), name("stackName"));
    format!("{full:<60} {n_resources:>8} resources\n")
}
