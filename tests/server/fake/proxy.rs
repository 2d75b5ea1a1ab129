//! A proxy between CLI and server that loses, doubles, delays and cuts what goes through it.
//!
//! Only calls that the CLI sends again are harmed, each at most three times, so a CLI that tries four times always
//! gets through. What happens to a call depends on what it says and how many such calls there were, not on ids that
//! the server makes up, so a seed gives the same faults each time. Stacks of projects whose name begins with `calm`
//! are left in peace.

use crate::support::http::{connect, read_exactly, read_line};
use crate::support::seed::{Rng, hash};
use std::collections::HashMap;
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The proxy. Dropping it ends it.
pub struct FaultProxy {
    shared: Arc<Shared>,
    address: String,
}

struct Shared {
    upstream: String,
    seen: Mutex<Seen>,
    n_faults: AtomicU64,
    is_over: AtomicBool,
}

/// The calls that came so far.
#[derive(Default)]
struct Seen {
    /// How many different ones said the same thing.
    n_alike: HashMap<u64, u64>,
    /// For each call, what decides about it, and how often it was delivered.
    deliveries: HashMap<u64, (u64, u64)>,
}

/// What happens to one call.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The connection is lost before the call arrives.
    LoseCall,
    /// Half of the body arrives.
    CutCall,
    /// It is done; nobody hears of it.
    LoseAnswer,
    /// It is done; half of the answer arrives.
    CutAnswer,
    /// It is not done.
    BadGatewayBefore,
    /// It is done, and said not to be.
    BadGatewayAfter,
    /// It arrives twice, one after the other.
    Twice,
    /// It arrives twice at the same time.
    TwiceAtOnce,
    /// It arrives again some time after its answer.
    AgainLater,
    /// It takes its time.
    Delay,
    /// The journal batch is said to be too large.
    TooLarge,
}

const FAILING: [Fault; 6] = [
    Fault::LoseCall,
    Fault::CutCall,
    Fault::LoseAnswer,
    Fault::CutAnswer,
    Fault::BadGatewayBefore,
    Fault::BadGatewayAfter,
];
const HARMLESS: [Fault; 4] = [Fault::Twice, Fault::TwiceAtOnce, Fault::AgainLater, Fault::Delay];

/// A call as it came: its head, its body, and what decides about it.
struct Call {
    head: String,
    body: Vec<u8>,
}

impl FaultProxy {
    /// A proxy before the server at `upstream`.
    pub fn start(upstream: &str) -> FaultProxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            upstream: upstream.into(),
            seen: Mutex::default(),
            n_faults: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let for_thread = shared.clone();
        std::thread::spawn(move || accept(listener, for_thread));
        FaultProxy { shared, address }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many calls it has harmed.
    pub fn n_faults(&self) -> u64 {
        self.shared.n_faults.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, which then looks at the flag.
        let _ = TcpStream::connect(&self.address);
    }
}

fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.is_over.load(Ordering::Relaxed) {
            return;
        }
        let shared = shared.clone();
        std::thread::spawn(move || {
            let closing = stream.try_clone().expect("a second handle");
            // A connection ends by an error: the client's end of it, or a fault of ours.
            let _ = serve(&shared, stream);
            let _ = closing.shutdown(Shutdown::Both);
        });
    }
}

/// Carries calls of one connection until it ends; an error ends it.
fn serve(shared: &Arc<Shared>, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut upstream: Option<BufReader<TcpStream>> = None;
    loop {
        let call = Call::read(&mut reader)?;
        let fault = shared.fault_for(&call);
        if let Some(fault) = fault {
            shared.n_faults.fetch_add(1, Ordering::Relaxed);
            let answer = shared.suffer(fault, &call)?;
            writer.write_all(&answer)?;
            if matches!(fault, Fault::CutAnswer) {
                return Ok(());
            }
            continue;
        }
        // A connection that was idle may have been closed by the server, so an untouched one is made when in doubt.
        let kept =
            upstream.take().filter(|it| it.get_ref().set_nonblocking(true).is_ok() && is_open(it.get_ref()));
        let mut connection = match kept {
            Some(kept) => kept,
            None => BufReader::new(connect(&shared.upstream)?),
        };
        let answer = forward(&mut connection, &call)?;
        upstream = Some(connection);
        writer.write_all(&answer)?;
    }
}

