//! A folder for copies of the database that nobody else may read; it goes away with its owner.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::crypto::{hex, random_bytes};
use crate::error::Error;
use crate::limits;
use crate::pace::Pace;
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

    /// Removes one of its files.
    pub fn remove(&self, name: &str, pace: &mut Pace) {
        let path = self.file(name);
        if let Err(cause) = remove(&path, pace) {
            log::warn!("could not remove {}: {cause}", path.display());
        }
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

/// Removes a file, and gives its space back a little at a time: a disk that is told to forget a large file at once does
/// nothing else meanwhile, and whoever commits waits.
pub fn remove(path: &Path, pace: &mut Pace) -> std::io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(path);
    fs::remove_file(path)?;
    // What cannot be opened for writing goes at once, and so does what is left when we are told to end.
    let Ok(file) = file else { return Ok(()) };
    let found = file.metadata()?;
    let mut n_bytes = found.len();
    // It may have another name, and live on under it.
    while found.nlink() == 0 && n_bytes > 0 && pace.go_on().is_ok() {
        n_bytes = n_bytes.saturating_sub(limits::FREED_BYTES_MAX);
        file.set_len(n_bytes)?;
        file.sync_all()?;
    }
    Ok(())
}

/// A new file that only its owner may read.
pub fn create_private(path: &Path) -> Result<fs::File, Error> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|cause| Error::internal(format!("write {}", path.display()), cause))
}

/// A new private file that goes to the disk as it comes.
///
/// Left to the system, a large file goes there all at once, and whoever commits at that moment waits for all of it.
pub struct Steady {
    file: fs::File,
    n_waiting: u64,
}

impl Steady {
    /// A new one.
    pub fn create(path: &Path) -> Result<Steady, Error> {
        Ok(Steady { file: create_private(path)?, n_waiting: 0 })
    }

    /// What is left goes to the disk too. Answers the file's length.
    pub fn finish(self) -> std::io::Result<u64> {
        self.file.sync_all()?;
        Ok(self.file.metadata()?.len())
    }
}

impl Write for Steady {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // A long piece would be as bad as many that wait.
        let n = self.file.write(&bytes[..bytes.len().min(limits::UNSYNCED_BYTES_MAX as usize)])?;
        self.n_waiting += n as u64;
        if self.n_waiting >= limits::UNSYNCED_BYTES_MAX {
            self.file.sync_data()?;
            self.n_waiting = 0;
        }
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
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
