//! The control socket beside the database: whoever may open it is the local administrator.

use std::fs::{File, Permissions};
use std::io::Result as IoResult;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::edge::COMMON_FIELDS;
use super::folder::PrivateFolder;
use crate::app::App;
use crate::call::Door;
use crate::error::Error;
use crate::http::Request;
use crate::http::workers::Workers;
use crate::routes::dispatch;

/// An administrator has one command at a time; a second worker answers `health` meanwhile.
const N_WORKERS: usize = 2;

/// The workers behind the control socket.
pub struct Control {
    workers: Workers,
    path: PathBuf,
}

impl Control {
    /// Listens. The socket is made where nobody else can see it, and gets its name once only its owner may open it.
    pub fn start(app: &Arc<App>, folder: &PrivateFolder) -> Result<Control, Error> {
        let path = path(&app.config.db);
        let failed = |cause| Error::internal(format!("listen on {}", path.display()), cause);
        let private = folder.socket("control");
        let listener = UnixListener::bind(&private).map_err(failed)?;
        std::fs::set_permissions(&private, Permissions::from_mode(0o600)).map_err(failed)?;
        std::fs::rename(&private, &path).map_err(failed)?;
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
    let mut path = db.as_os_str().to_owned();
    path.push("-control");
    path.into()
}

/// Opens the control socket of the server that runs on this database.
pub fn connect(db: &Path) -> IoResult<UnixStream> {
    let path = path(db);
    match UnixStream::connect(&path) {
        // Its path is too long for a socket: it is named through its folder.
        Err(cause) if cause.kind() == std::io::ErrorKind::InvalidInput => {
            let parent =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let folder = File::open(parent)?;
            let name = path.file_name().unwrap_or_default();
            UnixStream::connect(Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
        }
        connected => connected,
    }
}
