//! A CA of our own, for sites that have no other: its key and certificate in two files, the server's in memory.
//!
//! Machines are told once to trust the CA; so that this costs little if the key is ever lost, the CA is limited by
//! name constraints to the names it was made for.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::certificate::{Name, Role, Validity, ends, permits, sign, time_digits};
use super::server_config;
use crate::clock::Clock;
use crate::error::Error;
use crate::gate::{LOCAL_CA, LOCAL_CA_KEY};
use crate::limits;

const CA_NAME: &str = "pulumi-backend local CA";
const SERVER_NAME: &str = "pulumi-backend";

const DAY_SECS: i64 = 86_400;
/// Long, because every machine has to be told about a new one.
const CA_VALID_SECS: i64 = 3650 * DAY_SECS;
/// Short, because it costs nothing to renew.
const SERVER_VALID_SECS: i64 = 90 * DAY_SECS;
/// Left of the server's certificate when it is renewed.
const SERVER_RENEW_SECS: i64 = 30 * DAY_SECS;
/// Before now, for machines whose clock is behind.
const BACKDATED_SECS: i64 = DAY_SECS;
/// 2026-01-01. A clock before that is a machine's that has not heard the time yet; its CA would end decades ago.
const CLOCK_UNIX_MIN: i64 = 1_767_225_600;

pub(super) struct LocalCa {
    certificate_path: PathBuf,
    key: EcdsaKeyPair,
    names: Vec<Name>,
    clock: Clock,
    renew_at_unix: AtomicI64,
}

impl LocalCa {
    pub fn open(directory: &Path, names: &[String], clock: Clock) -> Result<LocalCa, Error> {
        let names = server_names(names)?;
        std::fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
        let (certificate_path, key_path) = (directory.join(LOCAL_CA), directory.join(LOCAL_CA_KEY));
        let key = if key_path.exists() { read_key(&key_path)? } else { make_key(&key_path)? };
        if !certificate_path.exists() {
            make_certificate(&certificate_path, &key, &names, clock.now_unix())?;
        }
        let certificate = read_certificate(&certificate_path)?;
        check_end(&certificate, &certificate_path, &key_path, clock.now_unix())?;
        for name in &names {
            check_permitted(&certificate, name, &certificate_path, &key_path)?;
        }
        Ok(LocalCa { certificate_path, key, names, clock, renew_at_unix: AtomicI64::new(0) })
    }

    /// A new certificate for the server, with a new key.
    pub fn issue(&self) -> Result<Arc<ServerConfig>, Error> {
        let now_unix = self.clock.now_unix();
        let key = generate_key()?;
        let pair = parse_key(&key)?;
        let validity =
            Validity { from_unix: now_unix - BACKDATED_SECS, to_unix: now_unix + SERVER_VALID_SECS };
        let role = Role::Server { names: &self.names };
        let certificate = sign(&role, SERVER_NAME, pair.public_key().as_ref(), CA_NAME, &self.key, &validity)
            .map_err(|_| internal("sign a certificate"))?;
        // The CA's own certificate is not sent: whoever trusts it has it.
        let chain = vec![CertificateDer::from(certificate)];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
        self.renew_at_unix.store(validity.to_unix - SERVER_RENEW_SECS, Ordering::Relaxed);
        server_config(chain, key).map_err(|error| Error::internal("use a certificate of the local CA", error))
    }

    /// A new certificate, if the one in use is near its end; or if the clock was set back before its beginning.
    pub fn renew(&self) -> Option<Result<Arc<ServerConfig>, Error>> {
        let now_unix = self.clock.now_unix();
        let renew_at_unix = self.renew_at_unix.load(Ordering::Relaxed);
        let from_unix = renew_at_unix + SERVER_RENEW_SECS - SERVER_VALID_SECS - BACKDATED_SECS;
        let is_due = now_unix >= renew_at_unix || now_unix < from_unix;
        is_due.then(|| self.issue())
    }

    /// The CA's certificate, quoted for a shell where needed.
    pub fn shell_path(&self) -> String {
        let path = std::path::absolute(&self.certificate_path).unwrap_or(self.certificate_path.clone());
        let text = path.display().to_string();
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@".contains(&byte));
        if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
    }
}

/// What was asked for, and the names under which this machine reaches itself.
fn server_names(asked: &[String]) -> Result<Vec<Name>, Error> {
    let mut names = asked.iter().map(|name| parse_name(name)).collect::<Result<Vec<_>, _>>()?;
    let own = [
        Name::Dns("localhost".into()),
        Name::Ip(Ipv4Addr::LOCALHOST.into()),
        Name::Ip(Ipv6Addr::LOCALHOST.into()),
    ];
    names.extend(own);
    let mut seen: Vec<Name> = Vec::new();
    names.retain(|name| {
        let is_new = !seen.contains(name);
        seen.push(name.clone());
        is_new
    });
    Ok(names)
}

