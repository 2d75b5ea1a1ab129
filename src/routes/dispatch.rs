//! Request → row → access → handler → response; log line; a panic becomes a 500.

use std::time::Instant;

use log::Level;

use super::access::Origin;
use super::table::{ROUTES, Route};
use super::{access, errors, metrics};
use crate::app::App;
use crate::call::{Call, Caller, Door};
use crate::crypto;
use crate::error::Error;
use crate::http::{Method, Request, Response, pattern};
use crate::limits;
use crate::observe::{self, RequestLine};

/// Answers a request, whatever comes.
pub fn dispatch(app: &App, request: &mut Request, door: Door) -> Response {
    let started = Instant::now();
    let request_id = request_id();
    let found = find(request.method, &request.path);
    let mut user = String::new();
    let result = match &found {
        Found::Route(route, _) if door == Door::Management && !route.is_for_monitors() => {
            Err(Error::NotFound("this address answers monitors only".into()))
        }
        Found::Route(route, parameters) => {
            answer(app, route, parameters, request, door, &request_id, &mut user)
        }
        Found::OtherMethod(allowed) => {
            Ok(errors::body(405, "this path has no such method").with_header("Allow", allowed.join(", ")))
        }
        Found::Nothing => Err(Error::NotFound(format!("{} is not part of this server", request.path))),
    };
    if let Err(error @ (Error::Internal(_) | Error::Damaged(_) | Error::Unavailable(_))) = &result {
        log::error!("request {request_id}: {error}");
    }
    let response = result.unwrap_or_else(|error| errors::response(&error));
    let elapsed = started.elapsed();
    metrics::count(found.index(), response.status, elapsed);
    let line = RequestLine {
        method: request.method.as_str(),
        route: found.pattern(),
        path: &request.path,
        status: response.status,
        n_bytes: response.body.len(),
        micros: elapsed.as_micros(),
        user: &user,
        request_id: &request_id,
    };
    observe::log_request(level(app, &found), &line);
    response.with_header("X-Pulumi-Request-ID", request_id)
}

/// Monitors ask so often that their lines would hide the others.
fn level(app: &App, found: &Found) -> Level {
    let is_monitor = matches!(found, Found::Route(route, _) if route.is_for_monitors());
    if app.config.logs_requests && !is_monitor { Level::Info } else { Level::Debug }
}

/// What the gate must know of a request before it reads a body: the body's limit, or the answer that refuses it.
///
/// A large body is only taken from somebody who may send it; small ones are judged when they are here.
pub fn admit(
    app: &App,
    method: &str,
    path: &str,
    authorization: &str,
    address: &str,
    is_large: bool,
) -> Result<usize, Response> {
    let Found::Route(route, parameters) = find(Method::parse(method), path) else {
        return Ok(limits::BODY_BYTES_SMALL);
    };
    let request_id = request_id();
    let checked = if is_large {
        let from = Origin { authorization, address, request_id: &request_id, door: Door::Network };
        access::check(app, route, &parameters, &from).map(drop)
    } else {
        Ok(())
    };
    match checked {
        Ok(()) => Ok(body_bytes_max(app, route)),
        Err(error) => Err(errors::response(&error).with_header("X-Pulumi-Request-ID", request_id)),
    }
}

/// What the setting says for bodies that hold a state; the others have fixed limits, which it can only lower.
fn body_bytes_max(app: &App, route: &Route) -> usize {
    let setting = app.config.edge.body_bytes_max;
    match route.body_bytes_max {
        limits::BODY_BYTES_DEPLOYMENT.. => setting,
        bytes_max => bytes_max.min(setting),
    }
}

/// An answer that the gate gives by itself.
pub fn refuse(status: u16, sentence: &str) -> Response {
    errors::body(status, sentence).with_header("X-Pulumi-Request-ID", request_id())
}

fn request_id() -> String {
    // Without random bytes the answer is worth more than its id.
    crypto::random_uuid().unwrap_or_default()
}

/// The answer when a handler panicked: the panic itself has been printed.
pub fn after_panic() -> Response {
    let request_id = request_id();
    log::error!("request {request_id}: a handler panicked");
    let error = Error::internal("answer", "a panic");
    errors::response(&error).with_header("X-Pulumi-Request-ID", request_id)
}

enum Found {
    Route(&'static Route, Vec<String>),
    /// With the methods that the path has.
    OtherMethod(Vec<&'static str>),
    Nothing,
}

impl Found {
    /// The place of the route in the table.
    fn index(&self) -> Option<usize> {
        match self {
            Found::Route(route, _) => ROUTES.iter().position(|row| std::ptr::eq(row, *route)),
            _ => None,
        }
    }

    /// For log lines.
    fn pattern(&self) -> &'static str {
        match self {
            Found::Route(route, _) => route.pattern,
            _ => "-",
        }
    }
}

fn find(method: Method, path: &str) -> Found {
    let Some(segments) = pattern::segments(path) else { return Found::Nothing };
    let mut allowed = Vec::new();
    for route in ROUTES {
        let Some(parameters) = pattern::matches(route.pattern, &segments) else { continue };
        if route.method == method {
            return Found::Route(route, parameters);
        }
        allowed.push(route.method.as_str());
    }
    if allowed.is_empty() { Found::Nothing } else { Found::OtherMethod(allowed) }
}

fn answer(
    app: &App,
    route: &Route,
    parameters: &[String],
    request: &mut Request,
    door: Door,
    request_id: &str,
    user: &mut String,
) -> Result<Response, Error> {
    let authorization = request.header("Authorization").unwrap_or("");
    let address = match door {
        Door::Network | Door::Management => request.header("X-Gate-Peer").unwrap_or("").to_string(),
        Door::Local => "local".into(),
    };
    let from = Origin { authorization, address: &address, request_id, door };
    let caller = access::check(app, route, parameters, &from)?;
    let mut call = Call {
        request,
        parameters: parameters.to_vec(),
        caller,
        body_bytes_max: body_bytes_max(app, route),
        address,
        request_id: request_id.to_string(),
    };
    user.push_str(call.user_name());
    let result = (route.handler)(app, &mut call);
    if let (Err(error @ Error::Forbidden(_)), Caller::User(_)) = (&result, &call.caller) {
        access::note_denied(app, route, parameters, &call.address, request_id, &call.caller, error);
    }
    result.map_err(|error| match (error, route.stack_of(parameters)) {
        (Error::Damaged(what), Some(stack)) => Error::Damaged(format!("stack '{stack}': {what}")),
        (error, _) => error,
    })
}
