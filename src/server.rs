//! Server: starts store, writer, workers and gate, and stops them in reverse. `main` and tests both use it.

mod backups;
pub mod control;
mod edge;
mod folder;
mod housekeeper;
mod listen;
mod lock;
pub mod restore;
mod settings;

use std::sync::{Arc, OnceLock};

use crossbeam_channel::{Receiver, bounded};

use self::backups::Backups;
use self::control::Control;
use self::edge::Edge;
use self::folder::PrivateFolder;
use self::housekeeper::Housekeeper;
use crate::app::App;
use crate::app::backups::{Desk, Order};
use crate::cache::ExportCache;
use crate::cache::kept::Kept;
use crate::cache::last_text::LastText;
use crate::clock::Clock;
use crate::config::{Addr, Config};
use crate::crypto::hash_key::HashKey;
use crate::crypto::token;
use crate::error::Error;
use crate::gate::{Listener, LocalAddress};
use crate::limits;
use crate::ops::backup::scratch;
use crate::ops::key_source;
use crate::outbound::key_set::KeySets;
use crate::pace::Works;
use crate::recent::Recent;
use crate::store::meta::Ping;
use crate::store::{self, Store};

/// A running server.
pub struct Server {
    data: Data,
    control: Control,
    backups: Backups,
    front: Option<Front>,
}

/// The data, opened: nobody else has it.
struct Data {
    app: Arc<App>,
    to_warm: Receiver<i64>,
    orders: Receiver<Order>,
    is_key_made: bool,
    _lock: lock::Lock,
}

/// What serves the network.
struct Front {
    edge: Edge,
    monitors: Option<Edge>,
    housekeeper: Housekeeper,
    /// Of the sockets between gate and workers.
    _folder: PrivateFolder,
}

impl Server {
    /// Opens the data and begins to serve. `clock` is the system's, or a test's.
    ///
    /// Errors: an address beyond loopback without users or TLS, a taken port, a foreign or lost key, another server
    /// on the same data.
    pub fn start(config: Config, clock: Clock) -> Result<Server, Error> {
        warn_of_short_lease(config.lease_secs);
        config.remarks.iter().for_each(|remark| log::warn!("{remark}"));
        let listener = listen::listen(&config.addr)?;
        if !config.db.exists() {
            // Before anything is made that would be left behind.
            refuse_unsafe_address(&listener, &config, false)?;
        }
        let data = Data::open(config, clock)?;
        refuse_unsafe_address(&listener, &data.app.config, data.has_users()?)?;
        data.warn_of_lost_users();
        settings::record_changes(&data.app)?;
        let front = Front::start(&data, listener)?;
        let backups = Backups::start(&data.app, &data.orders, true)?;
        let control = Control::start(&data.app)?;
        Ok(Server { data, control, backups, front: Some(front) })
    }

    /// Opens the data for a command on this machine: only the control socket is served.
    pub fn start_local(config: Config, clock: Clock) -> Result<Server, Error> {
        let data = Data::open(config, clock)?;
        let backups = Backups::start(&data.app, &data.orders, false)?;
        let control = Control::start(&data.app)?;
        Ok(Server { data, control, backups, front: None })
    }

    /// Where it listens, if it serves the network.
    pub fn address(&self) -> Option<&LocalAddress> {
        self.front.as_ref().map(|front| front.edge.address())
    }

