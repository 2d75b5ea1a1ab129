//! A folder of a test's own, gone with the test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static N_MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("gate-{}-{}", std::process::id(), N_MADE.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Only a temporary folder; the test's verdict stands without it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
