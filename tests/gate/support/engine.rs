//! The engine behind the gate: tiny_http on a Unix socket with a few workers, as in the server.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::folder::Folder;
use tiny_http::{Method, Request, Response, Server};

/// Warm connections of a test's gate; there is one more worker, for the health checks.
pub const N_WORKERS: usize = 4;

/// A running engine. Its threads end with the process.
pub struct Engine {
    pub path: PathBuf,
    pub counts: Arc<Counts>,
    _folder: Folder,
}

/// What the workers have done.
#[derive(Default)]
pub struct Counts {
    pub n_requests: AtomicUsize,
    pub n_panics: AtomicUsize,
    /// The `/wait` requests that are being answered, and whether they may go on.
    waiting: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Engine {
    pub fn start() -> Engine {
        let folder = Folder::new();
        let path = folder.path().join("engine.sock");
        let counts = serve(Server::http_unix(&path).unwrap());
        Engine { path, counts, _folder: folder }
    }

    /// Waits until `n` requests for `/wait` are held by workers.
    pub fn wait_for_held(&self, n: usize) {
        let held = self.counts.waiting.lock().unwrap();
        let until = |state: &mut (usize, bool)| state.0 < n;
        let (held, timeout) = self.counts.changed.wait_timeout_while(held, super::PATIENCE, until).unwrap();
        assert!(!timeout.timed_out(), "{} of {n} requests reached a worker", held.0);
    }
}

/// Gives a server its workers, which end with the process.
pub fn serve(server: Server) -> Arc<Counts> {
    let server: &'static Server = Box::leak(Box::new(server));
    let counts = Arc::new(Counts::default());
    for _ in 0..N_WORKERS + 1 {
        let counts = counts.clone();
        std::thread::spawn(move || work(server, &counts));
    }
    counts
}

fn work(server: &Server, counts: &Counts) {
    while let Ok(request) = server.recv() {
        // A panic has been counted and printed.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| answer(request, counts)));
    }
}

/// `/echo` tells what arrived, `/bytes/N` gives N bytes, `/stream/N` gives them chunked, `/unread` leaves the body.
fn answer(mut request: Request, counts: &Counts) {
    let path = request.url().split('?').next().unwrap().to_string();
    if request.header("X-Gate-Peer").is_some() && path != "/healthz" {
        counts.n_requests.fetch_add(1, Ordering::Relaxed);
    }
    let n = path.rsplit('/').next().unwrap().parse().unwrap_or(0);
    match path.split('/').nth(1).unwrap_or("") {
        "bytes" => give(request, pattern(n)),
        "stream" => request.respond(Response::new(200.into(), vec![], &pattern(n)[..], None, None)).unwrap(),
        "status" => request.respond(Response::empty(n as u16)).unwrap(),
        "unread" => give(request, b"not read".to_vec()),
        "garbage" => write(request, b"nonsense\r\n\r\n"),
        "short" => write(request, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"),
        "panic" => {
            // Before: the engine answers 500 while the panic unwinds.
            counts.n_panics.fetch_add(1, Ordering::Relaxed);
            panic!("a test's panic in a handler")
        }
        "wait" => {
            counts.hold();
            give(request, b"waited".to_vec());
        }
        _ => {
            let body = echo(&mut request);
            give(request, body);
        }
    }
}

/// In one write, as the server does it; a client that has gone is the gate's business.
fn give(request: Request, mut body: Vec<u8>) {
    let n_body = body.len();
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {n_body}\r\n\r\n").into_bytes();
    if *request.method() != Method::Head {
        answer.append(&mut body);
    }
    write(request, &answer);
}

/// Whatever it is.
fn write(request: Request, answer: &[u8]) {
    let mut writer = request.into_writer();
    let _ = writer.write_all(answer).and_then(|()| writer.flush());
}

trait Header {
    fn header(&self, name: &'static str) -> Option<&str>;
}

impl Header for Request {
    fn header(&self, name: &'static str) -> Option<&str> {
        self.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.as_str())
    }
}

/// The request as the engine saw it: a line each for the request line, the fields in order of name, the body's length
/// and sum.
fn echo(request: &mut Request) -> Vec<u8> {
    let mut body = Vec::new();
    if *request.method() != Method::Get {
        request.as_reader().read_to_end(&mut body).unwrap();
    }
    let mut fields = BTreeMap::new();
    for header in request.headers() {
        fields.insert(header.field.to_string().to_lowercase(), header.value.to_string());
    }
    let mut text = format!("{} {}\n", request.method(), request.url());
    for (name, value) in fields {
        text += &format!("{name}: {value}\n");
    }
    text += &format!("body {} {}\n", body.len(), sum(&body));
    text.into_bytes()
}

impl Counts {
    /// Lets all requests for `/wait` be answered, now and from now on.
    pub fn release(&self) {
        self.waiting.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    fn hold(&self) {
        let mut state = self.waiting.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        let (mut state, _) =
            self.changed.wait_timeout_while(state, Duration::from_secs(60), |state| !state.1).unwrap();
        state.0 -= 1;
    }
}

/// `n` bytes that do not repeat in step with any buffer.
pub fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|at| (at % 251) as u8).collect()
}

/// A sum that depends on the order (Fletcher).
pub fn sum(bytes: &[u8]) -> u64 {
    let step = |(a, b): (u64, u64), byte: &u8| ((a + u64::from(*byte)) % 65521, (a + b) % 65521);
    let (a, b) = bytes.iter().fold((1, 0), step);
    b << 32 | a
}
