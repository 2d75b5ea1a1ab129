//! Who am I.

use serde_json::json;

use crate::app::App;
use crate::call::Call;
use crate::error::Error;
use crate::http::Response;

/// The caller. `githubLogin` is the user name; the personal organization is among the organizations.
///
/// Source: client/client.go, `serviceUser`.
pub fn get(app: &App, call: &mut Call) -> Result<Response, Error> {
    let user = call.user_name();
    let mut logins = vec![app.config.org.as_str()];
    if user != app.config.org.as_str() {
        logins.push(user);
    }
    let organizations: Vec<_> =
        logins.iter().map(|login| json!({ "githubLogin": login, "name": login, "avatarUrl": "" })).collect();
    Response::json(&json!({
        "id": user, "githubLogin": user, "name": user, "email": "", "avatarUrl": "",
        "organizations": organizations, "identities": [], "siteAdmin": false,
    }))
}

/// Where unqualified stack names go. Never an error: it would fail every command.
pub fn default_organization(app: &App, _: &mut Call) -> Result<Response, Error> {
    Response::json(&json!({ "gitHubLogin": app.config.org.as_str(), "messages": [] }))
}
