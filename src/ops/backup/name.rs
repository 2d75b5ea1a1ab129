//! The names of backups: they sort by time.

use crate::clock;
use crate::crypto::{hex, random_bytes};
use crate::error::Error;

/// What every name ends with.
pub const SUFFIX: &str = ".backup";
const PREFIX: &str = "pulumi-backend-";

/// A name that no other backup has, as `pulumi-backend-20261121T175000Z-1f2e3d4c.backup`.
pub fn make(made_at_unix: i64) -> Result<String, Error> {
    let random = hex(&random_bytes::<4>()?);
    Ok(format!("{PREFIX}{}-{random}{SUFFIX}", compact(&clock::date_time(made_at_unix))))
}

/// `20261121T175000Z` for `2026-11-21T17:50:00`.
fn compact(time: &str) -> String {
    format!("{}Z", time.replace(['-', ':'], ""))
}

/// The time in a name, as `20261121T175000Z`; nothing if it is not one that `make` made.
pub fn time_of(name: &str) -> Option<&str> {
    let (time, random) = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split_once('-')?;
    let is_time = time.len() == 16
        && time.char_indices().all(|(at, c)| match at {
            8 => c == 'T',
            15 => c == 'Z',
            _ => c.is_ascii_digit(),
        });
    let is_random = random.len() == 8 && random.chars().all(|c| c.is_ascii_hexdigit());
    (is_time && is_random).then_some(time)
}

/// What names have for a time as a person writes it: `2026-11-21`, `2026-11-21T17:50`, `2026-11-21T17:50:00Z`.
/// What is left out is as late as it can be.
pub fn parse_time(text: &str) -> Result<String, Error> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let is_time = text.chars().all(|c| c.is_ascii_digit() || "-:TZ ".contains(c));
    let full = match digits.len() {
        8 => format!("{digits}235959"),
        12 => format!("{digits}59"),
        14 => digits,
        _ => String::new(),
    };
    if !is_time || full.is_empty() {
        return Err(Error::invalid("at", format!("'{text}' is not a time in UTC, as 2026-11-21T17:50:00Z")));
    }
    Ok(format!("{}T{}Z", &full[..8], &full[8..]))
}
