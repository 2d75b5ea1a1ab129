//! Log lines. A line is one line whatever is in it, and a closed pipe never ends the server.

use std::panic::{AssertUnwindSafe, catch_unwind};

use log::{LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

/// Prints log lines to standard error from now on.
pub fn start_logging(level: LevelFilter) {
    let logger = Careful(SimpleLogger::new().with_level(level));
    log::set_max_level(level);
    if log::set_boxed_logger(Box::new(logger)).is_err() {
        // Another logger is there already, as in a test that starts two servers; it serves as well.
        log::debug!("logging had been started before");
    }
}

/// Guards the logger: it panics when its pipe is closed, and prints control characters as they come.
struct Careful(SimpleLogger);

impl Log for Careful {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string().replace(|c: char| c.is_control(), " ");
        let print = || {
            let metadata = record.metadata().clone();
            self.0.log(&Record::builder().metadata(metadata).args(format_args!("{text}")).build());
        };
        // Losing a line because nobody reads the pipe any more is right; ending the server is not.
        let _ = catch_unwind(AssertUnwindSafe(print));
    }

    fn flush(&self) {}
}
