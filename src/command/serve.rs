//! Runs the server until it is told to stop.

use std::process::ExitCode;

use super::signal::StopSignals;
use super::{Invocation, print};
use crate::clock::Clock;
use crate::error::Error;
use crate::observe;
use crate::server::Server;

/// Serves until SIGINT or SIGTERM.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Error> {
    let config = invocation.config()?;
    observe::start_logging(config.log_level);
    let signals = StopSignals::block();
    let server = Server::start(config, Clock::default())?;
    print(&server.start_lines());
    signals.wait();
    log::info!("stopping: finishing what is in flight (a second signal ends at once)");
    std::thread::spawn(move || {
        signals.wait();
        std::process::exit(130);
    });
    server.stop();
    log::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
