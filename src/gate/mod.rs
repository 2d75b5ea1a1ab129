//! The side of the server that faces the network.
//!
//! ```text
//! accept thread ─> a thread for each busy connection: strict parse, limits, deadlines, whole bodies
//!                     │       (idle ones: one thread that watches them all)
//!                     │ one canonical request at a time, over a few warm Unix connections
//!                     │       (replaced after a rest: two threads, one for the requests, one for health checks)
//!                  the HTTP engine and its workers
//! ```
//!
//! The engine (tiny_http) can be killed or starved by anybody who can talk to it, so nobody but the gate can. The
//! gate knows bytes and clocks. What a path means, who may call it and how an error looks, it is told.

mod accept;
mod awake;
mod budget;
mod buffer;
mod canonical;
mod chunked;
mod connection;
#[doc(hidden)]
pub mod fuzz;
mod head;
pub mod limits;
mod listener;
#[cfg(target_os = "linux")]
mod park;
#[cfg(not(target_os = "linux"))]
#[path = "park_absent.rs"]
mod park;
mod proxies;
mod rate;
mod refusal;
mod relay;
mod reply;
mod settings;
mod system;
mod table;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_absent.rs"]
mod tls;
mod transport;
mod upstream;
mod wire;

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::budget::Budget;
pub use self::head::Head;
pub use self::listener::{Listener, LocalAddress, Peer};
use self::park::Parking;
pub use self::proxies::TrustedProxies;
use self::rate::Rate;
use self::refusal::Refusal;
pub use self::settings::Settings;
use self::table::Table;
pub use self::tls::Tls;
use self::transport::Pace;
use self::upstream::{Opener, Pool};
use crate::error::Error;
use crate::observe::figures::GateFigures;

/// The certificate of a CA of the server's own, in its folder.
pub const LOCAL_CA: &str = "local-ca.pem";
/// The key of that CA, beside it.
pub const LOCAL_CA_KEY: &str = "local-ca.key";

/// What the rest of the server says about a request whose head has been read, before its body is.
#[derive(Debug)]
pub enum Admission {
    /// Read the body, up to this many bytes (0: none is allowed), and pass the request on. Over it: 413.
    Accept {
        /// The body's limit, as sent (compressed).
        body_bytes_max: usize,
    },
    /// Give this answer and read no body.
    Refuse(Answer),
}

/// An answer that does not come from the engine. The gate adds `Content-Length` and `Connection`.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names and values; visible ASCII, no line ends.
    pub headers: Vec<(String, String)>,
    /// The body; left out by the gate if the request was a HEAD.
    pub body: Vec<u8>,
}

