//! Access tokens: of users, and of organizations for machines. Shown once, when they are made.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::call::Call;
use crate::clock::date_time;
use crate::crypto;
use crate::crypto::token::AccessToken;
use crate::domain::access::{Pattern, Role};
use crate::error::Error;
use crate::http::Response;
use crate::limits;
use crate::store;
use crate::store::account::Account;
use crate::store::token::{CreateToken, NewToken, RevokeToken, Scope, Token};

/// The vendor's fields, and those of ours: `role` and `stacks` limit what the token may do.
#[derive(Deserialize, Default)]
#[serde(default)]
struct CreateRequest {
    name: String,
    description: String,
    /// Unix time; 0 for never.
    expires: i64,
    /// The vendor's word for a machine token with the role `admin`.
    admin: bool,
    role: Option<String>,
    stacks: Option<Vec<String>>,
}

impl CreateRequest {
    fn label(&self) -> Result<String, Error> {
        let label = [&self.name, &self.description].into_iter().find(|text| !text.is_empty());
        let label = label.map_or("", String::as_str);
        match label.chars().count() <= limits::TOKEN_NAME_CHARS_MAX && !label.chars().any(char::is_control) {
            true => Ok(label.into()),
            false => Err(Error::invalid(
                "name",
                format!(
                    "has up to {} characters, none of them a control character",
                    limits::TOKEN_NAME_CHARS_MAX
                ),
            )),
        }
    }

    fn role(&self) -> Result<Option<Role>, Error> {
        match &self.role {
            Some(role) => Role::parse(role).map(Some),
            None => Ok(self.admin.then_some(Role::Admin)),
        }
    }

    /// What limits a user's token, if anything does.
    fn user_scope(&self) -> Result<Option<Scope>, Error> {
        let role = self.role()?;
        if role.is_none() && self.stacks.is_none() {
            return Ok(None);
        }
        let patterns = parse_patterns(self.stacks.as_deref(), "*")?;
        Ok(Some(Scope { role: role.unwrap_or(Role::Admin), patterns }))
    }

    /// What a machine token may do: by default, read.
    fn org_scope(&self, org: &str) -> Result<Scope, Error> {
        let patterns = parse_patterns(self.stacks.as_deref(), org)?;
        match patterns.iter().find(|pattern| pattern.org != org) {
            Some(foreign) => {
                Err(Error::invalid("stacks", format!("'{foreign}' is not of organization '{org}'")))
            }
            None => Ok(Scope { role: self.role()?.unwrap_or(Role::Read), patterns }),
        }
    }
}

/// Patterns as they came, `default` if none did.
pub fn parse_patterns(texts: Option<&[String]>, default: &str) -> Result<Vec<Pattern>, Error> {
    match texts.filter(|texts| !texts.is_empty()) {
        None => Ok(vec![Pattern::parse(default)?]),
        Some(texts) if texts.len() > limits::SCOPE_PATTERNS_MAX => Err(Error::invalid(
            "stacks",
            format!("there are more than {} patterns", limits::SCOPE_PATTERNS_MAX),
        )),
        Some(texts) => texts.iter().map(|text| Pattern::parse(text)).collect(),
    }
}

/// Makes a token for the caller.
///
/// Source: the vendor's REST API, "Create Personal Token".
pub fn create_own(app: &App, call: &mut Call) -> Result<Response, Error> {
    let owner = call.user_name().to_string();
    create_for(app, call, owner)
}

/// Makes a token for a user.
pub fn create_for_user(app: &App, call: &mut Call) -> Result<Response, Error> {
    let owner = call.parameter(0).to_string();
    create_for(app, call, owner)
}

fn create_for(app: &App, call: &mut Call, owner: String) -> Result<Response, Error> {
    let request: CreateRequest = call.json()?;
    let scope = request.user_scope()?;
    create(app, call, &request, &owner, false, scope)
}

/// Makes a machine token.
///
/// Source: the vendor's REST API, "Create Org Token".
pub fn create_for_org(app: &App, call: &mut Call) -> Result<Response, Error> {
    let request: CreateRequest = call.json()?;
    let org = call.parameter(0).to_string();
    let scope = request.org_scope(&org)?;
    create(app, call, &request, &org, true, Some(scope))
}

