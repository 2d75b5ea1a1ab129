//! What goes on to the other side: a request as the engine may see it, an answer as the client may see it.

use std::io::Write;

use super::head::{Framing, Head, Parsed, has_token};
use super::refusal::reason;
use super::reply::{Reply, lines};

/// Fields that end at this hop, those whose work the gate has done, and the ones it writes anew.
const REQUEST_FIELDS_DROPPED: &[&str] = &[
    "Connection",
    "Content-Length",
    "Expect",
    "HTTP2-Settings",
    "Keep-Alive",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
];

/// Fields of the engine's answer that are the gate's to say, or nobody's business.
const REPLY_FIELDS_DROPPED: &[&str] =
    &["Connection", "Content-Length", "Keep-Alive", "Server", "Trailer", "Transfer-Encoding", "Upgrade"];

/// Browsers use HTTPS only from then on, for a year.
const STRICT_TRANSPORT: (&str, &str) = ("Strict-Transport-Security", "max-age=31536000");

/// Writes the head for the engine, up to where the body's length is known; `finish_request` writes the rest.
pub(super) fn begin_request(out: &mut Vec<u8>, head: &Head, parsed: &Parsed) {
    out.clear();
    for part in [head.method, " ", head.target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    for field in &parsed.fields {
        let name = &head.text[field.name.clone()];
        if !is_dropped(name, head.text, parsed) {
            put_field(out, name, &head.text[field.value.clone()]);
        }
    }
    // Vec's Write cannot fail.
    let _ = write!(out, "X-Gate-Peer: {}\r\nX-Gate-Tls: {}\r\n", head.peer, u8::from(head.is_tls));
}

/// Ends the head with the exact length of the body.
pub(super) fn finish_request(out: &mut Vec<u8>, framing: Framing, n_body: usize) {
    if framing != Framing::Empty {
        let _ = write!(out, "Content-Length: {n_body}\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn is_dropped(name: &str, text: &str, parsed: &Parsed) -> bool {
    let is_ours = name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("X-Gate-"));
    let is_nominated = || parsed.connection.iter().any(|value| has_token(&text[value.clone()], name));
    is_ours
        || REQUEST_FIELDS_DROPPED.iter().any(|dropped| name.eq_ignore_ascii_case(dropped))
        || is_nominated()
}

/// How the client learns where the answer's body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientFraming {
    /// No body and no word about it.
    Empty,
    Length(u64),
    Chunked,
    /// The connection's end is the body's end: HTTP/1.0.
    Close,
}

/// How the client learns whether the connection goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    Close,
    /// Goes on without a word: HTTP/1.1.
    Implied,
    /// HTTP/1.0 must be told.
    Said,
}

/// Fields that every answer gets which has none of that name.
pub(super) struct Common<'a> {
    pub fields: &'a [(&'static str, &'static str)],
    pub is_tls: bool,
}

impl Common<'_> {
    fn put(&self, out: &mut Vec<u8>, has: impl Fn(&str) -> bool) {
        // Over plain HTTP anybody on the way could say it.
        let strict = self.is_tls.then_some(&STRICT_TRANSPORT);
        for (name, value) in self.fields.iter().chain(strict) {
            if !has(name) {
                put_field(out, name, value);
            }
        }
    }
}

/// Writes the head of the engine's answer as the client gets it.
pub(super) fn reply_head(
    out: &mut Vec<u8>,
    reply: &Reply,
    common: &Common,
    framing: ClientFraming,
    persistence: Persistence,
) {
    put_status_line(out, reply.status);
    for (name, value) in lines(&reply.fields) {
        if !REPLY_FIELDS_DROPPED.iter().any(|dropped| name.eq_ignore_ascii_case(dropped)) {
            put_field(out, name, value);
        }
    }
    common.put(out, |name| lines(&reply.fields).any(|(there, _)| there.eq_ignore_ascii_case(name)));
    end_head(out, framing, persistence);
}

/// Writes the head of an answer that was made here.
pub(super) fn own_head(
    out: &mut Vec<u8>,
    status: u16,
    fields: &[(String, String)],
    common: &Common,
    framing: ClientFraming,
    persistence: Persistence,
) {
    put_status_line(out, status);
    for (name, value) in fields {
        put_field(out, name, value);
    }
    common.put(out, |name| fields.iter().any(|(there, _)| there.eq_ignore_ascii_case(name)));
    end_head(out, framing, persistence);
}

fn put_status_line(out: &mut Vec<u8>, status: u16) {
    let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reason(status));
}

fn put_field(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn end_head(out: &mut Vec<u8>, framing: ClientFraming, persistence: Persistence) {
    let _ = match framing {
        ClientFraming::Empty | ClientFraming::Close => Ok(()),
        ClientFraming::Length(length) => write!(out, "Content-Length: {length}\r\n"),
        ClientFraming::Chunked => write!(out, "Transfer-Encoding: chunked\r\n"),
    };
    match persistence {
        Persistence::Implied => {}
        Persistence::Close => out.extend_from_slice(b"Connection: close\r\n"),
        Persistence::Said => out.extend_from_slice(b"Connection: keep-alive\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}
