//! Flags and environment → Config, checked once, at the start. One table makes parser, help and README.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use crate::domain::name::OrgName;
use crate::error::Error;
use crate::limits;

/// One setting: as flag `--name`, as environment variable `PULUMI_BACKEND_NAME`.
pub struct Setting {
    /// As in `--name`.
    pub name: &'static str,
    /// What stands for the value in the help.
    pub value: &'static str,
    /// What holds if nobody sets it.
    pub default: &'static str,
    /// One sentence.
    pub help: &'static str,
}

/// Every setting there is.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    Setting { name: "addr", value: "HOST:PORT", default: "127.0.0.1:8080", help: "Where to listen" },
    Setting { name: "db", value: "FILE", default: "pulumi-backend.db", help: "The database; made if there is none" },
    Setting { name: "master-key-file", value: "FILE", default: "", help: "64 hex digits that wrap the stack keys; default: beside the database, with .key for .db, made with it" },
    Setting { name: "org", value: "NAME", default: "organization", help: "The organization, and the default one of new stacks" },
    Setting { name: "user", value: "NAME", default: "admin", help: "The user that every token stands for, and the name of the personal organization" },
    Setting { name: "lease-duration", value: "SECONDS", default: "300", help: "How long a silent CLI keeps the lock of its update; the CLI counts on 300" },
    Setting { name: "delta-checkpoints", value: "auto|on|off", default: "auto", help: "Whether CLIs may send state as text differences; auto: those before 3.225, which do not journal" },
    Setting { name: "delta-cutoff", value: "BYTES", default: "1048576", help: "States smaller than this are sent whole" },
    Setting { name: "history-page-size", value: "N", default: "1000", help: "Entries of `stack history` in one answer at the most" },
    Setting { name: "stack-list-page-size", value: "N", default: "100", help: "Stacks of `stack ls` in one answer" },
    Setting { name: "cache-size", value: "BYTES", default: "33554432", help: "Memory for exports that are kept as they were sent; 0 keeps none" },
    Setting { name: "workers", value: "N", default: "8", help: "Requests that are worked on at once" },
    Setting { name: "log-level", value: "LEVEL", default: "info", help: "error, warn, info or debug" },
];

/// Where a value came from, for messages.
const ENVIRONMENT_PREFIX: &str = "PULUMI_BACKEND_";

/// When CLIs are offered delta checkpoints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeltaCheckpoints {
    /// To CLIs that do not journal by default.
    Auto,
    /// To all.
    On,
    /// To none.
    Off,
}

/// The settings of a running server, each valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub addr: SocketAddr,
    /// The database file.
    pub db: PathBuf,
    /// The master key file.
    pub master_key_file: PathBuf,
    /// The organization.
    pub org: OrgName,
    /// The user, and the personal organization.
    pub user: OrgName,
    /// How long a lease lasts, in seconds.
    pub lease_secs: i64,
    /// When delta checkpoints are offered.
    pub delta_checkpoints: DeltaCheckpoints,
    /// From which size on states are sent as differences.
    pub delta_cutoff_bytes: u64,
    /// History entries in one answer.
    pub history_page_size: usize,
    /// Stacks in one answer.
    pub stack_list_page_size: usize,
    /// Memory for exports.
    pub cache_bytes: usize,
    /// Threads that answer requests.
    pub n_workers: usize,
    /// How much is logged.
    pub log_level: log::LevelFilter,
}

/// What was given on the command line.
pub enum Command {
    /// Run the server.
    Serve(Box<Config>),
    /// Print this text.
    Print(String),
}

