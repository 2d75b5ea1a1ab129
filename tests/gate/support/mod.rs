//! A gate in front of a small engine of the same make as the real one, and a client that is a bare socket.

#[cfg(feature = "tls")]
#[allow(dead_code)] // Not for the benchmark.
pub mod anybody;
pub mod client;
#[allow(dead_code)] // Not for the benchmark.
pub mod damage;
pub mod engine;
pub mod folder;
pub mod process;
pub mod random;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pulumi_backend::error::Error;
use pulumi_backend::gate::{Admission, Answer, Gate, Head, Listener, LocalAddress, Settings};

use self::client::Client;
use self::engine::Engine;

/// No test waits longer than this for anything. A build machine may do ten other things.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What a well-behaved client waits at most while others misbehave. It is 100 ms on a machine that does nothing else;
/// one that is starved waits for the gate's deadlines of 30 s, or for ever.
pub const PROMPT: Duration = Duration::from_secs(20);

/// A gate, the engine behind it, and where to reach it.
pub struct TestGate {
    gate: Option<Gate>,
    pub engine: Engine,
    pub address: SocketAddr,
}

impl TestGate {
    pub fn start() -> TestGate {
        TestGate::start_with(Settings::default())
    }

    pub fn start_with(settings: Settings) -> TestGate {
        let engine = Engine::start();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = start_gate(Listener::Tcp(listener), &engine, settings);
        let LocalAddress::Tcp(address) = *gate.local_address() else { panic!("a TCP gate") };
        let gate = TestGate { gate: Some(gate), engine, address };
        gate.wait_until("all connections to the engine are open", |gate| gate.n_free() == engine::N_WORKERS);
        gate
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// A client that has been answered once, where connections that ask nothing are closed very soon.
    #[track_caller]
    pub fn connect_and_get(&self, target: &str) -> Client {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut client = self.connect();
            let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
            if let Some(reply) = client.try_send(request).then(|| client.try_reply(false)).flatten() {
                reply.expect(200);
                return client;
            }
            assert!(Instant::now() < deadline, "always closed before the request came");
        }
    }

    /// Waits until no client is connected.
    pub fn wait_for_no_connections(&self) {
        self.wait_until("all connections have ended", |gate| gate.n_connections() == 0);
    }

    /// Waits until no client is being served.
    pub fn wait_for_idle(&self) {
        self.wait_until("all connections are idle", |gate| gate.n_idle() == gate.n_connections());
    }

    /// Waits until so many requests wait for a worker.
    pub fn wait_for_waiting(&self, n: usize) {
        self.wait_until("requests wait for a worker", |gate| gate.n_waiting() == n);
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&Gate) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self.gate.as_ref().unwrap()) {
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn stop(mut self, patience: Duration) {
        self.gate.take().unwrap().stop(patience);
    }
}

impl Drop for TestGate {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.stop(Duration::ZERO);
        }
    }
}

pub fn start_gate(listener: Listener, engine: &Engine, settings: Settings) -> Gate {
    try_start_gate(listener, engine, settings).unwrap()
}

pub fn try_start_gate(listener: Listener, engine: &Engine, settings: Settings) -> Result<Gate, Error> {
    let (admit, refuse) = (Arc::new(admit), Arc::new(refuse));
    Gate::start(listener, &engine.path, engine::N_WORKERS, admit, refuse, settings)
}

/// `/no-body` takes none, `/small` 16 bytes, `/secret` asks for a token, everything else takes 64 MiB.
fn admit(head: &Head) -> Admission {
    match head.path() {
        "/no-body" => Admission::Accept { body_bytes_max: 0 },
        "/small" => Admission::Accept { body_bytes_max: 16 },
        "/secret" if head.header("authorization") != Some("token right") => {
            Admission::Refuse(refuse(401, "who are you?"))
        }
        "/panic-in-admit" => panic!("a test's panic in admit"),
        _ => Admission::Accept { body_bytes_max: 64 << 20 },
    }
}

fn refuse(status: u16, sentence: &str) -> Answer {
    let body = format!("{{\"code\":{status},\"message\":{sentence:?}}}");
    let headers = vec![("Content-Type".to_string(), "application/json".to_string())];
    Answer { status, headers, body: body.into_bytes() }
}
