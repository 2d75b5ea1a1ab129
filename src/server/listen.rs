//! The socket that clients reach: handed over by systemd, or opened here.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use crate::config::Addr;
use crate::error::Error;
use crate::gate::Listener;

/// Opens a socket, or takes the one that systemd opened for this process (`LISTEN_FDS`), whatever `addr` says then.
///
/// Errors: the address is taken; more than one socket was handed over.
pub fn listen(addr: &Addr) -> Result<Listener, Error> {
    match inherited()? {
        Some(listener) => Ok(listener),
        None => open(addr),
    }
}

/// Opens a socket.
pub fn open(addr: &Addr) -> Result<Listener, Error> {
    let failed = |cause| Error::internal(format!("listen on {addr}"), cause);
    match addr {
        Addr::Tcp(address) => TcpListener::bind(address).map(Listener::Tcp).map_err(failed),
        Addr::Unix(path) => bind_path(path).map(Listener::Unix).map_err(failed),
    }
}

/// A socket of that name that nobody listens on is left over from a crash and replaced. Owner and group may connect.
fn bind_path(path: &Path) -> std::io::Result<UnixListener> {
    let bound = match UnixListener::bind(path) {
        Err(cause) if cause.kind() == std::io::ErrorKind::AddrInUse && UnixStream::connect(path).is_err() => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(bound)
}

/// systemd names the process that the sockets are for, for they would be inherited further.
#[allow(unsafe_code)] // Only systemd's word tells that the descriptor is open and ours.
fn inherited() -> Result<Option<Listener>, Error> {
    use std::os::fd::{FromRawFd, OwnedFd};
    let variable = |name| std::env::var(name).unwrap_or_default();
    if variable("LISTEN_PID") != std::process::id().to_string() {
        return Ok(None);
    }
    match variable("LISTEN_FDS").as_str() {
        "" | "0" => Ok(None),
        "1" => {
            // SAFETY: systemd's protocol gives this process the descriptor 3, and nothing else here takes it.
            let fd = unsafe { OwnedFd::from_raw_fd(3) };
            Listener::from_fd(fd).map(Some)
        }
        n => {
            Err(Error::invalid("LISTEN_FDS", format!("{n} sockets were handed over; this server takes one")))
        }
    }
}
