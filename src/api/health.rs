//! Is it alive, can it serve.

use serde_json::json;

use crate::app::App;
use crate::call::Call;
use crate::error::Error;
use crate::http::Response;
use crate::store::meta;

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

/// The database can be read and the writer commits.
pub fn readyz(app: &App, _: &mut Call) -> Result<Response, Error> {
    app.store.read(|conn| meta::find(conn, "server_key"))?;
    app.store.write(meta::Ping)?;
    Response::json(&json!({ "status": "ready" }))
}
