//! The server's answer as it comes over a warm connection: head, then a body of known or chunked length.
//!
//! The other end is ours, so the reading is plain; but it is bounded, and what is not understood breaks the link.

use std::io;

use super::buffer::Buffer;
use super::chunked::Chunked;
use super::limits::{READ_BUFFER_BYTES, RESPONSE_HEAD_BYTES_MAX};
use super::upstream::Link;

/// What stands between an answer's head and its end.
pub(super) enum ReplyFraming {
    /// No body, whatever the fields say: HEAD, 204, 304.
    Empty,
    /// So many bytes to come.
    Length(u64),
    Chunked(Chunked),
}

/// An answer being read. Reused from request to request.
pub(super) struct Reply {
    pub status: u16,
    /// The fields' lines, without the status line and the empty one.
    pub fields: String,
    /// What `Content-Length` says; for HEAD there is no body of that length.
    pub length: Option<u64>,
    input: Buffer,
}

impl Reply {
    pub fn new() -> Reply {
        Reply { status: 0, fields: String::new(), length: None, input: Buffer::new() }
    }

    /// Reads the head of the final answer. `is_head`: the request was a HEAD.
    pub fn read_head(&mut self, link: &mut Link, is_head: bool) -> io::Result<ReplyFraming> {
        assert!(self.input.is_empty(), "the answer before was read to its end");
        loop {
            let n_head = self.wait_for_head(link)?;
            let framing = self.parse_head(n_head, is_head)?;
            self.input.consume(n_head);
            if self.status >= 200 {
                return Ok(framing);
            }
        }
    }

    fn wait_for_head(&mut self, link: &mut Link) -> io::Result<usize> {
        loop {
            let unread = self.input.unread();
            if let Some(at) = unread.windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok(at + 4);
            }
            if unread.len() >= RESPONSE_HEAD_BYTES_MAX {
                return Err(not_understood("a head without an end"));
            }
            let window =
                if unread.len() < READ_BUFFER_BYTES { READ_BUFFER_BYTES } else { RESPONSE_HEAD_BYTES_MAX };
            self.input.fill(window, |bytes| link.read(bytes))?;
        }
    }

    fn parse_head(&mut self, n_head: usize, is_head: bool) -> io::Result<ReplyFraming> {
        let text = std::str::from_utf8(&self.input.unread()[..n_head - 2]);
        let text = text.map_err(|_| not_understood("a head that is not text"))?;
        let (line, fields) = text.split_once("\r\n").ok_or_else(|| not_understood("no status line"))?;
        self.status = parse_status(line).ok_or_else(|| not_understood("no status"))?;
        self.fields.clear();
        self.fields.push_str(fields);
        self.length = None;
        let mut is_chunked = false;
        for (name, value) in lines(fields) {
            if name.eq_ignore_ascii_case("Content-Length") {
                let length = value.parse().map_err(|_| not_understood("a length that is not a number"))?;
                self.length = Some(length);
            }
            is_chunked |= name.eq_ignore_ascii_case("Transfer-Encoding");
        }
        match self.length {
            _ if is_head || self.status < 200 || self.status == 204 || self.status == 304 => {
                Ok(ReplyFraming::Empty)
            }
            _ if is_chunked => Ok(ReplyFraming::Chunked(Chunked::new())),
            Some(length) => Ok(ReplyFraming::Length(length)),
            None => Err(not_understood("a body without a length")),
        }
    }

    /// Appends to `body` until it has `body_bytes_max` bytes or the answer ends. `true` at the end.
    pub fn read_body(
        &mut self,
        link: &mut Link,
        framing: &mut ReplyFraming,
        body: &mut Vec<u8>,
        body_bytes_max: usize,
    ) -> io::Result<bool> {
        match framing {
            ReplyFraming::Empty => Ok(true),
            ReplyFraming::Length(n_left) => self.read_length(link, n_left, body, body_bytes_max),
            ReplyFraming::Chunked(chunked) => self.read_chunked(link, chunked, body, body_bytes_max),
        }
    }

    fn read_length(
        &mut self,
        link: &mut Link,
        n_left: &mut u64,
        body: &mut Vec<u8>,
        body_bytes_max: usize,
    ) -> io::Result<bool> {
        let n_wanted = (body_bytes_max - body.len()).min(usize::try_from(*n_left).unwrap_or(usize::MAX));
        let n_ready = self.input.unread().len().min(n_wanted);
        body.extend_from_slice(&self.input.unread()[..n_ready]);
        self.input.consume(n_ready);
        let mut at = body.len();
        body.resize(at + n_wanted - n_ready, 0);
        while at < body.len() {
            at += link.read(&mut body[at..])?;
        }
        *n_left -= n_wanted as u64;
        self.check_end(*n_left == 0)
    }

    fn read_chunked(
        &mut self,
        link: &mut Link,
        chunked: &mut Chunked,
        body: &mut Vec<u8>,
        body_bytes_max: usize,
    ) -> io::Result<bool> {
        loop {
            let unread = self.input.unread();
            let refused = |_| not_understood("a chunked body");
            let n_used = chunked.feed(unread, body, usize::MAX).map_err(refused)?;
            self.input.consume(n_used);
            if chunked.is_at_end() {
                return self.check_end(true);
            }
            if body.len() >= body_bytes_max {
                return Ok(false);
            }
            self.input.fill(RESPONSE_HEAD_BYTES_MAX, |bytes| link.read(bytes))?;
        }
    }

    /// Reads what is left of an answer nobody wants.
    pub fn read_to_end(&mut self, link: &mut Link, mut framing: ReplyFraming) -> io::Result<()> {
        let mut body = Vec::new();
        while !self.read_body(link, &mut framing, &mut body, READ_BUFFER_BYTES)? {
            body.clear();
        }
        Ok(())
    }

    fn check_end(&self, is_at_end: bool) -> io::Result<bool> {
        if is_at_end && !self.input.is_empty() {
            return Err(not_understood("bytes after the end"));
        }
        Ok(is_at_end)
    }

    /// Gives large memory back between two answers.
    pub fn shrink(&mut self, kept_bytes_max: usize) {
        self.input.shrink(kept_bytes_max);
        if self.fields.capacity() > kept_bytes_max {
            self.fields = String::new();
        }
    }

    /// Forgets an answer that broke off.
    pub fn reset(&mut self) {
        self.input = Buffer::new();
    }
}

/// Name and value of each of a head's lines.
pub(super) fn lines(fields: &str) -> impl Iterator<Item = (&str, &str)> {
    let fields = fields.split("\r\n").filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name, value.trim_matches([' ', '\t'])))
}

fn parse_status(line: &str) -> Option<u16> {
    let (version, rest) = line.split_once(' ')?;
    let status = rest.get(..3)?.parse().ok()?;
    (version.starts_with("HTTP/1.") && (100..600).contains(&status)).then_some(status)
}

fn not_understood(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the HTTP engine's answer has {what}"))
}
