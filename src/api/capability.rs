//! What this server can do, and what it says to look-ups that are not its business.

use serde_json::{Value, json};

use crate::app::App;
use crate::call::Call;
use crate::config::DeltaCheckpoints;
use crate::error::Error;
use crate::http::Response;

/// The first CLI that journals without being asked; those before profit from delta checkpoints.
const FIRST_JOURNALING_MINOR: u32 = 225;
/// The newest schema version of deployments that is stored and served.
const DEPLOYMENT_SCHEMA_VERSION: u32 = 4;

/// Capabilities, as the CLI asks for them several times in each command. Reads nothing from disk.
///
/// Source: apitype/service.go, `CapabilitiesResponse`.
pub fn list(app: &App, call: &mut Call) -> Result<Response, Error> {
    let mut capabilities = vec![
        json!({ "capability": "batch-encrypt" }),
        json!({
            "capability": "deployment-schema-version", "version": 1,
            "configuration": { "version": DEPLOYMENT_SCHEMA_VERSION },
        }),
    ];
    let wants_delta = match app.config.delta_checkpoints {
        DeltaCheckpoints::On => true,
        DeltaCheckpoints::Off => false,
        DeltaCheckpoints::Auto => {
            let minor = call.request.header("User-Agent").and_then(cli_minor_version);
            minor.is_some_and(|minor| minor < FIRST_JOURNALING_MINOR)
        }
    };
    if wants_delta {
        capabilities.extend(delta_capabilities(app.config.delta_cutoff_bytes));
    }
    Response::json(&json!({ "capabilities": capabilities }))
}

/// CLIs 3.49 to 3.51 know only the first name.
fn delta_capabilities(cutoff_bytes: u64) -> [Value; 2] {
    let configuration = json!({ "checkpointCutoffSizeBytes": cutoff_bytes });
    [
        json!({ "capability": "delta-checkpoint-uploads", "configuration": configuration }),
        json!({ "capability": "delta-checkpoint-uploads-v2", "version": 2, "configuration": configuration }),
    ]
}

/// 210 of `pulumi-cli/1 (v3.210.0; linux; cmd=up)`.
fn cli_minor_version(user_agent: &str) -> Option<u32> {
    let version = user_agent.strip_prefix("pulumi-cli/1 (")?.split(';').next()?;
    let mut numbers = version.trim_start_matches('v').split('.');
    if numbers.next()? != "3" {
        return None;
    }
    numbers.next()?.parse().ok()
}

/// No CLI is told that it is too old: this server serves all it can.
pub fn cli_version(_: &App, _: &mut Call) -> Result<Response, Error> {
    Response::json(&json!({ "latestVersion": "0.0.0", "oldestWithoutWarning": "0.0.0" }))
}

/// `up` and `new` ask for packages they do not know; an error here would fail them.
pub fn no_packages(_: &App, _: &mut Call) -> Result<Response, Error> {
    Response::json(&json!({ "packages": [] }))
}
