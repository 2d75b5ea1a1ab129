//! The gate's ceilings and deadlines: a name, a unit, one line of why. `Settings` starts from these.

use std::time::Duration;

/// Connections in all. Each costs a thread while it is active; see `CONNECTION_STACK_BYTES`.
pub const CONNECTIONS_MAX: usize = 1024;
/// Connections of one address (one /64 for IPv6): half of all, so that one stranger cannot take the house.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = CONNECTIONS_MAX / 2;
/// Connections over the cap that are still told 503; more are dropped without a word.
pub const CONNECTIONS_TURNED_AWAY_MAX: usize = 64;
/// Stack of a connection's thread: reserved, not touched; room for a TLS handshake in a debug build.
pub const CONNECTION_STACK_BYTES: usize = 256 * 1024;

/// Request line and fields. The CLI's largest are 2 KiB, a single sign-on cookie can be 8.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Fields in a head or in a trailer. The CLI sends 10.
pub const HEAD_FIELDS_MAX: usize = 100;
/// Path and query. Leaves room for the fields under `HEAD_BYTES_MAX`.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// Values of `Connection` together. Each word in them is compared with each field's name.
pub const CONNECTION_BYTES_MAX: usize = 1024;
/// One chunk-size line with its extensions, which nobody uses.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Trailer fields after a chunked body; they are checked and thrown away.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// What is read from a socket at once, and the memory an idle connection keeps.
pub const READ_BUFFER_BYTES: usize = 8 * 1024;
/// A body up to this size is copied behind its head, so that both leave in one write.
pub const ONE_WRITE_BYTES: usize = 16 * 1024;
/// Memory a connection may keep for its next request; a larger buffer is given back.
pub const KEPT_BUFFER_BYTES: usize = 64 * 1024;

/// Request and response bodies held in memory, in all. At its end new bodies are refused with 503;
/// what slow readers leave lying may take half of it.
pub const BODIES_BYTES_MAX: usize = 256 * 1024 * 1024;
/// A response up to this size is read whole, so that its worker is free before the client has read any.
pub const RESPONSE_WHOLE_BYTES_MAX: usize = 1024 * 1024;
/// A larger response goes through in pieces of this size.
pub const RESPONSE_PIECE_BYTES: usize = 256 * 1024;
/// How long one piece may hold a worker while the client takes it (64 MiB/s); then it is buffered.
pub const RESPONSE_PIECE_PATIENCE: Duration = Duration::from_millis(4);
/// The server's own response heads. It writes well under 4 KiB.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;

/// Requests that wait for a worker, in all: as many as there may be connections, for each has one at a time, which is
/// whole and in memory already. At 1 ms a request and 4 workers this is 256 ms of work.
pub const WAITING_MAX: usize = CONNECTIONS_MAX;
/// Connections that have not been accepted yet; the system drops more, and their clients try again a second later.
pub const BACKLOG_CONNECTIONS: i32 = CONNECTIONS_MAX as i32;
/// Requests of one address that wait for a worker: half, so that the other half is for everybody else.
pub const WAITING_PER_ADDRESS_MAX: usize = WAITING_MAX / 2;
/// Health checks that wait for their own upstream connection.
pub const WAITING_HEALTH_MAX: usize = 16;
/// How long a request waits for a worker before it is told to come again.
pub const WAITING_DEADLINE: Duration = Duration::from_secs(10);

/// A request that has waited so long has the next free connection to itself.
pub const WAITING_PATIENCE: Duration = Duration::from_millis(2);

/// A warm connection on which nothing has been asked for so long is replaced by a new one: what the engine still holds of
/// its last request is gone then.
pub const LINK_REST: Duration = Duration::from_secs(1);

/// How long an answer is waited for without sleep: what a small call takes, its commit included. See `awake`.
pub const ANSWER_AWAKE: Duration = Duration::from_millis(1);
/// How long the next request of a client that has just had an answer is waited for without sleep.
pub const REQUEST_AWAKE: Duration = Duration::from_micros(100);

/// Addresses whose request rate is remembered, about 1 MiB of them.
pub const RATE_ADDRESSES_MAX: usize = 16 * 1024;
/// What an address may ask for at once: so many seconds of its rate. An `up` begins with a burst.
pub const RATE_BURST_SECS: f64 = 4.0;

/// A head, from its first byte. The TLS handshake has as much.
pub const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// What a body or an answer may stand still, and what it gets before its pace on the whole counts.
pub const TRANSFER_GRACE: Duration = Duration::from_secs(30);
/// Slower than this on the whole is not a slow uplink but a held connection. 32 kbit/s.
pub const TRANSFER_BYTES_PER_SEC_MIN: u64 = 4 * 1024;
/// The server's work on one request, from the last byte sent to it to the first byte of its answer.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(120);
/// Between two requests. Longer than the 90 s of Go's client, so that the client closes first and no POST meets a closing server.
pub const IDLE_DEADLINE: Duration = Duration::from_secs(120);
/// After so long without a request a connection gives its thread back. A burst of requests never gets there.
pub const PARK_AFTER: Duration = Duration::from_secs(1);
/// How long a client that is still sending is listened to after an early error, so that it can read the answer.
pub const LINGER_DEADLINE: Duration = Duration::from_secs(2);
/// How much of that is read at most.
pub const LINGER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a refused client is told to wait.
pub const RETRY_AFTER_SECS: u32 = 1;
/// After an accept that failed for want of descriptors or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(25);
