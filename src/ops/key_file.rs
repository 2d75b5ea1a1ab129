//! The file of the master key: read, made, and replaced so that a crash at any step leaves a key that opens the data.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::crypto::master::MasterKey;
use crate::error::Error;
use crate::store::disk;
use crate::store::disk::beside;

/// The key in a file. Errors: not readable, readable by others, no key.
pub fn read(path: &Path) -> Result<MasterKey, Error> {
    refuse_if_others_can_read(path)?;
    let failed = |cause| Error::internal(format!("read {}", path.display()), cause);
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    MasterKey::parse(&text).map_err(|cause| Error::invalid(path.display().to_string(), cause.to_string()))
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

/// Writes a key to a file that is not there yet.
pub fn make(path: &Path, key: &MasterKey) -> Result<(), Error> {
    let aside = path.with_extension("key-new");
    write(&aside, key)?;
    rename(&aside, path)
}

/// Where the next key waits until the database has gone over to it.
pub fn next_path(path: &Path) -> PathBuf {
    beside(path, ".next")
}

/// Lays the next key ready, on disk.
pub fn write_next(path: &Path, key: &MasterKey) -> Result<(), Error> {
    let next = next_path(path);
    write(&next, key)?;
    sync_folder(&next)
}

/// The next key takes the place of the present one, which is kept beside it; answers where.
pub fn take_next(path: &Path, old_fingerprint: &str) -> Result<PathBuf, Error> {
    take_next_by(path, old_fingerprint, |from, to| fs::hard_link(from, to))
}

/// As `take_next`; `link` gives a file one more name, which not every file system can.
pub fn take_next_by(
    path: &Path,
    old_fingerprint: &str,
    link: impl Fn(&Path, &Path) -> io::Result<()>,
) -> Result<PathBuf, Error> {
    let kept = beside(path, &format!(".old-{old_fingerprint}"));
    // A link, so that there is a file of that name at every moment; or a copy, made whole under another name, for the
    // same reason. A file that is there already may be one that was cut short.
    if link(path, &kept).is_err() {
        let old = read(path)?;
        if !read(&kept).is_ok_and(|kept| kept.fingerprint() == old.fingerprint()) {
            let aside = beside(&kept, "-new");
            write(&aside, &old)?;
            rename(&aside, &kept)?;
        }
    }
    rename(&next_path(path), path)?;
    Ok(kept)
}

/// On disk, but for its name.
fn write(path: &Path, key: &MasterKey) -> Result<(), Error> {
    let failed = |cause| Error::internal(format!("write {}", path.display()), cause);
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(failed(cause)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(key.reveal_hex().as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(failed)?;
    file.sync_all().map_err(failed)
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|cause| Error::internal(format!("write {}", to.display()), cause))?;
    sync_folder(to)
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    disk::sync_folder(path)
        .map_err(|cause| Error::internal(format!("sync the folder of {}", path.display()), cause))
}
