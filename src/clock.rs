//! The one source of the time of day; tests bring their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::calendar;

/// Tells the time: the system's, moved by an offset that only tests set.
#[derive(Clone, Default)]
pub struct Clock {
    offset_secs: Arc<AtomicI64>,
}

impl Clock {
    /// Seconds since 1970, UTC.
    pub fn now_unix(&self) -> i64 {
        self.since_epoch().0
    }

    /// The time as RFC 3339 in UTC with nanoseconds, as `2026-08-21T10:00:00.123456789Z`.
    pub fn now_rfc3339(&self) -> String {
        let (secs, nanos) = self.since_epoch();
        format!("{}.{nanos:09}Z", date_time(secs))
    }

    /// Jumps forward or back. What was decided before stays decided.
    pub fn jump(&self, secs: i64) {
        self.offset_secs.fetch_add(secs, Ordering::SeqCst);
    }

    fn since_epoch(&self) -> (i64, u32) {
        // A system clock before 1970 is a broken one; time zero keeps the server usable.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        (now.as_secs() as i64 + self.offset_secs.load(Ordering::SeqCst), now.subsec_nanos())
    }
}

/// `YYYY-MM-DDTHH:MM:SS` of a time in seconds since 1970, by the civil calendar.
pub fn date_time(unix: i64) -> String {
    let (days, secs) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    let (year, month, day) = calendar::date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}