/// Decides on a request by its head. Called on the connection's thread, whose stack is small; may take its time, but
/// no lock that a worker needs while it waits for the gate.
pub type Admit = dyn Fn(&Head<'_>) -> Admission + Send + Sync;

/// How an answer looks that the gate gives by itself (400, 408, 413, 431, 503, …), from its status and a sentence.
/// The gate adds `Retry-After`.
pub type Refuse = dyn Fn(u16, &str) -> Answer + Send + Sync;

/// A running gate. Dropped without `stop`, it goes on until the process ends.
pub struct Gate {
    shared: Arc<Shared>,
    local_address: LocalAddress,
    wake: UnixStream,
    accept_thread: JoinHandle<()>,
    park_thread: JoinHandle<()>,
    rest_threads: [JoinHandle<()>; 2],
}

/// Tells how busy a gate is. Does not keep it alive.
pub struct Watch(Weak<Shared>);

impl Watch {
    /// Clients connected, how many of them are idle, and requests that wait for a worker; zeros after the end.
    pub fn figures(&self) -> GateFigures {
        self.0.upgrade().map_or(GateFigures::default(), |shared| GateFigures {
            n_connections: shared.table.len(),
            n_idle: shared.table.n_idle(),
            n_waiting: shared.pool.n_waiting(),
        })
    }
}

/// What all threads of a gate use.
struct Shared {
    settings: Settings,
    admit: Arc<Admit>,
    refuse: Arc<Refuse>,
    budget: Arc<Budget>,
    table: Table,
    rate: Option<Rate>,
    parking: Arc<Parking>,
    pool: Arc<Pool>,
    health_pool: Arc<Pool>,
    n_turned_away: AtomicUsize,
    /// Workers held by slow clients, see `relay.rs`.
    n_held: AtomicUsize,
    n_held_max: usize,
    is_stopping: AtomicBool,
}

impl Gate {
    /// Opens the warm connections to the engine that listens at `upstream`, then serves `listener`.
    ///
    /// There are `n_upstream` connections for requests and one more for health checks: with at least
    /// `n_upstream + 1` workers behind them, no request on them waits for a worker.
    /// Errors: `Error::Internal` if the engine cannot be reached or does not answer, or there are no threads.
    pub fn start(
        listener: Listener,
        upstream: &Path,
        n_upstream: usize,
        admit: Arc<Admit>,
        refuse: Arc<Refuse>,
        settings: Settings,
    ) -> Result<Gate, Error> {
        let failed = |error| Error::internal("start the gate", Box::new(error) as Box<_>);
        let local_address = listener.local_address().map_err(failed)?;
        listener.set_nonblocking().map_err(failed)?;
        listener.widen_backlog();
        let shared = Arc::new(Shared::new(upstream, n_upstream, admit, refuse, settings)?);
        let (wake, woken) = UnixStream::pair().map_err(failed)?;
        let for_thread = shared.clone();
        let accept_thread = std::thread::Builder::new()
            .name("gate-accept".into())
            .spawn(move || accept::run(&for_thread, &listener, &woken))
            .map_err(failed)?;
        let park_thread = Parking::start(&shared.parking).map_err(failed)?;
        shared.pool.open_more(n_upstream.saturating_sub(1))?;
        let rest_threads = [
            shared.pool.start_resting().map_err(failed)?,
            shared.health_pool.start_resting().map_err(failed)?,
        ];
        Ok(Gate { shared, local_address, wake, accept_thread, park_thread, rest_threads })
    }

    /// Where clients reach this gate.
    pub fn local_address(&self) -> &LocalAddress {
        &self.local_address
    }

    /// Clients connected now.
    pub fn n_connections(&self) -> usize {
        self.shared.table.len()
    }

    /// Of those, how many wait between two requests.
    pub fn n_idle(&self) -> usize {
        self.shared.table.n_idle()
    }

    /// Requests that wait for a worker now.
    pub fn n_waiting(&self) -> usize {
        self.shared.pool.n_waiting()
    }

    /// Connections to the engine that no request has now. Just after the start not all are open yet.
    pub fn n_free(&self) -> usize {
        self.shared.pool.n_free()
    }

    /// A look at the gate for monitors, for as long as it runs.
    pub fn watch(&self) -> Watch {
        Watch(Arc::downgrade(&self.shared))
    }

    /// Stops accepting, closes idle connections, lets requests in flight finish, and cuts what is left after
    /// `patience`. Returns when no connection is left, at the latest two seconds after that.
    pub fn stop(self, patience: Duration) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        drop(self.wake);
        // A panic of that thread has been printed; it has stopped either way.
        let _ = self.accept_thread.join();
        self.shared.drain(Instant::now() + patience, false);
        self.shared.drain(Instant::now() + Duration::from_secs(2), true);
        self.shared.pool.close();
        self.shared.health_pool.close();
        self.shared.parking.stop();
        // As above.
        let _ = self.park_thread.join();
        let _ = self.rest_threads.map(JoinHandle::join);
    }
}

impl Shared {
    fn new(
        upstream: &Path,
        n_upstream: usize,
        admit: Arc<Admit>,
        refuse: Arc<Refuse>,
        settings: Settings,
    ) -> Result<Shared, Error> {
        let probe_path = settings.health_paths.first().map_or("/healthz", String::as_str);
        let opener = Opener::new(upstream, probe_path, settings.answer_deadline);
        let (n_wait, n_same, patience) =
            (settings.waiting_max, settings.waiting_per_address_max, settings.waiting_deadline);
        let n_health = limits::WAITING_HEALTH_MAX;
        let parking = Parking::new().map_err(|error| Error::internal("watch idle connections", error))?;
        Ok(Shared {
            parking: Arc::new(parking),
            admit,
            refuse,
            budget: Budget::new(settings.bodies_bytes_max),
            table: Table::new(settings.connections_max, settings.connections_per_address_max),
            rate: settings.requests_per_sec_per_address_max.map(Rate::new),
            pool: Pool::open(opener.clone(), n_wait, n_same, patience)?,
            health_pool: Pool::open(opener, n_health, n_health, patience)?,
            n_turned_away: AtomicUsize::new(0),
            n_held: AtomicUsize::new(0),
            n_held_max: if n_upstream > 1 { (n_upstream / 4).max(1) } else { 0 },
            is_stopping: AtomicBool::new(false),
            settings,
        })
    }

    /// Waits until no connection is left, closing what is idle on the way; with `is_all`, everything.
    fn drain(&self, until: Instant, is_all: bool) {
        loop {
            self.table.shut_down(is_all);
            if self.table.len() == 0 || Instant::now() >= until {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn pace(&self) -> Pace {
        Pace {
            grace: self.settings.transfer_grace,
            bytes_per_sec_min: self.settings.transfer_bytes_per_sec_min,
        }
    }

    fn answer_to(&self, refusal: &Refusal) -> Answer {
        log::debug!("refused with {}: {}", refusal.status, refusal.sentence);
        let mut answer = (self.refuse)(refusal.status, &refusal.sentence);
        if let Some(secs) = refusal.retry_after_secs() {
            answer.headers.push(("Retry-After".into(), secs.to_string()));
        }
        answer
    }
}
