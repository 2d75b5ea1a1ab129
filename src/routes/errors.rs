//! Error → status and JSON body; the only place where an error gets a status.

use serde::Serialize;

use crate::error::Error;
use crate::http::{Body, Response};

/// Source: apitype/errors.go, `ErrorResponse`. The CLI acts on `code`, not on the HTTP status.
#[derive(Serialize)]
struct ErrorBody {
    code: u16,
    message: String,
}

/// The HTTP status of an error.
pub fn status(error: &Error) -> u16 {
    match error {
        Error::Unauthorized(_) => 401,
        Error::Forbidden(_) => 403,
        Error::NotFound(_) => 404,
        Error::Conflict(_) => 409,
        Error::Invalid(_) => 400,
        Error::TooLarge { .. } => 413,
        Error::TooManyAttempts { .. } => 429,
        Error::Busy | Error::Unavailable(_) => 503,
        Error::OutOfSpace => 507,
        Error::Internal(_) | Error::Damaged(_) => 500,
    }
}

/// The answer to a call that failed. The cause of an error of ours is for the log only.
pub fn response(error: &Error) -> Response {
    let status = status(error);
    let sentence = match error {
        Error::Internal(_) => {
            "internal error; the server's log has the cause under the request ID".to_string()
        }
        error => error.to_string(),
    };
    let response = body(status, &sentence);
    match error {
        Error::Busy | Error::OutOfSpace | Error::Unavailable(_) => response.with_header("Retry-After", "1"),
        Error::TooManyAttempts { retry_secs } => response.with_header("Retry-After", retry_secs.to_string()),
        _ => response,
    }
}

/// An error answer in the vendor's form: `{"code":404,"message":"Not Found: …"}`.
pub fn body(status: u16, sentence: &str) -> Response {
    let body = ErrorBody { code: status, message: format!("{}: {sentence}", reason(status)) };
    let text = serde_json::to_vec(&body).expect("a number and a text");
    Response::of(status, Body::Json(text))
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Request Entity Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Error",
    }
}
