//! Makes the backups that are asked for, be it by a call or by the clock, and gives free pages back, beside the housekeeper: leases end in time meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::app::App;
use crate::app::backups::Order;
use crate::error::Error;
use crate::limits;
use crate::ops::backup;
use crate::ops::backup::run;
use crate::store::backup::{FreePages, count_free_pages, standing};

/// The thread that makes backups.
pub struct Backups {
    stop: Sender<()>,
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Backups {
    /// Only a server, and not a command on the data, also looks at the clock.
    pub fn start(app: &Arc<App>, orders: &Receiver<Order>, is_serving: bool) -> Result<Backups, Error> {
        if let Err(cause) = run::give_up_unfinished(app) {
            // A server with a full disk is worth more than none.
            log::error!("backup: {cause}");
        }
        let (stop, stopped) = bounded::<()>(1);
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (app, orders, is_over) = (app.clone(), orders.clone(), is_stopped.clone());
        let look = Duration::from_millis(limits::BACKUP_LOOK_MILLIS);
        let run = move || {
            let mut due = Due { started_unix: app.now_unix(), tried_unix: 0 };
            loop {
                select! {
                    recv(stopped) -> _ => break,
                    recv(orders) -> order => order.into_iter().for_each(|order| run::carry_out(&app, order, &is_over)),
                    default(look) => if is_serving {
                        let done = give_back_pages(&app).and_then(|()| due.begin(&app));
                        done.unwrap_or_else(|cause| log::error!("backup: {cause}"));
                    },
                }
            }
            app.backups.close();
            // One that was begun at the last moment ends as given up.
            orders.try_iter().for_each(|order| run::carry_out(&app, order, &is_over));
        };
        let thread = std::thread::Builder::new().name("backup".into()).spawn(run);
        let thread = thread.map_err(|cause| Error::internal("start the backup thread", cause))?;
        Ok(Backups { stop, is_stopped, thread })
    }

    /// Ends it; a backup in the making is given up.
    pub fn stop(self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        drop(self.stop);
        if self.thread.join().is_err() {
            log::error!("the backup thread had panicked");
        }
    }
}

/// When the next backup is made.
struct Due {
    started_unix: i64,
    /// The last attempt since then; it may have left no record.
    tried_unix: i64,
}

impl Due {
    fn begin(&mut self, app: &App) -> Result<(), Error> {
        let Some(schedule) = &app.config.backup.every else { return Ok(()) };
        let last = app.store.read(standing)?.last;
        let recorded_unix = last.as_ref().map_or(self.started_unix, |last| last.made_at_unix);
        let last_unix = recorded_unix.max(self.tried_unix);
        let has_failed = recorded_unix < self.tried_unix || last.is_some_and(|last| last.problem.is_some());
        let due_unix = schedule.next_after(last_unix);
        let retry_unix = last_unix + limits::BACKUP_RETRY_SECS;
        if app.now_unix() < (if has_failed { due_unix.min(retry_unix) } else { due_unix }) {
            return Ok(());
        }
        self.tried_unix = app.now_unix();
        run::begin(app, None, app.own_event(backup::CREATE, ""))?;
        Ok(())
    }
}

/// Cuts free pages off the end of the file, in small jobs.
fn give_back_pages(app: &App) -> Result<(), Error> {
    let mut n_free = app.store.read(count_free_pages)?;
    for _ in 0..limits::FREE_PAGES_JOBS {
        if n_free <= limits::FREE_PAGES_KEPT {
            break;
        }
        let left = app.store.write(FreePages { n_max: limits::FREE_PAGES_PER_JOB })?;
        if left >= n_free {
            // A database from before pages could be given back.
            break;
        }
        n_free = left;
    }
    Ok(())
}
