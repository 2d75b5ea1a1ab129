//! Server: starts store, writer, workers and gate, and stops them in reverse. `main` and tests both use it.

mod edge;
mod key;
mod lock;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select, tick};

use self::edge::Edge;
use self::key::KeyOrigin;
use crate::app::App;
use crate::cache::ExportCache;
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::keyring::Keyring;
use crate::error::Error;
use crate::limits;
use crate::state;
use crate::store::{self, Store};

/// A running server.
pub struct Server {
    app: Arc<App>,
    edge: Edge,
    housekeeper: Housekeeper,
    address: SocketAddr,
    key_origin: KeyOrigin,
    _lock: lock::Lock,
}

impl Server {
    /// Opens the data and begins to serve. `clock` is the system's, or a test's.
    ///
    /// Errors: an address beyond loopback (there is no access control yet), a taken port, a foreign or lost key,
    /// another server on the same data.
    pub fn start(config: Config, clock: Clock) -> Result<Server, Error> {
        refuse_beyond_loopback(&config)?;
        warn_of_short_lease(config.lease_secs);
        let lock = lock::Lock::take(&config.db)?;
        let (master_key, key_origin) = key::load(&config)?;
        let store = Store::open(&config.db)?;
        let keyring = Keyring::new(&master_key);
        key::check(&store, &keyring)?;

        let listener = TcpListener::bind(config.addr)
            .map_err(|cause| Error::internal(format!("listen on {}", config.addr), cause))?;
        let address = listener.local_addr().map_err(|cause| Error::internal("read the address", cause))?;
        let exports = ExportCache::new(config.cache_bytes);
        let (warm, to_warm) = bounded(1);
        let app = Arc::new(App { store, keyring, exports, warm, clock, config });
        let edge = Edge::start(&app, listener)?;
        let housekeeper = Housekeeper::start(app.clone(), to_warm)?;
        Ok(Server { app, edge, housekeeper, address, key_origin, _lock: lock })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a person should know who has just started it.
    pub fn start_lines(&self) -> String {
        let config = &self.app.config;
        let full =
            |path: &std::path::Path| std::path::absolute(path).unwrap_or(path.into()).display().to_string();
        let (db, key) = (full(&config.db), full(&config.master_key_file));
        let mut lines =
            format!("pulumi-backend {}\n  data    {db}\n  key     {key}\n", env!("CARGO_PKG_VERSION"));
        if self.key_origin == KeyOrigin::Made {
            lines.push_str(
                "          made just now. Without it no secret can ever be read again:\n          \
                 keep a copy of it, and not beside the backups of the data.\n",
            );
        }
        lines.push_str(&format!(
            "  access  open: on this machine, every token is the user '{}' of organization '{}'\n",
            config.user, config.org
        ));
        let shown = self.address.to_string().replace("127.0.0.1:", "localhost:");
        lines.push_str(&format!("listening on http://{}\n\n  pulumi login http://{shown}\n\n", self.address));
        lines
    }

    /// Finishes what is in flight, commits, closes.
    pub fn stop(self) {
        self.edge.stop();
        self.housekeeper.stop();
        match Arc::try_unwrap(self.app) {
            Ok(app) => app.store.close(),
            Err(_) => log::warn!("something still uses the database; it is closed with the process"),
        }
    }
}

fn refuse_beyond_loopback(config: &Config) -> Result<(), Error> {
    if config.addr.ip().is_loopback() {
        return Ok(());
    }
    Err(Error::invalid(
        "addr",
        format!(
            "{} can be reached from other machines, and this server has no users yet: everybody could read every \
             secret. Listen on 127.0.0.1 (--addr 127.0.0.1:{}) and reach it through an SSH tunnel or a proxy that \
             checks who calls",
            config.addr,
            config.addr.port()
        ),
    ))
}

/// The CLI renews a lease when less than half of 300 seconds are left, whatever it was told.
fn warn_of_short_lease(lease_secs: i64) {
    if lease_secs < limits::LEASE_SECS {
        log::warn!(
            "--lease-duration {lease_secs}: the CLI counts on {} seconds; a longer update may lose its lease",
            limits::LEASE_SECS
        );
    }
}

/// Looks after what nobody asks for: leases that have run out, exports that will be asked for.
struct Housekeeper {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Housekeeper {
    fn start(app: Arc<App>, to_warm: Receiver<i64>) -> Result<Housekeeper, Error> {
        let (stop, stopped) = bounded::<()>(1);
        let ticks = tick(Duration::from_millis(limits::HOUSEKEEPING_MILLIS));
        let run = move || loop {
            let done = select! {
                recv(stopped) -> _ => break,
                recv(ticks) -> _ => state::end_expired(&app).and_then(|()| state::collect_runs(&app)),
                recv(to_warm) -> stack_id => stack_id.map_or(Ok(()), |stack_id| state::warm(&app, stack_id)),
            };
            match done {
                // The stack was deleted meanwhile.
                Ok(()) | Err(Error::NotFound(_)) => {}
                Err(cause) => log::error!("housekeeping: {cause}"),
            }
        };
        let thread = std::thread::Builder::new().name("housekeeper".into()).spawn(run);
        let thread = thread.map_err(|cause| Error::internal("start the housekeeper", cause))?;
        Ok(Housekeeper { stop, thread })
    }

    fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            log::error!("the housekeeper had panicked");
        }
    }
}

/// The canary's place in the database.
const CANARY: &str = store::meta::CANARY;
