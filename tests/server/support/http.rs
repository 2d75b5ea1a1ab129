//! HTTP/1.1 as the CLI speaks it, on plain sockets: kept-alive connections, bodies with a length, gzip both ways.
//! Every answer is held against the rules that all of them share (protocol §1.3, §1.5, §1.7).

use super::{gzip, schema};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

/// How long an answer may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(120);

/// One request, made up step by step.
#[derive(Clone)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query as they are sent.
    pub target: String,
    /// The `Authorization` header, if any is sent.
    pub authorization: Option<String>,
    /// Other headers, in the order in which they are sent.
    pub headers: Vec<(String, String)>,
    /// The body as it goes over the wire.
    pub body: Vec<u8>,
}

impl Request {
    /// A request as the CLI makes it: its headers, a token, no body yet.
    pub fn new(method: &str, target: impl Into<String>) -> Request {
        let headers = [
            ("Content-Type", "application/json"),
            ("Accept", "application/vnd.pulumi+9"),
            ("Accept-Encoding", "gzip"),
            ("User-Agent", "pulumi-cli/1 (v3.259.0; linux; cmd=up)"),
        ];
        Request {
            method: method.into(),
            target: target.into(),
            authorization: Some("token pul-test".into()),
            headers: headers.map(|(name, value)| (name.to_string(), value.to_string())).into(),
            body: Vec::new(),
        }
    }

    /// The same for another path.
    pub fn with_target(mut self, target: &str) -> Request {
        self.target = target.into();
        self
    }

    /// The same with another value of a header, or with a further header.
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self = self.without_header(name);
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same without a header.
    pub fn without_header(mut self, name: &str) -> Request {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// The same with other credentials, as `token abc`; with none when it is empty.
    pub fn authorization(mut self, credentials: &str) -> Request {
        self.authorization = (!credentials.is_empty()).then(|| credentials.into());
        self
    }

    /// The same with a lease token instead of an access token.
    pub fn lease(self, token: &str) -> Request {
        self.authorization(&format!("update-token {token}"))
    }

    /// The same with these bytes as its body.
    pub fn bytes(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        self
    }

    /// The same with a JSON body.
    pub fn json(self, body: &Value) -> Request {
        self.bytes(body.to_string())
    }

    /// The same with its body compressed.
    pub fn gzip(self) -> Request {
        let packed = gzip::pack(&self.body);
        self.header("Content-Encoding", "gzip").bytes(packed)
    }

    /// The body as it was before it was compressed; empty if it is damaged.
    pub fn plain_body(&self) -> Vec<u8> {
        match header_in(&self.headers, "Content-Encoding") {
            Some(_) => gzip::unpack(&self.body).unwrap_or_default(),
            None => self.body.clone(),
        }
    }

    /// What goes over the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: localhost\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(credentials) = &self.authorization {
            head.push_str(&format!("Authorization: {credentials}\r\n"));
        }
        if !self.body.is_empty() || !matches!(self.method.as_str(), "GET" | "HEAD" | "DELETE") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        let mut bytes = head.into_bytes();
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

/// An answer. Whatever a test asks of it in vain is reported together with the call, the status and the body.
#[derive(Clone)]
pub struct Response {
    /// Method and target of the request, for messages.
    pub call: String,
    /// The beginning of what was sent with it, for messages.
    sent: String,
    /// The status of the answer.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body, unpacked.
    pub body: Vec<u8>,
    /// How many bytes of body came over the wire.
    pub n_wire_bytes: usize,
}

impl Response {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_else(|_| panic!("{self}: the body is not UTF-8"))
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{self}: no JSON: {error}"))
    }

    /// A 2xx, as the CLI takes all of them.
    pub fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Demands a 2xx.
    #[track_caller]
    pub fn ok(self) -> Response {
        assert!(self.is_ok(), "{self}\n  expected success");
        self
    }

    /// Demands one of `statuses`.
    #[track_caller]
    pub fn expect(self, statuses: &[u16]) -> Response {
        assert!(statuses.contains(&self.status), "{self}\n  expected {statuses:?}");
        self
    }

    /// Demands an error with exactly this message.
    #[track_caller]
    pub fn expect_error(self, status: u16, message: &str) -> Response {
        let response = self.expect(&[status]);
        assert_eq!(response.json()["message"], message, "{response}");
        response
    }

    /// What every answer must be, whatever was asked: told apart, and readable for a CLI.
    #[track_caller]
    fn hold_against_common_rules(&self, is_gzip_accepted: bool) {
        assert!(
            self.header("x-pulumi-request-id").is_some_and(|id| !id.is_empty()),
            "{self}\n  has no X-Pulumi-Request-ID"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(self.header(name), Some(value), "{self}\n  {name}");
        }
        if let Some(encoding) = self.header("content-encoding") {
            assert_eq!(encoding, "gzip", "{self}: the CLI knows no other encoding");
            assert!(is_gzip_accepted, "{self}: gzip was not accepted");
            assert!(!self.body.is_empty(), "{self}: gzip of nothing is an error for the CLI");
        }
        if self.status >= 400 && !self.call.starts_with("HEAD ") {
            self.hold_against_error_rules();
        }
    }

