//! Where the master key comes from, and whether it is the one of this database.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::CANARY;
use crate::config::Config;
use crate::crypto::keyring::{Keyring, MasterKey};
use crate::error::Error;
use crate::store::{self, Store};

/// How this start came to its key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum KeyOrigin {
    /// Read from its file.
    Read,
    /// Made by this start, as there was no database yet.
    Made,
}

/// The master key from its file; a new one if there is neither a key nor a database that needs one.
///
/// Errors: a database without its key; a key of another database; a file that others can read.
pub fn load(config: &Config) -> Result<(MasterKey, KeyOrigin), Error> {
    let path = &config.master_key_file;
    let canary = store::peek_meta(&config.db, CANARY)?;
    if path.exists() {
        refuse_if_others_can_read(path)?;
        let key = read(path)?;
        if canary.is_some_and(|sealed| !Keyring::new(&key).opens_canary(&sealed)) {
            return Err(wrong_key(&config.db, path, &key.fingerprint()));
        }
        return Ok((key, KeyOrigin::Read));
    }
    if canary.is_some() {
        return Err(Error::invalid(
            "master-key-file",
            format!(
                "{} is not there, and {} cannot be read without it; put the key back, or name its place",
                path.display(),
                config.db.display()
            ),
        ));
    }
    let key = MasterKey::random()?;
    write(path, &key)?;
    Ok((key, KeyOrigin::Made))
}

/// Remembers the key of a new database; a database with another key is refused.
pub fn check(store: &Store, keyring: &Keyring) -> Result<(), Error> {
    let stored = store.write(store::meta::SetMetaOnce { name: CANARY, value: keyring.seal_canary()? })?;
    match keyring.opens_canary(&stored) {
        true => Ok(()),
        false => Err(Error::invalid("master-key-file", "is not the key of this database")),
    }
}

fn wrong_key(db: &Path, path: &Path, fingerprint: &str) -> Error {
    let why = format!(
        "{} (fingerprint {fingerprint}) is not the key of {}; nothing was changed",
        path.display(),
        db.display()
    );
    Error::invalid("master-key-file", why)
}

fn read(path: &Path) -> Result<MasterKey, Error> {
    let failed = |cause| Error::internal(format!("read {}", path.display()), cause);
    let text = zeroize::Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    MasterKey::parse(&text)
}

#[cfg(unix)]
fn refuse_if_others_can_read(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |cause| Error::internal(format!("look at {}", path.display()), cause);
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(Error::invalid(
        "master-key-file",
        format!("others than its owner can read {path}; type: chmod 600 {path}"),
    ))
}

#[cfg(not(unix))]
fn refuse_if_others_can_read(_: &Path) -> Result<(), Error> {
    Ok(())
}

/// Whole and on disk, or not at all: written aside, synced, then given its name.
fn write(path: &Path, key: &MasterKey) -> Result<(), Error> {
    let failed = |cause| Error::internal(format!("write {}", path.display()), cause);
    let aside = path.with_extension("key-new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&aside).map_err(failed)?;
    file.write_all(key.reveal_hex().as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&aside, path).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}
