//! The head of a request: one reading, or none.
//!
//! Wherever RFC 9112 lets two readers see different things (bare line feeds, folded lines, repeated lengths, a
//! space before a colon), the head is refused. What passes is ASCII without control characters.

use std::ops::Range;

use super::limits::CONNECTION_BYTES_MAX;
use super::listener::Peer;
use super::refusal::Refusal;
use super::settings::Settings;

/// A request's head as the rest of the server sees it, before the body is read.
pub struct Head<'a> {
    /// As sent: a token, usually upper case.
    pub method: &'a str,
    /// Path and query as sent: begins with `/` (or is `*` for OPTIONS), visible ASCII, no fragment.
    pub target: &'a str,
    /// Who asks: the other end of the connection, or whom a trusted proxy names.
    pub peer: Peer,
    /// Whether the request came over TLS.
    pub is_tls: bool,
    pub(super) text: &'a str,
    pub(super) fields: &'a [Field],
}

impl<'a> Head<'a> {
    /// The value of the first field called `name`, in any case, without surrounding blanks.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let is_it = |field: &&Field| self.text[field.name.clone()].eq_ignore_ascii_case(name);
        self.fields.iter().find(is_it).map(|field| &self.text[field.value.clone()])
    }

    /// The path without the query.
    pub fn path(&self) -> &'a str {
        self.target.split('?').next().unwrap_or(self.target)
    }
}

/// Where a field's name and value stand in the head's text.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub name: Range<usize>,
    pub value: Range<usize>,
}

/// How long the body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    #[default]
    Empty,
    /// Also for a stated length of 0, which is passed on as it is.
    Length(u64),
    Chunked,
}

/// A parsed head, as places in its text. Reused from request to request.
#[derive(Default)]
pub(super) struct Parsed {
    pub method: Range<usize>,
    pub target: Range<usize>,
    pub is_http_1_1: bool,
    pub fields: Vec<Field>,
    pub framing: Framing,
    pub is_keep_alive: bool,
    pub expects_continue: bool,
    /// The values of `Connection`, which name further fields that end at this hop.
    pub connection: Vec<Range<usize>>,
}

/// Looks for the end of a head that arrives in pieces, and for bytes that no head may have.
#[derive(Default)]
pub(super) struct Scan {
    n_seen: usize,
    n_line: usize,
}

impl Scan {
    /// Goes on over `bytes`, which begin where they began last time. Gives the head's length once it is whole.
    pub fn look(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        while self.n_seen < bytes.len() {
            let byte = bytes[self.n_seen];
            self.n_seen += 1;
            match byte {
                b'\n' => {
                    if self.n_line == 0 || bytes[self.n_seen - 2] != b'\r' {
                        return Err(Refusal::malformed("a line feed without a carriage return"));
                    }
                    if self.n_line == 1 {
                        return Ok(Some(self.n_seen));
                    }
                    self.n_line = 0;
                    continue;
                }
                _ if self.n_line > 0 && bytes[self.n_seen - 2] == b'\r' => {
                    return Err(Refusal::malformed("a carriage return inside a line"));
                }
                b'\r' | b'\t' | b' '..=b'~' => {}
                _ => return Err(Refusal::malformed("a control or non-ASCII character in the head")),
            }
            self.n_line += 1;
        }
        Ok(None)
    }
}

impl Parsed {
    /// Reads a whole head, from its first byte to the empty line; `text` has passed `Scan`.
    pub fn parse(&mut self, text: &str, settings: &Settings) -> Result<(), Refusal> {
        self.fields.clear();
        self.connection.clear();
        let line_end = text.find("\r\n").unwrap_or(text.len());
        self.parse_request_line(&text[..line_end], settings)?;
        self.parse_fields(text, line_end + 2, settings.head_fields_max)?;
        self.check_host(text)?;
        self.parse_framing(text)?;
        self.parse_expect(text)?;
        self.parse_connection(text)
    }

