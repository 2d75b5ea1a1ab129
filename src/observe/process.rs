//! What the system tells about this process.

use std::fs;

/// Facts for monitors.
pub struct Facts {
    /// Time on a processor, user and system, in seconds.
    pub cpu_secs: f64,
    /// Memory in use.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub n_fds: usize,
    /// Threads.
    pub n_threads: u64,
}

/// Clock ticks in a second, as /proc counts them on every Linux.
const TICKS_PER_SEC: f64 = 100.0;

/// As /proc has them; none on a system without it.
pub fn facts() -> Option<Facts> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let resident_kib: u64 = resident.split_whitespace().next()?.parse().ok()?;
    Some(Facts {
        cpu_secs: (number(11)? + number(12)?) as f64 / TICKS_PER_SEC,
        resident_bytes: resident_kib << 10,
        n_fds: fs::read_dir("/proc/self/fd").ok()?.count(),
        n_threads: number(17)?,
    })
}
