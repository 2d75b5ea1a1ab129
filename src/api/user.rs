//! Who am I.

use serde_json::json;

use crate::app::App;
use crate::call::{Call, Caller};
use crate::clock;
use crate::error::Error;
use crate::http::Response;
use crate::store;

/// The caller. `githubLogin` is the user name; the personal organization is among the organizations.
///
/// Source: client/client.go, `serviceUser`.
pub fn get(app: &App, call: &mut Call) -> Result<Response, Error> {
    let user = call.user_name();
    let organizations: Vec<_> = organizations(app, call)?
        .iter()
        .map(|login| json!({ "githubLogin": login, "name": login, "avatarUrl": "" }))
        .collect();
    let mut body = json!({
        "id": user, "githubLogin": user, "name": user, "email": "", "avatarUrl": "",
        "organizations": organizations, "identities": [], "siteAdmin": call.caller.require_server().is_ok(),
    });
    if let Caller::User(user) = &call.caller
        && let Some(token) = &user.token
    {
        body["tokenInfo"] = json!({ "name": token.name });
        if user.is_machine {
            body["tokenInfo"]["organization"] = json!(user.name);
        }
    }
    with_backup_warning(app, call, Response::json(&body)?)
}

/// Tells an administrator of the server that backups are overdue, once in a command: the CLI prints this header of any
/// answer. Source: client/api.go, `X-Pulumi-Warning`.
pub fn with_backup_warning(app: &App, call: &Call, response: Response) -> Result<Response, Error> {
    let warn_after_secs = app.config.backup.warn_after_secs;
    if warn_after_secs.is_none() || call.caller.require_server().is_err() {
        return Ok(response);
    }
    let (standing, now_unix) = (app.store.read(store::backup::standing)?, app.now_unix());
    let is_overdue = standing.is_overdue(warn_after_secs, now_unix);
    if !is_overdue || !app.recent.is_warning_due(call.user_name(), now_unix) {
        return Ok(response);
    }
    let since = match standing.last_verified_made_at_unix {
        Some(made_at_unix) => format!("since {}Z", clock::date_time(made_at_unix)),
        None => "at all".into(),
    };
    let warning = format!(
        "The server has made no backup that was found whole {since}; see: pulumi-backend backup list"
    );
    Ok(response.with_header("X-Pulumi-Warning", warning))
}

/// Where unqualified stack names go. Never an error: it would fail every command.
pub fn default_organization(app: &App, call: &mut Call) -> Result<Response, Error> {
    let organizations = organizations(app, call)?;
    let first = organizations.first().map_or("", String::as_str);
    // The CLI asks this first, unless a person has chosen an organization.
    with_backup_warning(app, call, Response::json(&json!({ "gitHubLogin": first, "messages": [] }))?)
}

/// Organizations in which the caller has anything, the default one first, the personal one last.
fn organizations(app: &App, call: &Call) -> Result<Vec<String>, Error> {
    let (org, user) = (app.config.org.as_str(), call.user_name());
    let rights = call.caller.rights();
    let known = app.store.read(store::account::list_orgs)?;
    let mut logins: Vec<String> = vec![org.to_string()];
    logins.extend(known.into_iter().map(|account| account.name).filter(|name| name != org));
    logins.retain(|login| rights.in_org(login) && login != user);
    if matches!(&call.caller, Caller::User(_)) {
        logins.push(user.to_string());
    }
    Ok(logins)
}
