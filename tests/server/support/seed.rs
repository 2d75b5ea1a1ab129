//! Seeds and the small generator behind every random test. The same seed gives the same program on every machine.
//!
//! `SEED=7` runs that seed alone, `SEEDS=10000` runs so many instead of the test's own number.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The seeds of this run: 1 to `n`, unless the environment asks for another number or for one of them.
pub fn seeds(n: u64) -> Vec<u64> {
    if let Some(seed) = number_from_env("SEED") {
        return vec![seed];
    }
    (1..=number_from_env("SEEDS").unwrap_or(n)).collect()
}

/// A number that a person gave by an environment variable; what is no number stops the test.
pub fn number_from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Runs `check` for each seed on `n_threads` threads. The first failure prints its seed and stops the others.
pub fn for_each_seed(seeds: &[u64], n_threads: usize, check: impl Fn(u64) + Sync) {
    let next = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let _named = SeedOnPanic { seed: *seed, is_over: &is_over };
            check(*seed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(work);
        }
    });
}

/// Tells the seed when the test fails while it is alive.
struct SeedOnPanic<'a> {
    seed: u64,
    is_over: &'a AtomicBool,
}

impl Drop for SeedOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.is_over.store(true, Ordering::Relaxed);
            eprintln!("SEED={} fails (set it in the environment to run it alone)", self.seed);
        }
    }
}

/// SplitMix64: tiny, and good enough to choose what a test does next.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    /// The generator of one seed.
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`, which is not empty.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// Puts `items` in any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// A number that stands for `bytes`, the same on every machine (FNV-1a).
pub fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