fn create(
    app: &App,
    call: &Call,
    request: &CreateRequest,
    owner: &str,
    is_machine: bool,
    scope: Option<Scope>,
) -> Result<Response, Error> {
    let now_unix = app.now_unix();
    let expires_at_unix = expiry(call, request.expires, now_unix)?;
    let (token, uid, name) = (AccessToken::random()?, crypto::random_uuid()?, request.label()?);
    let org = if is_machine { owner } else { "" };
    let mut event = call.event(now_unix, "token.create", org, owner);
    event.detail = format!("{uid} '{name}'{}", scope.as_ref().map_or(String::new(), describe));
    let row = NewToken {
        uid: uid.clone(),
        hash: token.hash(),
        account_id: 0,
        name: name.clone(),
        scope,
        is_exchanged: false,
        created_by: call.user_name().into(),
        expires_at_unix,
        now_unix,
    };
    app.write_recorded(CreateToken { owner: owner.into(), is_machine, token: row }, event)?;
    Response::json(&json!({
        "id": uid, "name": name, "tokenValue": token.reveal(), "expires": expires_at_unix.unwrap_or(0),
    }))
}

/// A token may not outlive the one that makes it: a stolen short-lived one would live for ever.
fn expiry(call: &Call, wanted: i64, now_unix: i64) -> Result<Option<i64>, Error> {
    if wanted != 0 && wanted <= now_unix {
        return Err(Error::invalid("expires", "is in the past; it is a Unix time, 0 for never"));
    }
    let wanted = Some(wanted).filter(|at| *at != 0);
    let own = call.caller.token().and_then(|token| token.expires_at_unix);
    Ok([wanted, own].into_iter().flatten().min())
}

fn describe(scope: &Scope) -> String {
    let patterns: Vec<String> = scope.patterns.iter().map(Pattern::to_string).collect();
    format!(", {} on {}", scope.role.as_str(), patterns.join(" "))
}

/// Tokens of the caller.
pub fn list_own(app: &App, call: &mut Call) -> Result<Response, Error> {
    let owner = call.user_name().to_string();
    listing(app, Some(&owner))
}

/// Machine tokens of an organization.
pub fn list_of_org(app: &App, call: &mut Call) -> Result<Response, Error> {
    let org = call.parameter(0).to_string();
    listing(app, Some(&org))
}

/// All tokens.
pub fn list(app: &App, _: &mut Call) -> Result<Response, Error> {
    listing(app, None)
}

fn listing(app: &App, owner: Option<&str>) -> Result<Response, Error> {
    let tokens = app.store.read(|conn| store::token::list(conn, owner))?;
    let now_unix = app.now_unix();
    let tokens: Vec<Value> = tokens.iter().map(|(account, token)| shown(account, token, now_unix)).collect();
    Response::json(&json!({ "tokens": tokens }))
}

fn shown(account: &Account, token: &Token, now_unix: i64) -> Value {
    let last_used = token.last_used.as_ref();
    let patterns =
        token.scope.as_ref().map(|scope| scope.patterns.iter().map(Pattern::to_string).collect::<Vec<_>>());
    json!({
        "id": token.uid, "name": token.name, "description": token.name,
        "owner": account.name, "isMachine": account.is_org, "isExchanged": token.is_exchanged,
        "created": format!("{}Z", date_time(token.created_at_unix)), "createdBy": token.created_by,
        "expires": token.expires_at_unix.unwrap_or(0),
        "isExpired": token.expires_at_unix.is_some_and(|at| at <= now_unix),
        "lastUsed": last_used.map_or(0, |(at, _)| *at),
        "lastUsedAddress": last_used.map(|(_, address)| address),
        "admin": token.scope.as_ref().is_none_or(|scope| scope.role == Role::Admin),
        "limitedTo": token.scope.as_ref().map(|scope| scope.role.as_str()), "stacks": patterns,
    })
}

/// Ends a token of the caller, at once.
pub fn delete_own(app: &App, call: &mut Call) -> Result<Response, Error> {
    let (owner, uid) = (call.user_name().to_string(), call.parameter(0).to_string());
    revoke(app, call, uid, Some(owner), "")
}

/// Ends a machine token, at once.
pub fn delete_of_org(app: &App, call: &mut Call) -> Result<Response, Error> {
    let (org, uid) = (call.parameter(0).to_string(), call.parameter(1).to_string());
    revoke(app, call, uid, Some(org.clone()), &org)
}

/// Ends any token, at once.
pub fn delete(app: &App, call: &mut Call) -> Result<Response, Error> {
    let uid = call.parameter(0).to_string();
    revoke(app, call, uid, None, "")
}

fn revoke(app: &App, call: &Call, uid: String, owner: Option<String>, org: &str) -> Result<Response, Error> {
    let event = call.event(app.now_unix(), "token.revoke", org, &uid);
    app.write_recorded(RevokeToken { uid, owner }, event)?;
    Ok(Response::no_content())
}
