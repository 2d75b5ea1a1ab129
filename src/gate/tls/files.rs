//! A certificate and a key in two files that somebody else looks after.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::server_config;
use crate::error::Error;
use crate::gate::upstream::lock;

pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// Of the files as they were last read, whether they were good or not: a bad pair is reported once.
    seen: Mutex<Stamps>,
}

/// What changes when a file is written or replaced. None while it cannot be looked at.
#[derive(Clone, Copy, Default, PartialEq)]
struct Stamp(Option<(u64, u64, i64, i64)>);

type Stamps = [Stamp; 2];

impl Files {
    pub fn new(certificate: &Path, key: &Path) -> Files {
        Files { certificate: certificate.into(), key: key.into(), seen: Mutex::default() }
    }

    /// Reads both files, whatever was seen before.
    pub fn load(&self) -> Result<Arc<ServerConfig>, Error> {
        // Before the files: what is written while they are read will be noticed next time.
        *lock(&self.seen) = self.stamps();
        let chain = chain(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|error| {
            invalid(format!("{} has no private key in it that can be read: {error}", self.key.display()))
        })?;
        server_config(chain, key).map_err(|error| self.explain(&error))
    }

    /// Reads both files if one has changed.
    pub fn reload(&self) -> Option<Result<Arc<ServerConfig>, Error>> {
        let has_changed = *lock(&self.seen) != self.stamps();
        has_changed.then(|| self.load())
    }

    fn stamps(&self) -> Stamps {
        [&self.certificate, &self.key]
            .map(|path| Stamp(std::fs::metadata(path).ok().map(|found| stamp(&found))))
    }

    fn explain(&self, error: &rustls::Error) -> Error {
        let (certificate, key) = (self.certificate.display(), self.key.display());
        match error {
            rustls::Error::InconsistentKeys(_) => {
                invalid(format!("the key in {key} is not the one of {certificate}"))
            }
            _ => invalid(format!("{certificate} and {key} cannot be used: {error}")),
        }
    }
}

/// The certificates of a PEM file, of which there is at least one.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(format!("{} is not a PEM file of certificates: {error}", path.display())))?;
    match chain.is_empty() {
        true => Err(invalid(format!("{} has no certificate in it", path.display()))),
        false => Ok(chain),
    }
}

fn stamp(found: &Metadata) -> (u64, u64, i64, i64) {
    (found.ino(), found.len(), found.mtime(), found.mtime_nsec())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| invalid(format!("{}: {error}", path.display())))
}

fn invalid(why: String) -> Error {
    Error::invalid("TLS certificate", why)
}
