//! HTTPS: which certificate is shown, and when it is looked for anew.
//!
//! Certificates come from two files, or from a CA of our own. Either way a connection asks for the configuration
//! when it begins, and that is when a changed file or an old certificate is noticed: nothing runs in between.

mod certificate;
mod files;
mod local_ca;
mod session;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;

use self::files::Files;
use self::local_ca::LocalCa;
pub(super) use self::session::{Handshake, Session};
use super::upstream::lock;
use crate::clock::Clock;
use crate::error::Error;

/// How often the source of the certificate is looked at, at most.
const CHECK_PERIOD: Duration = Duration::from_secs(1);

/// Certificates and keys for the gate's TLS.
pub struct Tls {
    source: Source,
    current: Mutex<Current>,
}

enum Source {
    Files(Files),
    LocalCa(Box<LocalCa>),
}

struct Current {
    config: Arc<ServerConfig>,
    checked: Instant,
}

impl Tls {
    /// A certificate chain (the server's own first) and its key, both PEM. They may be replaced at any time: new
    /// connections use the new ones within a second. If the new ones are no good the old ones stay, with a log line.
    ///
    /// Errors: `Error::Invalid` with a sentence that names the file, or says that the two do not belong together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Tls, Error> {
        let files = Files::new(certificate, key);
        let config = files.load()?;
        Ok(Tls::new(Source::Files(files), config))
    }

    /// A CA of our own in `directory` (made on first use, together with the directory), and a certificate for `names`
    /// and for this machine's loopback names, renewed long before it ends.
    ///
    /// `names` are host names and IP addresses. The CA is limited to the names it was made for.
    /// Errors: `Error::Invalid` for something that is no name, for a name the CA is not for, for a CA that has ended;
    /// `Error::Internal` if the files cannot be read or written.
    pub fn from_local_ca(directory: &Path, names: &[String], clock: Clock) -> Result<Tls, Error> {
        let local_ca = LocalCa::open(directory, names, clock)?;
        let config = local_ca.issue()?;
        Ok(Tls::new(Source::LocalCa(Box::new(local_ca)), config))
    }

    /// The day, as `2026-12-01`, on which the first certificate of a PEM file to end does so, if that is before `unix`.
    ///
    /// Errors: `Error::Invalid` if it cannot be read or has no certificate in it.
    pub fn ends_before(certificates: &Path, unix: i64) -> Result<Option<String>, Error> {
        let chain = files::chain(certificates)?;
        let ends = chain.iter().filter_map(|certificate| certificate::ends(certificate)).min();
        let ends = ends.filter(|ends| *ends < certificate::time_digits(unix));
        Ok(ends.map(|ends| format!("{}-{}-{}", &ends[..4], &ends[4..6], &ends[6..8])))
    }

    /// With a local CA: the line that makes `pulumi` on a Linux machine trust it, for a shell. The file named in it
    /// has to be copied to that machine; it is public.
    ///
    /// Go programs read this file beside the system's certificates, not instead of them.
    /// Source: Go, crypto/x509/root_unix.go, `loadSystemRoots`.
    pub fn trust_line(&self) -> Option<String> {
        match &self.source {
            Source::Files(_) => None,
            Source::LocalCa(local_ca) => Some(format!("export SSL_CERT_FILE={}", local_ca.shell_path())),
        }
    }

    fn new(source: Source, config: Arc<ServerConfig>) -> Tls {
        Tls { source, current: Mutex::new(Current { config, checked: Instant::now() }) }
    }

    /// Looks at once whether there is a new certificate, instead of within a second (on SIGHUP, say).
    pub fn reload(&self) {
        lock(&self.current).renew_from(&self.source);
    }

    /// The configuration for a connection that begins now.
    pub fn config(&self) -> Arc<ServerConfig> {
        let mut current = lock(&self.current);
        if current.checked.elapsed() >= CHECK_PERIOD {
            current.renew_from(&self.source);
        }
        current.config.clone()
    }
}

impl Current {
    fn renew_from(&mut self, source: &Source) {
        self.checked = Instant::now();
        if let Some(config) = source.renewed() {
            self.config = config;
        }
    }
}

impl Source {
    /// A new configuration, if there is reason for one and it is good.
    fn renewed(&self) -> Option<Arc<ServerConfig>> {
        let (renewed, what) = match self {
            Source::Files(files) => (files.reload()?, "the changed certificate files"),
            Source::LocalCa(local_ca) => (local_ca.renew()?, "a new certificate of the local CA"),
        };
        match renewed {
            Ok(config) => {
                log::info!("TLS: new connections use {what}");
                Some(config)
            }
            Err(error) => {
                log::error!("TLS: could not use {what}, the one before stays: {error}");
                None
            }
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(***)")
    }
}

/// TLS 1.3 and 1.2 with the provider's suites, all of them with forward secrecy and authenticated encryption.
///
/// No sessions are kept to be resumed: Go's client never resumes one, and each would cost memory.
fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let mut config =
        builder.with_safe_default_protocol_versions()?.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