fn parse_name(text: &str) -> Result<Name, Error> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Name::Ip(address));
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() > 253 || !text.split('.').all(is_label) {
        return Err(Error::invalid("TLS name", format!("{text:?} is neither a host name nor an IP address")));
    }
    Ok(Name::Dns(text.to_ascii_lowercase()))
}

fn check_end(certificate: &[u8], ca: &Path, key: &Path, now_unix: i64) -> Result<(), Error> {
    let unreadable = || Error::invalid("local CA", format!("{} is not a local CA", ca.display()));
    let ends = ends(certificate).ok_or_else(unreadable)?;
    let advice = format!(
        "remove {} and {}: then a new one is made, and every machine that trusts the old one has to be told",
        ca.display(),
        key.display()
    );
    if ends <= time_digits(now_unix) {
        return Err(Error::invalid("local CA", format!("it ended on {}; {advice}", &ends[..8])));
    }
    if ends <= time_digits(now_unix + limits::LOCAL_CA_WARN_DAYS * DAY_SECS) {
        log::warn!("the local CA ends on {}; before that, {advice}", &ends[..8]);
    }
    Ok(())
}

fn check_permitted(certificate: &[u8], name: &Name, ca: &Path, key: &Path) -> Result<(), Error> {
    if permits(certificate, name) {
        return Ok(());
    }
    let shown = match name {
        Name::Dns(name) => name.clone(),
        Name::Ip(address) => address.to_string(),
    };
    let (ca, key) = (ca.display(), key.display());
    Err(Error::invalid(
        "TLS name",
        format!(
            "the local CA in {ca} was not made for {shown}. Leave that name out, or remove {ca} and {key}: then a new \
             CA is made, and every machine that trusts the old one has to be told about it"
        ),
    ))
}

fn make_key(path: &Path) -> Result<EcdsaKeyPair, Error> {
    let key = generate_key()?;
    write_new(path, 0o600, &pem("PRIVATE KEY", &key))?;
    parse_key(&key)
}

fn read_key(path: &Path) -> Result<EcdsaKeyPair, Error> {
    let text = std::fs::read(path).map_err(|error| failed(path, error))?;
    let unreadable =
        || Error::invalid("local CA", format!("{} is not the key of a local CA", path.display()));
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| unreadable())?;
    parse_key(key.secret_der()).map_err(|_| unreadable())
}

fn make_certificate(path: &Path, key: &EcdsaKeyPair, names: &[Name], now_unix: i64) -> Result<(), Error> {
    if now_unix < CLOCK_UNIX_MIN {
        return Err(Error::invalid(
            "clock",
            "this machine's clock is years behind; a CA made now would be no good",
        ));
    }
    let validity = Validity { from_unix: now_unix - BACKDATED_SECS, to_unix: now_unix + CA_VALID_SECS };
    let role = Role::Ca { permitted: names };
    let certificate = sign(&role, CA_NAME, key.public_key().as_ref(), CA_NAME, key, &validity)
        .map_err(|_| internal("sign the local CA"))?;
    write_new(path, 0o644, &pem("CERTIFICATE", &certificate))
}

fn read_certificate(path: &Path) -> Result<CertificateDer<'static>, Error> {
    let text = std::fs::read(path).map_err(|error| failed(path, error))?;
    CertificateDer::from_pem_slice(&text)
        .map_err(|_| Error::invalid("local CA", format!("{} is not a certificate", path.display())))
}

fn generate_key() -> Result<Vec<u8>, Error> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
    Ok(key.map_err(|_| internal("make a key"))?.as_ref().to_vec())
}

fn parse_key(key: &[u8]) -> Result<EcdsaKeyPair, Error> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key, &SystemRandom::new())
        .map_err(|error| Error::internal("read a key", error.to_string()))
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<&str> =
        (0..base64.len()).step_by(64).map(|at| &base64[at..base64.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A file that was not there before, whole or not at all: a half-written one would stop every later start.
fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), Error> {
    let written_to = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        // One left over from a start that was cut off has no use.
        let _ = std::fs::remove_file(&written_to);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&written_to)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&written_to, path)
    };
    write().map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::internal(format!("keep the local CA in {}", path.display()), error)
}

fn internal(during: &str) -> Error {
    Error::internal(during, "the cryptography library gives no reason")
}
