//! Request: method, path, query, headers, and a body that is read only once somebody may send it.

use std::io::Read;
use std::ops::Range;

use super::gzip;
use super::pattern::decode;
use crate::error::Error;

/// The methods that have routes here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Other,
}

impl Method {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Other => "OTHER",
        }
    }

    /// From its name on the wire.
    pub fn parse(text: &str) -> Method {
        match text {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            _ => Method::Other,
        }
    }
}

/// The deflate stream in which a body came; it has been inflated and checked.
pub struct Deflated {
    file: Vec<u8>,
    place: Range<usize>,
}

impl Deflated {
    /// The stream.
    pub fn as_slice(&self) -> &[u8] {
        &self.file[self.place.clone()]
    }
}

/// One request as it came from the gate.
pub struct Request {
    /// Its method.
    pub method: Method,
    /// The path as it came, without the query.
    pub path: String,
    query: String,
    wire: tiny_http::Request,
}

impl Request {
    pub(super) fn new(wire: tiny_http::Request) -> Request {
        let (path, query) = wire.url().split_once('?').unwrap_or((wire.url(), ""));
        Request {
            method: Method::parse(wire.method().as_str()),
            path: path.to_string(),
            query: query.to_string(),
            wire,
        }
    }

    pub(super) fn into_wire(self) -> tiny_http::Request {
        self.wire
    }

    /// The first value of a header; names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.wire.headers().iter();
        headers
            .find(|header| header.field.as_str().as_str().eq_ignore_ascii_case(name))
            .map(|h| h.value.as_str())
    }

    /// The first value of a query parameter, decoded; an unreadable one counts as absent.
    pub fn query(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let (_, value) = pairs.find(|(key, _)| decode(key, true).as_deref() == Some(name))?;
        decode(value, true)
    }

    /// Whether the client takes gzip.
    pub fn accepts_gzip(&self) -> bool {
        let accepted = self.header("Accept-Encoding").unwrap_or("");
        accepted.split(',').any(|coding| {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let is_refused = parameters
                .trim()
                .strip_prefix("q=")
                .is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0));
            matches!(name.trim(), "gzip" | "x-gzip" | "*") && !is_refused
        })
    }

    /// The whole body, inflated if it came as gzip; at most `bytes_max` either way.
    pub fn read_body(&mut self, bytes_max: usize) -> Result<Vec<u8>, Error> {
        self.read_packed_body(bytes_max).map(|(content, _)| content)
    }

    /// As `read_body`, with what it was inflated from.
    pub fn read_packed_body(&mut self, bytes_max: usize) -> Result<(Vec<u8>, Option<Deflated>), Error> {
        let is_gzip = match self.header("Content-Encoding").map(str::trim) {
            None | Some("" | "identity") => false,
            Some(coding) if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => {
                true
            }
            Some(coding) => {
                return Err(Error::invalid(
                    "Content-Encoding",
                    format!("'{coding}' is not supported; use gzip"),
                ));
            }
        };
        let body = self.read_raw_body(bytes_max)?;
        if !is_gzip {
            return Ok((body, None));
        }
        let content = gzip::decompress_whole(&body, bytes_max)?;
        let place = gzip::deflated(&body)?;
        Ok((content, Some(Deflated { file: body, place })))
    }

    fn read_raw_body(&mut self, bytes_max: usize) -> Result<Vec<u8>, Error> {
        let announced = self.wire.body_length();
        if announced.is_some_and(|n| n > bytes_max) {
            return Err(Error::TooLarge { bytes_max });
        }
        let mut body = Vec::with_capacity(announced.unwrap_or(0));
        let mut reader = self.wire.as_reader().take(bytes_max as u64 + 1);
        reader
            .read_to_end(&mut body)
            .map_err(|cause| Error::invalid("body", format!("cut short: {cause}")))?;
        if body.len() > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
        if announced.is_some_and(|n| n != body.len()) {
            return Err(Error::invalid("body", "shorter than its Content-Length"));
        }
        Ok(body)
    }
}
