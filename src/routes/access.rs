//! Authorization header → Caller; the rules named in the table.

use super::table::{Access, Route};
use crate::app::App;
use crate::call::{Caller, Door};
use crate::crypto::token;
use crate::domain::name::StackRef;
use crate::domain::update::{Lease, UpdateStatus};
use crate::error::Error;
use crate::store;
use crate::store::update::Update;

/// Who calls, if they may call this route. Nothing of the body has been read yet.
///
/// `authorization` is the value of that header; empty if there is none.
pub fn check(
    app: &App,
    route: &Route,
    parameters: &[String],
    authorization: &str,
    door: Door,
) -> Result<Caller, Error> {
    match route.access {
        Access::Public => Ok(Caller::Anyone),
        Access::User if door == Door::Local => Ok(Caller::LocalAdmin),
        Access::User => user(app, authorization),
        Access::Lease => lease(app, parameters, authorization),
    }
}

/// What the Authorization header holds.
enum Credential<'a> {
    AccessToken(&'a str),
    LeaseToken(&'a str),
}

fn credential(authorization: &str) -> Result<Credential<'_>, Error> {
    let none = || Error::Unauthorized("No credentials provided or are invalid.".into());
    let (scheme, token) = authorization.trim().split_once(' ').ok_or_else(none)?;
    let token = token.trim();
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    match token {
        "" => Err(none()),
        _ if is("update-token") => Ok(Credential::LeaseToken(token)),
        _ if is("token") || is("bearer") => Ok(Credential::AccessToken(token)),
        _ => Err(none()),
    }
}

/// Open mode: every access token is the one user. A lease token is not an access token.
fn user(app: &App, authorization: &str) -> Result<Caller, Error> {
    match credential(authorization)? {
        Credential::AccessToken(token) if !token.starts_with(token::LEASE_PREFIX) => {
            Ok(Caller::User { name: app.config.user.as_str().to_string() })
        }
        _ => Err(Error::Forbidden(
            "The lease of an update opens only that update; this call needs an access token.".into(),
        )),
    }
}

fn lease(app: &App, parameters: &[String], authorization: &str) -> Result<Caller, Error> {
    let token = match credential(authorization)? {
        Credential::LeaseToken(token) => token,
        // CLIs before 1.5 sent the lease token in the body; those are not served.
        Credential::AccessToken(_) => {
            return Err(Error::Forbidden(
                "This call needs the lease token of the update, not an access token.".into(),
            ));
        }
    };
    let update = find_update(app, parameters)?;
    let hash = token::hash(token);
    if !update.lease_hash.as_ref().is_some_and(|stored| hash.matches(stored)) {
        return Err(Error::Forbidden(format!("The lease token is not that of update '{}'.", update.uid)));
    }
    let lease = Lease::new(update.lease_expires_at_unix.unwrap_or(0));
    let is_live = lease.is_live(app.now_unix(), app.config.lease_grace_secs());
    if update.status == UpdateStatus::Running && !is_live {
        return Err(Error::Forbidden(format!("The lease of update '{}' has run out.", update.uid)));
    }
    Ok(Caller::Lease(Box::new(update)))
}

/// The update in the path.
fn find_update(app: &App, parameters: &[String]) -> Result<Update, Error> {
    let [org, project, stack, uid, ..] = parameters else {
        return Err(Error::internal("check a lease", "the route names no update"));
    };
    let stack_ref = StackRef::from_parts(org, project, stack)
        .map_err(|_| Error::NotFound(format!("Stack '{org}/{project}/{stack}' not found")))?;
    app.store.read(|conn| {
        let stack = store::stack::get(conn, &stack_ref)?;
        let update = store::update::find(conn, stack.id, uid)?;
        update.ok_or_else(|| Error::NotFound(format!("Update '{uid}' not found")))
    })
}
