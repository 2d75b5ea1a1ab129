//! What of the gate can be set. Every default is in `limits.rs`, with its reason.

use std::sync::Arc;
use std::time::Duration;

use super::limits::*;
use super::proxies::TrustedProxies;
use super::tls::Tls;

/// The gate's ceilings and deadlines.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections in all. At the cap the one that has been idle longest is closed for a new one.
    pub connections_max: usize,
    /// Connections of one address; connections over a Unix socket do not count.
    pub connections_per_address_max: usize,
    /// Request line and fields, in bytes. Over it: 431.
    pub head_bytes_max: usize,
    /// Fields in a head. Over it: 431.
    pub head_fields_max: usize,
    /// Path and query, in bytes. Over it: 414.
    pub target_bytes_max: usize,
    /// Memory for request and response bodies, in all. At its end: 503.
    pub bodies_bytes_max: usize,
    /// Requests that may wait for a worker, in all. Over it: 503.
    pub waiting_max: usize,
    /// Requests of one address that may wait for a worker. Over it: 503.
    pub waiting_per_address_max: usize,
    /// How long a request waits for a worker. Past it: 503.
    pub waiting_deadline: Duration,
    /// From a head's first byte to its last, and for a TLS handshake. Past it: 408.
    pub head_deadline: Duration,
    /// What a body or an answer may stand still, and what it gets before its pace on the whole counts.
    pub transfer_grace: Duration,
    /// The pace at which a body or an answer must move on the whole.
    pub transfer_bytes_per_sec_min: u64,
    /// The server's work on one request. Past it: 504.
    pub answer_deadline: Duration,
    /// Between two requests, and before the first.
    pub idle_deadline: Duration,
    /// Without a request for so long, a connection gives its thread back (on Linux).
    pub park_after: Duration,
    /// Paths that are answered over a connection of their own when all others are busy. The first one is also
    /// the probe that proves a new upstream connection.
    pub health_paths: Vec<String>,
    /// Requests of one address in a second, on the whole. Over it: 503, because the CLI repeats that and, before
    /// version 3.256, not a 429. None: any number.
    pub requests_per_sec_per_address_max: Option<u32>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` count. Their connections are not capped per address.
    pub trusted_proxies: TrustedProxies,
    /// Names and values that every answer carries which has none of that name.
    pub common_fields: Vec<(&'static str, &'static str)>,
    /// With it, clients must speak TLS.
    pub tls: Option<Arc<Tls>>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            connections_max: CONNECTIONS_MAX,
            connections_per_address_max: CONNECTIONS_PER_ADDRESS_MAX,
            head_bytes_max: HEAD_BYTES_MAX,
            head_fields_max: HEAD_FIELDS_MAX,
            target_bytes_max: TARGET_BYTES_MAX,
            bodies_bytes_max: BODIES_BYTES_MAX,
            waiting_max: WAITING_MAX,
            waiting_per_address_max: WAITING_PER_ADDRESS_MAX,
            waiting_deadline: WAITING_DEADLINE,
            head_deadline: HEAD_DEADLINE,
            transfer_grace: TRANSFER_GRACE,
            transfer_bytes_per_sec_min: TRANSFER_BYTES_PER_SEC_MIN,
            answer_deadline: ANSWER_DEADLINE,
            idle_deadline: IDLE_DEADLINE,
            park_after: PARK_AFTER,
            health_paths: vec!["/healthz".into(), "/readyz".into()],
            requests_per_sec_per_address_max: None,
            trusted_proxies: TrustedProxies::default(),
            common_fields: Vec::new(),
            tls: None,
        }
    }
}
