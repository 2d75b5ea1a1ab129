//! Flags, environment and file → Config, checked once, at the start. One table makes parser, help and README.

pub mod backup;
pub mod edge;
pub mod given;
pub mod hint;
pub mod table;

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use self::backup::BackupSettings;
use self::edge::EdgeConfig;
use self::given::{Origin, Values};
use self::table::SETTINGS;
use crate::domain::name::OrgName;
use crate::error::Error;
use crate::limits;
use crate::observe::LogFormat;

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

/// What is done about values in a state that should be secrets and lie there in plain text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlaintextGuard {
    /// They are not looked for.
    Off,
    /// They are told.
    Warn,
    /// They are told, and imports that bring such are refused.
    Block,
}

impl PlaintextGuard {
    fn parse(text: &str) -> Result<PlaintextGuard, Error> {
        match text {
            "off" => Ok(PlaintextGuard::Off),
            "warn" => Ok(PlaintextGuard::Warn),
            "block" => Ok(PlaintextGuard::Block),
            other => Err(Error::invalid("plaintext-guard", format!("'{other}' is not off, warn or block"))),
        }
    }
}

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Addr {
    /// An internet address.
    Tcp(SocketAddr),
    /// A socket in the file system, for a proxy on this machine.
    Unix(PathBuf),
}

impl Addr {
    /// `HOST:PORT`, `:PORT` or `unix:/PATH`.
    fn parse(name: &str, text: &str) -> Result<Addr, Error> {
        match text.strip_prefix("unix:") {
            Some("") => Err(Error::invalid(name, "unix: needs a path, as unix:/run/pulumi-backend.sock")),
            Some(path) => Ok(Addr::Unix(path.into())),
            None => address(name, text).map(Addr::Tcp),
        }
    }
}

impl std::fmt::Display for Addr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Addr::Tcp(address) => address.fmt(f),
            Addr::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The settings of a running server, each valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub addr: Addr,
    /// The database file.
    pub db: PathBuf,
    /// Where the master key comes from.
    pub key_source: KeySource,
    /// The organization.
    pub org: OrgName,
    /// The user, and the personal organization.
    pub user: OrgName,
    /// The one token that all share, if there is one.
    pub single_tenant_token: Option<Secret>,
    /// Whether a proxy does TLS.
    pub behind_proxy: bool,
    /// Wrong tokens of one address in a minute.
    pub wrong_tokens_max: u32,
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
    /// Versions that a stack keeps; none: all.
    pub max_state_versions: Option<u64>,
    /// What is done about values in plain text.
    pub plaintext_guard: PlaintextGuard,
    /// How long engine events are kept after the end of their update, in seconds; none keeps them.
    pub event_keep_secs: Option<i64>,
    /// How long previews are kept, in seconds; none keeps them.
    pub preview_keep_secs: Option<i64>,
    /// How long audit records are kept, in seconds; none keeps them.
    pub audit_keep_secs: Option<i64>,
    /// Threads that answer requests.
    pub n_workers: usize,
    /// Certificates that issuers are checked against whose keys are fetched.
    pub issuer_ca_file: Option<PathBuf>,
    /// Backups.
    pub backup: BackupSettings,
    /// How much is logged.
    pub log_level: log::LevelFilter,
    /// How a log line looks.
    pub log_format: LogFormat,
    /// Whether requests are logged at level info.
    pub logs_requests: bool,
    /// Where monitors may ask without a token.
    pub management_addr: Option<SocketAddr>,
    /// Space for the data below which the server calls itself not ready.
    pub disk_free_bytes_min: u64,
    /// How the network reaches it.
    pub edge: EdgeConfig,
    /// The settings that differ from their defaults, as texts; secrets are `***`.
    pub shown: BTreeMap<String, String>,
    /// Settings that were given and do nothing here, with the reason; a sentence each.
    pub remarks: Vec<String>,
}

