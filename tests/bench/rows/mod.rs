//! Every row of the table: its name, what it counts, what it is to reach, and how it runs.

mod checkpoint;
mod cli;
mod complete;
mod connection;
mod event;
mod export;
mod footprint;
pub mod growth;
mod history;
mod import;
mod journal;
mod read;
mod secret;
mod start;
mod update;

use super::figures::Figures;
use super::target::Target;

/// When a row runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// In every run: a few seconds.
    Usual,
    /// Only by name, or with `all`.
    Large,
    /// Only by name: it needs more than this repository.
    Named,
}

/// A row of the table. `run` makes its own stacks, measures, and checks what the server made of it.
pub struct Row {
    /// As in `cargo bench -- NAME`.
    pub name: &'static str,
    /// When it runs.
    pub size: Size,
    /// What "per second" counts.
    pub unit: &'static str,
    /// What is aimed at.
    pub goal: &'static str,
    /// One round on one server.
    pub run: fn(&Target, &mut Figures),
}

use Size::{Large, Named, Usual};

/// Every row, in the order of the table.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    Row { name: "journal-100", size: Usual, unit: "entries", goal: "1.2 ms, 50k entries/s", run: |t, f| journal::run(t, f, journal::Load { n_clients: 1, n_base: 0, n_per_batch: 100, n_batches: 200 }) },
    Row { name: "journal-1", size: Usual, unit: "entries", goal: "commit floor + 0.2 ms", run: |t, f| journal::run(t, f, journal::Load { n_clients: 1, n_base: 0, n_per_batch: 1, n_batches: 1000 }) },
    Row { name: "journal-base-100", size: Usual, unit: "entries", goal: "as journal-100", run: |t, f| journal::run(t, f, journal::Load { n_clients: 1, n_base: 100, n_per_batch: 100, n_batches: 100 }) },
    Row { name: "journal-base-10000", size: Usual, unit: "entries", goal: "as journal-100", run: |t, f| journal::run(t, f, journal::Load { n_clients: 1, n_base: 10_000, n_per_batch: 100, n_batches: 100 }) },
    Row { name: "journal-base-100000", size: Large, unit: "entries", goal: "as journal-100", run: |t, f| journal::run(t, f, journal::Load { n_clients: 1, n_base: 100_000, n_per_batch: 100, n_batches: 100 }) },
    Row { name: "journal-8-clients", size: Usual, unit: "entries", goal: "60k entries/s", run: |t, f| journal::run(t, f, journal::Load { n_clients: 8, n_base: 0, n_per_batch: 100, n_batches: 50 }) },
    Row { name: "journal-32-clients", size: Usual, unit: "entries", goal: "60k entries/s, p99 60 ms", run: |t, f| journal::run(t, f, journal::Load { n_clients: 32, n_base: 0, n_per_batch: 100, n_batches: 25 }) },
    Row { name: "complete-1000", size: Usual, unit: "calls", goal: "3 ms, 64 MB", run: |t, f| complete::after_one_change(t, f, 1000) },
    Row { name: "complete-10000", size: Usual, unit: "calls", goal: "8 ms, 64 MB", run: |t, f| complete::after_one_change(t, f, 10_000) },
    Row { name: "complete-100000", size: Large, unit: "calls", goal: "50 ms, 64 MB", run: |t, f| complete::after_one_change(t, f, 100_000) },
    Row { name: "complete-all-10000", size: Usual, unit: "calls", goal: "150 ms", run: |t, f| complete::after_all(t, f, 10_000) },
    Row { name: "update-600-one", size: Usual, unit: "updates", goal: "80 ms, disk +25 KB", run: |t, f| update::whole(t, f, 1) },
    Row { name: "update-600-none", size: Usual, unit: "updates", goal: "written 150 KB", run: |t, f| update::whole(t, f, 0) },
    Row { name: "update-empty", size: Usual, unit: "updates", goal: "3 commits + 0.5 ms", run: update::empty },
    Row { name: "updates-32-clients", size: Usual, unit: "updates", goal: "400 updates/s, p99 60 ms", run: update::crowd },
    Row { name: "export-10000", size: Usual, unit: "calls", goal: "1 ms", run: |t, f| export::stored(t, f, 10_000, 1000, export::Way::Warm) },
    Row { name: "export-100000", size: Large, unit: "calls", goal: "8 ms", run: |t, f| export::stored(t, f, 100_000, 500, export::Way::Warm) },
    Row { name: "export-cold-10000", size: Usual, unit: "calls", goal: "60 ms", run: |t, f| export::stored(t, f, 10_000, 1000, export::Way::Cold) },
    Row { name: "export-cold-100000", size: Large, unit: "calls", goal: "350 ms", run: |t, f| export::stored(t, f, 100_000, 500, export::Way::Cold) },
    Row { name: "export-plain-10000", size: Usual, unit: "calls", goal: "30 ms", run: |t, f| export::stored(t, f, 10_000, 1000, export::Way::ColdPlain) },
    Row { name: "export-plain-100000", size: Large, unit: "calls", goal: "175 ms", run: |t, f| export::stored(t, f, 100_000, 500, export::Way::ColdPlain) },
    Row { name: "export-running-10000", size: Usual, unit: "calls", goal: "60 ms", run: |t, f| export::running(t, f, 10_000) },
    Row { name: "import-10mb", size: Usual, unit: "MB", goal: "120 MB/s, 30 MB", run: |t, f| import::run(t, f, 10_000) },
    Row { name: "import-50mb", size: Large, unit: "MB", goal: "120 MB/s, 150 MB", run: |t, f| import::run(t, f, 50_000) },
    Row { name: "import-100mb", size: Large, unit: "MB", goal: "120 MB/s, 300 MB", run: |t, f| import::run(t, f, 100_000) },
    Row { name: "checkpoint-whole", size: Usual, unit: "calls", goal: "40 ms, writes one chunk", run: |t, f| checkpoint::run(t, f, checkpoint::Kind::Whole) },
    Row { name: "checkpoint-verbatim", size: Usual, unit: "calls", goal: "40 ms, writes one chunk", run: |t, f| checkpoint::run(t, f, checkpoint::Kind::Verbatim) },
    Row { name: "checkpoint-delta", size: Usual, unit: "calls", goal: "25 ms", run: |t, f| checkpoint::run(t, f, checkpoint::Kind::Delta) },
    Row { name: "events", size: Usual, unit: "events", goal: "commit floor + 0.6 ms, 40k/s", run: |t, f| event::run(t, f, 1) },
    Row { name: "events-3-at-once", size: Usual, unit: "events", goal: "40k events/s", run: |t, f| event::run(t, f, 3) },
    Row { name: "encrypt-1000", size: Usual, unit: "calls", goal: "2.5 ms", run: secret::encrypt },
    Row { name: "decrypt-1000", size: Usual, unit: "calls", goal: "3 ms", run: secret::decrypt },
    Row { name: "get-stack", size: Usual, unit: "calls", goal: "0.15 ms", run: read::stack },
    Row { name: "get-user", size: Usual, unit: "calls", goal: "0.15 ms", run: |t, f| read::path(t, f, "/api/user") },
    Row { name: "get-health", size: Usual, unit: "calls", goal: "0.15 ms", run: |t, f| read::path(t, f, "/healthz") },
    Row { name: "list-100-of-10000", size: Usual, unit: "calls", goal: "1 ms", run: read::list },
    Row { name: "connections-500", size: Usual, unit: "calls", goal: "all within 90 ms", run: connection::many },
    Row { name: "start-empty", size: Usual, unit: "starts", goal: "20 ms", run: |t, f| start::run(t, f, 0) },
    Row { name: "start-1gb", size: Large, unit: "starts", goal: "50 ms", run: |t, f| start::run(t, f, 1000) },
    Row { name: "footprint", size: Named, unit: "", goal: "5 MB, 20 ms, 10 MB", run: footprint::run },
    Row { name: "memory-idle", size: Usual, unit: "", goal: "10 MB", run: start::idle },
    Row { name: "memory-32-updates", size: Usual, unit: "updates", goal: "64 MB", run: update::memory },
    Row { name: "versions-1000", size: Large, unit: "updates", goal: "25 KB a version, no growth", run: |t, f| history::run(t, f, 1000) },
    Row { name: "cli-200", size: Named, unit: "sessions", goal: "within 5 % of a server that stores nothing", run: |t, f| cli::run(t, f, 200) },
    Row { name: "cli-600", size: Named, unit: "sessions", goal: "within 5 % of a server that stores nothing", run: |t, f| cli::run(t, f, 600) },
];
