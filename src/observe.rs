//! Log lines. A line is one line whatever is in it, and a closed pipe never ends the server.

pub mod figures;
pub mod process;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record};
use serde_json::{Map, Value, json};
use simple_logger::SimpleLogger;

use crate::clock::Clock;
use crate::error::Error;

/// How a log line looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Time, level, module, text.
    Text,
    /// An object with `time`, `level`, `target` and `message`; the line of a request has its facts as fields.
    Json,
    /// The priority as systemd's journal reads it, as `<6>`, and the text; the journal knows the time.
    Journald,
}

impl LogFormat {
    /// Errors: `Invalid` for another word.
    pub fn parse(text: &str) -> Result<LogFormat, Error> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            "journald" => Ok(LogFormat::Journald),
            _ => Err(Error::invalid("log-format", format!("'{text}' is not text, json or journald"))),
        }
    }
}

/// Prints log lines to standard error from now on.
pub fn start_logging(level: LevelFilter, format: LogFormat) {
    let logger: Box<dyn Log> = match format {
        LogFormat::Text => Box::new(Careful(SimpleLogger::new().with_level(level))),
        LogFormat::Json => Box::new(Plain { level, to_line: json_line }),
        LogFormat::Journald => Box::new(Plain { level, to_line: journald_line }),
    };
    IS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
    log::set_max_level(level);
    if log::set_boxed_logger(logger).is_err() {
        // Another logger is there already, as in a test that starts two servers; it serves as well.
        log::debug!("logging had been started before");
    }
}

/// What the line of a request tells.
pub struct RequestLine<'a> {
    /// As `GET`.
    pub method: &'a str,
    /// The pattern of its route, which names no stack; `-` if it has none.
    pub route: &'a str,
    /// The path as it came.
    pub path: &'a str,
    /// HTTP status.
    pub status: u16,
    /// Of the answer's body, before it is compressed.
    pub n_bytes: usize,
    /// From the first look to the answer.
    pub micros: u128,
    /// Who called; empty if nobody in particular.
    pub user: &'a str,
    /// As in the answer's header.
    pub request_id: &'a str,
}

/// The target of lines that hold a `RequestLine`.
const REQUEST: &str = "request";

/// Writes the line of a request.
pub fn log_request(level: Level, line: &RequestLine) {
    if level > log::max_level() {
        return;
    }
    let RequestLine { method, route, path, status, n_bytes, micros, user, request_id } = line;
    if IS_JSON.load(Ordering::Relaxed) {
        let object = json!({
            "method": method, "route": route, "path": path, "status": status, "bytes": n_bytes,
            "micros": *micros as u64, "user": user, "requestId": request_id,
        });
        log::log!(target: REQUEST, level, "{object}");
        return;
    }
    let (path, user) = (path.escape_default(), if user.is_empty() { "-" } else { user });
    log::log!(
        target: REQUEST, level,
        "{method} {path} {route} {status} {n_bytes} bytes {micros} us {user:?} {request_id}",
    );
}

/// Set once, at the start.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Guards the logger: it panics when its pipe is closed, and prints control characters as they come.
struct Careful(SimpleLogger);

impl Log for Careful {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = one_line(record);
        let print = || {
            let metadata = record.metadata().clone();
            self.0.log(&Record::builder().metadata(metadata).args(format_args!("{text}")).build());
        };
        // Losing a line because nobody reads the pipe any more is right; ending the server is not.
        let _ = catch_unwind(AssertUnwindSafe(print));
    }

    fn flush(&self) {}
}

fn one_line(record: &Record) -> String {
    record.args().to_string().replace(|c: char| c.is_control(), " ")
}

/// Lines in a form of ours.
struct Plain {
    level: LevelFilter,
    to_line: fn(&Record) -> String,
}

impl Log for Plain {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= self.level
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            // As above: a line that nobody reads may be lost.
            let _ = std::io::stderr().write_all((self.to_line)(record).as_bytes());
        }
    }

    fn flush(&self) {}
}

/// Priorities as in syslog.
fn journald_line(record: &Record) -> String {
    let priority = match record.level() {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    format!("<{priority}>{}\n", one_line(record))
}

fn json_line(record: &Record) -> String {
    let mut object = Map::new();
    object.insert("time".into(), Clock::default().now_rfc3339().into());
    object.insert("level".into(), record.level().as_str().to_ascii_lowercase().into());
    object.insert("target".into(), record.target().into());
    let text = one_line(record);
    match serde_json::from_str(&text) {
        Ok(Value::Object(facts)) if record.target() == REQUEST => object.extend(facts),
        _ => {
            object.insert("message".into(), text.into());
        }
    }
    format!("{}\n", Value::Object(object))
}
