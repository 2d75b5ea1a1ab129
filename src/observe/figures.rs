//! Counters that many threads raise and a monitor reads now and then: atomics only, no lock on anybody's way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the cells of a histogram of times, in seconds; a last cell takes what is beyond.
pub const SECS_BOUNDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Upper bounds of the cells of a histogram of counts.
pub const COUNT_BOUNDS: [f64; 12] =
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];

/// A number that only grows.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Zero.
    pub const fn new() -> Counter {
        Counter(AtomicU64::new(0))
    }

    /// One more.
    pub fn raise(&self) {
        self.add(1);
    }

    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often a value fell between two bounds, and the sum of all.
pub struct Histogram {
    bounds: &'static [f64; 12],
    cells: [Counter; 13],
    /// In millionths.
    sum: Counter,
}

impl Histogram {
    /// An empty one.
    pub const fn new(bounds: &'static [f64; 12]) -> Histogram {
        Histogram { bounds, cells: [const { Counter::new() }; 13], sum: Counter::new() }
    }

    /// Counts a time.
    pub fn count_time(&self, time: Duration) {
        self.count(time.as_secs_f64());
    }

    /// Counts a value.
    pub fn count(&self, value: f64) {
        let cell = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        self.cells[cell].raise();
        self.sum.add((value * 1e6) as u64);
    }

    /// The values counted so far: for each bound how many were up to it, then how many in all, then their sum.
    pub fn read(&self) -> (Vec<(f64, u64)>, u64, f64) {
        let mut n = 0;
        let mut up_to = Vec::with_capacity(self.bounds.len());
        for (bound, cell) in self.bounds.iter().zip(&self.cells) {
            n += cell.get();
            up_to.push((*bound, n));
        }
        (up_to, n + self.cells[12].get(), self.sum.get() as f64 / 1e6)
    }
}

/// What the writer thread counts.
pub struct WriterFigures {
    /// Jobs of each commit.
    pub batch_jobs: Histogram,
    /// From the first job of a batch to the end of its commit.
    pub commit_secs: Histogram,
    /// Commits that failed; nothing of them was stored.
    pub n_failed: Counter,
}

impl Default for WriterFigures {
    fn default() -> WriterFigures {
        WriterFigures {
            batch_jobs: Histogram::new(&COUNT_BOUNDS),
            commit_secs: Histogram::new(&SECS_BOUNDS),
            n_failed: Counter::new(),
        }
    }
}

/// What the gate tells about itself.
#[derive(Clone, Copy, Default)]
pub struct GateFigures {
    /// Clients connected.
    pub n_connections: usize,
    /// Of those, how many wait between two requests.
    pub n_idle: usize,
    /// Requests that wait for a worker.
    pub n_waiting: usize,
}
