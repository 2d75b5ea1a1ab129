//! The one source of the time of day; tests bring their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

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
    // Days are counted from 0000-03-01, so that the leap day is the last day of a year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}
