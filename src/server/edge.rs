//! The gate and the workers behind it, joined by a socket that only this user can reach.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::call::Door;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::edge::TlsSource;
use crate::error::Error;
use crate::gate::{
    Admission, Answer, Gate, Head, Listener, LocalAddress, Settings, Tls, TrustedProxies, Watch,
};
use crate::http::workers::Workers;
use crate::http::{Request, Response};
use crate::routes::dispatch;

/// A body larger than this is only read from somebody who may send it.
const LARGE_BODY_BYTES: usize = 64 << 10;
/// On every answer: it is data for the one who asked, no page of ours to be shown inside of another, and nothing to keep.
pub(super) const COMMON_FIELDS: [(&str, &str); 4] = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
];
/// How long requests in flight may take to end when the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Where requests come in and are worked on.
pub struct Edge {
    gate: Gate,
    workers: Workers,
    tls: Option<Arc<Tls>>,
}

impl Edge {
    /// Starts the workers on the private `socket`, then the gate in front of them.
    pub fn start(app: &Arc<App>, listener: Listener, socket: &Path) -> Result<Edge, Error> {
        let settings = settings(&app.config, &app.clock)?;
        Edge::with_workers(app, listener, socket, app.config.n_workers, Door::Network, settings)
    }

    /// As `start`, for monitors only: one of them at a time, no other route, and no TLS.
    pub fn for_monitors(app: &Arc<App>, listener: Listener, socket: &Path) -> Result<Edge, Error> {
        let settings = Settings { common_fields: COMMON_FIELDS.into(), ..Settings::default() };
        Edge::with_workers(app, listener, socket, 1, Door::Management, settings)
    }

    /// How busy the gate is.
    pub fn watch(&self) -> Watch {
        self.gate.watch()
    }

    /// Where clients reach it.
    pub fn address(&self) -> &LocalAddress {
        self.gate.local_address()
    }

    /// Whether clients must speak TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// With a CA of its own: the line for a shell that makes `pulumi` trust it.
    pub fn trust_line(&self) -> Option<String> {
        self.tls.as_ref().and_then(|tls| tls.trust_line())
    }

    fn with_workers(
        app: &Arc<App>,
        listener: Listener,
        socket: &Path,
        n_upstream: usize,
        door: Door,
        settings: Settings,
    ) -> Result<Edge, Error> {
        let inner = UnixListener::bind(socket)
            .map_err(|cause| Error::internal(format!("listen on {}", socket.display()), cause))?;
        let answering = app.clone();
        let answer = move |request: &mut Request| dispatch::dispatch(&answering, request, door);
        // One more than the gate keeps busy: health checks always find a free one.
        let workers = Workers::start(inner.into(), n_upstream + 1, Arc::new(answer), dispatch::after_panic)?;
        let tls = settings.tls.clone();
        let gate = start_gate(app, listener, socket, n_upstream, settings)?;
        Ok(Edge { gate, workers, tls })
    }

    /// Takes no more connections, finishes what is in flight, ends the workers.
    pub fn stop(self) {
        self.gate.stop(STOP_PATIENCE);
        self.workers.stop();
    }
}

/// The gate's settings as an administrator has set them.
fn settings(config: &Config, clock: &Clock) -> Result<Settings, Error> {
    let edge = &config.edge;
    let n_connections = edge.connections_max;
    let tls = match &edge.tls {
        Some(TlsSource::Files { certificate, key }) => Some(Tls::from_files(certificate, key)?),
        Some(TlsSource::LocalCa { folder, names }) => Some(Tls::from_local_ca(folder, names, clock.clone())?),
        None => None,
    };
    Ok(Settings {
        connections_max: n_connections,
        connections_per_address_max: n_connections / 2,
        waiting_max: n_connections,
        waiting_per_address_max: n_connections / 2,
        bodies_bytes_max: edge.bodies_bytes_max,
        requests_per_sec_per_address_max: edge.requests_per_sec_per_address_max,
        trusted_proxies: TrustedProxies::parse(&edge.trusted_proxies)?,
        common_fields: COMMON_FIELDS.into(),
        tls: tls.map(Arc::new),
        ..Settings::default()
    })
}

fn start_gate(
    app: &Arc<App>,
    listener: Listener,
    socket: &Path,
    n_upstream: usize,
    settings: Settings,
) -> Result<Gate, Error> {
    let admitting = app.clone();
    let admit = move |head: &Head<'_>| admission(&admitting, head);
    let refuse = |status: u16, sentence: &str| answer(dispatch::refuse(status, sentence));
    Gate::start(listener, socket, n_upstream, Arc::new(admit), Arc::new(refuse), settings)
}

fn admission(app: &App, head: &Head<'_>) -> Admission {
    let announced = head.header("Content-Length").map(|text| text.parse().unwrap_or(usize::MAX));
    let is_large = announced.map_or(head.header("Transfer-Encoding").is_some(), |n| n > LARGE_BODY_BYTES);
    let authorization = head.header("Authorization").unwrap_or("");
    let address = head.peer.to_string();
    match dispatch::admit(app, head.method, head.path(), authorization, &address, is_large) {
        Ok(body_bytes_max) => Admission::Accept { body_bytes_max },
        Err(response) => Admission::Refuse(answer(response)),
    }
}

/// The gate has its own idea of an answer, for it knows nothing of ours.
fn answer(response: Response) -> Answer {
    let status = response.status;
    let (headers, body) = response.into_wire(false);
    let headers = headers.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    Answer { status, headers, body: body.as_slice().to_vec() }
}
