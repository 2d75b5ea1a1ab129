//! `lock`: who holds which stack, and the way out when nobody comes back for it.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::Client;
use super::stack::{StackName, table};
use super::{Invocation, remark};
use crate::error::Error;

/// Every lock.
pub fn list(invocation: &Invocation) -> Result<ExitCode, Error> {
    let answer = invocation.client()?.json("GET", "/api/admin/locks", None)?;
    let locks = answer["locks"].as_array().cloned().unwrap_or_default();
    invocation.show(&answer, || match locks.is_empty() {
        true => "no stack is locked\n".into(),
        false => {
            table(&["STACK", "KIND", "HOLDER", "HOST", "SINCE", "LAST HEARTBEAT"], locks.iter().map(row))
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn row(lock: &Value) -> Vec<String> {
    let name = StackName::of(lock).to_string();
    let text = |key: &str| lock[key].as_str().unwrap_or("").to_string();
    let expired = if lock["isExpired"] == true { " (expired)" } else { "" };
    vec![name, text("kind"), text("holder"), text("host"), text("since"), text("lastHeartbeat") + expired]
}

/// One lock, with all that is known of it.
pub fn show(invocation: &Invocation) -> Result<ExitCode, Error> {
    let client = invocation.client()?;
    let name = StackName::find(&client, invocation)?;
    let lock = of_stack(&client, &name)?;
    invocation.show(&lock, || {
        let text = |key: &str| lock[key].as_str().unwrap_or("").to_string();
        format!(
            "stack           {name}\nupdate          {} ({}, version {})\nholder          {}\nhost            {}\n\
             since           {}\nlast heartbeat  {}\nlease expires   {}{}\n",
            text("updateID"),
            text("kind"),
            lock["version"],
            text("holder"),
            text("host"),
            text("since"),
            text("lastHeartbeat"),
            text("leaseExpires"),
            if lock["isExpired"] == true { " (it has run out)" } else { "" },
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// The lock of a stack. Errors: `NotFound` if nothing runs on it.
pub fn of_stack(client: &Client, name: &StackName) -> Result<Value, Error> {
    let answer = client.json("GET", "/api/admin/locks", None)?;
    let mut locks = answer["locks"].as_array().into_iter().flatten();
    let found = locks.find(|lock| StackName::of(lock) == *name).cloned();
    found.ok_or_else(|| Error::NotFound(format!("no update runs on {name}")))
}

/// Cancels the update that holds the stack, as `pulumi cancel` does: what it had reported is the state.
pub fn release(invocation: &Invocation) -> Result<ExitCode, Error> {
    let client = invocation.client()?;
    let name = StackName::find(&client, invocation)?;
    let lock = of_stack(&client, &name)?;
    let update = lock["updateID"].as_str().unwrap_or("");
    client.json("POST", &format!("{}/update/{update}/cancel", name.path()), None)?;
    let released = json!({ "released": name.to_string(), "updateID": update });
    invocation.show(&released, || format!("released {name}: update {update} is cancelled\n"));
    if !invocation.has("json") {
        remark("what was under way stays in the state as pending operations; pulumi refresh settles them");
    }
    Ok(ExitCode::SUCCESS)
}
