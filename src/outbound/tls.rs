//! TLS to another server, which must show a certificate of somebody we trust.

use std::io::{Error as IoError, Read, Result as IoResult, Write};
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::url::name_of;
use crate::error::Error;

/// Where systems keep the certificates that they trust.
const SYSTEM_FILES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Whom we trust.
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts the certificates in `ca_file`, or those of the system. Errors: there are none; `setting` would name them.
    pub fn new(ca_file: Option<&Path>, setting: &str) -> Result<Tls, Error> {
        let file = ca_file.or_else(|| SYSTEM_FILES.iter().map(Path::new).find(|file| file.exists()));
        let file = file.ok_or_else(|| {
            Error::invalid(setting, "is needed: this system has no certificates in a known place")
        })?;
        let failed =
            |cause: String| Error::invalid(setting, format!("{} is no good: {cause}", file.display()));
        let pem = std::fs::read(file).map_err(|cause| failed(cause.to_string()))?;
        let mut roots = RootCertStore::empty();
        // Of a system's hundreds some are of a form that nobody uses any more.
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
        if roots.is_empty() {
            return Err(failed("no certificate in it".into()));
        }
        let config = ClientConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|cause| Error::internal("set TLS up", cause))?;
        Ok(Tls(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
    }

    /// Whether a connection failed by a certificate that is not trusted: trying again is no help.
    pub fn is_refusal(cause: &IoError) -> bool {
        let inner = cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
    }

    /// A connection to `host`, which may have a port.
    pub fn connect<S: Read + Write>(&self, tcp: S, host: &str) -> IoResult<StreamOwned<ClientConnection, S>> {
        let name = name_of(host).trim_matches(['[', ']']);
        let name = ServerName::try_from(name.to_string()).map_err(IoError::other)?;
        let connection = ClientConnection::new(self.0.clone(), name).map_err(IoError::other)?;
        Ok(StreamOwned::new(connection, tcp))
    }
}
