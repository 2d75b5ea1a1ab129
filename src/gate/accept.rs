//! The accepting thread: never ends before it is told to, whatever fails.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Shared;
use super::connection::Connection;
use super::limits::{ACCEPT_PAUSE, CONNECTION_STACK_BYTES, CONNECTIONS_TURNED_AWAY_MAX};
use super::listener::{Listener, Peer, Socket};
use super::system::wait_readable;

/// Accepts until the other end of `wake` is closed.
pub(super) fn run(shared: &Arc<Shared>, listener: &Listener, wake: &UnixStream) {
    let mut complaints = Complaints { last: None };
    loop {
        match wait_readable(listener.raw_fd(), wake.as_raw_fd()) {
            Ok((_, true)) => return,
            Ok((true, _)) => accept_all(shared, listener, &mut complaints),
            Ok((false, false)) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => complaints.pause("wait for connections", &error),
        }
    }
}

fn accept_all(shared: &Arc<Shared>, listener: &Listener, complaints: &mut Complaints) {
    while !shared.is_stopping.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((socket, peer)) => {
                if let Err(error) = begin(shared, socket, peer) {
                    complaints.pause("start a thread for a connection", &error);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // The client left before it was its turn.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted) => {}
            // Out of descriptors or memory: closing connections will help, and so will time.
            Err(error) => return complaints.pause("accept a connection", &error),
        }
    }
}

/// Gives a connection a thread. On an error the connection is closed.
fn begin(shared: &Arc<Shared>, socket: Socket, peer: Peer) -> io::Result<()> {
    let socket = Arc::new(socket);
    // A proxy stands for many addresses, which are told apart request by request.
    let is_capped = !shared.settings.trusted_proxies.has(peer);
    match shared.table.seat(&socket, peer, is_capped) {
        Some(seat) => {
            let connection = Connection::new(shared.clone(), seat, peer);
            spawn(move || connection.serve())
        }
        None => turn_away(shared, socket, peer),
    }
}

fn turn_away(shared: &Arc<Shared>, socket: Arc<Socket>, peer: Peer) -> io::Result<()> {
    let Some(place) = TurnedAway::count(shared) else { return Ok(()) };
    let seat = shared.table.seat_outside(socket, peer);
    let connection = Connection::new(shared.clone(), seat, peer);
    spawn(move || {
        connection.turn_away();
        drop(place);
    })
}

pub(super) fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = std::thread::Builder::new().name("gate".into()).stack_size(CONNECTION_STACK_BYTES);
    builder.spawn(work).map(drop)
}

/// One of the few connections over the cap that get a word.
struct TurnedAway {
    shared: Arc<Shared>,
}

impl TurnedAway {
    fn count(shared: &Arc<Shared>) -> Option<TurnedAway> {
        let fits = |n: usize| (n < CONNECTIONS_TURNED_AWAY_MAX).then_some(n + 1);
        let counted = shared.n_turned_away.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        counted.is_ok().then(|| TurnedAway { shared: shared.clone() })
    }
}

impl Drop for TurnedAway {
    fn drop(&mut self) {
        self.shared.n_turned_away.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What goes wrong in accepting goes wrong again at once: one line in ten seconds is enough.
struct Complaints {
    last: Option<Instant>,
}

impl Complaints {
    fn pause(&mut self, during: &str, error: &io::Error) {
        if self.last.is_none_or(|last| last.elapsed() > Duration::from_secs(10)) {
            log::error!("could not {during}, going on: {error}");
            self.last = Some(Instant::now());
        }
        std::thread::sleep(ACCEPT_PAUSE);
    }
}
