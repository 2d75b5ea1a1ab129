//! The page for monitors, in the text form of Prometheus. Counting takes no lock; what is costly to know is looked
//! up when somebody asks.

use std::fmt::Write;
use std::time::Duration;

use super::table::ROUTES;
use crate::app::App;
use crate::call::Call;
use crate::error::Error;
use crate::http::{Body, Response};
use crate::observe::figures::{Counter, Histogram, SECS_BOUNDS};
use crate::observe::process;
use crate::store::{backup, census, disk};

/// Statuses that are counted by themselves; a last cell takes all others.
const STATUSES: [u16; 15] = [200, 204, 400, 401, 403, 404, 405, 409, 413, 429, 500, 501, 503, 507, 0];

/// What is counted of a route.
struct RouteFigures {
    by_status: [Counter; STATUSES.len()],
    secs: Histogram,
}

impl RouteFigures {
    const fn new() -> RouteFigures {
        RouteFigures {
            by_status: [const { Counter::new() }; STATUSES.len()],
            secs: Histogram::new(&SECS_BOUNDS),
        }
    }
}

/// Of the whole process, in the order of the table; the last is for requests that found no route.
static FIGURES: [RouteFigures; ROUTES.len() + 1] = [const { RouteFigures::new() }; ROUTES.len() + 1];

/// Counts an answer. `index` is the route's place in the table.
pub fn count(index: Option<usize>, status: u16, time: Duration) {
    let figures = &FIGURES[index.unwrap_or(ROUTES.len())];
    let cell = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
    figures.by_status[cell].raise();
    figures.secs.count_time(time);
}

