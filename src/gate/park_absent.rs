//! Where the system has no epoll, an idle connection keeps its thread.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::connection::Connection;

pub(super) struct Parking;

impl Parking {
    pub fn new() -> io::Result<Parking> {
        Ok(Parking)
    }

    pub fn park(&self, connection: Box<Connection>) -> Result<(), Box<Connection>> {
        Err(connection)
    }

    /// A thread with nothing to do, so that starting and stopping are the same everywhere.
    pub fn start(_parking: &Arc<Parking>) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().spawn(|| {})
    }

    pub fn stop(&self) {}
}
