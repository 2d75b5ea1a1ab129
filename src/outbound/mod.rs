//! One request to another server, over a connection of its own: of a bucket, or of an issuer of tokens. Nothing is
//! called that no setting names, and no redirect is followed.

pub mod key_set;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_absent.rs"]
pub mod tls;
pub mod url;

use std::fs::File;
use std::io::{
    BufRead, BufReader, Error as IoError, ErrorKind, Read, Result as IoResult, Seek, SeekFrom, Write,
};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use self::tls::Tls;
use crate::crypto::hex;

/// To connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Without a byte either way.
const SILENCE_PATIENCE: Duration = Duration::from_secs(60);
const HEADERS_MAX: usize = 200;

/// Where a server is, and how it is spoken to.
pub struct Server {
    /// As in the header.
    pub host: String,
    /// `HOST:PORT`.
    pub address: String,
    /// None for plain HTTP.
    pub tls: Option<Tls>,
    /// How long it may take.
    pub patience: Patience,
    /// The largest body of an answer.
    pub body_bytes_max: u64,
}

/// How long a server may take.
#[derive(Clone, Copy)]
pub enum Patience {
    /// As long as it goes on: a minute without a byte is too long.
    Silence,
    /// All in all.
    Whole(Duration),
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
        let until = match self.patience {
            Patience::Silence => None,
            Patience::Whole(patience) => Some(Instant::now() + patience),
        };
        let tcp = Wire { tcp: connect(&self.address, until)?, until };
        match &self.tls {
            None => self.talk(tcp, head, body),
            Some(tls) => self.talk(tls.connect(tcp, &self.host)?, head, body),
        }
    }

    fn talk(&self, mut stream: impl Read + Write, head: &str, body: &Body) -> IoResult<Answer> {
        let sent = stream
            .write_all(format!("{head}\r\n").as_bytes())
            .and_then(|()| body.write_to(&mut stream))
            .and_then(|()| stream.flush());
        // A server that does not want the body may answer and hang up before it has all of it.
        let is_head = head.starts_with("HEAD ");
        match (read_answer(BufReader::new(stream), is_head, self.body_bytes_max), sent) {
            (Err(_), Err(cause)) => Err(cause),
            (answer, _) => answer,
        }
    }
}

/// A connection that gives up in time.
struct Wire {
    tcp: TcpStream,
    until: Option<Instant>,
}

impl Wire {
    /// How long the next step may take.
    fn patience(&self) -> IoResult<Option<Duration>> {
        patience(self.until, SILENCE_PATIENCE).map(Some)
    }
}

fn patience(until: Option<Instant>, at_most: Duration) -> IoResult<Duration> {
    let left = until.map_or(at_most, |until| until.saturating_duration_since(Instant::now()).min(at_most));
    match left.is_zero() {
        true => Err(IoError::new(ErrorKind::TimedOut, "it took too long")),
        false => Ok(left),
    }
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> IoResult<usize> {
        self.tcp.set_read_timeout(self.patience()?)?;
        self.tcp.read(bytes).map_err(too_long)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        self.tcp.set_write_timeout(self.patience()?)?;
        self.tcp.write(bytes).map_err(too_long)
    }

    fn flush(&mut self) -> IoResult<()> {
        self.tcp.flush()
    }
}

/// The system's words for it say that a resource is unavailable.
fn too_long(cause: IoError) -> IoError {
    match cause.kind() {
        ErrorKind::WouldBlock => IoError::new(ErrorKind::TimedOut, "it took too long"),
        _ => cause,
    }
}

fn connect(address: &str, until: Option<Instant>) -> IoResult<TcpStream> {
    let mut failure = IoError::new(ErrorKind::NotFound, format!("{address} has no address"));
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience(until, CONNECT_PATIENCE)?) {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Err(cause) => failure = cause,
        }
    }
    Err(failure)
}

fn read_answer(mut reader: impl BufRead, is_head: bool, bytes_max: u64) -> IoResult<Answer> {
    let line = read_line(&mut reader)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status: u16 = status.ok_or_else(|| bad("no status line"))?;
    if status == 100 {
        while !read_line(&mut reader)?.is_empty() {}
        return read_answer(reader, is_head, bytes_max);
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
        answer.body = read_body(&mut reader, &answer, bytes_max)?;
    }
    Ok(answer)
}

fn read_body(reader: &mut impl BufRead, answer: &Answer, bytes_max: u64) -> IoResult<Vec<u8>> {
    let mut body = Vec::new();
    if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        loop {
            let line = read_line(reader)?;
            let size = line.split(';').next().unwrap_or("").trim();
            let n_bytes = u64::from_str_radix(size, 16).map_err(|_| bad("no size of a chunk"))?;
            read_exactly(reader, n_bytes, &mut body, bytes_max)?;
            read_line(reader)?;
            if n_bytes == 0 {
                return Ok(body);
            }
        }
    }
    match answer.header("content-length").map(str::parse) {
        Some(Ok(n_bytes)) => read_exactly(reader, n_bytes, &mut body, bytes_max)?,
        Some(Err(_)) => return Err(bad("no length of a body")),
        None => {
            reader.take(bytes_max + 1).read_to_end(&mut body)?;
            check_size(body.len() as u64, bytes_max)?;
        }
    }
    Ok(body)
}

fn check_size(n_bytes: u64, bytes_max: u64) -> IoResult<()> {
    match n_bytes > bytes_max {
        true => {
            Err(IoError::new(ErrorKind::InvalidData, format!("its answer is longer than {bytes_max} bytes")))
        }
        false => Ok(()),
    }
}

fn read_exactly(reader: &mut impl BufRead, n_bytes: u64, body: &mut Vec<u8>, bytes_max: u64) -> IoResult<()> {
    check_size((body.len() as u64).saturating_add(n_bytes), bytes_max)?;
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
    IoError::new(ErrorKind::InvalidData, format!("not the HTTP that is spoken here: {why}"))
}
