//! The way of a command to the data: the control socket of the running server, or of one that this command runs by
//! itself, without an address in the network, for as long as it takes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::progress::{Progress, Stage, Watch};
use super::remark;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::read;
use crate::error::Error;
use crate::observe;
use crate::server::{Server, control};

/// What is read of a body from one look at the clock to the next.
const READ_BYTES: u64 = 1 << 20;

/// Calls the HTTP API as the local administrator.
pub struct Client {
    config: Config,
    /// Runs until the command is done, if no other did.
    own_server: Option<Server>,
}

/// An answer with a status below 400.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body as it came.
    pub body: Vec<u8>,
    /// `X-Pulumi-Warning`.
    pub warning: Option<String>,
}

impl Client {
    /// Finds the server of this database, or opens it. `may_make` allows a database that is not there yet.
    pub fn open(config: Config, may_make: bool) -> Result<Client, Error> {
        match control::connect(&config.db) {
            Ok(_) => return Ok(Client { config, own_server: None }),
            Err(cause) if cause.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(Error::Forbidden(format!(
                    "the control socket of {} belongs to another user; run this command as the user of the server",
                    config.db.display()
                )));
            }
            // No server, or one that did not clean up after itself.
            Err(_) => {}
        }
        if !may_make && !config.db.exists() {
            return Err(Error::NotFound(format!(
                "there is no database {}; --db (or PULUMI_BACKEND_DB) says where it is",
                config.db.display()
            )));
        }
        observe::start_logging(config.log_level.min(log::LevelFilter::Warn), config.log_format);
        let own_server = Server::start_local(config.clone(), Clock::default())?;
        remark(&format!("no server is running on {}: opened it for this command", config.db.display()));
        Ok(Client { config, own_server: Some(own_server) })
    }

    /// Whether a server was running already.
    pub fn is_remote(&self) -> bool {
        self.own_server.is_none()
    }

    /// A call that answers JSON; no body is `null`.
    ///
    /// Errors: those of the API, with its sentences.
    pub fn json(&self, method: &str, target: &str, body: Option<&Value>) -> Result<Value, Error> {
        let body = body.map(|value| value.to_string().into_bytes());
        read_json(&self.call(method, target, body.as_deref().unwrap_or_default())?)
    }

    /// A call that the server lists under `kind` among its works, while it carries it out.
    ///
    /// Errors: those of the API, with its sentences.
    pub fn json_of_work(&self, kind: &'static str, method: &str, target: &str) -> Result<Value, Error> {
        let db = self.config.db.clone();
        read_json(&call(&self.config.db, method, target, &[], move || look(&db, kind))?)
    }

    /// A call.
    ///
    /// Errors: those of the API, with its sentences.
    pub fn call(&self, method: &str, target: &str, body: &[u8]) -> Result<Answer, Error> {
        call(&self.config.db, method, target, body, || None)
    }
}

fn call(
    db: &Path,
    method: &str,
    target: &str,
    body: &[u8],
    look: impl FnMut() -> Option<Stage> + Send + 'static,
) -> Result<Answer, Error> {
    let failed = |cause| Error::internal(format!("call the server of {}", db.display()), cause);
    let mut socket = control::connect(db).map_err(failed)?;
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body)).map_err(failed)?;
    let answer = read_answer(socket, look).map_err(failed)?;
    if answer.status < 400 { Ok(answer) } else { Err(error_of(&answer)) }
}

/// How far the newest work of this kind is, as the server has it.
fn look(db: &Path, kind: &str) -> Option<Stage> {
    let answer = call(db, "GET", "/api/admin/progress", &[], || None).ok()?;
    let told: Value = read::from_bytes(&answer.body).ok()?;
    told["works"].as_array()?.iter().rfind(|work| work["kind"] == kind).map(Stage::of)
}

fn read_json(answer: &Answer) -> Result<Value, Error> {
    if answer.body.is_empty() {
        return Ok(Value::Null);
    }
    read::from_bytes(&answer.body).map_err(|cause| Error::internal("read the server's answer", cause))
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(server) = self.own_server.take() {
            server.stop();
        }
    }
}

fn read_answer(
    socket: UnixStream,
    look: impl FnMut() -> Option<Stage> + Send + 'static,
) -> std::io::Result<Answer> {
    let cut_short = || std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the answer is cut short");
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    let watch = Watch::new(look);
    reader.read_line(&mut line)?;
    drop(watch);
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(cut_short)?;
    let (mut n_bytes, mut warning) = (0, None);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(cut_short());
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => n_bytes = value.parse().map_err(|_| cut_short())?,
            "x-pulumi-warning" => warning = Some(value.to_string()),
            _ => {}
        }
    }
    let body = read_body(reader.take(n_bytes), n_bytes)?;
    if body.len() as u64 == n_bytes { Ok(Answer { status, body, warning }) } else { Err(cut_short()) }
}

fn read_body(mut reader: impl Read, n_bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut progress = Progress::new("receiving", n_bytes);
    let mut body = Vec::new();
    while (&mut reader).take(READ_BYTES).read_to_end(&mut body)? > 0 {
        progress.show(body.len() as u64);
    }
    Ok(body)
}

/// The error that the server meant: `{"code":404,"message":"Not Found: …"}`.
fn error_of(answer: &Answer) -> Error {
    let body: Value = read::from_bytes(&answer.body).unwrap_or_default();
    let message = body["message"].as_str().unwrap_or("no reason given");
    let sentence = message.split_once(": ").map_or(message, |(_, sentence)| sentence).to_string();
    match answer.status {
        400 => Error::invalid("", sentence),
        401 => Error::Unauthorized(sentence),
        403 => Error::Forbidden(sentence),
        404 => Error::NotFound(sentence),
        409 => Error::Conflict(sentence),
        503 => Error::Unavailable(sentence),
        507 => Error::OutOfSpace,
        status => Error::internal("carry this out", format!("the server answered {status}: {sentence}")),
    }
}