    /// A look at whether it is well, for as long as it runs: the writer commits.
    pub fn pulse(&self) -> impl Fn() -> Result<(), Error> + Send + 'static {
        let app = Arc::downgrade(&self.data.app);
        move || app.upgrade().map_or(Ok(()), |app| app.store.write(Ping))
    }

    /// What a person should know who has just started it.
    pub fn start_lines(&self) -> String {
        let config = &self.data.app.config;
        let full =
            |path: &std::path::Path| std::path::absolute(path).unwrap_or(path.into()).display().to_string();
        let (db, key) = (full(&config.db), &config.key_source);
        let mut lines =
            format!("pulumi-backend {}\n  data    {db}\n  key     {key}\n", env!("CARGO_PKG_VERSION"));
        if self.data.is_key_made {
            lines.push_str(
                "          made just now. Without this file no state and no secret can ever be read again.\n          \
                 Copy it to a safe place now, apart from the backups of the data:\n          \
                 who has both can read everything, who has only one can read nothing.\n",
            );
        }
        lines.push_str(&format!("  access  {}\n", self.data.access_line()));
        if let Some(monitors) = self.front.as_ref().and_then(|front| front.monitors.as_ref()) {
            lines.push_str(&format!("monitors on {}\n", shown(monitors.address(), false)));
        }
        lines.push_str(&self.tls_line().unwrap_or_default());
        let is_tls = self.front.as_ref().is_some_and(|front| front.edge.is_tls());
        match self.address() {
            Some(address @ LocalAddress::Tcp(_)) => {
                let url = shown(address, is_tls);
                let local = url.replace("127.0.0.1:", "localhost:");
                lines.push_str(&format!("listening on {url}\n\n  pulumi login {local}\n\n"));
            }
            Some(address) => lines.push_str(&format!("listening on {}\n", shown(address, is_tls))),
            None => {}
        }
        lines
    }

    /// What machines have to be told that have never heard of the server's own CA.
    fn tls_line(&self) -> Option<String> {
        let trust_line = self.front.as_ref()?.edge.trust_line()?;
        Some(format!(
            "  tls     by a CA of its own. Each machine that runs pulumi trusts it with a copy of this file and the line\n          \
             {trust_line}\n"
        ))
    }

    /// Finishes what is in flight, commits, closes.
    pub fn stop(self) {
        if let Some(front) = self.front {
            front.edge.stop();
            if let Some(monitors) = front.monitors {
                monitors.stop();
            }
            front.housekeeper.stop();
        }
        // While those who wait for one can still be told.
        self.backups.stop();
        self.control.stop();
        self.data.close();
    }
}

impl Data {
    fn open(config: Config, clock: Clock) -> Result<Data, Error> {
        let lock = lock::Lock::take(&config.db)?;
        scratch::sweep(&config.db);
        let loaded = key_source::load(&config)?;
        let row_hasher = loaded.keyring.server().keyed_hasher("row");
        let store = Store::open(&config.db, row_hasher, loaded.first_keys())?;
        let audit_key = Arc::new(HashKey::new(loaded.keyring.server(), store::audit::KEY));
        let single_token = config.single_tenant_token.as_ref().map(|secret| token::hash(secret.reveal()));
        let key_sets = KeySets::new(config.issuer_ca_file.clone());
        let recent = Recent::new(config.wrong_tokens_max);
        let exports = ExportCache::new(config.cache_bytes);
        let (warm, to_warm) = bounded(1);
        let (to_make, orders) = bounded(1);
        let app = Arc::new(App {
            store,
            keyring: loaded.keyring,
            audit_key,
            single_token,
            key_sets,
            recent,
            exports,
            bases: Kept::new(limits::BASE_RESOURCES_MAX, |sketch| {
                limits::BASE_OVERHEAD + sketch.n_resources()
            }),
            last_texts: Kept::new(limits::LAST_TEXT_BYTES_MAX, LastText::n_bytes),
            marks: Kept::new(limits::MARKS_CACHED_MAX, |stored| 100 + stored.marks.list().len()),
            warm,
            backups: Desk::new(to_make),
            works: Works::default(),
            clock,
            gate: OnceLock::new(),
            config,
        });
        Ok(Data { app, to_warm, orders, is_key_made: loaded.is_file_made, _lock: lock })
    }

    /// Commits and closes.
    fn close(self) {
        match Arc::try_unwrap(self.app) {
            Ok(app) => app.store.close(),
            Err(_) => log::warn!("something still uses the database; it is closed with the process"),
        }
    }