    #[track_caller]
    fn hold_against_error_rules(&self) {
        let body = self.json();
        assert_eq!(body["code"], self.status, "{self}: the CLI acts on the code in the body");
        let message = body["message"].as_str().unwrap_or_else(|| panic!("{self}: no message"));
        assert!(self.header("content-type").is_some_and(|it| it.starts_with("application/json")), "{self}");
        let word = match self.status {
            400 => "Bad Request: ",
            401 => "Unauthorized: ",
            403 => "Forbidden: ",
            404 => "Not Found: ",
            409 => "Conflict: ",
            _ => "",
        };
        assert!(message.starts_with(word) && message.len() > word.len(), "{self}: expected \"{word}…\"");
    }
}

impl std::fmt::Display for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let shown: String = body.chars().take(2000).collect();
        write!(f, "{} answered {} {shown}\n  sent {}", self.call, self.status, self.sent)
    }
}

/// Connections to one address that are used again and again, as the CLI does.
pub struct Client {
    address: String,
    idle: Mutex<Vec<BufReader<TcpStream>>>,
}

impl Client {
    /// A client for `127.0.0.1:PORT`.
    pub fn new(address: impl Into<String>) -> Client {
        Client { address: address.into(), idle: Mutex::default() }
    }

    /// Where it calls.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends `request` and reads its answer; an error is a lost connection.
    pub fn send(&self, request: &Request) -> io::Result<Response> {
        let mut connection = self.connection()?;
        connection.get_mut().write_all(&request.to_bytes())?;
        let response = read_response(&mut connection, request)?;
        if !response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.idle.lock().expect("idle").push(connection);
        }
        Ok(response)
    }

    /// An idle connection that the other side has not closed, or a new one.
    fn connection(&self) -> io::Result<BufReader<TcpStream>> {
        while let Some(connection) = { self.idle.lock().expect("idle").pop() } {
            if is_alive(connection.get_ref()) {
                return Ok(connection);
            }
        }
        Ok(BufReader::new(connect(&self.address)?))
    }
}

/// A fresh connection to `address`.
pub fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    // While nobody listens, a connection to a port of this machine can end up at itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// False when the other side has ended the connection (or sent what nobody asked for).
fn is_alive(stream: &TcpStream) -> bool {
    let would_block =
        |result: io::Result<usize>| matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    stream.set_nonblocking(true).is_ok()
        && would_block(stream.peek(&mut [0]))
        && stream.set_nonblocking(false).is_ok()
}

/// Reads one answer to `request` and holds it against the rules for all of them.
pub fn read_response(reader: &mut impl BufRead, request: &Request) -> io::Result<Response> {
    let (status, headers) = read_head(reader)?;
    let has_body = request.method != "HEAD" && status != 204 && status != 304;
    let raw = if has_body { read_body(reader, &headers)? } else { Vec::new() };
    let call = format!("{} {}", request.method, request.target);
    let is_gzip = header_in(&headers, "content-encoding") == Some("gzip") && !raw.is_empty();
    let body =
        if is_gzip { gzip::unpack(&raw).unwrap_or_else(|why| panic!("{call}: {why}")) } else { raw.clone() };
    let response =
        Response { call, sent: beginning_of(request), status, headers, body, n_wire_bytes: raw.len() };
    let accepted = header_in(&request.headers, "Accept-Encoding").unwrap_or("");
    response.hold_against_common_rules(accepted.contains("gzip"));
    schema::hold_against_document(request, &response);
    Ok(response)
}

/// What a person needs to see of a body that led to a failure.
fn beginning_of(request: &Request) -> String {
    let is_gzip = header_in(&request.headers, "Content-Encoding") == Some("gzip");
    let plain = if is_gzip { gzip::unpack(&request.body).ok() } else { None };
    let bytes = plain.as_ref().unwrap_or(&request.body);
    String::from_utf8_lossy(&bytes[..bytes.len().min(1000)]).into_owned()
}

fn header_in<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Status and headers of an answer.
fn read_head(reader: &mut impl BufRead) -> io::Result<(u16, Vec<(String, String)>)> {
    let status_line = read_line(reader)?;
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status in {status_line:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
    }
    Ok((status, headers))
}

/// A line without its end; the end of the stream is an error.
pub fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.pop_if(|byte| *byte == b'\r');
    String::from_utf8(line).map_err(io::Error::other)
}

/// A body with a length, in chunks, or up to the end of the connection.
fn read_body(reader: &mut impl BufRead, headers: &[(String, String)]) -> io::Result<Vec<u8>> {
    if let Some(length) = header_in(headers, "content-length") {
        return read_exactly(reader, length.parse().map_err(io::Error::other)?);
    }
    let mut body = Vec::new();
    if header_in(headers, "transfer-encoding") != Some("chunked") {
        reader.read_to_end(&mut body)?;
        return Ok(body);
    }
    loop {
        let n_bytes = usize::from_str_radix(&read_line(reader)?, 16).map_err(io::Error::other)?;
        body.extend(read_exactly(reader, n_bytes)?);
        read_line(reader)?;
        if n_bytes == 0 {
            return Ok(body);
        }
    }
}

/// Exactly `n_bytes`; fewer are an error.
pub fn read_exactly(reader: &mut impl Read, n_bytes: usize) -> io::Result<Vec<u8>> {
    let mut body = vec![0; n_bytes];
    reader.read_exact(&mut body)?;
    Ok(body)
}
