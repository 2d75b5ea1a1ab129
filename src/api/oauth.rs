//! A token of a trusted issuer in exchange for a short-lived one of ours: sign-in without a secret that is kept.

use serde_json::{Map, Value, json};

use crate::app::App;
use crate::call::Call;
use crate::crypto;
use crate::crypto::jwt::Jwt;
use crate::crypto::token::AccessToken;
use crate::domain::access::is_like;
use crate::error::Error;
use crate::http::pattern::decode;
use crate::http::{Body, Response};
use crate::limits;
use crate::store;
use crate::store::issuer::{Issuer, Keys};
use crate::store::token::{CreateToken, NewToken, Scope};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ORGANIZATION_TOKEN: &str = "urn:pulumi:token-type:access_token:organization";
/// What the CLI asks for if nobody says otherwise.
const LIFETIME_SECS: i64 = 7200;
/// How much the clocks of issuer and server may differ.
const SKEW_SECS: i64 = 60;

/// Why a token is not exchanged: RFC 6749's word for it, and a sentence.
struct Refusal(&'static str, String);

/// Exchanges a token (RFC 8693), as `pulumi login --oidc-token` asks for it.
///
/// A refusal is a 400 in the words of RFC 6749, section 5.2: the one answer whose form is not the vendor's.
/// Source: pkg/backend/httpstate/client, `ExchangeOidcToken`.
pub fn exchange(app: &App, call: &mut Call) -> Result<Response, Error> {
    let form = Form(call.text()?);
    match issue(app, call, &form)? {
        Ok(response) => Ok(response),
        Err(Refusal(word, why)) => {
            if let Some(retry_secs) = app.recent.wrong_token(&call.address, app.now_unix()) {
                return Err(Error::TooManyAttempts { retry_secs });
            }
            if app.recent.is_denial_recorded(&call.address, app.now_unix()) {
                log::warn!("a token of another issuer was refused: {why}");
                let mut event = call.event(app.now_unix(), store::audit::DENIED, "", "token exchange");
                (event.result, event.detail) = ("400".into(), why.clone());
                app.record(event)?;
            }
            Ok(refused(word, &why))
        }
    }
}

fn refused(word: &str, why: &str) -> Response {
    let message = format!("Bad Request: {why}");
    let body = json!({ "error": word, "error_description": why, "code": 400, "message": message });
    Response::of(400, Body::Json(body.to_string().into_bytes()))
}

/// A body of `name=value` pairs.
struct Form(String);

impl Form {
    fn get(&self, name: &str) -> String {
        let mut pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(key, _)| decode(key, true).as_deref() == Some(name));
        value.and_then(|(_, value)| decode(value, true)).unwrap_or_default()
    }
}

fn issue(app: &App, call: &Call, form: &Form) -> Result<Result<Response, Refusal>, Error> {
    let asked = match asked_for(form) {
        Ok(asked) => asked,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(jwt) = Jwt::parse(&asked.subject_token) else {
        return Ok(Err(Refusal("invalid_request", "subject_token is not a JSON Web Token".into())));
    };
    let url = jwt.text("iss").unwrap_or_default();
    let issuers = app.store.read(|conn| store::issuer::list_of(conn, url, &asked.org))?;
    match rule_for(app, &issuers, &jwt, app.now_unix())? {
        Ok(issuer) => give(app, call, &asked, issuer, &jwt).map(Ok),
        Err(why) => Ok(Err(Refusal("invalid_grant", why))),
    }
}

struct Asked {
    org: String,
    subject_token: String,
    lifetime_secs: i64,
}

fn asked_for(form: &Form) -> Result<Asked, Refusal> {
    let invalid = |why: &str| Err(Refusal("invalid_request", why.into()));
    if form.get("grant_type") != TOKEN_EXCHANGE {
        let why = format!("the only grant_type here is {TOKEN_EXCHANGE}");
        return Err(Refusal("unsupported_grant_type", why));
    }
    if form.get("subject_token_type") != ID_TOKEN {
        return invalid("subject_token_type must be an id_token");
    }
    if form.get("requested_token_type") != ORGANIZATION_TOKEN {
        return invalid("only tokens of organizations are given: leave out --oidc-team and --oidc-user");
    }
    let audience = form.get("audience");
    let Some(org) = audience.strip_prefix("urn:pulumi:org:") else {
        return invalid("audience must be urn:pulumi:org:ORGANIZATION");
    };
    let expiration = form.get("expiration");
    let lifetime_secs = if expiration.is_empty() { Ok(LIFETIME_SECS) } else { expiration.parse() };
    match lifetime_secs {
        Ok(lifetime_secs) if lifetime_secs > 0 => {
            Ok(Asked { org: org.into(), subject_token: form.get("subject_token"), lifetime_secs })
        }
        _ => invalid("expiration must be a number of seconds"),
    }
}

/// The first rule that the token fits. Errors: why the one that came nearest does not.
fn rule_for<'a>(
    app: &App,
    issuers: &'a [Issuer],
    jwt: &Jwt,
    now_unix: i64,
) -> Result<Result<&'a Issuer, String>, Error> {
    let mut why = "no issuer that this organization trusts has signed the token".to_string();
    for issuer in issuers {
        if !is_signed(app, issuer, jwt, now_unix)? {
            continue;
        }
        match fits(issuer, jwt, now_unix) {
            Ok(()) => return Ok(Ok(issuer)),
            Err(reason) => why = reason,
        }
    }
    Ok(Err(why))
}

