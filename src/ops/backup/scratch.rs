//! A folder for copies of the database that nobody else may read; it goes away with its owner.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::crypto::{hex, random_bytes};
use crate::error::Error;
use crate::store::disk::beside;

/// A private folder beside the database, where there is space for another one.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one.
    pub fn make(db: &Path) -> Result<Scratch, Error> {
        let all = folder(db);
        let path = all.join(hex(&random_bytes::<4>()?));
        let make = || fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        // Another one that ends at this moment may take the folder of all away between two steps.
        make()
            .or_else(|_| make())
            .map_err(|cause| Error::internal(format!("make the folder {}", path.display()), cause))?;
        Ok(Scratch(path))
    }

    /// The place of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Where all of them are.
fn folder(db: &Path) -> PathBuf {
    beside(db, "-scratch")
}

/// Removes what a crash has left. Only for whoever holds the lock of the database.
pub fn sweep(db: &Path) {
    match fs::remove_dir_all(folder(db)) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            log::warn!("could not remove {}: {cause}", folder(db).display());
        }
        _ => {}
    }
}

/// A new file that only its owner may read.
pub fn create_private(path: &Path) -> Result<fs::File, Error> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|cause| Error::internal(format!("write {}", path.display()), cause))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(cause) = fs::remove_dir_all(&self.0) {
            log::warn!("could not remove {}: {cause}", self.0.display());
        }
        if let Some(all) = self.0.parent() {
            // Others may still use it.
            let _ = fs::remove_dir(all);
        }
    }
}
