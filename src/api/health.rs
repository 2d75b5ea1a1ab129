//! Is it alive, can it serve.

use serde_json::json;

use crate::app::App;
use crate::call::Call;
use crate::error::Error;
use crate::http::Response;
use crate::store::{disk, meta};

/// What a person sees who opens the address in a browser.
pub fn root(_: &App, _: &mut Call) -> Result<Response, Error> {
    Response::json(&json!({
        "name": "pulumi-backend",
        "version": env!("CARGO_PKG_VERSION"),
        "message": "This is a state backend for the Pulumi CLI. Point it here with: pulumi login <this address>",
    }))
}

/// The process answers.
pub fn healthz(_: &App, _: &mut Call) -> Result<Response, Error> {
    Response::json(&json!({ "status": "ok" }))
}

/// The database can be read, the writer commits, and there is room on the disk.
///
/// Errors: 503 if not.
pub fn readyz(app: &App, _: &mut Call) -> Result<Response, Error> {
    app.store.read(|conn| meta::find(conn, "server_key"))?;
    app.store.write(meta::Ping)?;
    let free = disk::free_bytes(&app.config.db);
    if let Some(free) = free.filter(|free| *free < app.config.disk_free_bytes_min) {
        return Err(Error::Unavailable(format!(
            "only {free} bytes are left on the disk of the data, fewer than {} (--disk-free-min)",
            app.config.disk_free_bytes_min
        )));
    }
    Response::json(&json!({ "status": "ready" }))
}
