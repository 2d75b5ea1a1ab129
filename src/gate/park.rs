//! Idle connections without threads.
//!
//! A connection on which nothing has been asked for a second gives its thread back and waits here: one thread
//! watches them all, hands each that stirs to a new thread, and closes those that have waited too long.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::accept::spawn;
use super::connection::Connection;
use super::system::{Event, Poller};
use super::upstream::lock;

/// The key of the stream that wakes the watching thread; connections have theirs from 1 on.
const WAKE: u64 = 0;
/// How often connections that have waited too long are looked for.
const EXPIRY_PERIOD: Duration = Duration::from_secs(1);

pub(super) struct Parking {
    poller: Poller,
    parked: Mutex<HashMap<u64, Box<Connection>>>,
    wake: UnixStream,
    woken: UnixStream,
}

impl Parking {
    pub fn new() -> io::Result<Parking> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let poller = Poller::new()?;
        poller.add(woken.as_raw_fd(), WAKE)?;
        Ok(Parking { poller, parked: Mutex::default(), wake, woken })
    }

    /// Takes an idle connection, or gives it back if it cannot be watched.
    pub fn park(&self, connection: Box<Connection>) -> Result<(), Box<Connection>> {
        let (key, fd) = (connection.key(), connection.raw_fd());
        let is_first = {
            let mut parked = lock(&self.parked);
            parked.insert(key, connection);
            parked.len() == 1
        };
        // From here on it may stir, and be gone from the map, at any time.
        if self.poller.add(fd, key).is_err() {
            return Err(lock(&self.parked).remove(&key).expect("nobody watches it"));
        }
        if is_first {
            self.wake();
        }
        Ok(())
    }

    /// The watching thread. It ends with `stop`.
    pub fn start(parking: &Arc<Parking>) -> io::Result<JoinHandle<()>> {
        let parking = parking.clone();
        std::thread::Builder::new().name("gate-park".into()).spawn(move || parking.run())
    }

    /// Ends the watching thread and closes what is parked.
    pub fn stop(&self) {
        // The only failure is that it has ended already.
        let _ = self.wake.shutdown(std::net::Shutdown::Both);
    }

    fn wake(&self) {
        // A full stream wakes just as well.
        let _ = (&self.wake).write(&[1]);
    }

    fn run(&self) {
        let mut expired = Instant::now();
        loop {
            let has_any = !lock(&self.parked).is_empty();
            match self.poller.wait(has_any.then_some(EXPIRY_PERIOD)) {
                Ok(events) => {
                    for event in events {
                        if event.key == WAKE && !self.take_wake() {
                            return lock(&self.parked).clear();
                        }
                        self.unpark(&event);
                    }
                }
                Err(error) => {
                    log::error!("could not watch idle connections, going on: {error}");
                    std::thread::sleep(EXPIRY_PERIOD);
                }
            }
            if expired.elapsed() >= EXPIRY_PERIOD {
                expired = Instant::now();
                self.expire(expired);
            }
        }
    }

    /// `false` once `stop` has been called.
    fn take_wake(&self) -> bool {
        let read = (&self.woken).read(&mut [0; 64]);
        !matches!(read, Ok(0))
    }

    fn unpark(&self, event: &Event) {
        let Some(connection) = lock(&self.parked).remove(&event.key) else { return };
        self.poller.delete(connection.raw_fd());
        if event.is_over {
            return;
        }
        if let Err(error) = spawn(move || connection.serve_on()) {
            log::error!("could not start a thread for a connection, closing it: {error}");
        }
    }

    fn expire(&self, now: Instant) {
        let expired: Vec<_> =
            lock(&self.parked).extract_if(|_, connection| connection.idle_until() <= now).collect();
        for (_, connection) in expired {
            self.poller.delete(connection.raw_fd());
            connection.say_end();
        }
    }
}
