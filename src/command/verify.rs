//! `verify`: opens and compares everything that is stored.

use std::process::ExitCode;

use serde_json::Value;

use super::{Invocation, backup};
use crate::error::Error;
use crate::ops::verify;

/// 0 if everything is as it was written, 1 if not; in the backup that the argument names, or in the database.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Error> {
    if !invocation.argument(0).is_empty() {
        return backup::verify(invocation);
    }
    let report = invocation.client()?.json_of_work(verify::WORK, "POST", "/api/admin/verify")?;
    let is_sound = report["isSound"] == true;
    invocation.show(&report, || told(&report, is_sound));
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(report: &Value, is_sound: bool) -> String {
    let counts = report["checked"].as_object().cloned().unwrap_or_default();
    let mut text: String = counts.iter().map(|(what, n)| format!("{n:>10} {what}\n")).collect();
    for problem in report["problems"].as_array().into_iter().flatten() {
        text.push_str(&format!("damaged: {}\n", problem.as_str().unwrap_or_default()));
    }
    text.push_str(match is_sound {
        true => "everything opens and is as it was written\n",
        false => {
            "What is damaged is not shown to anybody; the rest goes on working. \
             `pulumi-backend restore` brings back a backup.\n"
        }
    });
    text
}