/// Reads arguments (without the program's name) and environment.
///
/// Errors: `Invalid` with a sentence for the person who typed it; an unknown name comes with the nearest one.
pub fn parse(
    arguments: impl IntoIterator<Item = String>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Command, Error> {
    let mut values = from_environment(environment)?;
    let mut parser = lexopt::Parser::from_args(arguments.into_iter().map(two_dashes));
    while let Some(argument) = parser.next().map_err(usage)? {
        match argument {
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => return Ok(Command::Print(help())),
            lexopt::Arg::Long("version") | lexopt::Arg::Short('V') => {
                return Ok(Command::Print(format!("pulumi-backend {}\n", env!("CARGO_PKG_VERSION"))));
            }
            lexopt::Arg::Value(word) if word == "serve" => {}
            lexopt::Arg::Value(word) if word == "help" => return Ok(Command::Print(help())),
            lexopt::Arg::Long(name) => {
                let name = known(name).map_err(|nearest| unknown(&format!("--{name}"), "--", nearest))?;
                let value = parser.value().map_err(usage)?;
                let value = value.into_string().map_err(|_| Error::invalid(name, "is not UTF-8"))?;
                values.insert(name, value);
            }
            other => return Err(usage(other.unexpected())),
        }
    }
    Ok(Command::Serve(Box::new(Config::from_values(&values)?)))
}

/// `-addr` is taken for `--addr`.
fn two_dashes(argument: String) -> String {
    let name = argument.split('=').next().unwrap_or("");
    let is_word = name.len() > 2 && name.starts_with('-') && name.as_bytes()[1].is_ascii_alphabetic();
    if is_word { format!("-{argument}") } else { argument }
}

fn from_environment(
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<HashMap<&'static str, String>, Error> {
    let mut values = HashMap::new();
    for (variable, value) in environment {
        let Some(name) = variable.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        let name = name.to_ascii_lowercase().replace('_', "-");
        // The CLI's own variable for the address of its backend, not one of ours.
        if name == "url" {
            continue;
        }
        let name = known(&name).map_err(|nearest| {
            let nearest = nearest.map(|name| name.to_ascii_uppercase().replace('-', "_"));
            unknown(&variable, ENVIRONMENT_PREFIX, nearest.as_deref())
        })?;
        values.insert(name, value);
    }
    Ok(values)
}

/// The setting's own spelling of its name, or the nearest known name.
fn known(name: &str) -> Result<&'static str, Option<&'static str>> {
    let names = || SETTINGS.iter().map(|setting| setting.name);
    names().find(|known| *known == name).ok_or_else(|| {
        let nearest = names().min_by_key(|known| distance(known, name));
        nearest.filter(|known| distance(known, name) <= 3)
    })
}

fn unknown(given: &str, prefix: &str, nearest: Option<&str>) -> Error {
    let hint = nearest.map_or("see --help".to_string(), |name| format!("did you mean {prefix}{name}?"));
    Error::invalid(given, format!("is not a setting; {hint}"))
}

fn usage(cause: lexopt::Error) -> Error {
    Error::invalid("", format!("{cause}; see --help"))
}

/// How many letters must be put in, left out or changed to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

impl Config {
    /// How long after its end a lease is still honoured, for answers that were late on the way.
    pub fn lease_grace_secs(&self) -> i64 {
        self.lease_secs / 5
    }

    fn from_values(values: &HashMap<&'static str, String>) -> Result<Config, Error> {
        let text = |name: &'static str| -> &str {
            let setting = SETTINGS.iter().find(|setting| setting.name == name).expect("in the table");
            values.get(name).map_or(setting.default, String::as_str)
        };
        let db = PathBuf::from(text("db"));
        let master_key_file = match text("master-key-file") {
            "" => db.with_extension("key"),
            path => PathBuf::from(path),
        };
        let named = |name: &'static str| OrgName::parse(text(name)).map_err(|cause| invalid(name, cause));
        Ok(Config {
            addr: address(text("addr"))?,
            db,
            master_key_file,
            org: named("org")?,
            user: named("user")?,
            lease_secs: number("lease-duration", text("lease-duration"), 1, 86_400)? as i64,
            delta_checkpoints: match text("delta-checkpoints") {
                "auto" => DeltaCheckpoints::Auto,
                "on" => DeltaCheckpoints::On,
                "off" => DeltaCheckpoints::Off,
                other => {
                    return Err(Error::invalid(
                        "delta-checkpoints",
                        format!("'{other}' is not auto, on or off"),
                    ));
                }
            },
            delta_cutoff_bytes: number("delta-cutoff", text("delta-cutoff"), 0, u64::MAX)?,
            history_page_size: page_size("history-page-size", text("history-page-size"))?,
            stack_list_page_size: page_size("stack-list-page-size", text("stack-list-page-size"))?,
            cache_bytes: number("cache-size", text("cache-size"), 0, 1 << 40)? as usize,
            n_workers: number("workers", text("workers"), 1, 256)? as usize,
            log_level: text("log-level").parse().map_err(|_| {
                Error::invalid(
                    "log-level",
                    format!("'{}' is not error, warn, info or debug", text("log-level")),
                )
            })?,
        })
    }
}

fn invalid(name: &str, cause: Error) -> Error {
    Error::invalid(name, cause.to_string())
}

fn page_size(name: &str, text: &str) -> Result<usize, Error> {
    Ok(number(name, text, 1, limits::HISTORY_PAGE_MAX as u64)? as usize)
}

fn number(name: &str, text: &str, min: u64, max: u64) -> Result<u64, Error> {
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| Error::invalid(name, format!("'{text}' is not a whole number from {min} to {max}")))
}

/// `HOST:PORT`, or `:PORT` for all addresses of the machine.
fn address(text: &str) -> Result<SocketAddr, Error> {
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_string() };
    let found = full.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| Error::invalid("addr", format!("'{text}' is not HOST:PORT, as 127.0.0.1:8080")))
}

/// The text of `--help`.
pub fn help() -> String {
    let mut text = String::from(
        "pulumi-backend: a self-hosted state backend for the Pulumi CLI\n\n\
         Usage: pulumi-backend [serve] [--SETTING VALUE]...\n\n\
         Each setting can be given as a flag or as an environment variable (the flag wins):\n\
         --lease-duration 600 is PULUMI_BACKEND_LEASE_DURATION=600.\n\n",
    );
    for Setting { name, value, default, help } in SETTINGS {
        let flag = format!("--{name} {value}");
        let default = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        text.push_str(&format!("  {flag:<32} {help}{default}\n"));
    }
    text.push_str(
        "  -h, --help                       This text\n  -V, --version                    The version\n",
    );
    text
}
