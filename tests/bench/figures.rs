//! What a row measures, and the table.

use std::time::{Duration, Instant};

use super::floor::{Floors, Work};
use super::target::Target;

/// The measurements of one row on one server, over all rounds.
#[derive(Default)]
pub struct Figures {
    /// How long each call took.
    pub times: Vec<Duration>,
    /// Work done between `begin` and `end`, in the row's unit.
    n_units: u64,
    elapsed: Duration,
    memory_peak_kb: Option<u64>,
    written_bytes: Option<u64>,
    /// What one call cannot do without.
    pub work: Work,
    /// Anything else that was found out.
    pub notes: Vec<String>,
    begun: Option<(Instant, Option<u64>)>,
}

impl Figures {
    /// From here on memory, bytes written and units per second count; what came before was preparation.
    pub fn begin(&mut self, target: &Target) {
        target.reset_peak_memory();
        self.begun = Some((Instant::now(), target.proc_number("io", "write_bytes")));
    }

    /// To here; `n_units` were done since `begin`.
    pub fn end(&mut self, target: &Target, n_units: usize) {
        let (begun, written_before) = self.begun.take().expect("begun");
        self.elapsed += begun.elapsed();
        self.n_units += n_units as u64;
        let peak = target.proc_number("status", "VmHWM");
        self.memory_peak_kb = self.memory_peak_kb.max(peak);
        if let (Some(before), Some(after)) = (written_before, target.proc_number("io", "write_bytes")) {
            *self.written_bytes.get_or_insert(0) += after.saturating_sub(before);
        }
    }

    /// Runs and times one call.
    pub fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = call();
        self.times.push(started.elapsed());
        result
    }

    /// The time that this share of the calls did not exceed.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        percentile(&self.times, share)
    }

    fn per_second(&self) -> Option<f64> {
        (self.n_units > 0).then(|| self.n_units as f64 / self.elapsed.as_secs_f64())
    }
}

/// The time that this share of `times` did not exceed; none of none.
pub fn percentile(times: &[Duration], share: f64) -> Option<Duration> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let last = times.len().checked_sub(1)?;
    times.get((last as f64 * share).round() as usize).copied()
}

/// The heads of the columns.
pub fn head(unit: &str) -> String {
    format!(
        "{:<24} {:>10} {:>10} {:>12} {:>9} {:>11} {:>10} {:>7}  {unit}",
        "metric", "p50", "p99", "per second", "peak mem", "written/op", "floor", "× floor"
    )
}

/// One line of the table.
pub fn line(name: &str, unit: &str, figures: &Figures, floors: &Floors) -> String {
    let floor = floors.of(&figures.work);
    let p50 = figures.percentile(0.50);
    let ratio = match (p50, floor) {
        (Some(p50), Some(floor)) => format!("{:.1}", p50.as_secs_f64() / floor.as_secs_f64()),
        _ => "-".into(),
    };
    let per_second = figures.per_second().map_or("-".into(), |n| format!("{} {unit}", rate(n)));
    let written = figures.written_bytes.map(|n| n / figures.times.len().max(1) as u64);
    format!(
        "{name:<24} {:>10} {:>10} {per_second:>12} {:>9} {:>11} {:>10} {ratio:>7}",
        millis(p50),
        millis(figures.percentile(0.99)),
        figures.memory_peak_kb.map_or("-".into(), |kb| bytes(kb << 10)),
        written.map_or("-".into(), bytes),
        millis(floor),
    )
}

/// A time in milliseconds, with the digits that matter.
pub fn millis(time: Option<Duration>) -> String {
    let Some(time) = time else { return "-".into() };
    match time.as_secs_f64() * 1000.0 {
        ms if ms < 10.0 => format!("{ms:.3} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms => format!("{ms:.0} ms"),
    }
}

/// A size in the unit that suits it.
pub fn bytes(n: u64) -> String {
    match n as f64 {
        n if n < 1e4 => format!("{n:.0} B"),
        n if n < 1e6 => format!("{:.1} KB", n / 1e3),
        n if n < 1e9 => format!("{:.1} MB", n / 1e6),
        n => format!("{:.2} GB", n / 1e9),
    }
}

fn rate(n: f64) -> String {
    match n {
        n if n < 10.0 => format!("{n:.2}"),
        n if n < 1e5 => format!("{n:.0}"),
        n => format!("{:.0}k", n / 1e3),
    }
}
