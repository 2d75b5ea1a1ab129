//! The OpenAPI document, read off the table of routes and that of their shapes.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::shape;
use super::shapes::{COMPONENTS, SHAPES, Shape};
use super::table::{Access, ROUTES, Route};
use crate::app::App;
use crate::call::Call;
use crate::error::Error;
use crate::http::{Body, Method, Response};
use crate::limits::BODY_BYTES_SMALL;

/// The document. It is the same for everybody.
pub fn get(_: &App, _: &mut Call) -> Result<Response, Error> {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_string().into_bytes());
    Ok(Response::of(200, Body::Json(text.clone())))
}

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let operations = paths.entry(route.pattern).or_insert_with(|| json!({}));
        operations[route.method.as_str().to_ascii_lowercase()] = operation(route, shape_of(route));
    }
    let schemas: Map<String, Value> =
        COMPONENTS.iter().map(|(name, shape)| (name.to_string(), shape::schema(shape))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "pulumi-backend",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A self-hosted state backend for the Pulumi CLI. What is under /api/admin and at the root \
                            is its own; the rest is as Pulumi Cloud has it.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "accessToken": {
                    "type": "apiKey", "in": "header", "name": "Authorization",
                    "description": "token ACCESS_TOKEN, or Bearer ACCESS_TOKEN",
                },
                "leaseToken": {
                    "type": "apiKey", "in": "header", "name": "Authorization",
                    "description": "update-token LEASE_TOKEN, which startUpdate gave out for this update",
                },
            },
        },
    })
}

/// The shape of a route. A route without one is a mistake that a test finds.
fn shape_of(route: &Route) -> Option<&'static Shape> {
    SHAPES.iter().find(|shape| shape.route == route.name)
}

fn operation(route: &Route, shape: Option<&Shape>) -> Value {
    let (name, tag, summary) = (route.name, shape.map_or("", |it| it.tag), shape.map_or("", |it| it.summary));
    let first = name.chars().next().unwrap_or_default().to_ascii_uppercase();
    let mut operation = json!({
        "operationId": format!("{first}{}", &name[1..]),
        "tags": [tag],
        "summary": summary,
        "parameters": parameters(route, shape),
        "responses": responses(route, shape),
        "security": match route.access {
            Access::Public => json!([]),
            Access::Lease => json!([{ "leaseToken": [] }]),
            _ => json!([{ "accessToken": [] }]),
        },
    });
    if let Some(request) = shape.map(|it| it.request).filter(|request| !request.is_empty()) {
        let (kind, shape) = match request.strip_prefix("form ") {
            Some(fields) => ("application/x-www-form-urlencoded", fields),
            None => ("application/json", request),
        };
        operation["requestBody"] =
            json!({ "required": true, "content": { kind: { "schema": shape::schema(shape) } } });
    }
    operation
}

fn parameters(route: &Route, shape: Option<&Shape>) -> Vec<Value> {
    let names = route.pattern.split('{').skip(1).filter_map(|part| part.split('}').next());
    let in_path = names
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let queries = shape.map_or(&[][..], |it| it.query);
    let in_query = queries.iter().map(|(name, kind, help)| {
        json!({ "name": name, "in": "query", "description": help, "schema": shape::schema(kind) })
    });
    in_path.chain(in_query).collect()
}

fn responses(route: &Route, shape: Option<&Shape>) -> Value {
    let mut responses = Map::new();
    for (status, answer) in shape.map_or(&[][..], |it| it.answers) {
        responses.insert(status.to_string(), response("done", answer));
    }
    for (status, description) in errors(route) {
        responses.entry(status.to_string()).or_insert_with(|| response(description, "Error"));
    }
    responses.into()
}

/// `text` for plain text, empty for no body.
fn response(description: &str, answer: &str) -> Value {
    match answer {
        "" => json!({ "description": description }),
        "text" => {
            json!({ "description": description, "content": { "text/plain": { "schema": { "type": "string" } } } })
        }
        answer => json!({
            "description": description,
            "content": { "application/json": { "schema": shape::schema(answer) } },
        }),
    }
}

/// How a call of this route may fail.
fn errors(route: &Route) -> Vec<(&'static str, &'static str)> {
    let is_open = route.access == Access::Public;
    let has_parameters = route.pattern.contains('{');
    let changes = !matches!(route.method, Method::Get | Method::Head);
    let all = [
        ("400", "the request is wrong", true),
        ("401", "no valid token", !is_open),
        ("403", "not for this caller", !is_open),
        ("404", "no such thing, or none that this caller may see", has_parameters),
        ("409", "refused by the present state", changes),
        ("413", "the body is too large", changes || route.body_bytes_max > BODY_BYTES_SMALL),
        ("500", "a fault of the server; its log has the cause under the request ID", true),
        ("503", "busy, or the disk cannot be used: try again", true),
        ("507", "the disk is full: try again", changes),
        ("default", "what goes wrong before the request has found its route", true),
    ];
    all.into_iter().filter(|(_, _, may_be)| *may_be).map(|(status, text, _)| (status, text)).collect()
}
