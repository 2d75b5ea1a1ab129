//! One server for one database: two writers would each remember what the other does not.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::error::Error;
use crate::store::disk::beside;

/// Held as long as the server runs; the system releases it when the process ends, however it ends.
pub struct Lock(#[allow(dead_code)] File);

impl Lock {
    /// Errors: another server has it.
    pub fn take(db: &Path) -> Result<Lock, Error> {
        let path = beside(db, "-lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|cause| Error::internal(format!("open {}", path.display()), cause))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => {
                Err(Error::invalid("db", format!("{} is in use by another pulumi-backend", db.display())))
            }
            Err(TryLockError::Error(cause)) => {
                Err(Error::internal(format!("lock {}", path.display()), cause))
            }
        }
    }
}
