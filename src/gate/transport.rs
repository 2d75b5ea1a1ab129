//! A client's connection as bytes with deadlines.
//!
//! The socket blocks. Its timeouts are set only when the one in force is far from what is wanted, so a busy
//! connection costs one system call for a read and one for a write.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::limits::{LINGER_BYTES_MAX, LINGER_DEADLINE};
use super::listener::Socket;

/// The deadline of a transfer that may take as long as it moves: a grace, then a slowest pace on the whole.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub grace: Duration,
    pub bytes_per_sec_min: u64,
}

impl Pace {
    /// When a transfer that began at `start` and has moved `n_bytes` must have moved again.
    pub fn until(&self, start: Instant, n_bytes: usize) -> Instant {
        start + self.grace + Duration::from_secs(n_bytes as u64 / self.bytes_per_sec_min.max(1))
    }
}

pub(super) struct Transport {
    socket: Arc<Socket>,
    read_timeout: Duration,
    write_timeout: Duration,
}

impl Transport {
    pub fn new(socket: Arc<Socket>) -> Transport {
        Transport { socket, read_timeout: Duration::ZERO, write_timeout: Duration::ZERO }
    }

    pub fn is_tls(&self) -> bool {
        false
    }

    /// Reads what is there, or waits for it. `Ok(0)` is the end; `TimedOut` says that `until` has passed.
    pub fn read(&mut self, bytes: &mut [u8], until: Instant) -> io::Result<usize> {
        loop {
            self.arm_read(until)?;
            match self.socket.read(bytes) {
                Err(error) if may_retry(&error) => continue,
                other => return other,
            }
        }
    }

    /// Writes some of `bytes`; `TimedOut` says that the client took nothing until `until`.
    pub fn write(&mut self, bytes: &[u8], until: Instant) -> io::Result<usize> {
        loop {
            self.arm_write(until)?;
            match self.socket.write(bytes) {
                Err(error) if may_retry(&error) => continue,
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                other => return other,
            }
        }
    }

    /// Writes all of `bytes`, as slowly as `pace` allows.
    pub fn write_all(&mut self, bytes: &[u8], pace: Pace) -> io::Result<()> {
        let start = Instant::now();
        let mut n_written = 0;
        while n_written < bytes.len() {
            n_written += self.write(&bytes[n_written..], pace.until(start, n_written))?;
        }
        self.flush(pace.until(start, n_written))
    }

    /// Sends what `write` has taken and not yet handed to the socket.
    pub fn flush(&mut self, _until: Instant) -> io::Result<()> {
        Ok(())
    }

    /// Ends the connection without destroying an answer the client has not read yet.
    ///
    /// A close with unread bytes resets the connection, and on some systems the client then loses what it had
    /// received. So: end our side, listen a while to what is still coming, then close.
    pub fn linger(&mut self) {
        self.socket.shutdown(Shutdown::Write);
        let until = Instant::now() + LINGER_DEADLINE;
        let mut bytes = [0; 16 * 1024];
        let mut n_read = 0;
        while n_read < LINGER_BYTES_MAX {
            match self.read_raw(&mut bytes, until) {
                // Whatever ends the listening, the connection is closed next.
                Ok(0) | Err(_) => return,
                Ok(n) => n_read += n,
            }
        }
    }

    /// Reads past TLS: what comes is thrown away.
    fn read_raw(&mut self, bytes: &mut [u8], until: Instant) -> io::Result<usize> {
        loop {
            self.arm_read(until)?;
            match self.socket.read(bytes) {
                Err(error) if may_retry(&error) => continue,
                other => return other,
            }
        }
    }

    fn arm_read(&mut self, until: Instant) -> io::Result<()> {
        if let Some(timeout) = new_timeout(self.read_timeout, until)? {
            self.socket.set_read_timeout(timeout)?;
            self.read_timeout = timeout;
        }
        Ok(())
    }

    fn arm_write(&mut self, until: Instant) -> io::Result<()> {
        if let Some(timeout) = new_timeout(self.write_timeout, until)? {
            self.socket.set_write_timeout(timeout)?;
            self.write_timeout = timeout;
        }
        Ok(())
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
