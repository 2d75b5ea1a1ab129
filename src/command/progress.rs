//! A line on the terminal for what takes longer than a second: a bar that grows, or how long it has been.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::pace::{Meter, Reading};

/// Nothing is shown before this has passed: most things are done by then.
const PATIENCE: Duration = Duration::from_secs(1);
/// From one drawing to the next.
const PAUSE: Duration = Duration::from_millis(100);
/// From one question after how far it is to the next.
const LOOK: Duration = Duration::from_millis(250);
const BAR_CHARS: u64 = 30;

static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Nothing is shown any more: a program reads what comes (`--json`).
pub fn silence() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

fn is_shown() -> bool {
    !IS_QUIET.load(Ordering::Relaxed) && std::io::stderr().is_terminal()
}

/// How far long work is.
#[derive(Clone, Default)]
pub struct Stage {
    part: String,
    n_done: u64,
    /// 0 if nobody knows.
    n_all: u64,
}

impl Stage {
    /// As a server tells it: `{"part", "done", "all"}`.
    pub fn of(told: &Value) -> Stage {
        let number = |name: &str| told[name].as_u64().unwrap_or(0);
        let part = told["part"].as_str().unwrap_or_default().to_string();
        Stage { part, n_done: number("done"), n_all: number("all") }
    }

    fn percent(&self) -> Option<u64> {
        (self.n_done.min(self.n_all) * 100).checked_div(self.n_all)
    }

    /// As `copying [#####.....] 37 %, 12 s`; without an end to compare with `checking the file, 12 s`.
    fn drawn(&self, secs: u64) -> String {
        match (self.part.as_str(), self.percent()) {
            ("", _) => format!("working: {secs} s"),
            (part, None) => format!("{part}, {secs} s"),
            (part, Some(percent)) => format!("{part} {} {percent} %, {secs} s", bar(percent, 100)),
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.percent() {
            Some(percent) => write!(f, "{} {percent} %", self.part),
            None => f.write_str(&self.part),
        }
    }
}

impl From<Reading> for Stage {
    fn from(Reading { part, n_done, n_all }: Reading) -> Stage {
        Stage { part: part.into(), n_done, n_all }
    }
}

/// A line on standard error, if that is a terminal; wiped at the end.
pub struct Line {
    begun: Instant,
    next_drawing: Option<Instant>,
    is_drawn: bool,
}

impl Line {
    /// Nothing is drawn yet.
    pub fn new() -> Line {
        let begun = Instant::now();
        Line { begun, next_drawing: is_shown().then(|| begun + PATIENCE), is_drawn: false }
    }

    /// Draws how far it is, if it is time to.
    pub fn show(&mut self, stage: &Stage) {
        self.draw(|secs| stage.drawn(secs));
    }

    /// Draws what `text` makes of the seconds that have passed, if it is time to.
    fn draw(&mut self, text: impl FnOnce(u64) -> String) {
        let now = Instant::now();
        if self.next_drawing.is_some_and(|at| now >= at) {
            self.next_drawing = Some(now + PAUSE);
            self.is_drawn = true;
            // What a longer line has left is wiped.
            write(&format!("\r  {}\x1b[K", text(self.begun.elapsed().as_secs())));
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_drawn {
            write("\r\x1b[K");
        }
    }
}

fn write(text: &str) {
    let mut err = std::io::stderr();
    // A terminal that is gone needs no bar.
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// A bar for what is counted here.
pub struct Progress {
    label: &'static str,
    noun: &'static str,
    n_all: u64,
    line: Line,
}

impl Progress {
    /// Of `n_all` bytes.
    pub fn new(label: &'static str, n_all: u64) -> Progress {
        Progress::of(label, "MB", n_all)
    }

    /// Of `n_all` things; `noun` is for many of them.
    pub fn of(label: &'static str, noun: &'static str, n_all: u64) -> Progress {
        Progress { label, noun, n_all, line: Line::new() }
    }

    /// So far. As `receiving [#####.....] 12.3 of 45.6 MB`.
    pub fn show(&mut self, n_done: u64) {
        let Progress { label, noun, n_all, line } = self;
        let text = |n: u64| if *noun == "MB" { format!("{:.1}", n as f64 / 1e6) } else { n.to_string() };
        line.draw(|_| format!("{label} {} {} of {} {noun}", bar(n_done, *n_all), text(n_done), text(*n_all)));
    }
}

/// As `[#####.....]`.
fn bar(n_done: u64, n_all: u64) -> String {
    let n_full = (n_done.min(n_all) * BAR_CHARS).checked_div(n_all).unwrap_or(BAR_CHARS) as usize;
    format!("[{}{}]", "#".repeat(n_full), ".".repeat(BAR_CHARS as usize - n_full))
}

/// Draws while something else works that says nothing, until it is dropped.
pub struct Watch {
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// `look` says how far it is; nothing, or a stage without a part, if it cannot.
    pub fn new(mut look: impl FnMut() -> Option<Stage> + Send + 'static) -> Watch {
        let (over, is_over) = mpsc::channel();
        let mut line = Line::new();
        let draw = move || {
            let mut pause = PATIENCE;
            while is_over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                line.show(&look().unwrap_or_default());
                pause = LOOK;
            }
        };
        // Without a thread for it nothing is shown, and that is all.
        let thread = is_shown().then(|| std::thread::Builder::new().spawn(draw).ok()).flatten();
        Watch { over: Some(over), thread }
    }

    /// Of work in this process.
    pub fn of(meter: &Meter) -> Watch {
        let meter = meter.clone();
        Watch::new(move || Some(meter.read().into()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            // It only draws; should it have panicked, nothing is lost.
            let _ = thread.join();
        }
    }
}
