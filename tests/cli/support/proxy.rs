//! A bad network between the CLI and the server: it loses answers, delivers requests twice, or not at all.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The server does it, and nobody hears so.
    AnswerLost,
    /// The server gets it twice; the second answer counts.
    ArrivesTwice,
    /// The server does it, and something between says 502.
    DoneBut502,
    /// The server never hears of it.
    NeverArrives,
}

/// One call to spoil: the first that matches.
struct Rule {
    method: &'static str,
    path: &'static str,
    fault: Fault,
}

impl Rule {
    /// The path ends as the rule says or, where the rule ends with a star, has that in it.
    fn matches(&self, request: &Request) -> bool {
        let is_path = match self.path.strip_suffix('*') {
            Some(part) => request.path.contains(part),
            None => request.path.ends_with(self.path),
        };
        is_path && self.method == request.method
    }
}

/// Stands between the CLI and a server until the test ends. Without rules it only passes on.
pub struct Proxy {
    address: String,
    rules: Arc<Mutex<Vec<Rule>>>,
}

impl Proxy {
    /// A proxy on a free port, in front of the server at `server` (`127.0.0.1:PORT`).
    pub fn start(server: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("an address").to_string();
        let rules: Arc<Mutex<Vec<Rule>>> = Arc::default();
        let (server, shared) = (server.to_string(), rules.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, rules) = (server.clone(), shared.clone());
                // A connection that breaks is what this proxy is for; the CLI's own words tell the test.
                std::thread::spawn(move || pass_on(client, &server, &rules));
            }
        });
        Proxy { address, rules }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Spoils the next call of this method whose path ends so, as `/complete`, or has this in it, as `/update/*`.
    pub fn spoil(&self, method: &'static str, path: &'static str, fault: Fault) {
        self.rules.lock().expect("rules").push(Rule { method, path, fault });
    }

    /// What was to be spoilt and did not come: `POST /complete`.
    pub fn left(&self) -> Vec<String> {
        let rules = self.rules.lock().expect("rules");
        rules.iter().map(|rule| format!("{} {}", rule.method, rule.path)).collect()
    }
}

/// Reads one request, does to it what the rules say, and closes the connection.
fn pass_on(mut client: TcpStream, server: &str, rules: &Mutex<Vec<Rule>>) -> io::Result<()> {
    let request = read_request(&mut client)?;
    let fault = take_fault(&request, rules);
    if fault == Some(Fault::NeverArrives) {
        return Ok(());
    }
    let mut answer = ask(server, &request)?;
    match fault {
        None | Some(Fault::NeverArrives) => {}
        Some(Fault::AnswerLost) => return Ok(()),
        Some(Fault::ArrivesTwice) => answer = ask(server, &request)?,
        Some(Fault::DoneBut502) => {
            answer = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
        }
    }
    client.write_all(&answer)
}

fn take_fault(request: &Request, rules: &Mutex<Vec<Rule>>) -> Option<Fault> {
    let mut rules = rules.lock().expect("rules");
    let place = rules.iter().position(|rule| rule.matches(request))?;
    Some(rules.remove(place).fault)
}

struct Request {
    method: String,
    /// Without the query.
    path: String,
    bytes: Vec<u8>,
}

/// A whole request, told to be the only one on its connection.
fn read_request(client: &mut TcpStream) -> io::Result<Request> {
    let mut reader = BufReader::new(client);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_string(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default().to_string();
    let mut head = format!("{line}Connection: close\r\n");
    let mut body_bytes = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if let Some(length) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            body_bytes = length.trim().parse().map_err(io::Error::other)?;
        }
        head.push_str(&header);
        if header.trim().is_empty() {
            break;
        }
    }
    let mut bytes = head.into_bytes();
    let mut body = vec![0; body_bytes];
    reader.read_exact(&mut body)?;
    bytes.append(&mut body);
    Ok(Request { method, path, bytes })
}

/// The server's whole answer, told to be the last one on its connection.
fn ask(server: &str, request: &Request) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(&request.bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let after_status = answer.windows(2).position(|pair| pair == b"\r\n").map_or(0, |place| place + 2);
    answer.splice(after_status..after_status, *b"Connection: close\r\n");
    Ok(answer)
}
