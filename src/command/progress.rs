//! A line on the terminal for what takes longer than a second: a bar that grows, or how long it has been.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nothing is shown before this has passed: most things are done by then.
const PATIENCE: Duration = Duration::from_secs(1);
/// From one drawing of a bar to the next.
const PAUSE: Duration = Duration::from_millis(100);
const BAR_CHARS: u64 = 30;

static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Nothing is shown any more: a program reads what comes (`--json`).
pub fn silence() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

fn is_shown() -> bool {
    !IS_QUIET.load(Ordering::Relaxed) && std::io::stderr().is_terminal()
}

/// Shown on standard error, if that is a terminal; wiped at the end.
pub struct Progress {
    label: &'static str,
    noun: &'static str,
    n_all: u64,
    next_drawing: Option<Instant>,
    is_drawn: bool,
}

impl Progress {
    /// Of `n_all` bytes.
    pub fn new(label: &'static str, n_all: u64) -> Progress {
        Progress::of(label, "MB", n_all)
    }

    /// Of `n_all` things; `noun` is for many of them.
    pub fn of(label: &'static str, noun: &'static str, n_all: u64) -> Progress {
        let next_drawing = is_shown().then(|| Instant::now() + PATIENCE);
        Progress { label, noun, n_all, next_drawing, is_drawn: false }
    }

    /// So far.
    pub fn show(&mut self, n_done: u64) {
        let now = Instant::now();
        if self.next_drawing.is_some_and(|at| now >= at) {
            self.next_drawing = Some(now + PAUSE);
            self.is_drawn = true;
            draw(&bar(self.label, self.noun, n_done, self.n_all));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_drawn {
            draw(WIPE);
        }
    }
}

/// The seconds of a wait whose end nobody knows, counted on standard error, if that is a terminal; wiped at the end.
pub struct Waiting {
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Waiting {
    /// From now on.
    pub fn new() -> Waiting {
        let (over, is_over) = mpsc::channel();
        let count = move || {
            let begun = Instant::now();
            let mut is_drawn = false;
            while is_over.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                is_drawn = true;
                draw(&format!("\r  working: {} s", begun.elapsed().as_secs()));
            }
            if is_drawn {
                draw(WIPE);
            }
        };
        // Without a thread for it nothing is shown, and that is all.
        let thread = is_shown().then(|| std::thread::Builder::new().spawn(count).ok()).flatten();
        Waiting { over: Some(over), thread }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            // It only draws; should it have panicked, nothing is lost.
            let _ = thread.join();
        }
    }
}

const WIPE: &str = "\r\x1b[K";

fn draw(text: &str) {
    let mut err = std::io::stderr();
    // A terminal that is gone needs no bar.
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// As `\r  receiving [#####.....] 12.3 of 45.6 MB`.
fn bar(label: &str, noun: &str, n_done: u64, n_all: u64) -> String {
    let n_full = (n_done.min(n_all) * BAR_CHARS).checked_div(n_all).unwrap_or(BAR_CHARS) as usize;
    let (full, rest) = ("#".repeat(n_full), ".".repeat(BAR_CHARS as usize - n_full));
    let text = |n: u64| if noun == "MB" { format!("{:.1}", n as f64 / 1e6) } else { n.to_string() };
    format!("\r  {label} [{full}{rest}] {} of {} {noun}", text(n_done), text(n_all))
}
