//! One request to the server of a bucket, over a connection of its own.

use std::fs::File;
use std::io::{
    BufRead, BufReader, Error as IoError, ErrorKind, Read, Result as IoResult, Seek, SeekFrom, Write,
};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::tls::Tls;
use crate::crypto::hex;

/// To connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Without a byte either way.
const SILENCE_PATIENCE: Duration = Duration::from_secs(60);
/// A body of an answer: one piece of a backup, or a page of a list.
const BODY_BYTES_MAX: u64 = 64 << 20;
const HEADERS_MAX: usize = 200;

/// Where a server is, and how it is spoken to.
pub struct Server {
    /// As in the header.
    pub host: String,
    /// `HOST:PORT`.
    pub address: String,
    /// None for plain HTTP.
    pub tls: Option<Tls>,
}

/// What a request carries.
#[derive(Clone)]
pub enum Body {
    /// Bytes.
    Bytes(Vec<u8>),
    /// A part of a file.
    Part {
        /// Which file.
        file: PathBuf,
        /// From here.
        from: u64,
        /// So many bytes.
        n_bytes: u64,
    },
}

impl Body {
    /// Its length.
    pub fn n_bytes(&self) -> u64 {
        match self {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Part { n_bytes, .. } => *n_bytes,
        }
    }

    /// SHA-256 in hex.
    pub fn sha256(&self) -> IoResult<String> {
        let mut hasher = HashWriter(Sha256::new());
        self.write_to(&mut hasher)?;
        Ok(hex(&hasher.0.finalize()))
    }

    fn write_to(&self, out: &mut impl Write) -> IoResult<()> {
        match self {
            Body::Bytes(bytes) => out.write_all(bytes),
            Body::Part { file, from, n_bytes } => {
                let mut file = File::open(file)?;
                file.seek(SeekFrom::Start(*from))?;
                let n_copied = std::io::copy(&mut file.take(*n_bytes), out)?;
                if n_copied == *n_bytes { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
            }
        }
    }
}

struct HashWriter(Sha256);

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

/// An answer.
pub struct Answer {
    /// Status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header, whose name is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Server {
    /// Sends a request and reads the answer. `head` is request line and headers, without the empty line.
    pub fn exchange(&self, head: &str, body: &Body) -> IoResult<Answer> {
        let tcp = connect(&self.address)?;
        match &self.tls {
            None => talk(tcp, head, body),
            Some(tls) => talk(tls.connect(tcp, &self.host)?, head, body),
        }
    }
}

fn connect(address: &str) -> IoResult<TcpStream> {
    let mut failure = IoError::new(ErrorKind::NotFound, format!("{address} has no address"));
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_PATIENCE) {
            Ok(tcp) => {
                tcp.set_read_timeout(Some(SILENCE_PATIENCE))?;
                tcp.set_write_timeout(Some(SILENCE_PATIENCE))?;
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Err(cause) => failure = cause,
        }
    }
    Err(failure)
}

fn talk(mut stream: impl Read + Write, head: &str, body: &Body) -> IoResult<Answer> {
    let sent = stream
        .write_all(format!("{head}\r\n").as_bytes())
        .and_then(|()| body.write_to(&mut stream))
        .and_then(|()| stream.flush());
    // A server that does not want the body may answer and hang up before it has all of it.
    match (read_answer(BufReader::new(stream), head.starts_with("HEAD ")), sent) {
        (Err(_), Err(cause)) => Err(cause),
        (answer, _) => answer,
    }
}

fn read_answer(mut reader: impl BufRead, is_head: bool) -> IoResult<Answer> {
    let line = read_line(&mut reader)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status: u16 = status.ok_or_else(|| bad("no status line"))?;
    if status == 100 {
        while !read_line(&mut reader)?.is_empty() {}
        return read_answer(reader, is_head);
    }
    let mut headers = Vec::new();
    loop {
        let line = read_line(&mut reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
        if headers.len() > HEADERS_MAX {
            return Err(bad("too many headers"));
        }
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if !is_head && status != 204 && status != 304 {
        answer.body = read_body(&mut reader, &answer)?;
    }
    Ok(answer)
}

fn read_body(reader: &mut impl BufRead, answer: &Answer) -> IoResult<Vec<u8>> {
    let mut body = Vec::new();
    if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        loop {
            let line = read_line(reader)?;
            let size = line.split(';').next().unwrap_or("").trim();
            let n_bytes = u64::from_str_radix(size, 16).map_err(|_| bad("no size of a chunk"))?;
            read_exactly(reader, n_bytes, &mut body)?;
            read_line(reader)?;
            if n_bytes == 0 {
                return Ok(body);
            }
        }
    }
    match answer.header("content-length").map(str::parse) {
        Some(Ok(n_bytes)) => read_exactly(reader, n_bytes, &mut body)?,
        Some(Err(_)) => return Err(bad("no length of a body")),
        None => reader.take(BODY_BYTES_MAX).read_to_end(&mut body).map(drop)?,
    }
    Ok(body)
}

fn read_exactly(reader: &mut impl BufRead, n_bytes: u64, body: &mut Vec<u8>) -> IoResult<()> {
    if body.len() as u64 + n_bytes > BODY_BYTES_MAX {
        return Err(bad("a body is too long"));
    }
    let n_read = reader.take(n_bytes).read_to_end(body)?;
    if n_read as u64 == n_bytes { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn read_line(reader: &mut impl BufRead) -> IoResult<String> {
    let mut line = Vec::new();
    reader.take(16 << 10).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    line.pop_if(|byte| *byte == b'\r');
    String::from_utf8(line).map_err(|_| bad("a line is not UTF-8"))
}

fn bad(why: &str) -> IoError {
    IoError::new(ErrorKind::InvalidData, format!("not the HTTP that a bucket speaks: {why}"))
}
