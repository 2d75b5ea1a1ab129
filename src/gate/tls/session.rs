//! One client's TLS, over a wire with deadlines.

use std::io::{self, Read, Write};
use std::time::Instant;

use rustls::ServerConnection;

use super::Tls;
use crate::gate::wire::Wire;

/// Plain bytes taken at once: four records.
const WRITE_BYTES: usize = 64 * 1024;

pub(in crate::gate) struct Session {
    connection: Box<ServerConnection>,
}

/// How a client began.
pub(in crate::gate) enum Handshake {
    Done(Session),
    /// With a method's letters, not with TLS.
    PlainHttp,
}

impl Session {
    /// Waits for a client's hello and agrees on keys, all before `until`.
    pub fn accept(tls: &Tls, wire: &mut Wire, until: Instant) -> io::Result<Handshake> {
        let mut first = [0; 2048];
        let n_first = wire.read(&mut first, until)?;
        match first[..n_first] {
            [] => return Err(io::ErrorKind::UnexpectedEof.into()),
            [b'A'..=b'Z', ..] => return Ok(Handshake::PlainHttp),
            _ => {}
        }
        let connection = ServerConnection::new(tls.config()).map_err(io::Error::other)?;
        let mut session = Session { connection: Box::new(connection) };
        let mut first = &first[..n_first];
        while !first.is_empty() {
            session.connection.read_tls(&mut first)?;
            session.process(wire, until)?;
        }
        while session.connection.is_handshaking() {
            session.flush(wire, until)?;
            session.read_wire(wire, until)?;
        }
        session.flush(wire, until)?;
        Ok(Handshake::Done(session))
    }

    pub fn read(&mut self, wire: &mut Wire, bytes: &mut [u8], until: Instant) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An end without a word: what was being received is cut short, and its length will tell.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            // An answer to a key update, for one; a client that waits for it must not wait for us.
            self.flush(wire, until)?;
            self.read_wire(wire, until)?;
        }
    }

    /// Takes some of `bytes` once all that was taken before has been sent.
    pub fn write(&mut self, wire: &mut Wire, bytes: &[u8], until: Instant) -> io::Result<usize> {
        self.flush(wire, until)?;
        let n_taken = self.connection.writer().write(&bytes[..bytes.len().min(WRITE_BYTES)])?;
        match self.flush(wire, until) {
            Err(error) if error.kind() != io::ErrorKind::TimedOut => Err(error),
            _ => Ok(n_taken),
        }
    }

    pub fn flush(&mut self, wire: &mut Wire, until: Instant) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut Until { wire, until })?;
        }
        Ok(())
    }

    /// Says that nothing more comes, if the client listens until then.
    pub fn end(&mut self, wire: &mut Wire, until: Instant) {
        self.connection.send_close_notify();
        // Whoever does not take it has the end of the connection instead.
        let _ = self.flush(wire, until);
    }

    /// Overwrites the library's buffer for records, in which they are opened, while nothing is in it.
    pub fn wipe(&mut self) {
        // It offers the buffer to be read into; that nothing came is what is expected.
        let _ = self.connection.read_tls(&mut Zeros);
    }

    fn read_wire(&mut self, wire: &mut Wire, until: Instant) -> io::Result<()> {
        if self.connection.read_tls(&mut Until { wire, until })? == 0 && self.connection.is_handshaking() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.process(wire, until)
    }

    fn process(&mut self, wire: &mut Wire, until: Instant) -> io::Result<()> {
        match self.connection.process_new_packets() {
            Ok(_) => Ok(()),
            Err(error) => {
                log::debug!("TLS: {error}");
                // The alert tells the client why; it may be gone.
                let _ = self.flush(wire, until);
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }
}

/// The wire as the library wants it, with a deadline for what is done with it.
struct Until<'a> {
    wire: &'a mut Wire,
    until: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.wire.read(bytes, self.until)
    }
}

impl Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wire.write(bytes, self.until)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Leaves zeros where bytes were to come, and says that none came.
struct Zeros;

impl Read for Zeros {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        bytes.fill(0);
        Err(io::ErrorKind::WouldBlock.into())
    }
}
