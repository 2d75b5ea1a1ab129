//! A client's connection as plain bytes with deadlines, whether they travel under TLS or not.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::limits::{LINGER_BYTES_MAX, LINGER_DEADLINE};
use super::listener::Socket;
use super::tls::{Handshake, Session, Tls};
use super::wire::Wire;

/// How slowly a body or an answer may move.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// What a transfer may stand still, and what it gets before its pace on the whole counts.
    pub grace: Duration,
    pub bytes_per_sec_min: u64,
}

/// A transfer under way, and its deadline: it may take as long as it moves, and moves fast enough on the whole.
pub(super) struct Progress {
    pace: Pace,
    started: Instant,
    moved: Instant,
    n_bytes: usize,
}

impl Progress {
    pub fn new(pace: Pace) -> Progress {
        let now = Instant::now();
        Progress { pace, started: now, moved: now, n_bytes: 0 }
    }

    /// When it must have moved again.
    pub fn until(&self) -> Instant {
        let at_pace = Duration::from_secs(self.n_bytes as u64 / self.pace.bytes_per_sec_min.max(1));
        (self.started + at_pace).min(self.moved) + self.pace.grace
    }

    pub fn has_moved(&mut self, n_bytes: usize) {
        self.n_bytes += n_bytes;
        self.moved = Instant::now();
    }
}

pub(super) struct Transport {
    wire: Wire,
    session: Option<Session>,
}

impl Transport {
    pub fn new(socket: Arc<Socket>) -> Transport {
        Transport { wire: Wire::new(socket), session: None }
    }

    pub fn is_tls(&self) -> bool {
        self.session.is_some()
    }

    /// Agrees on TLS with the client. From then on all bytes go through it.
    ///
    /// `Ok(false)`: the client speaks plain HTTP, and nothing of TLS has been sent to it.
    pub fn secure(&mut self, tls: &Tls, until: Instant) -> io::Result<bool> {
        match Session::accept(tls, &mut self.wire, until)? {
            Handshake::Done(session) => {
                self.session = Some(session);
                Ok(true)
            }
            Handshake::PlainHttp => Ok(false),
        }
    }

    /// Reads what is there, or waits for it. `Ok(0)` is the end; `TimedOut` says that `until` has passed.
    pub fn read(&mut self, bytes: &mut [u8], until: Instant) -> io::Result<usize> {
        match &mut self.session {
            None => self.wire.read(bytes, until),
            Some(session) => session.read(&mut self.wire, bytes, until),
        }
    }

    /// Takes some of `bytes`; `TimedOut` says that the client took nothing until `until`. Some of what was taken may
    /// still be here: `flush` sends it.
    pub fn write(&mut self, bytes: &[u8], until: Instant) -> io::Result<usize> {
        match &mut self.session {
            None => self.wire.write(bytes, until),
            Some(session) => session.write(&mut self.wire, bytes, until),
        }
    }

    fn flush(&mut self, until: Instant) -> io::Result<()> {
        match &mut self.session {
            None => Ok(()),
            Some(session) => session.flush(&mut self.wire, until),
        }
    }

    /// Writes all of `bytes`, as slowly as `pace` allows.
    pub fn write_all(&mut self, bytes: &[u8], pace: Pace) -> io::Result<()> {
        let mut progress = Progress::new(pace);
        let mut rest = bytes;
        while !rest.is_empty() {
            let n_written = self.write(rest, progress.until())?;
            progress.has_moved(n_written);
            rest = &rest[n_written..];
        }
        self.flush(progress.until())
    }

    /// Ends the connection without destroying an answer the client has not read yet.
    ///
    /// A close with unread bytes resets the connection, and on some systems the client then loses what it had
    /// received. So: end our side, listen a while to what is still coming, then close.
    pub fn linger(&mut self) {
        self.say_end();
        self.wire.end_sending();
        let until = Instant::now() + LINGER_DEADLINE;
        let mut bytes = [0; 16 * 1024];
        let mut n_read = 0;
        while n_read < LINGER_BYTES_MAX {
            // Past TLS: what comes is thrown away.
            match self.wire.read(&mut bytes, until) {
                // Whatever ends the listening, the connection is closed next.
                Ok(0) | Err(_) => return,
                Ok(n) => n_read += n,
            }
        }
    }

    /// Wipes what is left of what was received, before a rest.
    pub fn wipe(&mut self) {
        if let Some(session) = &mut self.session {
            session.wipe();
        }
    }

    /// Tells a TLS client that the end is meant. One that does not take the word gets none.
    pub fn say_end(&mut self) {
        if let Some(session) = &mut self.session {
            session.end(&mut self.wire, Instant::now() + Duration::from_millis(100));
        }
    }
}