    fn parse_request_line(&mut self, line: &str, settings: &Settings) -> Result<(), Refusal> {
        let mut parts = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::malformed("the request line is not a method, a target and a version"));
        };
        self.is_http_1_1 = parse_version(version)?;
        check_method(method)?;
        check_target(method, target, settings.target_bytes_max)?;
        self.method = 0..method.len();
        self.target = method.len() + 1..method.len() + 1 + target.len();
        Ok(())
    }

    fn parse_fields(&mut self, text: &str, mut at: usize, n_fields_max: usize) -> Result<(), Refusal> {
        loop {
            let line_end = at + text[at..].find("\r\n").unwrap_or(text.len() - at);
            if line_end == at {
                return Ok(());
            }
            if self.fields.len() == n_fields_max {
                return Err(Refusal::new(
                    431,
                    format!("The request has more than {n_fields_max} header fields"),
                ));
            }
            self.fields.push(parse_field(text, at..line_end)?);
            at = line_end + 2;
        }
    }

    /// The only field called `name`. Two of them are two readings.
    fn single(&self, text: &str, name: &str) -> Result<Option<Range<usize>>, Refusal> {
        let mut found =
            self.fields.iter().filter(|field| text[field.name.clone()].eq_ignore_ascii_case(name));
        let first = found.next().map(|field| field.value.clone());
        match found.next() {
            Some(_) => Err(Refusal::malformed(&format!("more than one {name} field"))),
            None => Ok(first),
        }
    }

    fn check_host(&self, text: &str) -> Result<(), Refusal> {
        self.single(text, "Authorization")?;
        self.single(text, "Content-Type")?;
        self.single(text, "Content-Encoding")?;
        match self.single(text, "Host")? {
            None if self.is_http_1_1 => Err(Refusal::malformed("no Host field")),
            Some(host) if !text[host.clone()].bytes().all(is_host_byte) => {
                Err(Refusal::malformed("the Host field is not a host"))
            }
            _ => Ok(()),
        }
    }

    fn parse_framing(&mut self, text: &str) -> Result<(), Refusal> {
        let length = self.single(text, "Content-Length")?;
        let encoding = self.single(text, "Transfer-Encoding")?;
        self.framing = match (length, encoding) {
            (None, None) => Framing::Empty,
            (Some(length), None) => Framing::Length(parse_length(&text[length])?),
            (None, Some(_)) if !self.is_http_1_1 => {
                return Err(Refusal::malformed("Transfer-Encoding in HTTP/1.0"));
            }
            (None, Some(encoding)) if text[encoding.clone()].eq_ignore_ascii_case("chunked") => {
                Framing::Chunked
            }
            (None, Some(_)) => {
                return Err(Refusal::new(501, "The only Transfer-Encoding that is understood is chunked"));
            }
            (Some(_), Some(_)) => {
                return Err(Refusal::malformed("both Content-Length and Transfer-Encoding"));
            }
        };
        Ok(())
    }

    fn parse_expect(&mut self, text: &str) -> Result<(), Refusal> {
        let expect = self.single(text, "Expect")?;
        self.expects_continue = expect.is_some() && self.is_http_1_1;
        match expect {
            Some(value) if !text[value.clone()].eq_ignore_ascii_case("100-continue") => {
                Err(Refusal::new(417, "The only expectation that is understood is 100-continue"))
            }
            _ => Ok(()),
        }
    }

    fn parse_connection(&mut self, text: &str) -> Result<(), Refusal> {
        let is_it = |field: &&Field| text[field.name.clone()].eq_ignore_ascii_case("Connection");
        self.connection.extend(self.fields.iter().filter(is_it).map(|field| field.value.clone()));
        let says = |option| self.connection.iter().any(|value| has_token(&text[value.clone()], option));
        self.is_keep_alive = !says("close") && (self.is_http_1_1 || says("keep-alive"));
        let n_bytes: usize = self.connection.iter().map(|value| value.len()).sum();
        if n_bytes > CONNECTION_BYTES_MAX {
            return Err(Refusal::new(
                431,
                format!("The Connection field is longer than {CONNECTION_BYTES_MAX} bytes"),
            ));
        }
        Ok(())
    }
}

/// Whether a comma-separated list has `token`, in any case.
pub(super) fn has_token(list: &str, token: &str) -> bool {
    list.split(',').any(|part| part.trim_matches([' ', '\t']).eq_ignore_ascii_case(token))
}

/// `true` for 1.1, `false` for 1.0.
fn parse_version(version: &str) -> Result<bool, Refusal> {
    match version.as_bytes() {
        b"HTTP/1.1" => Ok(true),
        b"HTTP/1.0" => Ok(false),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Err(Refusal::new(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here"))
        }
        _ => Err(Refusal::malformed("the request line does not end with an HTTP version")),
    }
}

fn check_method(method: &str) -> Result<(), Refusal> {
    if method.is_empty() || !method.bytes().all(is_token_byte) {
        return Err(Refusal::malformed("the method is not a token"));
    }
    // A proxy's method and one that would echo credentials; neither has a meaning here.
    if method == "CONNECT" || method == "TRACE" {
        return Err(Refusal::new(501, format!("The method {method} is not served")));
    }
    Ok(())
}

fn check_target(method: &str, target: &str, bytes_max: usize) -> Result<(), Refusal> {
    if target.len() > bytes_max {
        return Err(Refusal::new(414, format!("The path and query are longer than {bytes_max} bytes")));
    }
    // Deliberately no absolute form: that is for proxies, and a second place for the host is a second reading.
    let is_known_form = target.starts_with('/') || (target == "*" && method == "OPTIONS");
    if !is_known_form || !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(Refusal::malformed("the target is not a path"));
    }
    Ok(())
}

/// One line of a head or a trailer: a token, a colon at once, a value.
pub(super) fn parse_field(text: &str, line: Range<usize>) -> Result<Field, Refusal> {
    let bytes = &text.as_bytes()[line.clone()];
    if matches!(bytes.first(), Some(b' ' | b'\t')) {
        return Err(Refusal::malformed("a folded header line"));
    }
    let n_name = bytes.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(bytes.len());
    if n_name == 0 || bytes.get(n_name) != Some(&b':') {
        return Err(Refusal::malformed("a header line without a name and a colon"));
    }
    let is_blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let value = &bytes[n_name + 1..];
    let n_before = value.iter().take_while(|byte| is_blank(byte)).count();
    let n_after = value[n_before..].iter().rev().take_while(|byte| is_blank(byte)).count();
    let name = line.start..line.start + n_name;
    Ok(Field { value: name.end + 1 + n_before..line.end - n_after, name })
}

/// Digits and nothing else; `u64` is far beyond any limit.
fn parse_length(text: &str) -> Result<u64, Refusal> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(Refusal::malformed("Content-Length is not a number"));
    }
    // A number too large for us is still a well-formed length: it gets the answer of one that is over the limit.
    Ok(text.parse().unwrap_or(u64::MAX))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%:[]!$&'()*+;=".contains(&byte)
}
