//! Where connections come from: a TCP or a Unix socket, opened here or inherited.

use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use super::limits::BACKLOG_CONNECTIONS;
use super::system::{is_listening, set_backlog};
use crate::error::Error;

/// A listening socket.
#[derive(Debug)]
pub enum Listener {
    /// An internet address.
    Tcp(TcpListener),
    /// A path, or a socket inherited without one.
    Unix(UnixListener),
}

/// Where a gate can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAddress {
    /// Address and port; the port is the real one if 0 was asked for.
    Tcp(SocketAddr),
    /// The socket's path, if it has one.
    Unix(Option<PathBuf>),
}

impl std::fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LocalAddress::Tcp(address) => address.fmt(f),
            LocalAddress::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            LocalAddress::Unix(None) => f.write_str("an inherited socket"),
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An internet address; an IPv4 address mapped into IPv6 is given as IPv4.
    Address(IpAddr),
    /// A process of this machine, over a Unix socket.
    Local,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Peer::Address(address) => address.fmt(f),
            Peer::Local => f.write_str("unix"),
        }
    }
}

impl Listener {
    /// Takes over a listening socket that was opened by somebody else, as systemd does for a service.
    ///
    /// Errors: `Error::Invalid` if it does not listen, or for a family that is not served.
    pub fn from_fd(fd: OwnedFd) -> Result<Listener, Error> {
        if !is_listening(fd.as_raw_fd()) {
            return Err(Error::invalid(
                "inherited socket",
                "it is not a socket that listens for connections",
            ));
        }
        let as_tcp = TcpListener::from(fd);
        if as_tcp.local_addr().is_ok() {
            return Ok(Listener::Tcp(as_tcp));
        }
        let as_unix = UnixListener::from(OwnedFd::from(as_tcp));
        match as_unix.local_addr() {
            Ok(_) => Ok(Listener::Unix(as_unix)),
            Err(_) => Err(Error::invalid("inherited socket", "it is neither a TCP nor a Unix socket")),
        }
    }

    pub(super) fn local_address(&self) -> io::Result<LocalAddress> {
        Ok(match self {
            Listener::Tcp(listener) => LocalAddress::Tcp(listener.local_addr()?),
            Listener::Unix(listener) => {
                LocalAddress::Unix(listener.local_addr()?.as_pathname().map(PathBuf::from))
            }
        })
    }

    /// A burst of clients must not wait for the accepting thread.
    pub(super) fn widen_backlog(&self) {
        set_backlog(self.raw_fd(), BACKLOG_CONNECTIONS);
    }

    /// The accepting thread sleeps in `poll`, so an accept for a client that has left must not block.
    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => listener.set_nonblocking(true),
            Listener::Unix(listener) => listener.set_nonblocking(true),
        }
    }

    pub(super) fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                // Some systems hand the listener's mode down.
                stream.set_nonblocking(false)?;
                // Fails only if the client has left already, which the first read will tell.
                let _ = stream.set_nodelay(true);
                Ok((Socket::Tcp(stream), Peer::Address(address.ip().to_canonical())))
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(false)?;
                Ok((Socket::Unix(stream), Peer::Local))
            }
        }
    }

    pub(super) fn raw_fd(&self) -> RawFd {
        match self {
            Listener::Tcp(listener) => listener.as_raw_fd(),
            Listener::Unix(listener) => listener.as_raw_fd(),
        }
    }
}

/// A connected socket. Shared: its thread reads and writes, anybody may shut it down.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        use io::Read;
        match self {
            Socket::Tcp(stream) => (&*stream).read(bytes),
            Socket::Unix(stream) => (&*stream).read(bytes),
        }
    }

    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        use io::Write;
        match self {
            Socket::Tcp(stream) => (&*stream).write(bytes),
            Socket::Unix(stream) => (&*stream).write(bytes),
        }
    }

    pub fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
            Socket::Unix(stream) => stream.set_read_timeout(Some(timeout)),
        }
    }

    pub fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.set_write_timeout(Some(timeout)),
            Socket::Unix(stream) => stream.set_write_timeout(Some(timeout)),
        }
    }

    pub fn raw_fd(&self) -> RawFd {
        match self {
            Socket::Tcp(stream) => stream.as_raw_fd(),
            Socket::Unix(stream) => stream.as_raw_fd(),
        }
    }

    /// Ends the connection in the given direction. One that has ended already is no error.
    pub fn shutdown(&self, how: Shutdown) {
        // The only failure is "not connected", which is what was wanted.
        let _ = match self {
            Socket::Tcp(stream) => stream.shutdown(how),
            Socket::Unix(stream) => stream.shutdown(how),
        };
    }
}