    fn has_users(&self) -> Result<bool, Error> {
        self.app.store.read(store::account::has_users)
    }

    /// Without its users nobody gets in; that has a way out.
    fn warn_of_lost_users(&self) {
        if let Err(cause) = self.app.store.read(store::account::check_total) {
            log::error!(
                "{cause}. The server stays closed to all but those who are left. Restore a backup; if no user is left, \
                 pulumi-backend user add NAME --admin on this machine makes one"
            );
        }
    }

    /// The mode, for a person who has just started the server.
    fn access_line(&self) -> String {
        let config = &self.app.config;
        match (self.has_users(), &config.single_tenant_token) {
            (Ok(false), None) => format!(
                "open: on this machine, every token is the user '{}' of organization '{}'",
                config.user, config.org
            ),
            (Ok(false), Some(_)) => format!(
                "one token, that of the user '{}', an administrator of organization '{}'",
                config.user, config.org
            ),
            (Ok(true), Some(_)) => {
                format!("tokens of users, and the one of --single-tenant-token for '{}'", config.user)
            }
            (Ok(true), None) => "tokens of users (pulumi-backend user list)".into(),
            (Err(cause), _) => format!("unknown: {cause}"),
        }
    }
}

impl Front {
    fn start(data: &Data, listener: Listener) -> Result<Front, Error> {
        let app = &data.app;
        let folder = PrivateFolder::make(&app.config.db)?;
        let monitors = match app.config.management_addr {
            Some(addr) => {
                if !addr.ip().is_loopback() {
                    log::warn!(
                        "--management-addr {addr}: everybody who can reach it sees figures of this server"
                    );
                }
                let listener = listen::open(&Addr::Tcp(addr))?;
                Some(Edge::for_monitors(app, listener, &folder.socket("monitors"))?)
            }
            None => None,
        };
        let edge = Edge::start(app, listener, &folder.socket("http"))?;
        let watch = edge.watch();
        let is_first = app.gate.set(Box::new(move || watch.figures())).is_ok();
        assert!(is_first, "an app has one gate");
        let housekeeper = Housekeeper::start(app.clone(), data.to_warm.clone())?;
        Ok(Front { edge, monitors, housekeeper, _folder: folder })
    }
}

/// Whoever could listen on the way, or just call, must not get at secrets.
fn refuse_unsafe_address(listener: &Listener, config: &Config, has_users: bool) -> Result<(), Error> {
    let Listener::Tcp(tcp) = listener else { return Ok(()) };
    let addr = tcp.local_addr().map_err(|cause| Error::internal("read the address", cause))?;
    if addr.ip().is_loopback() {
        return Ok(());
    }
    let port = addr.port();
    if !has_users && config.single_tenant_token.is_none() {
        return Err(Error::invalid(
            "addr",
            format!(
                "{addr} can be reached from other machines, and there are no users: everybody could read every \
                 secret. Add the first user (pulumi-backend user add NAME --admin), give one token for all \
                 (--single-tenant-token), or listen on this machine only (--addr 127.0.0.1:{port})"
            ),
        ));
    }
    if !config.has_tls() && !config.behind_proxy {
        return Err(Error::invalid(
            "addr",
            format!(
                "{addr} can be reached from other machines, and without TLS everybody on the way could read tokens \
                 and secrets. Give a certificate (--tls-cert, --tls-key, or --tls-local-ca NAMES for one of its own), let a \
                 proxy do TLS and say so (--behind-proxy), or listen on this machine only (--addr 127.0.0.1:{port})"
            ),
        ));
    }
    Ok(())
}

/// As in `pulumi login`.
fn shown(address: &LocalAddress, is_tls: bool) -> String {
    match address {
        LocalAddress::Tcp(address) if is_tls => format!("https://{address}"),
        LocalAddress::Tcp(address) => format!("http://{address}"),
        LocalAddress::Unix(Some(path)) => format!("unix:{}", path.display()),
        LocalAddress::Unix(None) => "an inherited socket".into(),
    }
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