/// Every figure there is. Its cost is that of some counts in the database.
pub fn page(app: &App, _: &mut Call) -> Result<Response, Error> {
    let mut page = Page(String::with_capacity(64 << 10));
    page.build();
    page.requests();
    page.gate(app);
    page.writer(app);
    page.caches(app);
    page.database(app)?;
    page.process(app);
    Ok(Response::of(200, Body::Text(page.0)))
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(&format!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn value(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, kind, help);
        self.line(&format!("{name} {value}"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.value(name, "gauge", help, value);
    }

    /// `labels` as `a="b",`, or empty.
    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let (up_to, n, sum) = histogram.read();
        for (bound, n) in up_to {
            // Writing to a String cannot fail.
            let _ = writeln!(self.0, "{name}_bucket{{{labels}le=\"{bound}\"}} {n}");
        }
        let braced = match labels.trim_end_matches(',') {
            "" => String::new(),
            labels => format!("{{{labels}}}"),
        };
        let _ = writeln!(self.0, "{name}_bucket{{{labels}le=\"+Inf\"}} {n}");
        let _ = writeln!(self.0, "{name}_sum{braced} {sum}\n{name}_count{braced} {n}");
    }

    fn build(&mut self) {
        self.head("pulumi_backend_build_info", "gauge", "The version of the server.");
        self.line(&format!("pulumi_backend_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")));
    }

    fn requests(&mut self) {
        let used = || {
            let routes = ROUTES.iter().map(|route| (route.method.as_str(), route.name));
            let all = routes.chain([("-", "none")]).zip(&FIGURES);
            all.filter(|(_, figures)| figures.by_status.iter().any(|counter| counter.get() > 0))
        };
        let name = "pulumi_backend_requests_total";
        self.head(name, "counter", "Requests answered, by route and status.");
        for ((method, route), figures) in used() {
            for (status, counter) in STATUSES.iter().zip(&figures.by_status) {
                let status = if *status == 0 { "other".into() } else { status.to_string() };
                if counter.get() > 0 {
                    self.line(&format!(
                        "{name}{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}} {}",
                        counter.get()
                    ));
                }
            }
        }
        let name = "pulumi_backend_request_duration_seconds";
        self.head(name, "histogram", "Time from the whole request to its answer, by route.");
        for ((_, route), figures) in used() {
            self.histogram(name, &format!("route=\"{route}\","), &figures.secs);
        }
    }

    fn gate(&mut self, app: &App) {
        let Some(figures) = app.gate.get().map(|look| look()) else { return };
        self.gauge("pulumi_backend_connections", "Clients connected.", figures.n_connections);
        self.gauge(
            "pulumi_backend_connections_idle",
            "Clients connected that wait between two requests.",
            figures.n_idle,
        );
        self.gauge("pulumi_backend_requests_waiting", "Requests that wait for a worker.", figures.n_waiting);
    }

    fn writer(&mut self, app: &App) {
        let figures = app.store.writer_figures();
        self.gauge("pulumi_backend_writer_queue", "Jobs that wait for the writer.", app.store.n_queued());
        let name = "pulumi_backend_writer_batch_jobs";
        self.head(name, "histogram", "Jobs that shared a commit.");
        self.histogram(name, "", &figures.batch_jobs);
        let name = "pulumi_backend_writer_commit_seconds";
        self.head(name, "histogram", "Time from the first job of a batch to the end of its commit.");
        self.histogram(name, "", &figures.commit_secs);
        self.value(
            "pulumi_backend_writer_failed_commits_total",
            "counter",
            "Commits that failed; nothing of them was stored.",
            figures.n_failed.get(),
        );
    }

    fn caches(&mut self, app: &App) {
        let rows = [
            ("pulumi_backend_export_cache_bytes", "Memory of exports that are kept.", app.exports.n_bytes()),
            (
                "pulumi_backend_base_cache_resources",
                "Resources of which the digests are kept in memory.",
                app.bases.weight(),
            ),
            (
                "pulumi_backend_checkpoint_cache_bytes",
                "Memory of last checkpoints of updates that run.",
                app.last_texts.weight(),
            ),
            (
                "pulumi_backend_mark_cache_marks",
                "Marks of secrets that are kept in memory.",
                app.marks.weight(),
            ),
        ];
        rows.into_iter().for_each(|(name, help, value)| self.gauge(name, help, value));
    }

    fn database(&mut self, app: &App) -> Result<(), Error> {
        let now_unix = app.now_unix();
        let census = app.store.read(|conn| census::take(conn, now_unix))?;
        let (db_bytes, wal_bytes) = disk::file_bytes(&app.config.db);
        let rows = [
            ("pulumi_backend_stacks", "Stacks.", census.n_stacks),
            ("pulumi_backend_versions", "Versions of states that are kept.", census.n_versions),
            ("pulumi_backend_leases", "Updates that hold a stack.", census.n_running),
            ("pulumi_backend_leases_expired", "Updates whose lease has run out.", census.n_expired),
            ("pulumi_backend_previews", "Previews under way.", census.n_previews),
            (
                "pulumi_backend_journal_entries",
                "Journal entries of updates that run.",
                census.n_journal_entries,
            ),
            ("pulumi_backend_database_bytes", "Size of the database file.", db_bytes as i64),
            ("pulumi_backend_wal_bytes", "Size of the write-ahead log.", wal_bytes as i64),
        ];
        rows.into_iter().for_each(|(name, help, value)| self.gauge(name, help, value));
        let standing = app.store.read(backup::standing)?;
        self.gauge(
            "pulumi_backend_backup_last_verified_timestamp_seconds",
            "When the last backup was begun that was found whole by a restore; 0 if there is none.",
            standing.last_verified_made_at_unix.unwrap_or(0),
        );
        let has_failed = standing.last.is_some_and(|last| last.problem.is_some());
        self.gauge(
            "pulumi_backend_backup_last_failed",
            "Whether the last backup is no good.",
            i64::from(has_failed),
        );
        Ok(())
    }

    fn process(&mut self, app: &App) {
        if let Some(free) = disk::free_bytes(&app.config.db) {
            self.gauge("pulumi_backend_disk_free_bytes", "Space left for the data.", free);
        }
        let Some(facts) = process::facts() else { return };
        self.value(
            "process_cpu_seconds_total",
            "counter",
            "Time on a processor, user and system.",
            facts.cpu_secs,
        );
        self.gauge("process_resident_memory_bytes", "Memory in use.", facts.resident_bytes);
        self.gauge("process_open_fds", "Open file descriptors.", facts.n_fds);
        self.gauge("process_threads", "Threads.", facts.n_threads);
    }
}
