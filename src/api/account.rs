//! Users and organizations, for the administrators of the server. The vendor has no API for them.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::call::Call;
use crate::clock::date_time;
use crate::crypto;
use crate::crypto::token::AccessToken;
use crate::domain::access::{Grant, Role};
use crate::domain::name::OrgName;
use crate::error::Error;
use crate::http::Response;
use crate::store;
use crate::store::account::{Account, AddOrg, AddUser, RemoveUser, SetDisabled};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddUserRequest {
    name: String,
    #[serde(default)]
    is_admin: bool,
    /// The user gets `role` on each.
    #[serde(default)]
    organizations: Vec<String>,
    #[serde(default)]
    role: Option<String>,
}

/// Makes a user and a first token, which is shown this once.
///
/// Errors: 409 if the name is taken; 404 unknown organization; 400 for a first user who is no administrator.
pub fn add_user(app: &App, call: &mut Call) -> Result<Response, Error> {
    let request: AddUserRequest = call.json()?;
    let name = OrgName::parse(&request.name).map_err(|cause| Error::invalid("name", cause.to_string()))?;
    let role = Role::parse(request.role.as_deref().unwrap_or("update"))?;
    let token = AccessToken::random()?;
    let uid = crypto::random_uuid()?;
    let now_unix = app.now_unix();
    let mut event = call.event(now_unix, "user.add", "", &name);
    event.detail = if request.is_admin { "administrator of the server".into() } else { String::new() };
    let job = AddUser {
        name: name.clone(),
        is_admin: request.is_admin,
        grants: request.organizations.iter().map(|org| Grant::on_org(role, org)).collect(),
        org: app.config.org.clone(),
        created_by: call.user_name().into(),
        token: (uid.clone(), token.hash()),
        now_unix,
    };
    if app.write_recorded(job, event)? {
        log::info!("the first user, {name}, was added: from now on only tokens of users are accepted");
    }
    Response::json(&json!({
        "name": name.as_str(), "isAdmin": request.is_admin, "tokenID": uid, "tokenValue": token.reveal(),
    }))
}

fn user(account: &Account) -> Value {
    json!({
        "name": account.name, "isAdmin": account.is_admin, "isDisabled": account.is_disabled,
        "created": format!("{}Z", date_time(account.created_at_unix)),
    })
}

/// All users, with what they were granted.
pub fn list_users(app: &App, _: &mut Call) -> Result<Response, Error> {
    let (accounts, grants) =
        app.store.read(|conn| Ok((store::account::list_users(conn)?, store::grant::list(conn, None)?)))?;
    let users: Vec<Value> = accounts
        .iter()
        .map(|account| {
            let of_user = grants.iter().filter(|granted| granted.user == account.name);
            let grants: Vec<Value> = of_user
                .map(|it| json!({ "role": it.grant.role.as_str(), "pattern": it.grant.pattern.to_string() }))
                .collect();
            let mut user = user(account);
            user["grants"] = grants.into();
            user
        })
        .collect();
    Response::json(&json!({ "users": users }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetUserRequest {
    is_disabled: bool,
}

/// Locks a user out, or lets the user in again. A running update goes on by its lease.
pub fn set_user(app: &App, call: &mut Call) -> Result<Response, Error> {
    let SetUserRequest { is_disabled } = call.json()?;
    let name = call.parameter(0).to_string();
    let action = if is_disabled { "user.disable" } else { "user.enable" };
    let event = call.event(app.now_unix(), action, "", &name);
    app.write_recorded(SetDisabled { name, is_disabled }, event)?;
    Ok(Response::no_content())
}

/// Removes a user with all tokens and grants. Errors: 409 for the last administrator, or while the personal
/// organization has stacks.
pub fn remove_user(app: &App, call: &mut Call) -> Result<Response, Error> {
    let name = call.parameter(0).to_string();
    let event = call.event(app.now_unix(), "user.remove", "", &name);
    app.write_recorded(RemoveUser { name }, event)?;
    Ok(Response::no_content())
}

/// All organizations but personal ones.
pub fn list_orgs(app: &App, _: &mut Call) -> Result<Response, Error> {
    let accounts = app.store.read(store::account::list_orgs)?;
    let orgs: Vec<Value> = accounts
        .iter()
        .map(|it| json!({ "name": it.name, "created": format!("{}Z", date_time(it.created_at_unix)) }))
        .collect();
    Response::json(&json!({ "organizations": orgs }))
}

#[derive(Deserialize)]
struct AddOrgRequest {
    name: String,
}

/// Makes an organization. Errors: 409 if the name is taken.
pub fn add_org(app: &App, call: &mut Call) -> Result<Response, Error> {
    let request: AddOrgRequest = call.json()?;
    let name = OrgName::parse(&request.name)?;
    let now_unix = app.now_unix();
    let event = call.event(now_unix, "org.add", name.as_str(), &name);
    app.write_recorded(AddOrg { name: name.clone(), now_unix }, event)?;
    Response::json(&json!({ "name": name.as_str() }))
}
