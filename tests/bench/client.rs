//! A kept-alive HTTP/1.1 connection that costs the machine as little as it can: requests are bytes made
//! beforehand, answers are read into one buffer and only looked at afterwards.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::gzip;

/// How long an answer may take before the row fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection, for one thread.
pub struct Client {
    stream: TcpStream,
    /// Bytes that have arrived and were not taken yet.
    pending: Vec<u8>,
}

/// An answer, its body still as it came over the wire.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, compressed if `is_gzip`.
    pub body: Vec<u8>,
    is_gzip: bool,
}

impl Client {
    /// Connects to `HOST:PORT`.
    pub fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).unwrap_or_else(|why| panic!("connect to {address}: {why}"));
        stream.set_nodelay(true).expect("set TCP_NODELAY");
        stream.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
        Client { stream, pending: Vec::new() }
    }

    /// Sends a request and reads its answer, whatever its status.
    pub fn exchange(&mut self, request: &[u8]) -> Answer {
        self.send(request);
        self.receive()
    }

    /// As `exchange`; anything but a 2xx ends the row.
    pub fn call(&mut self, request: &[u8]) -> Answer {
        let answer = self.exchange(request);
        if !(200..300).contains(&answer.status) {
            let line = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
            let (line, body) = (String::from_utf8_lossy(line), answer.text());
            panic!("{line}\n  was answered {}: {}", answer.status, &body[..body.len().min(2000)]);
        }
        answer
    }

    /// Sends a request without waiting for the answer.
    pub fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).expect("send a request");
    }

    /// Reads the answer to what was sent before.
    pub fn receive(&mut self) -> Answer {
        let head = self.take_through(b"\r\n\r\n");
        let head = Head::parse(&head);
        let body = match head.length {
            Some(length) => self.take(length),
            None if head.is_chunked => self.take_chunks(),
            None => Vec::new(),
        };
        Answer { status: head.status, body, is_gzip: head.is_gzip }
    }

    /// Takes all up to and including `end`.
    fn take_through(&mut self, end: &[u8]) -> Vec<u8> {
        let mut n_searched = 0;
        loop {
            let found = self.pending[n_searched..].windows(end.len()).position(|window| window == end);
            if let Some(at) = found {
                let rest = self.pending.split_off(n_searched + at + end.len());
                return std::mem::replace(&mut self.pending, rest);
            }
            n_searched = self.pending.len().saturating_sub(end.len() - 1);
            let mut chunk = [0; 16 << 10];
            let n = self.stream.read(&mut chunk).expect("read an answer");
            assert!(n > 0, "the server closed the connection before it answered");
            self.pending.extend_from_slice(&chunk[..n]);
        }
    }

    /// Takes exactly `length` bytes.
    fn take(&mut self, length: usize) -> Vec<u8> {
        let n_here = self.pending.len().min(length);
        let rest = self.pending.split_off(n_here);
        let mut body = std::mem::replace(&mut self.pending, rest);
        body.reserve_exact(length - n_here);
        let missing = (length - n_here) as u64;
        (&self.stream).take(missing).read_to_end(&mut body).expect("read the body of an answer");
        assert_eq!(body.len(), length, "the server closed the connection within a body");
        body
    }

    fn take_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.take_through(b"\r\n");
            let size = std::str::from_utf8(&line).expect("a chunk size").trim();
            let length = usize::from_str_radix(size, 16).expect("a chunk size in hex");
            body.extend(self.take(length));
            self.take(2);
            if length == 0 {
                return body;
            }
        }
    }
}

impl Answer {
    /// The body, unpacked.
    pub fn content(&self) -> Vec<u8> {
        if self.is_gzip { gzip::unpack(&self.body) } else { self.body.clone() }
    }

    /// The body as text, unpacked.
    pub fn text(&self) -> String {
        String::from_utf8(self.content()).expect("an answer in UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.content())
            .unwrap_or_else(|why| panic!("no JSON: {why}: {}", self.text()))
    }
}

struct Head {
    status: u16,
    length: Option<usize>,
    is_chunked: bool,
    is_gzip: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Head {
        let text = std::str::from_utf8(bytes).expect("a head in ASCII");
        let status = text.get(9..12).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {text}"));
        let mut head = Head { status, length: None, is_chunked: false, is_gzip: false };
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = value.trim().parse().ok(),
                "transfer-encoding" => head.is_chunked = value.trim() == "chunked",
                "content-encoding" => head.is_gzip = value.trim() == "gzip",
                _ => {}
            }
        }
        head
    }
}
