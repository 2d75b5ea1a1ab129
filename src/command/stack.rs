//! `stack`: look at stacks, and do with them what an administrator must.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::Client;
use super::{Invocation, lock, print, remark};
use crate::error::Error;

/// A stack's full name.
#[derive(PartialEq, Eq)]
pub struct StackName {
    org: String,
    project: String,
    stack: String,
}

impl StackName {
    /// The stack that an answer of the API names.
    pub fn of(body: &Value) -> StackName {
        let text = |key: &str| body[key].as_str().unwrap_or("").to_string();
        StackName { org: text("orgName"), project: text("projectName"), stack: text("stackName") }
    }

    /// The stack that the first argument means: `ORG/PROJECT/STACK`, or an end of it that only one stack has.
    pub fn find(client: &Client, invocation: &Invocation) -> Result<StackName, Error> {
        let given = invocation.argument(0);
        let parts: Vec<&str> = given.split('/').collect();
        if let [org, project, stack] = parts[..] {
            let [org, project, stack] = [org, project, stack].map(String::from);
            return Ok(StackName { org, project, stack });
        }
        let names = all(client)?.iter().map(StackName::of).collect::<Vec<_>>();
        let end = format!("/{given}");
        let mut fitting: Vec<StackName> =
            names.into_iter().filter(|name| format!("/{name}").ends_with(&end)).collect();
        match fitting.len() {
            0 => Err(Error::NotFound(format!("there is no stack '{given}'; see: pulumi-backend stack list"))),
            1 => Ok(fitting.remove(0)),
            _ => {
                let names = fitting.iter().map(StackName::to_string).collect::<Vec<_>>().join(", ");
                Err(Error::invalid("", format!("'{given}' may be any of these, write it in full: {names}")))
            }
        }
    }

    /// Its organization.
    pub fn org(&self) -> &str {
        &self.org
    }

    /// Its project.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Its name in the project.
    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// Its path in the vendor's API.
    pub fn path(&self) -> String {
        format!("/api/stacks/{self}")
    }
}

impl std::fmt::Display for StackName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.org, self.project, self.stack)
    }
}

