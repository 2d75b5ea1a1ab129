//! A folder that only the user of this server can enter.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::crypto;
use crate::error::Error;

/// A socket's path may have 107 bytes; its name in the folder takes a few.
const SOCKET_PATH_BYTES_MAX: usize = 90;

/// A folder for sockets that are nobody else's business; it goes away with the server.
pub struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// Beside the database, whose lock this server holds, so that one left behind by a crash can be replaced; or
    /// where the system wants such things, or, if the path is too long for a socket, among temporary files.
    pub fn make(db: &Path) -> Result<PrivateFolder, Error> {
        let beside = PathBuf::from(format!("{}-run", db.display()));
        let path = match std::env::var_os("RUNTIME_DIRECTORY") {
            Some(folder) => PathBuf::from(folder).join("gate"),
            None if beside.as_os_str().len() <= SOCKET_PATH_BYTES_MAX => beside,
            None => std::env::temp_dir().join(format!("pulumi-backend-{}", crypto::random_uuid()?)),
        };
        let failed = |cause| Error::internal(format!("make the folder {}", path.display()), cause);
        match std::fs::remove_dir_all(&path) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(failed(cause)),
            _ => {}
        }
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        Ok(PrivateFolder(path))
    }

    /// The place of a socket in it.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        if let Err(cause) = std::fs::remove_dir_all(&self.0) {
            log::warn!("could not remove {}: {cause}", self.0.display());
        }
    }
}
