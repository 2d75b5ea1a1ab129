//! An S3-compatible server for tests, as much of it as backups need. It works out each signature by itself, from what
//! came over the wire, and can be told to fail.

use super::http::{read_exactly, read_line};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub const ACCESS_KEY: &str = "AKIDOFTHETESTS";
pub const SECRET_KEY: &str = "secret/of+the/tests";
pub const REGION: &str = "eu-test-1";

/// How one request is answered instead of as it should be.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// As it should be.
    No,
    /// With this status and an error of S3's kind.
    Status(u16),
    /// The connection ends without an answer.
    Reset,
    /// The answer ends in the middle of its body.
    HalfBody,
    /// It is carried out, and the answer is lost.
    LostAnswer,
    /// It is carried out and answered once `release` was called.
    Hold,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    faults: VecDeque<Fault>,
    refused: Vec<String>,
    n_requests: usize,
    is_released: bool,
}

/// A running server; it ends with the process.
pub struct S3Server {
    /// `127.0.0.1:PORT`.
    pub address: String,
    state: Arc<Mutex<State>>,
}

impl S3Server {
    pub fn start() -> S3Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("an address").to_string();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.expect("accept"), shared.clone());
                // A client that goes away is no failure of the server.
                std::thread::spawn(move || serve(stream, &state).unwrap_or_default());
            }
        });
        S3Server { address, state }
    }

    /// `s3://backups/prefix?…` for this server.
    pub fn url(&self, path: &str) -> String {
        format!(
            "s3://backups/{path}?endpoint={}&region={REGION}&s3ForcePathStyle=true&disableSSL=true",
            self.address
        )
    }

    /// The next requests are answered so.
    pub fn fail_with(&self, faults: &[Fault]) {
        self.state.lock().expect("state").faults.extend(faults);
    }

    /// What was held is answered.
    pub fn release(&self) {
        self.state.lock().expect("state").is_released = true;
    }

    /// What is stored, by path.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.state.lock().expect("state").objects.clone()
    }

    /// Why requests were refused.
    pub fn refused(&self) -> Vec<String> {
        self.state.lock().expect("state").refused.clone()
    }

    /// Uploads in parts that were neither completed nor given up.
    pub fn n_uploads(&self) -> usize {
        self.state.lock().expect("state").uploads.len()
    }
}

struct Asked {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Asked {
    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let line = read_line(&mut reader)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_string(), value.to_string())
    };
    let mut asked = Asked {
        method: method.into(),
        path: path.into(),
        query: query.split('&').filter(|text| !text.is_empty()).map(pair).collect(),
        headers: BTreeMap::new(),
        body: Vec::new(),
    };
    loop {
        let line = read_line(&mut reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        asked.headers.insert(name.to_ascii_lowercase(), value.trim().to_string());
    }
    let n_bytes = asked.header("content-length").parse().unwrap_or(0);
    asked.body = read_exactly(&mut reader, n_bytes)?;
    let fault = state.lock().expect("state").faults.pop_front();
    while matches!(fault, Some(Fault::Hold)) && !state.lock().expect("state").is_released {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let mut state = state.lock().expect("state");
    state.n_requests += 1;
    let mut answer = match fault {
        Some(Fault::Status(status)) => Answer::error(status, "SlowDown"),
        Some(Fault::Reset) => return Ok(()),
        Some(Fault::No | Fault::HalfBody | Fault::LostAnswer | Fault::Hold) | None => match check(&asked) {
            Ok(()) => carry_out(&mut state, &asked),
            Err(why) => {
                state.refused.push(why);
                Answer::error(403, "SignatureDoesNotMatch")
            }
        },
    };
    drop(state);
    if matches!(fault, Some(Fault::LostAnswer)) {
        return Ok(());
    }
    let n_bytes = answer.length.unwrap_or(answer.body.len());
    if matches!(fault, Some(Fault::HalfBody)) {
        answer.body.truncate(answer.body.len() / 2);
    }
    let head = format!("HTTP/1.1 {} X\r\ncontent-length: {n_bytes}\r\n{}\r\n", answer.status, answer.headers);
    let mut stream = stream;
    stream.write_all(head.as_bytes())?;
    stream.write_all(&answer.body)
}

struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
    /// For an answer to HEAD.
    length: Option<usize>,
}

impl Answer {
    fn ok(body: impl Into<Vec<u8>>) -> Answer {
        Answer { status: 200, headers: String::new(), body: body.into(), length: None }
    }

    fn error(status: u16, code: &str) -> Answer {
        let body =
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>a test</Message></Error>");
        Answer { status, ..Answer::ok(body) }
    }
}

fn etag(body: &[u8]) -> String {
    format!("\"{}\"", &hex(&Sha256::digest(body))[..32])
}

