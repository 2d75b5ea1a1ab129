//! Times as people type them: `90d`, `2026-08-21`, `2026-08-21T10:00:00Z`, seconds since 1970.

use crate::clock::Clock;
use crate::error::Error;

/// A time so long from now.
pub fn from_now(name: &str, text: &str) -> Result<i64, Error> {
    at(name, text, 1)
}

/// A time so long ago.
pub fn ago(name: &str, text: &str) -> Result<i64, Error> {
    at(name, text, -1)
}

/// A length of time, in seconds: `15m`, `2h`, `90d`.
pub fn span(name: &str, text: &str) -> Result<i64, Error> {
    parse_span(text).ok_or_else(|| Error::invalid(name, format!("'{text}' is not a time, as 15m, 2h or 90d")))
}

fn at(name: &str, text: &str, direction: i64) -> Result<i64, Error> {
    if let Some(secs) = parse_span(text) {
        return Ok(Clock::default().now_unix() + direction * secs);
    }
    text.parse().ok().or_else(|| parse_date(text)).ok_or_else(|| {
        Error::invalid(
            name,
            format!("'{text}' is not a time, as 15m, 2h, 90d, 2026-08-21 or 2026-08-21T10:00:00Z"),
        )
    })
}

fn parse_span(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let secs = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    text[..text.len() - 1].parse::<u32>().ok().map(|n| i64::from(n) * secs)
}

/// `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM:SSZ`, in UTC.
fn parse_date(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let numbers = |text: &str, separator: char| -> Option<[i64; 3]> {
        let parts: Option<Vec<i64>> = text.split(separator).map(|part| part.parse().ok()).collect();
        parts?.try_into().ok()
    };
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time.strip_suffix('Z')?, ':')?;
    let is_right = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second);
    // Years from March on, so that the leap day is the last of a year.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    is_right.then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
}
