//! Authorization header → Caller → the rule of the route's row: yes, or how it is refused.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::errors;
use super::table::{Access, Route};
use crate::app::App;
use crate::call::{Caller, Door, TokenUse, User};
use crate::crypto::token::{self, TokenHash};
use crate::domain::access::{Grant, Permission, Rights, Role};
use crate::domain::name::StackRef;
use crate::domain::update::{Lease, UpdateStatus};
use crate::error::Error;
use crate::limits;
use crate::store;
use crate::store::account::Account;
use crate::store::audit::{self, Event, Note, Who};
use crate::store::token::{Holder, Token, TouchToken};
use crate::store::update::Update;

/// Where a request comes from and what it shows.
pub struct Origin<'a> {
    /// The value of that header; empty if there is none.
    pub authorization: &'a str,
    /// The other end of the connection, or whom a trusted proxy names.
    pub address: &'a str,
    /// The id of the answer.
    pub request_id: &'a str,
    /// Which way it came in.
    pub door: Door,
}

/// Who calls, if they may call this route. Nothing of the body has been read yet.
pub fn check(app: &App, route: &Route, parameters: &[String], from: &Origin) -> Result<Caller, Error> {
    let mut caller = Caller::Anyone;
    let decided = decide(app, route, parameters, from, &mut caller);
    if let Err(error) = &decided {
        note_denied(app, route, parameters, from.address, from.request_id, &caller, error);
    }
    decided.map(|()| caller)
}

fn decide(
    app: &App,
    route: &Route,
    parameters: &[String],
    from: &Origin,
    caller: &mut Caller,
) -> Result<(), Error> {
    if from.door == Door::Management && route.is_for_monitors() {
        return Ok(());
    }
    match route.access {
        Access::Public => return Ok(()),
        Access::Lease => {
            *caller = lease(app, parameters, from.authorization)?;
            return Ok(());
        }
        _ => *caller = authenticate(app, from)?,
    }
    let part = |index: usize| parameters.get(index).map_or("", String::as_str);
    let on_stack = |needed| caller.require_on_stack(needed, part(0), part(1), part(2));
    match route.access {
        Access::Public | Access::Lease | Access::User => Ok(()),
        Access::Own => caller.require_own(),
        Access::Server => caller.require_server(),
        Access::Everywhere(needed) => caller.require_everywhere(needed),
        Access::Org(needed) => caller.require_on_org(needed, part(0)),
        Access::Project(needed) => caller.require_in_project(needed, part(0), part(1)),
        Access::Stack(needed) => on_stack(needed),
        Access::Run => {
            // Whoever may not even preview learns nothing of the update.
            on_stack(Permission::Decrypt)?;
            match find_update(app, parameters) {
                Ok(update) if update.is_dry_run => Ok(()),
                Ok(_) => on_stack(Permission::Update),
                // The handler says so.
                Err(Error::NotFound(_)) => Ok(()),
                Err(error) => Err(error),
            }
        }
    }
}

/// What the Authorization header holds.
enum Credential<'a> {
    AccessToken(Cow<'a, str>),
    LeaseToken(&'a str),
}

fn unauthorized() -> Error {
    Error::Unauthorized("No credentials provided or are invalid.".into())
}

fn credential(authorization: &str) -> Result<Credential<'_>, Error> {
    let (scheme, token) = authorization.trim().split_once(' ').ok_or_else(unauthorized)?;
    let token = token.trim();
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    match token {
        "" => Err(unauthorized()),
        _ if is("update-token") => Ok(Credential::LeaseToken(token)),
        _ if is("token") || is("bearer") => Ok(Credential::AccessToken(Cow::Borrowed(token))),
        _ if is("basic") => password(token).map(|token| Credential::AccessToken(Cow::Owned(token))),
        _ => Err(unauthorized()),
    }
}

/// The password of `base64(name:password)`; the name does not matter.
fn password(encoded: &str) -> Result<String, Error> {
    let text = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let password = text.as_deref().and_then(|text| text.split_once(':')).map(|(_, password)| password);
    password.filter(|password| !password.is_empty()).map(str::to_string).ok_or_else(unauthorized)
}

/// Who holds the access token. A lease token is not one.
fn authenticate(app: &App, from: &Origin) -> Result<Caller, Error> {
    if from.door == Door::Local {
        return Ok(Caller::LocalAdmin);
    }
    let hash = match credential(from.authorization)? {
        Credential::AccessToken(token) if !token.starts_with(token::LEASE_PREFIX) => token::hash(&token),
        _ => {
            return Err(Error::Forbidden(
                "The lease of an update opens only that update; this call needs an access token.".into(),
            ));
        }
    };
    if app.single_token.is_some_and(|single| hash.matches(&single.0)) {
        return Ok(Caller::User(Box::new(single_user(app))));
    }
    match holder(app, &hash)? {
        Holder::Open if app.single_token.is_none() => Ok(Caller::User(Box::new(open_user(app)))),
        Holder::Account { account, token, rights } => Ok(account_user(app, from, account, &token, rights)),
        Holder::Open | Holder::Nobody => Err(match app.recent.wrong_token(from.address, app.now_unix()) {
            Some(retry_secs) => Error::TooManyAttempts { retry_secs },
            None => unauthorized(),
        }),
    }
}

