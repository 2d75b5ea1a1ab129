//! `token`: made, listed, revoked.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::target::escape;
use super::{Invocation, time};
use crate::clock::date_time;
use crate::error::Error;

/// Makes a token of a user, or a machine token of an organization, and prints it: it is shown this once.
pub fn create(invocation: &Invocation) -> Result<ExitCode, Error> {
    let target = match (invocation.option("user"), invocation.option("org")) {
        (Some(user), None) => format!("/api/admin/users/{}/tokens", escape(user)),
        (None, Some(org)) => format!("/api/orgs/{}/tokens", escape(org)),
        _ => {
            let why = "say whose token it is: --user NAME, or --org NAME for a machine";
            return Err(Error::invalid("", why));
        }
    };
    let expires = invocation.option("expires").map(|text| time::from_now("expires", text)).transpose()?;
    let stacks: Vec<&str> = invocation.options("stacks").collect();
    let body = json!({
        "name": invocation.option("name").unwrap_or(""), "expires": expires.unwrap_or(0),
        "role": invocation.option("role"), "stacks": (!stacks.is_empty()).then_some(stacks),
    });
    let made = invocation.client()?.json("POST", &target, Some(&body))?;
    invocation.show(&made, || {
        let until = made["expires"].as_i64().filter(|at| *at > 0);
        let until = until.map_or("does not end".to_string(), |at| format!("ends at {}Z", date_time(at)));
        format!(
            "{}\n\nIt is not shown again, and {until}. To revoke it: pulumi-backend token revoke {}\n",
            made["tokenValue"].as_str().unwrap_or(""),
            made["id"].as_str().unwrap_or("")
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// All tokens, without their texts: those are stored nowhere.
pub fn list(invocation: &Invocation) -> Result<ExitCode, Error> {
    let mut tokens = invocation.client()?.json("GET", "/api/admin/tokens", None)?;
    let owner = invocation.option("user").or(invocation.option("org"));
    if let (Some(owner), Some(all)) = (owner, tokens["tokens"].as_array_mut()) {
        all.retain(|token| token["owner"] == owner);
    }
    invocation.show(&tokens, || {
        let lines = tokens["tokens"].as_array().into_iter().flatten().map(line);
        lines.collect()
    });
    Ok(ExitCode::SUCCESS)
}

fn line(token: &Value) -> String {
    let text = |key: &str| token[key].as_str().unwrap_or("").to_string();
    let at = |key: &str| token[key].as_i64().filter(|at| *at > 0).map(|at| format!("{}Z", date_time(at)));
    let mut marks = vec![
        at("lastUsed")
            .map_or("never used".into(), |at| format!("last used {at} from {}", text("lastUsedAddress"))),
    ];
    if let Some(role) = token["limitedTo"].as_str() {
        let stacks = token["stacks"].as_array().into_iter().flatten().filter_map(Value::as_str);
        marks.push(format!("{role} on {}", stacks.collect::<Vec<_>>().join(" ")));
    }
    if let Some(at) = at("expires") {
        marks.push(format!("{} {at}", if token["isExpired"] == true { "ended" } else { "ends" }));
    }
    format!("{}  {:<16} {:<20} {}\n", text("id"), text("owner"), text("name"), marks.join(", "))
}

/// Ends a token, at once.
pub fn revoke(invocation: &Invocation) -> Result<ExitCode, Error> {
    let uid = invocation.argument(0);
    invocation.client()?.json("DELETE", &format!("/api/admin/tokens/{}", escape(uid)), None)?;
    invocation.show(&json!({ "id": uid }), || "revoked; updates that run go on by their lease\n".into());
    Ok(ExitCode::SUCCESS)
}
