//! What the gate says by itself, before or instead of the server.

use super::limits::RETRY_AFTER_SECS;

/// A request that goes no further: a status and a sentence for the person who sent it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: u16,
    pub sentence: String,
}

impl Refusal {
    pub fn new(status: u16, sentence: impl Into<String>) -> Refusal {
        Refusal { status, sentence: sentence.into() }
    }

    pub fn malformed(why: &str) -> Refusal {
        Refusal::new(400, format!("Malformed HTTP request: {why}"))
    }

    pub fn busy(why: &str) -> Refusal {
        Refusal::new(503, format!("{why}; nothing was changed, try again"))
    }

    /// What to wait before trying again, if that may help.
    pub fn retry_after_secs(&self) -> Option<u32> {
        (self.status == 503).then_some(RETRY_AFTER_SECS)
    }
}

/// The standard words for a status, for the status line; nobody parses them.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}
