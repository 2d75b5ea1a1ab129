//! TLS in front of a plain server, with a certificate of a CA of its own: one request for each connection.

use super::http::{read_exactly, read_line};
use pulumi_backend::clock::Clock;
use pulumi_backend::gate::Tls;
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

/// A running front; it ends with the process.
pub struct TlsFront {
    /// `localhost:PORT`.
    pub address: String,
    /// The CA that its certificate is of.
    pub ca: PathBuf,
}

impl TlsFront {
    /// In front of the server at `behind`; the CA lies in `folder`.
    pub fn start(folder: &Path, behind: &str) -> TlsFront {
        let tls = Tls::from_local_ca(folder, &[], Clock::default()).expect("a CA");
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let port = listener.local_addr().expect("an address").port();
        let behind = behind.to_string();
        std::thread::spawn(move || {
            for tcp in listener.incoming() {
                let (tcp, behind) = (tcp.expect("accept"), behind.clone());
                let connection = rustls::ServerConnection::new(tls.config()).expect("a connection");
                // A client that goes away is no failure of the front.
                std::thread::spawn(move || pass(rustls::StreamOwned::new(connection, tcp), &behind).is_ok());
            }
        });
        TlsFront { address: format!("localhost:{port}"), ca: folder.join("local-ca.pem") }
    }
}

type Client = rustls::StreamOwned<rustls::ServerConnection, TcpStream>;

fn pass(client: Client, behind: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let (mut head, mut n_bytes) = (String::new(), 0);
    loop {
        let line = read_line(&mut reader)?;
        head.push_str(&format!("{line}\r\n"));
        if let Some(("content-length", value)) = line.split_once(": ") {
            n_bytes = value.parse().unwrap_or(0);
        }
        if line.is_empty() {
            break;
        }
    }
    let body = read_exactly(&mut reader, n_bytes)?;
    let mut server = TcpStream::connect(behind)?;
    server.write_all(head.as_bytes()).and_then(|()| server.write_all(&body))?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    let client = reader.get_mut();
    client.write_all(&answer)?;
    client.conn.send_close_notify();
    client.flush()
}
