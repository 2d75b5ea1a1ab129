//! Flags, environment and file → Config, checked once, at the start. One table makes parser, help and README.

pub mod given;
pub mod hint;
pub mod table;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use self::given::{Origin, Values};
use crate::domain::name::OrgName;
use crate::error::Error;
use crate::limits;

/// Where the master key comes from.
#[derive(Clone)]
pub enum KeySource {
    /// It was given as it is.
    Text {
        /// 64 hex digits or base64.
        text: Zeroizing<String>,
        /// As a flag or otherwise.
        origin: Origin,
    },
    /// A file; made with the database if there is none yet.
    File(PathBuf),
    /// A credential that systemd lays ready.
    Credential(PathBuf),
    /// A program that prints it, run by `sh`.
    Command(String),
}

impl KeySource {
    /// The first that is there: text, file, credential, command, the file beside the database.
    fn from_values(values: &Values, db: &Path) -> KeySource {
        let credential = values.credentials_directory().map(|folder| Path::new(folder).join("master-key"));
        match (values.text("master-key"), values.text("master-key-file"), values.text("master-key-command")) {
            ("", "", command) => match (credential.filter(|path| path.exists()), command) {
                (Some(path), _) => KeySource::Credential(path),
                (None, "") => KeySource::File(db.with_extension("key")),
                (None, command) => KeySource::Command(command.to_string()),
            },
            ("", file, _) => KeySource::File(PathBuf::from(file)),
            (text, _, _) => KeySource::Text {
                text: Zeroizing::new(text.to_string()),
                origin: values.origin("master-key"),
            },
        }
    }
}

impl std::fmt::Display for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let full = |path: &Path| std::path::absolute(path).unwrap_or(path.into()).display().to_string();
        match self {
            KeySource::Text { origin, .. } => write!(f, "given ({origin})"),
            KeySource::File(path) => f.write_str(&full(path)),
            KeySource::Credential(path) => write!(f, "{} (a credential of systemd)", full(path)),
            KeySource::Command(_) => f.write_str("printed by --master-key-command"),
        }
    }
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

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
    /// Where the master key comes from.
    pub key_source: KeySource,
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

impl Config {
    /// How long after its end a lease is still honoured, for answers that were late on the way.
    pub fn lease_grace_secs(&self) -> i64 {
        self.lease_secs / 5
    }

    /// Checks every value.
    ///
    /// Errors: `Invalid`, naming the setting.
    pub fn from_values(values: &Values) -> Result<Config, Error> {
        let text = |name| values.text(name);
        let db = PathBuf::from(text("db"));
        let named = |name: &'static str| OrgName::parse(text(name)).map_err(|cause| invalid(name, cause));
        Ok(Config {
            addr: address(text("addr"))?,
            key_source: KeySource::from_values(values, &db),
            db,
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
