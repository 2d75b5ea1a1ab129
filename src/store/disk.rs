//! The disk under the database: how much room is left, how much the files take.

use std::path::{Path, PathBuf};

/// Bytes that the server may still write where `path` is; none where the system does not tell.
#[cfg(unix)]
#[allow(unsafe_code)] // std does not tell the free space of a disk.
pub fn free_bytes(path: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = std::ffi::CString::new(folder.as_os_str().as_bytes()).ok()?;
    // SAFETY: the path ends with a zero byte, and the answer goes to a plain value that lives through the call.
    let (done, found) = unsafe {
        let mut found: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(folder.as_ptr(), &mut found), found)
    };
    // The types of these two fields differ from system to system.
    #[allow(clippy::unnecessary_cast)]
    (done == 0).then(|| (found.f_bavail as u64).saturating_mul(found.f_frsize as u64))
}

/// Not told here.
#[cfg(not(unix))]
pub fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// Bytes of the database file and of its write-ahead log.
pub fn file_bytes(path: &Path) -> (u64, u64) {
    let bytes = |path: &Path| path.metadata().map_or(0, |file| file.len());
    (bytes(path), bytes(&beside(path, "-wal")))
}

/// Returns once the names in the folder of `path` are on disk.
pub fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

/// The file whose name is that of another with something behind it, as `-wal`.
pub fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
