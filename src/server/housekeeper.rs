//! Looks after what nobody asks for, each by a job, never by SQL of its own.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select, tick};

use crate::app::App;
use crate::error::Error;
use crate::limits;
use crate::ops;
use crate::state;

/// The thread that ends leases that have run out, readies exports that will be asked for, and tidies up.
pub struct Housekeeper {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Housekeeper {
    /// `to_warm` brings the stacks whose export is likely to be asked for next.
    pub fn start(app: Arc<App>, to_warm: Receiver<i64>) -> Result<Housekeeper, Error> {
        let (stop, stopped) = bounded::<()>(1);
        let ticks = tick(Duration::from_millis(limits::HOUSEKEEPING_MILLIS));
        let run = move || loop {
            let done = select! {
                recv(stopped) -> _ => break,
                recv(ticks) -> _ => tend(&app),
                recv(to_warm) -> stack_id => stack_id.map_or(Ok(()), |stack_id| state::warm(&app, stack_id)),
            };
            match done {
                // The stack was deleted meanwhile.
                Ok(()) | Err(Error::NotFound(_)) => {}
                Err(cause) => log::error!("housekeeping: {cause}"),
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

/// What is looked after in turns.
fn tend(app: &App) -> Result<(), Error> {
    state::end_expired(app)?;
    ops::key::renew_used_up(app)?;
    state::collect_runs(app)
}
