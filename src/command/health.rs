//! `health`: for scripts, container health checks and people.

use std::process::ExitCode;

use serde_json::json;

use super::Invocation;
use crate::error::Error;

/// Asks the server that runs on this database; one is never started for it.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Error> {
    let config = invocation.config()?;
    if crate::server::control::connect(&config.db).is_err() {
        invocation.show(&json!({ "status": "stopped" }), || {
            format!("no server is running on {}\n", config.db.display())
        });
        return Ok(ExitCode::FAILURE);
    }
    let answer = invocation.client()?.json("GET", "/readyz", None)?;
    invocation.show(&answer, || "ready\n".into());
    Ok(ExitCode::SUCCESS)
}