/// A text that is not shown. Prints as `***`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Config {
    /// Whether this server itself speaks TLS.
    pub fn has_tls(&self) -> bool {
        self.edge.tls.is_some()
    }

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
        let behind_proxy = switch("behind-proxy", text("behind-proxy"))?;
        let named = |name: &'static str| OrgName::parse(text(name)).map_err(|cause| invalid(name, cause));
        Ok(Config {
            addr: Addr::parse("addr", text("addr"))?,
            key_source: KeySource::from_values(values, &db),
            edge: EdgeConfig::from_values(values, &db, behind_proxy)?,
            db,
            org: named("org")?,
            user: named("user")?,
            single_tenant_token: single_tenant_token(text("single-tenant-token"))?,
            behind_proxy,
            wrong_tokens_max: number("wrong-tokens", text("wrong-tokens"), 1, 1_000_000)? as u32,
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
            max_state_versions: match number("max-state-versions", text("max-state-versions"), 0, 1 << 40)? {
                0 => None,
                n => Some(n),
            },
            plaintext_guard: PlaintextGuard::parse(text("plaintext-guard"))?,
            event_keep_secs: days("event-keep-days", text("event-keep-days"))?,
            preview_keep_secs: days("preview-keep-days", text("preview-keep-days"))?,
            audit_keep_secs: days("audit-keep-days", text("audit-keep-days"))?,
            n_workers: number("workers", text("workers"), 1, 256)? as usize,
            issuer_ca_file: Some(text("issuer-ca-file")).filter(|file| !file.is_empty()).map(PathBuf::from),
            backup: BackupSettings::from_values(values)?,
            log_level: text("log-level").parse().map_err(|_| {
                Error::invalid(
                    "log-level",
                    format!("'{}' is not error, warn, info or debug", text("log-level")),
                )
            })?,
            log_format: LogFormat::parse(text("log-format"))?,
            logs_requests: switch("log-requests", text("log-requests"))?,
            management_addr: match text("management-addr") {
                "" => None,
                text => Some(address("management-addr", text)?),
            },
            disk_free_bytes_min: number("disk-free-min", text("disk-free-min"), 0, u64::MAX)?,
            shown: shown(values),
            remarks: remarks(values),
        })
    }
}

fn shown(values: &Values) -> BTreeMap<String, String> {
    let differing = SETTINGS.iter().filter(|setting| values.text(setting.name) != setting.default);
    differing
        .map(|setting| {
            let text = if setting.is_secret() { "***" } else { values.text(setting.name) };
            (setting.name.to_string(), text.to_string())
        })
        .collect()
}

/// A token that is too short could be guessed; one with spaces could not be sent.
fn single_tenant_token(text: &str) -> Result<Option<Secret>, Error> {
    let is_right = text.len() >= limits::SINGLE_TOKEN_BYTES_MIN && text.bytes().all(|b| b.is_ascii_graphic());
    match text {
        "" => Ok(None),
        _ if is_right => Ok(Some(Secret(text.into()))),
        _ => Err(Error::invalid(
            "single-tenant-token",
            format!("has at least {} characters, without spaces", limits::SINGLE_TOKEN_BYTES_MIN),
        )),
    }
}

/// So many days, in seconds; none for 0.
fn days(name: &str, text: &str) -> Result<Option<i64>, Error> {
    Ok(Some(number(name, text, 0, 1_000_000)? as i64 * 86_400).filter(|secs| *secs > 0))
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

fn switch(name: &str, text: &str) -> Result<bool, Error> {
    match text {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => Err(Error::invalid(name, format!("'{text}' is neither true nor false"))),
    }
}

/// Settings of other backends that are taken so that their files go on working.
fn remarks(values: &Values) -> Vec<String> {
    let given = |name: &&str| values.origin(name) != Origin::Default;
    let say = |name: &str| {
        format!(
            "{name} does nothing here: engine events are never held back, each batch is committed as it arrives"
        )
    };
    ["event-buffer-size", "event-flush-interval"]
        .iter()
        .filter(|name| given(name))
        .map(|name| say(name))
        .collect()
}

/// `HOST:PORT`, or `:PORT` for all addresses of the machine.
fn address(name: &str, text: &str) -> Result<SocketAddr, Error> {
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_string() };
    let found = full.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| Error::invalid(name, format!("'{text}' is not HOST:PORT, as 127.0.0.1:8080")))
}