fn is_open(stream: &TcpStream) -> bool {
    let is_silent = matches!(stream.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    is_silent && stream.set_nonblocking(false).is_ok()
}

impl Seen {
    /// A number that decides about this call, the same for all its deliveries, and how many there were before.
    fn count(&mut self, call: &Call) -> (u64, u64) {
        let Seen { n_alike, deliveries } = self;
        let (luck, n_before) = deliveries.entry(call.id()).or_insert_with(|| {
            let alike = n_alike.entry(call.meaning()).or_default();
            *alike += 1;
            (call.meaning().wrapping_add(*alike), 0)
        });
        *n_before += 1;
        (*luck, *n_before - 1)
    }
}

impl Shared {
    /// What happens to this delivery of the call.
    fn fault_for(&self, call: &Call) -> Option<Fault> {
        if !call.is_sent_again() || call.target().starts_with("/api/stacks/organization/calm") {
            return None;
        }
        let (luck, attempt) = self.seen.lock().expect("seen").count(call);
        let mut rng = Rng::new(luck);
        let n_failing = if rng.chance(75) { 0 } else { rng.between(1, 3) as u64 };
        for _ in 0..attempt {
            rng.next();
        }
        if attempt < n_failing {
            return Some(*rng.pick(&FAILING));
        }
        if call.target().ends_with("/journalentries")
            && call.body.len() > 700
            && attempt == n_failing
            && rng.chance(15)
        {
            return Some(Fault::TooLarge);
        }
        let fault = *rng.pick(&HARMLESS);
        // A whole checkpoint has no number: one that comes again after its successor cannot be told from a new one.
        let is_orderless = call.target().ends_with("/checkpoint") && matches!(fault, Fault::AgainLater);
        (rng.chance(12) && !is_orderless).then_some(fault)
    }

    /// Carries a call as `fault` says; the answer for the client, or the end of its connection.
    fn suffer(self: &Arc<Self>, fault: Fault, call: &Call) -> io::Result<Vec<u8>> {
        let lost = || Err(io::ErrorKind::ConnectionReset.into());
        match fault {
            Fault::LoseCall => lost(),
            Fault::CutCall => {
                self.send_half(call)?;
                lost()
            }
            Fault::LoseAnswer => {
                self.forward(call)?;
                lost()
            }
            Fault::CutAnswer => {
                let answer = self.forward(call)?;
                Ok(answer[..answer.len() / 2].to_vec())
            }
            Fault::BadGatewayBefore => Ok(own_answer(502, "Bad Gateway")),
            Fault::BadGatewayAfter => {
                self.forward(call)?;
                Ok(own_answer(502, "Bad Gateway"))
            }
            Fault::Twice => {
                self.forward(call)?;
                self.forward(call)
            }
            Fault::TwiceAtOnce => std::thread::scope(|scope| {
                let other = scope.spawn(|| self.forward(call));
                let answer = self.forward(call);
                other.join().expect("the other delivery")?;
                answer
            }),
            Fault::AgainLater => {
                let answer = self.forward(call)?;
                self.forward_later(call);
                Ok(answer)
            }
            Fault::Delay => {
                std::thread::sleep(Duration::from_millis(1 + call.meaning() % 12));
                self.forward(call)
            }
            Fault::TooLarge => Ok(own_answer(413, "Request Entity Too Large")),
        }
    }

    fn forward(&self, call: &Call) -> io::Result<Vec<u8>> {
        forward(&mut BufReader::new(connect(&self.upstream)?), call)
    }

    fn forward_later(self: &Arc<Self>, call: &Call) {
        let (shared, call) = (self.clone(), Call { head: call.head.clone(), body: call.body.clone() });
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(call.meaning() % 40));
            // Nobody waits for this answer; the server may be gone by now.
            let _ = shared.forward(&call);
        });
    }

    /// Sends the head and half of the body, then hangs up.
    fn send_half(&self, call: &Call) -> io::Result<()> {
        let mut stream = connect(&self.upstream)?;
        stream.write_all(call.head.as_bytes())?;
        stream.write_all(&call.body[..call.body.len() / 2])?;
        stream.shutdown(Shutdown::Both)
    }
}

impl Call {
    fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Call> {
        let mut head = String::new();
        let mut n_body = 0;
        loop {
            let line = read_line(reader)?;
            head.push_str(&line);
            head.push_str("\r\n");
            if line.is_empty() {
                return Ok(Call { head, body: read_exactly(reader, n_body)? });
            }
            n_body = content_length(&line).unwrap_or(n_body);
        }
    }

    fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// A number for its bytes.
    fn id(&self) -> u64 {
        hash(self.head.as_bytes()) ^ hash(&self.body).rotate_left(1)
    }

    /// A number for what it says, without the lease and the update's id.
    fn meaning(&self) -> u64 {
        let without_id = match self.target().split_once("/update/") {
            Some((stack, update)) => {
                format!("{stack} {}", update.split_once('/').map_or("", |(_, rest)| rest))
            }
            None => self.target().to_string(),
        };
        hash(without_id.as_bytes()) ^ hash(&self.body).rotate_left(1)
    }

    /// Whether the CLI sends such a call again when it fails (protocol §1.6).
    fn is_sent_again(&self) -> bool {
        let path = self.target().split('?').next().unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        let retried = [
            "encrypt",
            "batch-encrypt",
            "decrypt",
            "batch-decrypt",
            "renew_lease",
            "checkpoint",
            "checkpointverbatim",
            "checkpointdelta",
            "journalentries",
            "batch",
            "complete",
            "cancel",
        ];
        self.head.starts_with("GET ") || retried.contains(&last)
    }
}

fn content_length(line: &str) -> Option<usize> {
    let (name, value) = line.split_once(':')?;
    if name.eq_ignore_ascii_case("content-length") { value.trim().parse().ok() } else { None }
}

/// Sends a call and reads its answer, both as they are.
fn forward(connection: &mut BufReader<TcpStream>, call: &Call) -> io::Result<Vec<u8>> {
    connection.get_mut().write_all(&[call.head.as_bytes(), &call.body].concat())?;
    let mut answer = Vec::new();
    let mut n_body = None;
    loop {
        let line = read_line(connection)?;
        answer.extend(line.as_bytes());
        answer.extend(b"\r\n");
        n_body = content_length(&line).or(n_body);
        if line.is_empty() {
            break;
        }
    }
    let is_empty = answer.starts_with(b"HTTP/1.1 204");
    let n_body =
        if is_empty { 0 } else { n_body.ok_or_else(|| io::Error::other("an answer without a length"))? };
    answer.extend(read_exactly(connection, n_body)?);
    Ok(answer)
}

/// What the client expects of every answer.
const COMMON: &str = "X-Pulumi-Request-ID: proxy\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
                      Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\n";

/// An answer that is not the server's.
fn own_answer(status: u16, reason: &str) -> Vec<u8> {
    let body = format!(r#"{{"code":{status},"message":"{reason}"}}"#);
    format!("HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n{COMMON}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
