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
    cpu: Option<Duration>,
    /// What one call cannot do without.
    pub work: Work,
    /// Anything else that was found out.
    pub notes: Vec<String>,
    begun: Option<(Instant, Usage)>,
}

/// What the server's process has used since it started; nothing is known of another server.
struct Usage {
    written_bytes: Option<u64>,
    cpu: Option<Duration>,
}

impl Usage {
    fn of(target: &Target) -> Usage {
        Usage { written_bytes: target.proc_number("io", "write_bytes"), cpu: target.cpu_time() }
    }
}

impl Figures {
    /// From here on memory, processor, bytes written and units per second count; before was preparation.
    pub fn begin(&mut self, target: &Target) {
        target.reset_peak_memory();
        self.begun = Some((Instant::now(), Usage::of(target)));
    }

    /// To here; `n_units` were done since `begin`.
    pub fn end(&mut self, target: &Target, n_units: usize) {
        let (begun, before) = self.begun.take().expect("begun");
        self.elapsed += begun.elapsed();
        self.n_units += n_units as u64;
        let after = Usage::of(target);
        self.memory_peak_kb = self.memory_peak_kb.max(target.proc_number("status", "VmHWM"));
        if let Some((before, after)) = before.written_bytes.zip(after.written_bytes) {
            *self.written_bytes.get_or_insert(0) += after.saturating_sub(before);
        }
        if let Some((before, after)) = before.cpu.zip(after.cpu) {
            *self.cpu.get_or_insert_default() += after.saturating_sub(before);
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
pub fn head() -> String {
    format!(
        "{:<24} {:>10} {:>10} {:>14} {:>10} {:>9} {:>11} {:>10} {:>7}  goal; notes",
        "metric", "p50", "p99", "per second", "cpu/op", "peak mem", "written/op", "floor", "× floor"
    )
}

/// One line of the table. "op" is what one time was taken of.
pub fn line(name: &str, unit: &str, figures: &Figures, floors: &Floors) -> String {
    let floor = floors.of(&figures.work);
    let p50 = figures.percentile(0.50);
    let ratio = match (p50, floor) {
        (Some(p50), Some(floor)) => format!("{:.1}", p50.as_secs_f64() / floor.as_secs_f64()),
        _ => "-".into(),
    };
    let n_ops = figures.times.len().max(1);
    let per_second = figures.per_second().map_or("-".into(), |n| format!("{} {unit}", rate(n)));
    format!(
        "{name:<24} {:>10} {:>10} {per_second:>14} {:>10} {:>9} {:>11} {:>10} {ratio:>7}",
        millis(p50),
        millis(figures.percentile(0.99)),
        millis(figures.cpu.map(|cpu| cpu / n_ops as u32)),
        figures.memory_peak_kb.map_or("-".into(), |kb| bytes(kb << 10)),
        figures.written_bytes.map_or("-".into(), |n| bytes(n / n_ops as u64)),
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
