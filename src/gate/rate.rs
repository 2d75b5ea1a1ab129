//! How many requests an address may make in a second. Off unless set.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use super::limits::{RATE_ADDRESSES_MAX, RATE_BURST_SECS};
use super::listener::Peer;
use super::upstream::lock;

/// A bucket for each address that has asked lately: it fills at the rate, and each request takes one out.
pub(super) struct Rate {
    per_sec: f64,
    buckets: Mutex<HashMap<Peer, Bucket>>,
}

struct Bucket {
    n_left: f64,
    seen: Instant,
}

impl Rate {
    pub fn new(per_sec: u32) -> Rate {
        Rate { per_sec: f64::from(per_sec), buckets: Mutex::default() }
    }

    /// Whether one more request of this address is within its rate.
    pub fn allows(&self, group: Peer, now: Instant) -> bool {
        let full = self.per_sec * RATE_BURST_SECS;
        let mut buckets = lock(&self.buckets);
        if buckets.len() >= RATE_ADDRESSES_MAX {
            // A full bucket says no more than none. If none is full, all start anew: this is a limit, not a ledger.
            buckets.retain(|_, bucket| bucket.n_left_at(now, self.per_sec) < full);
            if buckets.len() >= RATE_ADDRESSES_MAX {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(group).or_insert(Bucket { n_left: full, seen: now });
        bucket.n_left = bucket.n_left_at(now, self.per_sec).min(full);
        bucket.seen = now;
        let is_allowed = bucket.n_left >= 1.0;
        if is_allowed {
            bucket.n_left -= 1.0;
        }
        is_allowed
    }
}

impl Bucket {
    fn n_left_at(&self, now: Instant, per_sec: f64) -> f64 {
        self.n_left + now.saturating_duration_since(self.seen).as_secs_f64() * per_sec
    }
}