fn carry_out(state: &mut State, asked: &Asked) -> Answer {
    let upload = asked.query("uploadId").map(String::from);
    match (asked.method.as_str(), upload) {
        ("GET", _) if asked.query("list-type").is_some() => list(state, asked),
        ("POST", None) => {
            let id = format!("upload {}&1", state.n_requests);
            state.uploads.insert(id.clone(), BTreeMap::new());
            Answer::ok(format!("<R><UploadId>{}</UploadId></R>", id.replace('&', "&amp;")))
        }
        ("PUT", Some(id)) => {
            let number = asked.query("partNumber").and_then(|n| n.parse().ok()).expect("a part's number");
            let Some(parts) = state.uploads.get_mut(&decode(&id)) else {
                return Answer::error(404, "NoSuchUpload");
            };
            parts.insert(number, asked.body.clone());
            Answer { headers: format!("etag: {}\r\n", etag(&asked.body)), ..Answer::ok("") }
        }
        ("POST", Some(id)) => {
            let Some(parts) = state.uploads.remove(&decode(&id)) else {
                return Answer::error(404, "NoSuchUpload");
            };
            let wanted = String::from_utf8_lossy(&asked.body).replace("&quot;", "\"");
            for (number, part) in &parts {
                let line = format!("<PartNumber>{number}</PartNumber><ETag>{}</ETag>", etag(part));
                assert!(wanted.contains(&line), "{wanted} has no {line}");
            }
            state.objects.insert(asked.path.clone(), parts.into_values().flatten().collect());
            Answer::ok("<CompleteMultipartUploadResult/>")
        }
        ("DELETE", Some(id)) => {
            state.uploads.remove(&decode(&id));
            Answer { status: 204, ..Answer::ok("") }
        }
        ("PUT", None) => {
            state.objects.insert(asked.path.clone(), asked.body.clone());
            Answer::ok("")
        }
        ("DELETE", None) => {
            state.objects.remove(&asked.path);
            Answer { status: 204, ..Answer::ok("") }
        }
        ("HEAD", _) => match state.objects.get(&asked.path) {
            Some(body) => Answer {
                headers: format!("etag: {}\r\n", etag(body)),
                length: Some(body.len()),
                ..Answer::ok("")
            },
            None => Answer { status: 404, ..Answer::ok("") },
        },
        ("GET", _) => get(state, asked),
        _ => Answer::error(405, "MethodNotAllowed"),
    }
}

fn get(state: &State, asked: &Asked) -> Answer {
    let Some(body) = state.objects.get(&asked.path) else { return Answer::error(404, "NoSuchKey") };
    let wanted = asked.header("if-match");
    if !wanted.is_empty() && wanted != etag(body) {
        return Answer::error(412, "PreconditionFailed");
    }
    let range = asked.header("range").trim_start_matches("bytes=").split_once('-');
    let Some((from, to)) = range else { return Answer::ok(body.clone()) };
    let (from, to): (usize, usize) = (from.parse().expect("from"), to.parse().expect("to"));
    Answer { status: 206, ..Answer::ok(&body[from..=to.min(body.len() - 1)]) }
}

/// Two names a page, so that pages are followed.
fn list(state: &State, asked: &Asked) -> Answer {
    let prefix = format!("{}/{}", asked.path, decode(asked.query("prefix").unwrap_or("")));
    let after = decode(asked.query("continuation-token").unwrap_or(""));
    let mut found = state.objects.iter().filter(|(path, _)| path.starts_with(&prefix) && **path > after);
    let page: Vec<_> = found.by_ref().take(2).collect();
    let mut text = String::from("<ListBucketResult>");
    for (path, body) in &page {
        let key = path.trim_start_matches(&format!("{}/", asked.path));
        text.push_str(&format!("<Contents><Key>{key}</Key><Size>{}</Size></Contents>", body.len()));
    }
    if let (Some((last, _)), true) = (page.last(), found.next().is_some()) {
        text.push_str(&format!("<NextContinuationToken>{last}</NextContinuationToken>"));
    }
    Answer::ok(text + "</ListBucketResult>")
}

/// The signature, from what came.
fn check(asked: &Asked) -> Result<(), String> {
    let body_hash = hex(&Sha256::digest(&asked.body));
    if asked.header("x-amz-content-sha256") != body_hash {
        return Err("the body is not the one that was signed".into());
    }
    let authorization =
        asked.header("authorization").strip_prefix("AWS4-HMAC-SHA256 ").ok_or("no signature")?;
    let part = |name: &str| {
        let mut parts = authorization.split(", ").filter_map(|part| part.split_once('='));
        parts.find(|(known, _)| *known == name).map(|(_, value)| value).unwrap_or("")
    };
    let scope: Vec<&str> = part("Credential").split('/').collect();
    let date = asked.header("x-amz-date");
    if scope != [ACCESS_KEY, &date[..8.min(date.len())], REGION, "s3", "aws4_request"] {
        return Err(format!("scope {scope:?}"));
    }
    let names: Vec<&str> = part("SignedHeaders").split(';').collect();
    let must: Vec<&String> =
        asked.headers.keys().filter(|name| *name == "host" || name.starts_with("x-amz-")).collect();
    if let Some(name) = must.into_iter().find(|name| !names.contains(&name.as_str())) {
        return Err(format!("{name} is not signed"));
    }
    let mut query: Vec<String> = asked.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    query.sort();
    let headers: String = names.iter().map(|name| format!("{name}:{}\n", asked.header(name))).collect();
    let canonical =
        [&asked.method, &asked.path, &query.join("&"), &headers, part("SignedHeaders"), &body_hash]
            .map(|part| part.to_string())
            .join("\n");
    let to_sign =
        ["AWS4-HMAC-SHA256", date, &scope[1..].join("/"), &hex(&Sha256::digest(canonical))].join("\n");
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for step in &scope[1..] {
        key = mac(&key, step.as_bytes());
    }
    match hex(&mac(&key, to_sign.as_bytes())) == part("Signature") {
        true => Ok(()),
        false => Err(format!("the signature of {} {} is wrong", asked.method, asked.path)),
    }
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    assert!(key.len() <= 64, "keys of the tests are short");
    let pad = |with: u8| (0..64).map(|i| key.get(i).unwrap_or(&0) ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([pad(0x36), message.to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [a, b, after @ ..]) => {
                let pair = [*a, *b];
                let pair = std::str::from_utf8(&pair).expect("ASCII");
                bytes.push(u8::from_str_radix(pair, 16).expect("hex"));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
