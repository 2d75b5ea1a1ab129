//! Settings of the side that faces the network: TLS, proxies, ceilings.

use std::path::{Path, PathBuf};

use super::given::Values;
use super::{number, switch};
use crate::error::Error;

/// Whose word counts behind a proxy if no list is given: a proxy on this machine.
const PROXIES_OF_THIS_MACHINE: &str = "127.0.0.0/8,::1,unix";

/// Where the certificate comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TlsSource {
    /// Two PEM files that somebody else looks after.
    Files {
        /// The chain, the server's own certificate first.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// A CA of the server's own.
    LocalCa {
        /// Where its files are.
        folder: PathBuf,
        /// Host names and addresses, beside those by which a machine reaches itself.
        names: Vec<String>,
    },
}

/// How the network reaches the server.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// None: plain HTTP.
    pub tls: Option<TlsSource>,
    /// Addresses and networks with commas, and `unix`; empty: nobody.
    pub trusted_proxies: String,
    /// Connections in all.
    pub connections_max: usize,
    /// Of one body, as it is sent and as it is inflated.
    pub body_bytes_max: usize,
    /// Of all bodies in flight, as they are sent.
    pub bodies_bytes_max: usize,
    /// None: any number.
    pub requests_per_sec_per_address_max: Option<u32>,
}

impl EdgeConfig {
    /// Checks every value. Files of a local CA are beside the database `db`.
    ///
    /// Errors: `Invalid`, naming the setting.
    pub fn from_values(values: &Values, db: &Path, behind_proxy: bool) -> Result<EdgeConfig, Error> {
        let whole = |name, min, max| number(name, values.text(name), min, max);
        Ok(EdgeConfig {
            tls: tls_source(values, db)?,
            trusted_proxies: trusted_proxies(values, behind_proxy)?,
            connections_max: whole("max-connections", 2, 1_000_000)? as usize,
            body_bytes_max: whole("max-body-size", 1 << 20, 1 << 40)? as usize,
            bodies_bytes_max: whole("body-memory", 1 << 20, 1 << 40)? as usize,
            requests_per_sec_per_address_max: match whole("requests-per-second-per-address", 0, 1_000_000)? {
                0 => None,
                n => Some(n as u32),
            },
        })
    }
}

fn tls_source(values: &Values, db: &Path) -> Result<Option<TlsSource>, Error> {
    let wrong = |name: &str, why: &str| Err(Error::invalid(name, why));
    let is_on = match values.text("tls") {
        "" => None,
        text => Some(switch("tls", text)?),
    };
    if is_on == Some(false) {
        return Ok(None);
    }
    match (values.text("tls-cert"), values.text("tls-key"), values.text("tls-local-ca")) {
        ("", "", "") if is_on.is_none() => Ok(None),
        ("", "", "") => wrong("tls", "needs --tls-cert and --tls-key, or --tls-local-ca"),
        ("", "", names) => Ok(Some(TlsSource::LocalCa { folder: folder_of(db), names: list(names) })),
        (_, "", "") => wrong("tls-key", "is missing: --tls-cert needs the key of the certificate"),
        ("", _, "") => wrong("tls-cert", "is missing: --tls-key needs its certificate"),
        (certificate, key, "") => {
            Ok(Some(TlsSource::Files { certificate: certificate.into(), key: key.into() }))
        }
        _ => wrong("tls-local-ca", "makes its own certificate; leave out --tls-cert and --tls-key, or it"),
    }
}

fn folder_of(db: &Path) -> PathBuf {
    let folder = db.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).into()
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(String::from).collect()
}

fn trusted_proxies(values: &Values, behind_proxy: bool) -> Result<String, Error> {
    match (values.text("trusted-proxies"), behind_proxy) {
        ("", true) => Ok(PROXIES_OF_THIS_MACHINE.into()),
        ("", false) => Ok(String::new()),
        (given, true) => Ok(given.into()),
        (_, false) => Err(Error::invalid("trusted-proxies", "does nothing without --behind-proxy")),
    }
}
