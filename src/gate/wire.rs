//! A socket as bytes with deadlines.
//!
//! The socket blocks. Its timeouts are set only when the one in force is far from what is wanted, so a busy
//! connection costs one system call for a read and one for a write.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::listener::Socket;

pub(super) struct Wire {
    socket: Arc<Socket>,
    read_timeout: Duration,
    write_timeout: Duration,
}

impl Wire {
    pub fn new(socket: Arc<Socket>) -> Wire {
        Wire { socket, read_timeout: Duration::ZERO, write_timeout: Duration::ZERO }
    }

    /// Reads what is there, or waits for it. `Ok(0)` is the end; `TimedOut` says that `until` has passed.
    pub fn read(&mut self, bytes: &mut [u8], until: Instant) -> io::Result<usize> {
        loop {
            if let Some(timeout) = new_timeout(self.read_timeout, until)? {
                self.socket.set_read_timeout(timeout)?;
                self.read_timeout = timeout;
            }
            match self.socket.read(bytes) {
                Err(error) if may_retry(&error) => continue,
                other => return other,
            }
        }
    }

    /// Writes some of `bytes`; `TimedOut` says that the other end took nothing until `until`.
    pub fn write(&mut self, bytes: &[u8], until: Instant) -> io::Result<usize> {
        loop {
            if let Some(timeout) = new_timeout(self.write_timeout, until)? {
                self.socket.set_write_timeout(timeout)?;
                self.write_timeout = timeout;
            }
            match self.socket.write(bytes) {
                Err(error) if may_retry(&error) => continue,
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                other => return other,
            }
        }
    }

    pub fn end_sending(&self) {
        self.socket.shutdown(Shutdown::Write);
    }
}

/// The timeout to set so that a wait ends about at `until`, or none if the one in force will do.
///
/// One that is too short only makes the caller look at the clock and wait again; one may be a quarter too long.
fn new_timeout(in_force: Duration, until: Instant) -> io::Result<Option<Duration>> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let will_do = in_force >= left / 2 && in_force <= left + left / 4;
    Ok((!will_do).then(|| left.max(Duration::from_millis(1))))
}

/// Whether a read or write that failed is to be tried again, after a look at the clock.
fn may_retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
