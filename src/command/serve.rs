//! Runs the server until it is told to stop.

use std::io::Write;
use std::process::ExitCode;

use super::signal::StopSignals;
use crate::clock::Clock;
use crate::config::{self, Command, Config};
use crate::error::Error;
use crate::observe;
use crate::server::Server;

/// Carries out what the arguments say. 0 is success, 1 a failure, 2 wrong arguments.
pub fn main() -> ExitCode {
    match config::parse(std::env::args().skip(1), std::env::vars()) {
        Ok(Command::Print(text)) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Ok(Command::Serve(config)) => serve(*config),
        Err(error) => fail(&error),
    }
}

fn serve(config: Config) -> ExitCode {
    observe::start_logging(config.log_level);
    let signals = StopSignals::block();
    let server = match Server::start(config, Clock::default()) {
        Ok(server) => server,
        Err(error) => return fail(&error),
    };
    print(&server.start_lines());
    signals.wait();
    log::info!("stopping: finishing what is in flight (a second signal ends at once)");
    std::thread::spawn(move || {
        signals.wait();
        std::process::exit(130);
    });
    server.stop();
    log::info!("stopped");
    ExitCode::SUCCESS
}

fn fail(error: &Error) -> ExitCode {
    // With standard error closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "pulumi-backend: {error}");
    ExitCode::from(if matches!(error, Error::Invalid { .. }) { 2 } else { 1 })
}

fn print(text: &str) {
    let mut out = std::io::stdout();
    // A closed pipe is no reason to end: what is printed here is for a person who has left.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
