//! A client that is a bare socket: it sends the bytes it is told to and reads answers one by one.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Duration;

use super::PATIENCE;

pub struct Client {
    stream: Stream,
    unread: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client { stream: Stream::Plain(connect(address)), unread: Vec::new() }
    }

    /// Agrees on TLS at once; the error is the handshake's.
    #[cfg(feature = "tls")]
    pub fn connect_tls(
        address: SocketAddr,
        config: Arc<rustls::ClientConfig>,
        name: &str,
    ) -> std::io::Result<Client> {
        let name = rustls::pki_types::ServerName::try_from(name.to_string()).unwrap();
        let connection = rustls::ClientConnection::new(config, name).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, connect(address));
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Client { stream: Stream::Tls(Box::new(stream)), unread: Vec::new() })
    }

    #[cfg(feature = "tls")]
    pub fn tls(&self) -> &rustls::ClientConnection {
        match &self.stream {
            Stream::Tls(stream) => &stream.conn,
            Stream::Plain(_) => panic!("not TLS"),
        }
    }

    pub fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => &stream.sock,
        }
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what the gate may no longer want.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    pub fn end_sending(&self) {
        self.socket().shutdown(Shutdown::Write).unwrap();
    }

    #[track_caller]
    pub fn get(&mut self, target: &str) -> Reply {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        self.reply()
    }

    #[track_caller]
    pub fn post(&mut self, target: &str, body: &[u8]) -> Reply {
        self.send(format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len()));
        self.send(body);
        self.reply()
    }

    /// The next answer.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        self.try_reply(false).expect("an answer, not the end")
    }

    /// The next answer, to a HEAD: no body whatever its length says.
    #[track_caller]
    pub fn reply_to_head(&mut self) -> Reply {
        self.try_reply(true).expect("an answer, not the end")
    }

    /// The next answer, or none if the connection has ended before one began.
    #[track_caller]
    pub fn try_reply(&mut self, is_head: bool) -> Option<Reply> {
        let n_head = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.read_more() {
                assert!(self.unread.is_empty(), "half a head: {:?}", String::from_utf8_lossy(&self.unread));
                return None;
            }
        };
        let head = String::from_utf8(self.unread.drain(..n_head).collect()).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut reply = Reply { status, head, body: Vec::new() };
        if !is_head && status >= 200 && status != 204 && status != 304 {
            reply.body = self.read_body(&reply);
        }
        Some(reply)
    }

    /// Whether an answer comes whole before the connection ends.
    pub fn reads_whole_answer(&mut self) -> bool {
        let bytes = self.read_to_end();
        let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
        let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
        let reply = Reply { status: 0, head, body: bytes[at + 4..].to_vec() };
        reply.header("content-length") == Some(reply.body.len().to_string().as_str())
    }

    /// Whether anything comes (or the connection ends) within `time`.
    pub fn is_answered_within(&mut self, time: Duration) -> bool {
        self.socket().set_read_timeout(Some(time)).unwrap();
        let mut bytes = [0; 4096];
        let read = self.stream.read(&mut bytes);
        self.socket().set_read_timeout(Some(PATIENCE)).unwrap();
        self.unread.extend_from_slice(&bytes[..*read.as_ref().unwrap_or(&0)]);
        read.is_ok()
    }

    fn read_body(&mut self, reply: &Reply) -> Vec<u8> {
        if reply.header("transfer-encoding") == Some("chunked") {
            return self.read_chunks();
        }
        match reply.header("content-length") {
            Some(length) => self.take(length.parse().unwrap()),
            None => {
                while self.read_more() {}
                std::mem::take(&mut self.unread)
            }
        }
    }

    fn read_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.extend(self.take(1));
            }
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            body.extend(self.take(size));
            assert_eq!(self.take(2), b"\r\n");
            if size == 0 {
                return body;
            }
        }
    }

    #[track_caller]
    fn take(&mut self, n: usize) -> Vec<u8> {
        while self.unread.len() < n {
            assert!(self.read_more(), "the answer ends early: {} of {n} bytes", self.unread.len());
        }
        let rest = self.unread.split_off(n);
        std::mem::replace(&mut self.unread, rest)
    }

    /// `false` at the end of the connection, however it ended.
    #[track_caller]
    fn read_more(&mut self) -> bool {
        let mut bytes = [0; 64 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(n) => {
                self.unread.extend_from_slice(&bytes[..n]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("no answer within {PATIENCE:?}: {error}"),
        }
    }

    /// Everything until the connection ends.
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.read_more() {}
        std::mem::take(&mut self.unread)
    }

    /// The gate has closed, and had nothing more to say.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let has_more = self.read_more();
        assert!(!has_more && self.unread.is_empty(), "more: {:?}", String::from_utf8_lossy(&self.unread));
    }
}

/// A client's configuration that trusts the CA in `folder` and nothing else.
#[cfg(feature = "tls")]
pub fn trusting(folder: &std::path::Path) -> Arc<rustls::ClientConfig> {
    trusting_with(folder, rustls::ALL_VERSIONS, &[b"h2", b"http/1.1"])
}

#[cfg(feature = "tls")]
pub fn trusting_with(
    folder: &std::path::Path,
    versions: &[&'static rustls::SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("local-ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(bytes),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.split("\r\n").filter_map(|line| line.split_once(": "));
        fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{}{}", self.head, self.text());
        self
    }
}
