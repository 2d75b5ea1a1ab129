//! The control socket beside the database: whoever may open it is the local administrator.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{ErrorKind, Result as IoResult};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::edge::COMMON_FIELDS;
use crate::app::App;
use crate::call::Door;
use crate::error::Error;
use crate::http::Request;
use crate::http::workers::Workers;
use crate::routes::dispatch;
use crate::store::disk::beside;

/// An administrator has one command at a time; a second worker answers `health` meanwhile.
const N_WORKERS: usize = 2;

/// The workers behind the control socket.
pub struct Control {
    workers: Workers,
    path: PathBuf,
}

impl Control {
    /// Listens.
    pub fn start(app: &Arc<App>) -> Result<Control, Error> {
        let path = path(&app.config.db);
        let failed = |cause| Error::internal(format!("listen on {}", path.display()), cause);
        let listener = bind(&path).map_err(failed)?;
        let answering = app.clone();
        let answer = move |request: &mut Request| {
            let response = dispatch::dispatch(&answering, request, Door::Local);
            COMMON_FIELDS.iter().fold(response, |response, (name, value)| response.with_header(name, *value))
        };
        let workers = Workers::start(listener.into(), N_WORKERS, Arc::new(answer), dispatch::after_panic)?;
        Ok(Control { workers, path })
    }

    /// Finishes the command in flight and takes the socket away.
    pub fn stop(self) {
        self.workers.stop();
        if let Err(cause) = std::fs::remove_file(&self.path) {
            log::warn!("could not remove {}: {cause}", self.path.display());
        }
    }
}

/// Its place.
fn path(db: &Path) -> PathBuf {
    beside(db, "-control")
}

/// The socket is made where nobody else can see it, and gets its name once only its owner may open it.
///
/// That folder is beside it, for a rename cannot leave the file system: systemd's runtime directory is another one.
fn bind(path: &Path) -> IoResult<UnixListener> {
    let private = beside(path, "-new");
    // One that is there was left by a crash: this server has the lock of the database.
    match std::fs::remove_dir_all(&private) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    DirBuilder::new().mode(0o700).create(&private)?;
    let socket = private.join("socket");
    let listener = in_folder(&socket, |path| UnixListener::bind(path))?;
    std::fs::set_permissions(&socket, Permissions::from_mode(0o600))?;
    std::fs::rename(&socket, path)?;
    std::fs::remove_dir(&private)?;
    Ok(listener)
}

/// Opens the control socket of the server that runs on this database.
pub fn connect(db: &Path) -> IoResult<UnixStream> {
    in_folder(&path(db), |path| UnixStream::connect(path))
}

/// A socket with a path that is too long for one is named through its folder.
fn in_folder<T>(path: &Path, open: impl Fn(&Path) -> IoResult<T>) -> IoResult<T> {
    match open(path) {
        Err(cause) if cause.kind() == ErrorKind::InvalidInput => {
            let parent =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let folder = File::open(parent)?;
            let name = path.file_name().unwrap_or_default();
            open(&Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
        }
        opened => opened,
    }
}
