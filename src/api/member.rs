//! Who belongs to an organization, and what its members were granted.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::call::Call;
use crate::clock::date_time;
use crate::domain::access::{Grant, Pattern, Role};
use crate::error::Error;
use crate::http::Response;
use crate::store;
use crate::store::grant::{AddGrant, Granted, RemoveGrant, RemoveMember, SetMember};

/// The members with their widest role: `admin`, or what the CLI calls `member`.
///
/// Source: apitype/organizations.go, `ListOrganizationMembersResponse`.
pub fn list(app: &App, call: &mut Call) -> Result<Response, Error> {
    let org = call.parameter(0).to_string();
    let grants = app.store.read(|conn| store::grant::list(conn, Some(&org)))?;
    let mut members: Vec<Value> = Vec::new();
    for of_user in grants.chunk_by(|a, b| a.user == b.user) {
        members.extend(of_user.iter().max_by_key(|granted| granted.grant.role).map(member));
    }
    Response::json(&json!({ "members": members }))
}

fn member(granted: &Granted) -> Value {
    let Granted { user, grant, created_at_unix } = granted;
    let role = if grant.role == Role::Admin { "admin" } else { "member" };
    json!({
        "role": role,
        "user": { "name": user, "githubLogin": user, "avatarUrl": "" },
        "created": format!("{}Z", date_time(*created_at_unix)),
        "knownToPulumi": true, "virtualAdmin": false,
        "fgaRole": { "id": grant.role.as_str(), "name": grant.role.as_str(), "modifiedAt": "" },
    })
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct MemberRequest {
    role: Option<String>,
    fga_role_id: Option<String>,
}

/// Gives a user one role on the whole organization, in place of all that was granted there.
///
/// The CLI's `member` is the role `update`; all roles of this server can be named too.
pub fn set(app: &App, call: &mut Call) -> Result<Response, Error> {
    let request: MemberRequest = call.json()?;
    let role = match request.fga_role_id.or(request.role).as_deref() {
        None | Some("member") => Role::Update,
        Some(role) => Role::parse(role)?,
    };
    let (org, user) = (call.parameter(0).to_string(), call.parameter(1).to_string());
    let now_unix = app.now_unix();
    let mut event = call.event(now_unix, "member.set", &org, &user);
    event.detail = role.as_str().into();
    app.write_recorded(SetMember { user, org, role, now_unix }, event)?;
    Ok(Response::no_content())
}

/// Takes back all that a user was granted in the organization.
pub fn delete(app: &App, call: &mut Call) -> Result<Response, Error> {
    let (org, user) = (call.parameter(0).to_string(), call.parameter(1).to_string());
    let event = call.event(app.now_unix(), "member.remove", &org, &user);
    app.write_recorded(RemoveMember { user, org }, event)?;
    Ok(Response::no_content())
}

/// Every grant of the organization.
pub fn list_grants(app: &App, call: &mut Call) -> Result<Response, Error> {
    let org = call.parameter(0).to_string();
    let grants = app.store.read(|conn| store::grant::list(conn, Some(&org)))?;
    let grants: Vec<Value> = grants
        .iter()
        .map(|Granted { user, grant, created_at_unix }| {
            json!({
                "user": user, "role": grant.role.as_str(), "pattern": grant.pattern.to_string(),
                "created": format!("{}Z", date_time(*created_at_unix)),
            })
        })
        .collect();
    Response::json(&json!({ "grants": grants }))
}

#[derive(Deserialize)]
struct GrantRequest {
    user: String,
    role: String,
    pattern: String,
}

impl GrantRequest {
    /// Errors: 400 for a pattern outside of the organization in the path.
    fn grant(&self, call: &Call) -> Result<Grant, Error> {
        let grant = Grant { role: Role::parse(&self.role)?, pattern: Pattern::parse(&self.pattern)? };
        match grant.pattern.org == call.parameter(0) {
            true => Ok(grant),
            false => Err(Error::invalid(
                "pattern",
                format!("'{}' is not of organization '{}'", self.pattern, call.parameter(0)),
            )),
        }
    }
}

/// Gives a user a role on some stacks; the same again changes nothing. `*` for the organization is all of them.
pub fn add_grant(app: &App, call: &mut Call) -> Result<Response, Error> {
    let request: GrantRequest = call.json()?;
    let grant = request.grant(call)?;
    let now_unix = app.now_unix();
    let mut event = call.event(now_unix, "grant.add", call.parameter(0), &request.user);
    event.detail = format!("{} on {}", grant.role.as_str(), grant.pattern);
    app.write_recorded(AddGrant { user: request.user, grant, now_unix }, event)?;
    Ok(Response::no_content())
}

/// Takes a grant back: `?user=&role=&pattern=`, as it was given. Errors: 404 if there is none.
pub fn remove_grant(app: &App, call: &mut Call) -> Result<Response, Error> {
    let text = |name| call.query(name).unwrap_or_default();
    let request = GrantRequest { user: text("user"), role: text("role"), pattern: text("pattern") };
    let grant = request.grant(call)?;
    let mut event = call.event(app.now_unix(), "grant.remove", call.parameter(0), &request.user);
    event.detail = format!("{} on {}", grant.role.as_str(), grant.pattern);
    app.write_recorded(RemoveGrant { user: request.user, grant }, event)?;
    Ok(Response::no_content())
}
