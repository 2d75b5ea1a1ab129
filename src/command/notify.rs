//! What systemd is told (`Type=notify`): that the server is ready, that it stops, that it lives.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::error::Error;

/// Whoever does not read what it is told must not hold the server up, nor its end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The way to systemd. Without `NOTIFY_SOCKET` nobody is told.
#[derive(Clone)]
pub struct Notify(Option<Arc<(UnixDatagram, String)>>);

impl Notify {
    /// As the environment says.
    pub fn new() -> Notify {
        let Ok(path) = std::env::var("NOTIFY_SOCKET") else { return Notify(None) };
        let socket = UnixDatagram::unbound()
            .and_then(|socket| socket.set_write_timeout(Some(PATIENCE)).map(|()| socket));
        match socket {
            Ok(socket) => Notify(Some(Arc::new((socket, path)))),
            Err(cause) => {
                log::warn!("cannot tell systemd anything: {cause}");
                Notify(None)
            }
        }
    }

    /// Sends a state, as `READY=1`.
    pub fn send(&self, state: &str) {
        let Some((socket, path)) = self.0.as_deref() else { return };
        if let Err(cause) = send_to(socket, path, state) {
            log::warn!("could not tell systemd {state}: {cause}");
        }
    }

    /// Says `WATCHDOG=1` twice in each interval that systemd asked for, as long as `pulse` finds the server well.
    pub fn start_watchdog(&self, pulse: impl Fn() -> Result<(), Error> + Send + 'static) -> Option<Watchdog> {
        let interval = Duration::from_micros(variable("WATCHDOG_USEC")?);
        if variable("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(std::process::id())) {
            return None;
        }
        let notify = self.clone();
        let (stop, stopped) = bounded::<()>(0);
        let run = move || {
            while stopped.recv_timeout(interval / 2) == Err(RecvTimeoutError::Timeout) {
                match pulse() {
                    Ok(()) => notify.send("WATCHDOG=1"),
                    // Silence is how systemd hears that something is wrong.
                    Err(cause) => log::error!("the watchdog is not told that all is well: {cause}"),
                }
            }
        };
        let thread = std::thread::Builder::new().name("watchdog".into()).spawn(run).ok()?;
        Some(Watchdog { stop, thread })
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A leading `@` stands for the zero byte of a name that is in no file system.
fn send_to(socket: &UnixDatagram, path: &str, state: &str) -> std::io::Result<()> {
    match path.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            socket.send_to_addr(state.as_bytes(), &address).map(drop)
        }
        _ => socket.send_to(state.as_bytes(), path).map(drop),
    }
}

/// The thread that tells that the server lives.
pub struct Watchdog {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    /// Ends it.
    pub fn stop(self) {
        drop(self.stop);
        // A panic of it has been printed; it has ended either way.
        let _ = self.thread.join();
    }
}
