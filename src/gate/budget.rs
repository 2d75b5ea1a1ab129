//! The memory for bodies in flight: one count of bytes for the whole gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes of bodies are held, against how many may be.
pub struct Budget {
    used: AtomicUsize,
    bytes_max: usize,
}

impl Budget {
    pub fn new(bytes_max: usize) -> Arc<Budget> {
        Arc::new(Budget { used: AtomicUsize::new(0), bytes_max })
    }

    /// Whether answers that could not be refused have taken a quarter more than there is: then no request may make
    /// another one.
    pub fn is_overdrawn(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.bytes_max + self.bytes_max / 4
    }

    /// Takes `n` bytes if no more than `bytes_max` are in use then.
    fn take(&self, n: usize, bytes_max: usize) -> bool {
        let fits = |used: usize| used.checked_add(n).filter(|sum| *sum <= bytes_max);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

/// Bytes taken from the budget by one exchange; given back when dropped.
pub struct Share {
    budget: Arc<Budget>,
    n_bytes: usize,
}

impl Share {
    pub fn none(budget: &Arc<Budget>) -> Share {
        Share { budget: budget.clone(), n_bytes: 0 }
    }

    /// Takes `n` more bytes, or leaves all as it was and says no.
    #[must_use]
    pub fn grow(&mut self, n: usize) -> bool {
        self.grow_within(n, self.budget.bytes_max)
    }

    /// As `grow`, but leaves half of the whole to others: for what a slow reader leaves lying.
    #[must_use]
    pub fn grow_within_half(&mut self, n: usize) -> bool {
        self.grow_within(n, self.budget.bytes_max / 2)
    }

    fn grow_within(&mut self, n: usize, bytes_max: usize) -> bool {
        let is_taken = self.budget.take(n, bytes_max);
        if is_taken {
            self.n_bytes += n;
        }
        is_taken
    }

    /// Takes `n` more bytes even over the end: for an answer that exists already and must not be lost.
    pub fn grow_anyway(&mut self, n: usize) {
        self.budget.used.fetch_add(n, Ordering::Relaxed);
        self.n_bytes += n;
    }

    /// Gives everything back.
    pub fn clear(&mut self) {
        self.budget.used.fetch_sub(self.n_bytes, Ordering::Relaxed);
        self.n_bytes = 0;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}
