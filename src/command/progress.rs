//! A line on the terminal that grows, for what takes longer than a second.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Nothing is shown before this has passed: most things are done by then.
const PATIENCE: Duration = Duration::from_secs(1);
/// From one drawing to the next.
const PAUSE: Duration = Duration::from_millis(100);
const BAR_CHARS: u64 = 30;

/// Shown on standard error, if that is a terminal; wiped at the end.
pub struct Progress {
    label: &'static str,
    n_all: u64,
    next_drawing: Option<Instant>,
    is_drawn: bool,
}

impl Progress {
    /// Of `n_all` bytes.
    pub fn new(label: &'static str, n_all: u64) -> Progress {
        let next_drawing = std::io::stderr().is_terminal().then(|| Instant::now() + PATIENCE);
        Progress { label, n_all, next_drawing, is_drawn: false }
    }

    /// So far.
    pub fn show(&mut self, n_done: u64) {
        let now = Instant::now();
        if self.next_drawing.is_some_and(|at| now >= at) {
            self.next_drawing = Some(now + PAUSE);
            self.is_drawn = true;
            draw(&bar(self.label, n_done, self.n_all));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_drawn {
            draw("\r\x1b[K");
        }
    }
}

fn draw(text: &str) {
    let mut err = std::io::stderr();
    // A terminal that is gone needs no bar.
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// As `\r  downloading [#####.....] 12.3 of 45.6 MB`.
pub fn bar(label: &str, n_done: u64, n_all: u64) -> String {
    let n_full = (n_done.min(n_all) * BAR_CHARS).checked_div(n_all).unwrap_or(BAR_CHARS) as usize;
    let (full, rest) = ("#".repeat(n_full), ".".repeat(BAR_CHARS as usize - n_full));
    let mb = |n: u64| n as f64 / 1e6;
    format!("\r  {label} [{full}{rest}] {:.1} of {:.1} MB", mb(n_done), mb(n_all))
}
