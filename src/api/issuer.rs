//! Issuers whose tokens are taken in exchange, for the administrators of the server.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::token::parse_patterns;
use crate::app::App;
use crate::call::{self, Call};
use crate::crypto;
use crate::crypto::jwt;
use crate::domain::access::{Pattern, Role};
use crate::domain::name::OrgName;
use crate::error::Error;
use crate::http::Response;
use crate::store;
use crate::store::issuer::{AddIssuer, Issuer, Keys, RemoveIssuer};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddRequest<'a> {
    url: String,
    organization: String,
    #[serde(default)]
    audience: Option<String>,
    claims: BTreeMap<String, String>,
    role: String,
    #[serde(default)]
    stacks: Option<Vec<String>>,
    #[serde(borrow, default)]
    key_set: Option<&'a RawValue>,
    #[serde(default)]
    key_set_url: Option<String>,
    #[serde(default)]
    discover: bool,
    #[serde(default)]
    lifetime_secs: Option<i64>,
}

/// Trusts an issuer: who shows a token of it whose claims fit gets a token of the organization.
///
/// Its keys come as a set, or from an address, which is tried at once; `discover` asks the issuer for that address.
/// Errors: 400 without a claim, for else everybody with an account there would be let in; for keys that are no good.
pub fn add(app: &App, call: &mut Call) -> Result<Response, Error> {
    let text = call.text()?;
    let request: AddRequest = call::parse_object(&text)?;
    let org = OrgName::parse(&request.organization)?;
    let keys = keys(app, &request)?;
    let issuer = Issuer {
        uid: crypto::random_uuid()?,
        url: request.url,
        audience: request.audience.unwrap_or_else(|| format!("urn:pulumi:org:{org}")),
        claims: json!(request.claims).to_string(),
        role: Role::parse(&request.role)?,
        patterns: parse_patterns(request.stacks.as_deref(), org.as_str())?,
        org: org.to_string(),
        keys,
        lifetime_secs: request.lifetime_secs.unwrap_or(LIFETIME_SECS_MAX),
    };
    check(&issuer, request.claims.is_empty())?;
    let now_unix = app.now_unix();
    let mut event = call.event(now_unix, "issuer.add", org.as_str(), &issuer.url);
    let from = match &issuer.keys {
        Keys::Set(_) => String::new(),
        Keys::At(url) => format!(", keys from {url}"),
    };
    event.detail = format!("{} {} for {}{from}", issuer.uid, issuer.role.as_str(), issuer.claims);
    let (uid, url) = (issuer.uid.clone(), key_set_url(&issuer).map(String::from));
    app.write_recorded(AddIssuer { issuer, now_unix }, event)?;
    Response::json(&json!({ "id": uid, "keySetUrl": url }))
}

/// The keys that the request names, once they have been seen to be good.
fn keys(app: &App, request: &AddRequest) -> Result<Keys, Error> {
    let url = match (&request.key_set, &request.key_set_url, request.discover) {
        (Some(set), None, false) => {
            jwt::check_key_set(set.get())?;
            return Ok(Keys::Set(set.get().to_string()));
        }
        (None, Some(url), false) => url.clone(),
        (None, None, true) => app.key_sets.discover(&request.url)?,
        _ => {
            let why = "is one of three: a key set, the address of one, or to discover that address";
            return Err(Error::invalid("keySet", why));
        }
    };
    app.key_sets.try_once(&url)?;
    Ok(Keys::At(url))
}

fn key_set_url(issuer: &Issuer) -> Option<&str> {
    match &issuer.keys {
        Keys::Set(_) => None,
        Keys::At(url) => Some(url),
    }
}

/// A job of CI may take long; a day is the most that a token without a keeper should live.
const LIFETIME_SECS_MAX: i64 = 86_400;

fn check(issuer: &Issuer, has_no_claims: bool) -> Result<(), Error> {
    if !issuer.url.starts_with("https://") && !issuer.url.starts_with("http://") {
        return Err(Error::invalid(
            "url",
            "is the issuer's address, as the claim 'iss' of its tokens has it",
        ));
    }
    if has_no_claims {
        let why = "say whose tokens are meant, as sub=repo:acme/web:*; an issuer gives tokens to many";
        return Err(Error::invalid("claims", why));
    }
    if !(1..=LIFETIME_SECS_MAX).contains(&issuer.lifetime_secs) {
        return Err(Error::invalid("lifetimeSecs", format!("is not from 1 to {LIFETIME_SECS_MAX}")));
    }
    match issuer.patterns.iter().find(|pattern| pattern.org != issuer.org) {
        Some(foreign) => {
            Err(Error::invalid("stacks", format!("'{foreign}' is not of organization '{}'", issuer.org)))
        }
        None => Ok(()),
    }
}

/// All trusted issuers.
pub fn list(app: &App, _: &mut Call) -> Result<Response, Error> {
    let issuers = app.store.read(store::issuer::list)?;
    let issuers: Vec<Value> = issuers
        .iter()
        .map(|issuer| {
            let stacks: Vec<String> = issuer.patterns.iter().map(Pattern::to_string).collect();
            let claims: Value = serde_json::from_str(&issuer.claims).unwrap_or_default();
            json!({
                "id": issuer.uid, "url": issuer.url, "organization": issuer.org, "audience": issuer.audience,
                "claims": claims, "role": issuer.role.as_str(), "stacks": stacks,
                "lifetimeSecs": issuer.lifetime_secs, "keySetUrl": key_set_url(issuer),
            })
        })
        .collect();
    Response::json(&json!({ "issuers": issuers }))
}

/// Trusts an issuer no more. Tokens that were given live to their end.
pub fn remove(app: &App, call: &mut Call) -> Result<Response, Error> {
    let uid = call.parameter(0).to_string();
    let event = call.event(app.now_unix(), "issuer.remove", "", &uid);
    app.write_recorded(RemoveIssuer { uid }, event)?;
    Ok(Response::no_content())
}
