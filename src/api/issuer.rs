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
use crate::store::issuer::{AddIssuer, Issuer, RemoveIssuer};

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
    #[serde(borrow)]
    key_set: &'a RawValue,
    #[serde(default)]
    lifetime_secs: Option<i64>,
}

/// Trusts an issuer: who shows a token of it whose claims fit gets a token of the organization.
///
/// Errors: 400 without a claim, for else everybody with an account there would be let in.
pub fn add(app: &App, call: &mut Call) -> Result<Response, Error> {
    let text = call.text()?;
    let request: AddRequest = call::parse_object(&text)?;
    let org = OrgName::parse(&request.organization)?;
    let issuer = Issuer {
        uid: crypto::random_uuid()?,
        url: request.url,
        audience: request.audience.unwrap_or_else(|| format!("urn:pulumi:org:{org}")),
        claims: json!(request.claims).to_string(),
        role: Role::parse(&request.role)?,
        patterns: parse_patterns(request.stacks.as_deref(), org.as_str())?,
        org: org.to_string(),
        key_set: request.key_set.get().to_string(),
        lifetime_secs: request.lifetime_secs.unwrap_or(LIFETIME_SECS_MAX),
    };
    check(&issuer, request.claims.is_empty())?;
    let now_unix = app.now_unix();
    let mut event = call.event(now_unix, "issuer.add", org.as_str(), &issuer.url);
    event.detail = format!("{} {} for {}", issuer.uid, issuer.role.as_str(), issuer.claims);
    let uid = issuer.uid.clone();
    app.write_recorded(AddIssuer { issuer, now_unix }, event)?;
    Response::json(&json!({ "id": uid }))
}

/// A job of CI may take long; a day is the most that a token without a keeper should live.
const LIFETIME_SECS_MAX: i64 = 86_400;

fn check(issuer: &Issuer, has_no_claims: bool) -> Result<(), Error> {
    jwt::check_key_set(&issuer.key_set)?;
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
                "lifetimeSecs": issuer.lifetime_secs,
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
