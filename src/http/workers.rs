//! The fixed pool of workers on tiny_http, behind the gate. It is given the function that answers a request.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use tiny_http::{Header, Listener, Server, StatusCode};

use super::{Body, Method, Request, Response};
use crate::error::Error;
use crate::memory;

/// Answers one request. A panic in it is answered for by the `Fallback`.
pub type Handler = dyn Fn(&mut Request) -> Response + Send + Sync;
/// What is answered when the handler panicked.
pub type Fallback = fn() -> Response;

/// An answer up to this size is copied behind its head, so that both leave in one write.
const ONE_WRITE_BYTES: usize = 64 << 10;
/// Room for the head of an answer.
const HEAD_BYTES: usize = 512;

/// Workers that take requests off one tiny_http server.
pub struct Workers {
    server: Arc<Server>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `n_workers` threads on `listener`.
    pub fn start(
        listener: Listener,
        n_workers: usize,
        handler: Arc<Handler>,
        fallback: Fallback,
    ) -> Result<Workers, Error> {
        let server = Server::from_listener(listener, None);
        let server = Arc::new(server.map_err(|cause| Error::internal("start the HTTP server", cause))?);
        let threads = (0..n_workers).map(|n| {
            let (server, handler) = (server.clone(), handler.clone());
            let run = move || work(&server, handler.as_ref(), fallback);
            std::thread::Builder::new().name(format!("worker-{n}")).spawn(run)
        });
        let threads = threads.collect::<Result<_, _>>();
        let threads = threads.map_err(|cause| Error::internal("start the workers", cause))?;
        Ok(Workers { server, threads })
    }

    /// Lets each worker finish what it has and ends it.
    pub fn stop(self) {
        for _ in &self.threads {
            self.server.unblock();
        }
        for thread in self.threads {
            if thread.join().is_err() {
                log::error!("a worker had panicked outside of a request");
            }
        }
    }
}

fn work(server: &Server, handler: &Handler, fallback: Fallback) {
    // `unblock` ends `recv` with an error; so does a broken listener, and then there is no more work either.
    while let Ok(wire) = server.recv() {
        let mut request = Request::new(wire);
        let answered = catch_unwind(AssertUnwindSafe(|| handler(&mut request)));
        let response = answered.unwrap_or_else(|_| fallback());
        if let Err(cause) = send(request, response) {
            log::debug!("the client did not wait for its answer: {cause}");
        }
        memory::wipe_stack();
    }
}

/// Writes the answer with its exact length, never in chunks.
fn send(request: Request, response: Response) -> std::io::Result<()> {
    let accepts_gzip = request.accepts_gzip();
    let status = response.status;
    let has_body = !matches!(response.body, Body::Empty);
    let (headers, bytes) = response.into_wire(accepts_gzip);
    // Our own names and values, all plain ASCII; one that is not would be a mistake that costs this header only.
    let headers =
        headers.into_iter().filter_map(|(name, value)| Header::from_bytes(name, value).ok()).collect();
    let bytes = bytes.as_slice();
    let n_bytes = (has_body || status != 204).then_some(bytes.len());
    let wire = tiny_http::Response::new(StatusCode(status), headers, bytes, n_bytes, None)
        .with_chunked_threshold(usize::MAX);
    let (is_head, request) = (request.method == Method::Head, request.into_wire());
    if bytes.len() > ONE_WRITE_BYTES {
        return request.respond(wire);
    }
    // The engine writes the head by itself, which wakes the gate twice.
    let mut out = Vec::with_capacity(HEAD_BYTES + bytes.len());
    wire.raw_print(&mut out, request.http_version().clone(), request.headers(), is_head, None)?;
    let mut writer = request.into_writer();
    writer.write_all(&out)?;
    writer.flush()
}
