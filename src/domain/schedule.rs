//! When something is due again: after a while, or at the times of a cron line.

use super::calendar;

/// Due again after a while, or at times of the clock, in UTC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Schedule {
    /// So many seconds after the last time.
    Every(i64),
    /// At these times.
    Cron(Box<Cron>),
}

/// Minute, hour, day of the month, month, day of the week: a bit for each value that fits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Of two days that are both restricted, one must fit; so has cron always done it.
    is_either_day: bool,
}

/// No cron line is due later than this: the 29th of February comes at least every eight years.
const DAYS_MAX: i64 = 8 * 366;

impl Schedule {
    /// `90s`, `30m`, `6h`, `1d`, or a cron line of five fields with numbers, `*`, lists, ranges and steps.
    ///
    /// Errors: a sentence on what is wrong.
    pub fn parse(text: &str) -> Result<Schedule, String> {
        if text.split_whitespace().count() == 5 {
            return Ok(Schedule::Cron(Box::new(Cron::parse(text)?)));
        }
        duration_secs(text).map(Schedule::Every)
    }

    /// The first time after `last_unix` at which it is due.
    pub fn next_after(&self, last_unix: i64) -> i64 {
        match self {
            Schedule::Every(secs) => last_unix + secs,
            Schedule::Cron(cron) => cron.next_after(last_unix),
        }
    }
}

/// A length of time, as `90s`, `30m`, `6h` or `2d`, in seconds; at least one.
pub fn duration_secs(text: &str) -> Result<i64, String> {
    let why = || format!("'{text}' is not a length of time, as 90s, 30m, 6h or 2d");
    let unit = text.chars().last().ok_or_else(why)?;
    let secs = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(why()),
    };
    let n: i64 = text[..text.len() - 1].parse().map_err(|_| why())?;
    if (1..=1_000_000).contains(&n) { Ok(n * secs) } else { Err(why()) }
}

impl Cron {
    fn parse(line: &str) -> Result<Cron, String> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(format!("'{line}' has not five fields"));
        };
        // Sunday is 0 and 7.
        let of_week = bits(weekdays, 0, 7)?;
        let cron = Cron {
            minutes: bits(minutes, 0, 59)?,
            hours: bits(hours, 0, 23)?,
            days: bits(days, 1, 31)?,
            months: bits(months, 1, 12)?,
            weekdays: of_week | of_week >> 7 & 1,
            is_either_day: !days.starts_with('*') && !weekdays.starts_with('*'),
        };
        let is_ever = (0..DAYS_MAX).any(|day| cron.has_day(day));
        if is_ever { Ok(cron) } else { Err(format!("'{line}' never comes")) }
    }

    fn next_after(&self, last_unix: i64) -> i64 {
        let from = last_unix.div_euclid(60) + 1;
        let first_day = from.div_euclid(1440);
        for day in (first_day..first_day + DAYS_MAX).filter(|day| self.has_day(*day)) {
            let least = (from - day * 1440).max(0);
            let fits = |minute: &i64| has(self.hours, minute / 60) && has(self.minutes, minute % 60);
            if let Some(minute) = (least..1440).find(fits) {
                return (day * 1440 + minute) * 60;
            }
        }
        i64::MAX
    }

    fn has_day(&self, day: i64) -> bool {
        let (_, month, of_month) = calendar::date(day);
        let (is_day, is_weekday) = (has(self.days, of_month), has(self.weekdays, calendar::weekday(day)));
        let is_it = if self.is_either_day { is_day || is_weekday } else { is_day && is_weekday };
        is_it && has(self.months, month)
    }
}

fn has(bits: u64, value: i64) -> bool {
    bits >> value & 1 == 1
}

/// `*`, `5`, `1-5`, `*/15`, `10-20/2`, and lists of these.
fn bits(field: &str, min: u64, max: u64) -> Result<u64, String> {
    let mut bits = 0;
    for part in field.split(',') {
        let why = || format!("'{part}' is not a field of a cron line from {min} to {max}");
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let step: usize = step.parse().ok().filter(|step| *step > 0).ok_or_else(why)?;
        let number = |text: &str| text.parse().ok().filter(|n| (min..=max).contains(n)).ok_or_else(why);
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (min, max),
            Some((from, to)) => (number(from)?, number(to)?),
            None if part.contains('/') => (number(range)?, max),
            None => (number(range)?, number(range)?),
        };
        if from > to {
            return Err(why());
        }
        (from..=to).step_by(step).for_each(|value| bits |= 1 << value);
    }
    Ok(bits)
}
