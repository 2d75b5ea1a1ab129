//! Response: a status, headers, and a body that says what its bytes are.

use std::sync::Arc;

use serde::Serialize;

use super::gzip;
use crate::error::Error;

/// What the bytes of a body are.
pub enum Body {
    /// Nothing, as with 204.
    Empty,
    /// JSON text; compressed on the way out if the client takes it and it is worth it.
    Json(Vec<u8>),
    /// JSON text of secrets or ciphertexts, never compressed: how well that goes would tell of secrets, and the
    /// base64 of random bytes is hardly worth it.
    JsonSecrets(Vec<u8>),
    /// JSON text that is compressed already. Only for clients that take it.
    JsonGzip(Arc<Vec<u8>>),
    /// Plain text.
    Text(String),
}

impl Body {
    /// Bytes, as they are kept here.
    pub fn len(&self) -> usize {
        match self {
            Body::Empty => 0,
            Body::Json(bytes) | Body::JsonSecrets(bytes) => bytes.len(),
            Body::JsonGzip(bytes) => bytes.len(),
            Body::Text(text) => text.len(),
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Bytes of an answer, its own or those that others send too.
pub enum Bytes {
    /// Its own.
    Owned(Vec<u8>),
    /// Kept for the next one who asks.
    Shared(Arc<Vec<u8>>),
}

impl Bytes {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Owned(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

/// An answer on its way out.
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers beside those that follow from the body.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Body,
}

/// Below this a compressed body saves no packet.
const COMPRESS_FROM_BYTES: usize = 4096;

impl Response {
    /// 200 with `value` as JSON.
    pub fn json(value: &impl Serialize) -> Result<Response, Error> {
        Ok(Response::of(200, Body::Json(to_text(value)?)))
    }

    /// 200 with `value`, which holds secrets or ciphertexts, as JSON.
    pub fn json_secrets(value: &impl Serialize) -> Result<Response, Error> {
        Ok(Response::of(200, Body::JsonSecrets(to_text(value)?)))
    }

    /// 204.
    pub fn no_content() -> Response {
        Response::of(204, Body::Empty)
    }

    /// A status and a body.
    pub fn of(status: u16, body: Body) -> Response {
        Response { status, headers: Vec::new(), body }
    }

    /// With one more header.
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.headers.push((name, value.into()));
        self
    }

    /// The bytes of the body and the headers that describe them.
    pub fn into_wire(self, accepts_gzip: bool) -> (Vec<(&'static str, String)>, Bytes) {
        let mut headers = self.headers;
        let mut typed = |content_type: &str, is_gzip: bool| {
            headers.push(("Content-Type", content_type.into()));
            if is_gzip {
                headers.push(("Content-Encoding", "gzip".into()));
            }
        };
        let bytes = match self.body {
            Body::Empty => Bytes::Owned(Vec::new()),
            Body::Text(text) => {
                typed("text/plain; charset=utf-8", false);
                Bytes::Owned(text.into_bytes())
            }
            Body::JsonGzip(bytes) => {
                typed("application/json", true);
                Bytes::Shared(bytes)
            }
            Body::Json(text) if accepts_gzip && self.status == 200 && text.len() >= COMPRESS_FROM_BYTES => {
                typed("application/json", true);
                Bytes::Owned(gzip::compress(&text))
            }
            Body::Json(text) | Body::JsonSecrets(text) => {
                typed("application/json", false);
                Bytes::Owned(text)
            }
        };
        (headers, bytes)
    }
}

fn to_text(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|cause| Error::internal("write an answer", cause))
}
