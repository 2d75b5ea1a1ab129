//! Looks after what nobody asks for, each by a job, never by SQL of its own.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select, tick};

use crate::app::App;
use crate::error::Error;
use crate::limits;
use crate::ops;
use crate::routes::access;
use crate::state;
use crate::store::audit::{self, Cut};
use crate::store::retention::{self, DropEvents, DropOldVersions, DropPreviews};
use crate::store::{Connection, Job};

/// The thread that ends leases that have run out, readies exports that will be asked for, and gives up old versions.
pub struct Housekeeper {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Housekeeper {
    /// `to_warm` brings the stacks whose export is likely to be asked for next.
    pub fn start(app: Arc<App>, to_warm: Receiver<i64>) -> Result<Housekeeper, Error> {
        let (stop, stopped) = bounded::<()>(1);
        let ticks = tick(Duration::from_millis(limits::HOUSEKEEPING_MILLIS));
        let sweeps = tick(Duration::from_secs(limits::RETENTION_SECS));
        let run = move || {
            log_failure(drop_old_everywhere(&app).and_then(|()| sweep_past(&app)));
            loop {
                let done = select! {
                    recv(stopped) -> _ => break log_failure(ops::key::renew_used_up(&app, 1)),
                    recv(ticks) -> _ => {
                        access::record_denied_counts(&app);
                        tend(&app)
                    }
                    recv(sweeps) -> _ => {
                        log_failure(ops::key::renew_used_up(&app, 1));
                        drop_old_everywhere(&app).and_then(|()| sweep_past(&app))
                    }
                    recv(to_warm) -> stack_id => stack_id.map_or(Ok(()), |stack_id| after_update(&app, stack_id)),
                };
                log_failure(done);
            }
        };
        let thread = std::thread::Builder::new().name("housekeeper".into()).spawn(run);
        let thread = thread.map_err(|cause| Error::internal("start the housekeeper", cause))?;
        Ok(Housekeeper { stop, thread })
    }

    /// Ends it after what it is doing.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            log::error!("the housekeeper had panicked");
        }
    }
}

fn log_failure(done: Result<(), Error>) {
    match done {
        // The stack was deleted meanwhile.
        Ok(()) | Err(Error::NotFound(_)) => {}
        Err(cause) => log::error!("housekeeping: {cause}"),
    }
}

/// An update of the stack has ended.
fn after_update(app: &App, stack_id: i64) -> Result<(), Error> {
    state::warm(app, stack_id)?;
    drop_old(app, stack_id)
}

/// What `after_update` did not get to: updates that ended while the housekeeper was busy, and a lower setting.
fn drop_old_everywhere(app: &App) -> Result<(), Error> {
    let Some(n_kept) = app.config.max_state_versions else { return Ok(()) };
    let n_max = limits::RETENTION_STACKS_PER_ROUND;
    let stacks = app.store.read(|conn| retention::list_stacks_with_more(conn, n_kept, n_max))?;
    stacks.into_iter().try_for_each(|stack_id| drop_old(app, stack_id))
}

/// Gives up the old versions of a stack in small jobs, between which others have their turn.
fn drop_old(app: &App, stack_id: i64) -> Result<(), Error> {
    let Some(n_kept) = app.config.max_state_versions else { return Ok(()) };
    let n_max = limits::RETENTION_VERSIONS_PER_JOB;
    while app.store.write(DropOldVersions { stack_id, n_kept, n_max })? == n_max {}
    Ok(())
}

/// What is given up for its age.
fn sweep_past(app: &App) -> Result<(), Error> {
    drop_past(app)?;
    cut_audit(app)
}

/// Forgets events and previews that are older than the settings want.
fn drop_past(app: &App) -> Result<(), Error> {
    let n_max = limits::RETENTION_VERSIONS_PER_JOB;
    let config = &app.config;
    if let Some(keep_secs) = config.event_keep_secs {
        let before_unix = app.now_unix() - keep_secs;
        drop_in_jobs(
            app,
            |conn| retention::list_with_old_events(conn, before_unix, n_max),
            |update_ids| DropEvents { update_ids },
        )?;
    }
    if let Some(keep_secs) = config.preview_keep_secs {
        let before_unix = app.now_unix() - keep_secs;
        drop_in_jobs(
            app,
            |conn| retention::list_old_previews(conn, before_unix, n_max),
            |update_ids| DropPreviews { update_ids },
        )?;
    }
    Ok(())
}

/// Gives up records of the audit that are older than the settings want, once there is a day's worth of them.
fn cut_audit(app: &App) -> Result<(), Error> {
    let Some(keep_secs) = app.config.audit_keep_secs else { return Ok(()) };
    let (before_unix, n_max) = (app.now_unix() - keep_secs, limits::AUDIT_CUT_ROWS);
    let is_due = |conn: &Connection| audit::find_old(conn, before_unix - limits::AUDIT_CUT_SECS, n_max);
    if app.store.read(is_due)?.is_none() {
        return Ok(());
    }
    for _ in 0..limits::RETENTION_STACKS_PER_ROUND {
        let entry = app.entry(app.own_event(audit::CUT, ""));
        if app.store.write(Cut { before_unix, n_max, entry })? < n_max {
            break;
        }
    }
    Ok(())
}

/// A few at a time, between which others have their turn; what is left after this round waits for the next.
fn drop_in_jobs<J: Job<Output = ()>>(
    app: &App,
    list: impl Fn(&Connection) -> Result<Vec<i64>, Error>,
    job: impl Fn(Vec<i64>) -> J,
) -> Result<(), Error> {
    for _ in 0..limits::RETENTION_STACKS_PER_ROUND {
        match app.store.read(&list)? {
            ids if ids.is_empty() => break,
            ids => app.store.write(job(ids))?,
        }
    }
    Ok(())
}

/// What is looked after in turns.
fn tend(app: &App) -> Result<(), Error> {
    state::end_expired(app)?;
    ops::key::renew_used_up(app, limits::SEALS_NOTED)?;
    state::collect_runs(app)
}