/// Whether the issuer has signed the token. Newer keys are fetched only for a token that would be taken with them.
fn is_signed(app: &App, issuer: &Issuer, jwt: &Jwt, now_unix: i64) -> Result<bool, Error> {
    let url = match &issuer.keys {
        Keys::Set(set) => return Ok(jwt.is_signed_by(set)),
        Keys::At(url) => url,
    };
    let Some(set) = app.key_sets.get(url, now_unix)? else { return Ok(false) };
    if jwt.is_signed_by(&set) || fits(issuer, jwt, now_unix).is_err() {
        return Ok(jwt.is_signed_by(&set));
    }
    let newer = app.key_sets.get_newer(url, &set, now_unix)?;
    Ok(newer.is_some_and(|set| jwt.is_signed_by(&set)))
}

fn fits(issuer: &Issuer, jwt: &Jwt, now_unix: i64) -> Result<(), String> {
    match jwt.time("exp") {
        None => return Err("the token has no expiry".into()),
        Some(at) if at.saturating_add(SKEW_SECS) <= now_unix => return Err("the token has expired".into()),
        Some(_) => {}
    }
    let begins = [jwt.time("nbf"), jwt.time("iat")].into_iter().flatten().max();
    if begins.is_some_and(|at| at.saturating_sub(SKEW_SECS) > now_unix) {
        return Err("the token is not valid yet; is a clock wrong?".into());
    }
    if !has_value(jwt.claims.get("aud"), &issuer.audience) {
        return Err(format!("the token is not for the audience {}", issuer.audience));
    }
    let claims: Map<String, Value> = serde_json::from_str(&issuer.claims).unwrap_or_default();
    let wrong = claims
        .iter()
        .find(|(claim, pattern)| !has_value(jwt.claims.get(*claim), pattern.as_str().unwrap_or("")));
    match wrong {
        Some((claim, _)) => Err(format!("the claim '{claim}' of the token does not fit any rule")),
        None if claims.is_empty() => Err("the rule has no claims".into()),
        None => Ok(()),
    }
}

/// Whether a claim, or one of its values, is like the pattern.
fn has_value(claim: Option<&Value>, pattern: &str) -> bool {
    match claim {
        Some(Value::Array(values)) => values.iter().any(|value| has_value(Some(value), pattern)),
        Some(Value::String(text)) => is_like(pattern, text),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => is_like(pattern, &value.to_string()),
        _ => false,
    }
}

fn give(app: &App, call: &Call, asked: &Asked, issuer: &Issuer, jwt: &Jwt) -> Result<Response, Error> {
    let now_unix = app.now_unix();
    let lifetime_secs = asked.lifetime_secs.min(issuer.lifetime_secs);
    let (token, uid) = (AccessToken::random()?, crypto::random_uuid()?);
    let subject = jwt.text("sub").unwrap_or("");
    let printable = subject.chars().filter(|c| !c.is_control());
    let name: String = printable.take(limits::TOKEN_NAME_CHARS_MAX).collect();
    let mut event = call.event(now_unix, "token.exchange", &asked.org, &asked.org);
    (event.who.actor, event.who.token, event.who.token_uid) = (asked.org.clone(), name.clone(), uid.clone());
    event.detail = format!("issuer {} ({})", issuer.url, issuer.uid);
    let row = NewToken {
        uid,
        hash: token.hash(),
        account_id: 0,
        name,
        scope: Some(Scope { role: issuer.role, patterns: issuer.patterns.clone() }),
        is_exchanged: true,
        created_by: issuer.url.clone(),
        expires_at_unix: Some(now_unix + lifetime_secs),
        now_unix,
    };
    app.write_recorded(CreateToken { owner: asked.org.clone(), is_machine: true, token: row }, event)?;
    Response::json(&json!({
        "access_token": token.reveal(), "issued_token_type": ORGANIZATION_TOKEN, "token_type": "token",
        "expires_in": lifetime_secs, "scope": "",
    }))
}