fn holder(app: &App, hash: &TokenHash) -> Result<Holder, Error> {
    app.store.read(|conn| store::token::find_holder(conn, hash, app.now_unix()))
}

/// The open mode: whoever can reach the server may do everything.
fn open_user(app: &App) -> User {
    let name = app.config.user.to_string();
    User { name, is_machine: false, is_admin: true, rights: Rights::everything(), token: None }
}

/// The one user of the shared token.
fn single_user(app: &App) -> User {
    let (user, org) = (app.config.user.as_str(), app.config.org.as_str());
    let grants = [user, org].map(|name| Grant::on_org(Role::Admin, name));
    let token = TokenUse {
        uid: String::new(),
        name: "single-tenant-token".into(),
        is_limited: false,
        expires_at_unix: None,
    };
    User {
        name: user.into(),
        is_machine: false,
        is_admin: false,
        rights: Rights::of(grants.into()),
        token: Some(token),
    }
}

fn account_user(app: &App, from: &Origin, account: Account, token: &Token, rights: Rights) -> Caller {
    let is_limited = token.scope.is_some();
    let caller = Caller::User(Box::new(User {
        name: account.name,
        is_machine: account.is_org,
        is_admin: account.is_admin && !is_limited,
        rights,
        token: Some(TokenUse {
            uid: token.uid.clone(),
            name: token.name.clone(),
            is_limited,
            expires_at_unix: token.expires_at_unix,
        }),
    }));
    note_use(app, from, token, &caller);
    caller
}

/// Writes down when and from where a token was used, now and then, and keeps no call waiting for that.
fn note_use(app: &App, from: &Origin, token: &Token, caller: &Caller) {
    let now_unix = app.now_unix();
    let is_fresh = token.last_used.as_ref().is_some_and(|(at, address)| {
        (0..limits::LAST_USED_SECS).contains(&(now_unix - at)) && address == from.address
    });
    if is_fresh || !app.recent.is_use_noted(token.id, now_unix) {
        return;
    }
    let sign_in = Event {
        who: caller.who(now_unix, from.address, from.request_id),
        action: audit::SIGN_IN,
        target: caller.name().into(),
        org: if matches!(caller, Caller::User(user) if user.is_machine) {
            caller.name().into()
        } else {
            String::new()
        },
        result: "ok".into(),
        detail: String::new(),
    };
    app.store.write_later(TouchToken {
        token_id: token.id,
        address: from.address.into(),
        sign_in: app.entry(sign_in),
        now_unix,
    });
}

/// Records that a call was not allowed, a few times a minute for each caller; the rest is counted.
pub fn note_denied(
    app: &App,
    route: &Route,
    parameters: &[String],
    address: &str,
    request_id: &str,
    caller: &Caller,
    error: &Error,
) {
    if !matches!(
        error,
        Error::Unauthorized(_) | Error::Forbidden(_) | Error::NotFound(_) | Error::TooManyAttempts { .. }
    ) {
        return;
    }
    let now_unix = app.now_unix();
    let counted = if caller.name().is_empty() { address } else { caller.name() };
    if !app.recent.is_denial_recorded(counted, now_unix) {
        return;
    }
    let is_of_org = matches!(
        route.access,
        Access::Org(_) | Access::Project(_) | Access::Stack(_) | Access::Run | Access::Lease
    );
    let target: String = parameters.iter().take(3).cloned().collect::<Vec<_>>().join("/");
    let org = parameters.first().filter(|_| is_of_org).map_or("", String::as_str);
    let cut = |text: &str| text.chars().take(limits::AUDIT_TARGET_CHARS_MAX).collect::<String>();
    app.store.write_later(Note(app.entry(Event {
        who: caller.who(now_unix, address, request_id),
        action: audit::DENIED,
        target: cut(&target),
        org: cut(org),
        result: errors::status(error).to_string(),
        detail: route.name.into(),
    })));
}

/// Records how many denied calls got no record of their own in minutes that are over.
pub fn record_denied_counts(app: &App) {
    let now_unix = app.now_unix();
    for (caller, n) in app.recent.take_unrecorded(now_unix) {
        app.store.write_later(Note(app.entry(Event {
            who: Who { at_unix: now_unix, ..Who::default() },
            action: audit::DENIED,
            target: caller,
            org: String::new(),
            result: "counted".into(),
            detail: format!("{n} more calls in one minute"),
        })));
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