/// Columns as wide as their widest cell.
pub fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head = head.iter().map(|cell| cell.to_string()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

/// All stacks, with their last update and how many resources they have.
pub fn list(invocation: &Invocation) -> Result<ExitCode, Error> {
    let stacks = all(&invocation.client()?)?;
    invocation.show(&json!({ "stacks": stacks }), || match stacks.is_empty() {
        true => "there are no stacks\n".into(),
        false => table(&["STACK", "RESOURCES"], stacks.iter().map(line)),
    });
    Ok(ExitCode::SUCCESS)
}

pub fn all(client: &Client) -> Result<Vec<Value>, Error> {
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

fn line(stack: &Value) -> Vec<String> {
    let n_resources = stack["resourceCount"].as_u64().map_or("-".into(), |n| n.to_string());
    vec![StackName::of(stack).to_string(), n_resources]
}

/// What a stack is and takes, and who holds it.
pub fn info(invocation: &Invocation) -> Result<ExitCode, Error> {
    let client = invocation.client()?;
    let name = StackName::find(&client, invocation)?;
    let mut info = client.json("GET", &format!("/api/admin/stacks/{name}"), None)?;
    info["tags"] = client.json("GET", &name.path(), None)?["tags"].clone();
    info["lock"] = match lock::of_stack(&client, &name) {
        Ok(lock) => lock,
        Err(Error::NotFound(_)) => Value::Null,
        Err(error) => return Err(error),
    };
    invocation.show(&info, || info_text(&name, &info));
    Ok(ExitCode::SUCCESS)
}

fn info_text(name: &StackName, info: &Value) -> String {
    let shown = |key: &str| match &info[key] {
        Value::Null => "-".to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut text = format!(
        "stack      {name}\nversion    {} ({} kept)\nresources  {}\nstate      {} bytes\ncreated    {}\nupdated    {}\n",
        shown("version"),
        shown("versionsKept"),
        shown("resourceCount"),
        shown("stateBytes"),
        shown("created"),
        shown("updated"),
    );
    for (tag, value) in info["tags"].as_object().into_iter().flatten() {
        text.push_str(&format!("tag        {tag}={}\n", value.as_str().unwrap_or("")));
    }
    text.push_str(&match info["lock"]["updateID"].as_str() {
        Some(update) => format!("locked     by update {update} of {}\n", info["lock"]["holder"]),
        None => "locked     no\n".into(),
    });
    text
}

/// The versions of a stack, kept or given up.
pub fn versions(invocation: &Invocation) -> Result<ExitCode, Error> {
    let client = invocation.client()?;
    let name = StackName::find(&client, invocation)?;
    let mut versions = Vec::new();
    let mut target = format!("/api/admin/stacks/{name}/versions");
    loop {
        let page = client.json("GET", &target, None)?;
        versions.extend(page["versions"].as_array().cloned().unwrap_or_default());
        match page["before"].as_i64() {
            Some(before) => target = format!("/api/admin/stacks/{name}/versions?before={before}"),
            None => break,
        }
    }
    invocation.show(&json!({ "versions": versions }), || {
        let head = ["VERSION", "KIND", "STATUS", "ENDED", "BY", "RESOURCES", "BYTES"];
        table(&head, versions.iter().map(version_row))
    });
    Ok(ExitCode::SUCCESS)
}

fn version_row(version: &Value) -> Vec<String> {
    let text = |key: &str| version[key].as_str().unwrap_or("-").to_string();
    let number = |key: &str| version[key].as_i64().map_or("-".into(), |n| n.to_string());
    let bytes = if version["isKept"] == true { number("stateBytes") } else { "not kept".into() };
    let (kind, status, ended, by) = (text("kind"), text("status"), text("ended"), text("requestedBy"));
    vec![number("version"), kind, status, ended, by, number("resourceCount"), bytes]
}

/// The state, as `pulumi stack export` gives it: secrets stay sealed.
pub fn export(invocation: &Invocation) -> Result<ExitCode, Error> {
    let client = invocation.client()?;
    let name = StackName::find(&client, invocation)?;
    let version = invocation.option("version").map_or(String::new(), |version| format!("/{version}"));
    let state = client.call("GET", &format!("{}/export{version}", name.path()), &[])?.body;
    match invocation.option("file") {
        Some(file) => {
            write_new(file, &state)?;
            let done = json!({ "file": file, "bytes": state.len() });
            invocation.show(&done, || format!("wrote {} bytes to {file}\n", state.len()));
        }
        None => print(&format!("{}\n", String::from_utf8_lossy(&state))),
    }
    Ok(ExitCode::SUCCESS)
}

/// Only its owner may read it; a file that is there stays as it is.
fn write_new(file: &str, bytes: &[u8]) -> Result<(), Error> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(file).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|cause| match cause.kind() {
        std::io::ErrorKind::AlreadyExists => Error::Conflict(format!("{file} is there already")),
        _ => Error::internal(format!("write {file}"), cause),
    })
}

/// Ends what runs on a stack.
pub fn cancel(invocation: &Invocation) -> Result<ExitCode, Error> {
    lock::release(invocation)
}

/// Deletes a stack with its history and its key.
///
/// Errors: 2 without `--yes`; 2 if it still has resources, without `--force`.
pub fn delete(invocation: &Invocation) -> Result<ExitCode, Error> {
    let client = invocation.client()?;
    let name = StackName::find(&client, invocation)?;
    if !invocation.has("yes") {
        let info = client.json("GET", &format!("/api/admin/stacks/{name}"), None)?;
        return Err(Error::invalid(
            "",
            format!(
                "{name} has {} resources and {} versions; nothing was deleted. To delete all of it, with the key \
                 that opens its secrets, add --yes",
                info["resourceCount"].as_i64().unwrap_or(0),
                info["versionsKept"]
            ),
        ));
    }
    let force = if invocation.has("force") { "?force=true" } else { "" };
    client.call("DELETE", &format!("{}{force}", name.path()), &[])?;
    invocation.show(&json!({ "deleted": name.to_string() }), || format!("deleted {name}\n"));
    if invocation.has("force") && !invocation.has("json") {
        remark("the resources themselves were not touched: nothing manages them any more");
    }
    Ok(ExitCode::SUCCESS)
}
