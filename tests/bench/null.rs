//! A server that answers the CLI at once, from memory, and stores nothing: how fast `pulumi` is by itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The server; its threads end with the process.
pub struct NullServer {
    address: String,
    export: Arc<Mutex<Vec<u8>>>,
}

impl NullServer {
    /// Listens on a free port of loopback.
    pub fn start() -> NullServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("an address").to_string();
        let export = Arc::new(Mutex::default());
        let shared = Arc::clone(&export);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let export = Arc::clone(&shared);
                // A client that goes away ends its thread, and that is all.
                std::thread::spawn(move || serve(stream, &export));
            }
        });
        NullServer { address, export }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What every export answers from now on.
    pub fn set_export(&self, text: &str) {
        *self.export.lock().expect("no panic under this lock") = text.as_bytes().to_vec();
    }
}

/// Answers what comes over one connection, until it ends.
fn serve(stream: TcpStream, export: &Mutex<Vec<u8>>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::with_capacity(256 << 10, stream.try_clone().ok()?);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        reader.read_line(&mut line).ok()?;
        let first = line.split_once(" HTTP").map(|(first, _)| first.to_string())?;
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|&n| n > 0)?;
            if let Some((name, value)) =
                line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            {
                length = value.trim().parse().unwrap_or_else(|why| panic!("{name}: {why}"));
            }
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).ok()?;
        let (status, body) = answer(&first, export);
        let mut bytes = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend(body);
        (&stream).write_all(&bytes).ok()?;
    }
}

/// Status and body for `METHOD PATH`.
fn answer(first: &str, export: &Mutex<Vec<u8>>) -> (&'static str, Vec<u8>) {
    let (method, path) = first.split_once(' ').unwrap_or(("", first));
    let path = path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let text = match (method, segments.as_slice()) {
        ("GET", ["api", "capabilities"]) => r#"{"capabilities":[{"capability":"batch-encrypt"}]}"#,
        ("GET", ["api", "user"]) => {
            r#"{"githubLogin":"admin","name":"admin","email":"","organizations":[{"githubLogin":"organization","name":"organization"}]}"#
        }
        ("GET", ["api", "user", "organizations", "default"]) => r#"{"gitHubLogin":"organization"}"#,
        ("GET", ["api", "stacks", org, project, stack]) => {
            return ("200 OK", format!(
                r#"{{"id":"s","orgName":"{org}","projectName":"{project}","stackName":"{stack}","activeUpdate":"u","version":1,"tags":{{}}}}"#
            ).into_bytes());
        }
        ("GET", ["api", "stacks", _, _, _, "export"]) => {
            return ("200 OK", export.lock().expect("no panic under this lock").clone());
        }
        ("POST", ["api", "stacks", _, _, _, "update" | "destroy" | "preview" | "refresh"]) => {
            r#"{"updateID":"u","requiredPolicies":[],"messages":[]}"#
        }
        ("POST", ["api", "stacks", _, _, _, "update", _]) => {
            r#"{"version":1,"token":"lease","journalVersion":1}"#
        }
        ("POST", ["api", "stacks", _, _, _, "update", _, "renew_lease"]) => r#"{"token":"lease"}"#,
        ("POST" | "PATCH", ["api", "stacks", ..]) => "{}",
        _ => return ("404 Not Found", br#"{"code":404,"message":"not here"}"#.to_vec()),
    };
    ("200 OK", text.as_bytes().to_vec())
}
