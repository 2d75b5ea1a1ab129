//! Runs the server until it is told to stop.

use std::process::ExitCode;

use super::notify::Notify;
use super::signal::StopSignals;
use super::{Invocation, core_dump, print};
use crate::clock::Clock;
use crate::error::Error;
use crate::memory;
use crate::observe;
use crate::server::Server;

/// Serves until SIGINT or SIGTERM.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Error> {
    let config = invocation.config()?;
    observe::start_logging(config.log_level, config.log_format);
    core_dump::forbid();
    memory::share_pools();
    let signals = StopSignals::block();
    let server = Server::start(config, Clock::default())?;
    print(&server.start_lines());
    let notify = Notify::new();
    notify.send("READY=1");
    let watchdog = notify.start_watchdog(server.pulse());
    signals.wait();
    notify.send("STOPPING=1");
    if let Some(watchdog) = watchdog {
        watchdog.stop();
    }
    log::info!("stopping: finishing what is in flight (a second signal ends at once)");
    std::thread::spawn(move || {
        signals.wait();
        std::process::exit(130);
    });
    server.stop();
    log::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
