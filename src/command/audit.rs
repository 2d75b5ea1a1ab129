//! `audit`: who did what, and whether the record of it is whole.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::target::with_query;
use super::{Invocation, print, time};
use crate::api::audit;
use crate::clock::date_time;
use crate::domain::read;
use crate::error::Error;

/// The records, filtered; as lines, JSON, CSV or CEF.
pub fn list(invocation: &Invocation) -> Result<ExitCode, Error> {
    let time = |name: &str| {
        let text = invocation.option(name);
        Ok::<_, Error>(text.map(|text| time::ago(name, text)).transpose()?.map(|at| at.to_string()))
    };
    let (since, until) = (time("since")?.unwrap_or_default(), time("until")?.unwrap_or_default());
    let option = |name| invocation.option(name).unwrap_or("");
    let mut pairs = vec![
        ("since", since.as_str()),
        ("until", &until),
        ("user", option("user")),
        ("stack", option("stack")),
        ("action", option("action")),
    ];
    let format = ["csv", "cef"].into_iter().find(|format| invocation.has(format));
    if let Some(format) = format {
        pairs.push(("format", format));
        let answer = invocation.client()?.call("GET", &with_query("/api/admin/audit/export", &pairs), b"")?;
        print(&String::from_utf8_lossy(&answer.body));
        return Ok(ExitCode::SUCCESS);
    }
    let records = all(invocation, &pairs)?;
    invocation.show(&json!({ "records": records }), || records.iter().map(line).collect());
    Ok(ExitCode::SUCCESS)
}

fn all(invocation: &Invocation, pairs: &[(&str, &str)]) -> Result<Vec<Value>, Error> {
    let client = invocation.client()?;
    let mut records = Vec::new();
    let mut after = String::new();
    loop {
        let pairs = [pairs, &[("after", after.as_str())]].concat();
        let mut page = client.json("GET", &with_query("/api/admin/audit", &pairs), None)?;
        records.append(page["records"].as_array_mut().unwrap_or(&mut Vec::new()));
        match page["next"].as_i64() {
            Some(next) => after = next.to_string(),
            None => return Ok(records),
        }
    }
}

fn line(record: &Value) -> String {
    let text = |key: &str| record[key].as_str().unwrap_or("").to_string();
    let at = date_time(record["timestamp"].as_i64().unwrap_or(0));
    let token = text("token");
    let by = if token.is_empty() { String::new() } else { format!(" ({token})") };
    let (who, what) = (format!("{}{by}", text("user")), text("action"));
    let rest = [text("target"), text("result"), text("detail")];
    let rest: Vec<String> = rest.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{at}Z  {:<15} {who:<24} {what:<16} {}\n", text("address"), rest.join("  "))
}

/// Checks the chain of the records: of this server, or of a file that `audit --json` wrote. A file with a head that was
/// kept elsewhere needs neither server nor key.
pub fn verify(invocation: &Invocation) -> Result<ExitCode, Error> {
    let file = invocation.argument(0);
    let text = match file {
        "" => String::new(),
        file => std::fs::read_to_string(file)
            .map_err(|cause| Error::invalid("", format!("cannot read {file}: {cause}")))?,
    };
    let found = match (file, invocation.option("head")) {
        ("", head) | (_, head @ None) => {
            let target = with_query("/api/admin/audit/verify", &[("head", head.unwrap_or(""))]);
            let answer = invocation.client()?.call("POST", &target, text.as_bytes())?;
            read::from_bytes(&answer.body)
                .map_err(|cause| Error::internal("read the server's answer", cause))?
        }
        (_, Some(head)) => audit::verify_export(&text, head)?,
    };
    let problem = found["problem"].as_str();
    invocation.show(&found, || match problem {
        Some(problem) => format!("{problem}\n"),
        None => whole(&found),
    });
    Ok(if problem.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a walk without a problem has shown, and what it has not.
fn whole(found: &Value) -> String {
    let mut text = format!("{} records, each as it was recorded\n", found["records"]);
    if found["isFromStart"] == false {
        text.push_str(&format!(
            "they begin with number {}, which cannot be checked itself: the one before it is not in the file\n",
            found["first"]
        ));
    }
    let (vouched_to, last) = (found["vouchedTo"].as_i64(), found["head"]["sequence"].as_i64().unwrap_or(0));
    if let Some(vouched_to) = vouched_to.filter(|vouched_to| *vouched_to < last) {
        text.push_str(&format!(
            "the head vouches for those up to {vouched_to}; those after it follow one another, but could have been made anew\n"
        ));
    }
    text
}

/// Number and hash of the last record, to be kept elsewhere.
pub fn head(invocation: &Invocation) -> Result<ExitCode, Error> {
    let head = invocation.client()?.json("GET", "/api/admin/audit/head", None)?;
    invocation.show(&head, || format!("{}:{}\n", head["sequence"], head["hash"].as_str().unwrap_or("")));
    Ok(ExitCode::SUCCESS)
}
