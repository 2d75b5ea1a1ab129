//! An issuer's site: HTTPS with a certificate of a CA of its own, and one answer that the test chooses.

use pulumi_backend::clock::Clock;
use pulumi_backend::gate::Tls;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the site answers.
#[derive(Clone, Debug)]
pub enum Page {
    /// This text, with these header lines.
    Text(&'static str, String),
    /// This status, with these header lines.
    Status(u16, &'static str),
    /// Bytes that are no HTTP.
    Garbage,
    /// A body that is longer than anybody wants, without its length.
    Huge,
    /// A byte now and then, and never all.
    Slow,
    /// The connection ends at once.
    Down,
}

#[derive(Default)]
struct State {
    page: Option<Page>,
    asked: Vec<String>,
}

/// A running site; it ends with the process.
pub struct Published {
    port: u16,
    /// The CA that its certificate is of.
    pub ca: PathBuf,
    state: Arc<Mutex<State>>,
}

impl Published {
    /// A site whose CA lies in `folder`, on both of the machine's loopback names.
    pub fn start(folder: &Path) -> Published {
        let tls = Tls::from_local_ca(folder, &[], Clock::default()).expect("a CA");
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let port = listener.local_addr().expect("an address").port();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        std::thread::spawn(move || {
            for tcp in listener.incoming() {
                let (tcp, state, config) = (tcp.expect("accept"), shared.clone(), tls.config());
                let connection = rustls::ServerConnection::new(config).expect("a connection");
                // A client that goes away is no failure of the site.
                std::thread::spawn(move || answer(rustls::StreamOwned::new(connection, tcp), &state).is_ok());
            }
        });
        Published { port, ca: folder.join("local-ca.pem"), state }
    }

    /// Its address.
    pub fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// What it answers from now on.
    pub fn show(&self, page: Page) {
        self.state.lock().expect("state").page = Some(page);
    }

    /// Publishes these keys.
    pub fn publish(&self, keys: &[Value]) {
        self.show(Page::Text("", json!({ "keys": keys }).to_string()));
    }

    /// How often it was asked.
    pub fn n_asked(&self) -> usize {
        self.state.lock().expect("state").asked.len()
    }

    /// The first lines of what it was asked.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().expect("state").asked.clone()
    }
}

type Tcp = rustls::StreamOwned<rustls::ServerConnection, TcpStream>;

fn answer(stream: Tcp, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut line) = (String::new(), String::new());
    reader.read_line(&mut first)?;
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let page = {
        let mut state = state.lock().expect("state");
        state.asked.push(first.trim_end().to_string());
        state.page.clone()
    };
    let out = reader.get_mut();
    match page.unwrap_or(Page::Status(404, "")) {
        Page::Text(headers, text) => {
            write!(out, "HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n{text}", text.len())?
        }
        Page::Status(status, headers) => {
            write!(out, "HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\n\r\n")?
        }
        Page::Garbage => out.write_all(b"\0\x01\x02 no HTTP at all\r\n\r\n")?,
        Page::Huge => {
            write!(out, "HTTP/1.1 200 OK\r\n\r\n{{\"keys\":[\"")?;
            std::io::copy(&mut std::io::repeat(b'k').take(64 << 20), out)?;
        }
        Page::Slow => {
            write!(out, "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")?;
            for _ in 0..100_000 {
                out.write_all(b" ").and_then(|()| out.flush())?;
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Page::Down => return Ok(()),
    }
    out.conn.send_close_notify();
    out.flush()
}
