//! Request → row → access → handler → response; log line; a panic becomes a 500.

use std::time::Instant;

use super::table::{ROUTES, Route};
use super::{access, errors};
use crate::app::App;
use crate::call::{Call, Door};
use crate::crypto;
use crate::error::Error;
use crate::http::{Method, Request, Response, pattern};
use crate::limits;

/// Answers a request, whatever comes.
pub fn dispatch(app: &App, request: &mut Request, door: Door) -> Response {
    let started = Instant::now();
    let request_id = request_id();
    let found = find(request.method, &request.path);
    let result = match &found {
        Found::Route(route, parameters) => answer(app, route, parameters, request, door),
        Found::OtherMethod => Ok(errors::body(405, "this path has no such method")),
        Found::Nothing => Err(Error::NotFound(format!("{} is not part of this server", request.path))),
    };
    if let Err(error @ (Error::Internal { .. } | Error::Damaged(_))) = &result {
        log::error!("request {request_id}: {error}");
    }
    let response = result.unwrap_or_else(|error| errors::response(&error));
    log_line(&found, request, response.status, started, &request_id);
    response.with_header("X-Pulumi-Request-ID", request_id)
}

/// What the gate must know of a request before it reads a body: the body's limit, or the answer that refuses it.
///
/// A large body is only taken from somebody who may send it; small ones are judged when they are here.
pub fn admit(
    app: &App,
    method: &str,
    path: &str,
    authorization: &str,
    is_large: bool,
) -> Result<usize, Response> {
    let Found::Route(route, parameters) = find(Method::parse(method), path) else {
        return Ok(limits::BODY_BYTES_SMALL);
    };
    let checked = if is_large {
        access::check(app, route, &parameters, authorization, Door::Network).map(drop)
    } else {
        Ok(())
    };
    match checked {
        Ok(()) => Ok(route.body_bytes_max),
        Err(error) => Err(errors::response(&error).with_header("X-Pulumi-Request-ID", request_id())),
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
    OtherMethod,
    Nothing,
}

fn find(method: Method, path: &str) -> Found {
    let Some(segments) = pattern::segments(path) else { return Found::Nothing };
    let mut found = Found::Nothing;
    for route in ROUTES {
        let Some(parameters) = pattern::matches(route.pattern, &segments) else { continue };
        if route.method == method {
            return Found::Route(route, parameters);
        }
        found = Found::OtherMethod;
    }
    found
}

fn answer(
    app: &App,
    route: &Route,
    parameters: &[String],
    request: &mut Request,
    door: Door,
) -> Result<Response, Error> {
    let authorization = request.header("Authorization").unwrap_or("");
    let caller = access::check(app, route, parameters, authorization, door)?;
    let mut call =
        Call { request, parameters: parameters.to_vec(), caller, body_bytes_max: route.body_bytes_max };
    let result = (route.handler)(app, &mut call);
    result.map_err(|error| match (error, route.stack_of(parameters)) {
        (Error::Damaged(what), Some(stack)) => Error::Damaged(format!("stack '{stack}': {what}")),
        (error, _) => error,
    })
}

/// One line a request, at debug level; problems of ours have a line of their own.
fn log_line(found: &Found, request: &Request, status: u16, started: Instant, request_id: &str) {
    let name = match found {
        Found::Route(route, _) => route.name,
        _ => "-",
    };
    log::debug!(
        "{} {} {name} {status} {} us {request_id}",
        request.method.as_str(),
        request.path.escape_default(),
        started.elapsed().as_micros(),
    );
}
