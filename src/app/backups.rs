//! The one backup that is being made, whoever asked for it, and how the last ones ended. What must survive the process
//! is in the database.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use crossbeam_channel::Sender;
use serde_json::Value;

use crate::error::Error;
use crate::limits;
use crate::pace::Meter;
use crate::store::audit::Event;
use crate::store::backup::Backup;

/// Where backups are asked for, one at a time.
pub struct Desk {
    orders: Sender<Order>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    /// Names, and what is told of them.
    ended: VecDeque<(String, Value)>,
    is_closed: bool,
}

/// A backup that is being made.
#[derive(Clone)]
pub struct Running {
    /// What is known of it so far.
    pub backup: Backup,
    /// How far it is.
    pub meter: Meter,
}

/// What is to be made.
pub struct Order {
    /// Its name and place.
    pub running: Running,
    /// The place as it was asked for; none is that of the settings.
    pub to: Option<String>,
    /// Who asked.
    pub event: Event,
}

/// What is known of a backup by its name.
pub enum Known {
    /// It is being made.
    Running(Running),
    /// It has ended; what is told of it.
    Ended(Value),
}

impl Desk {
    /// Orders go to the one who carries them out.
    pub fn new(orders: Sender<Order>) -> Desk {
        Desk { orders, state: Mutex::default() }
    }

    /// Begins a backup, after `first` went well; or answers the one that is being made, and begins none.
    pub fn begin(
        &self,
        order: Order,
        first: impl FnOnce() -> Result<(), Error>,
    ) -> Result<Option<Running>, Error> {
        let mut state = self.lock();
        if let Some(running) = &state.running {
            return Ok(Some(running.clone()));
        }
        let stopping = || Error::Unavailable("the server is being stopped; no backup was begun".into());
        if state.is_closed {
            return Err(stopping());
        }
        // Still under the lock: of two calls at once, one begins.
        first()?;
        let running = order.running.clone();
        self.orders.try_send(order).map_err(|_| stopping())?;
        state.running = Some(running);
        Ok(None)
    }

    /// More is known of the one that is being made.
    pub fn note(&self, backup: &Backup) {
        if let Some(running) = &mut self.lock().running {
            running.backup = backup.clone();
        }
    }

    /// It has ended, and this is told of it.
    pub fn end(&self, told: Value) {
        let mut state = self.lock();
        if let Some(running) = state.running.take() {
            state.ended.push_front((running.backup.name, told));
            state.ended.truncate(limits::BACKUPS_ENDED_MAX);
        }
    }

    /// The one that is being made.
    pub fn running(&self) -> Option<Running> {
        self.lock().running.clone()
    }

    /// The newest of this name, if it is being made or has just ended.
    pub fn find(&self, name: &str) -> Option<Known> {
        let state = self.lock();
        if let Some(running) = state.running.as_ref().filter(|running| running.backup.name == name) {
            return Some(Known::Running(running.clone()));
        }
        state.ended.iter().find(|(known, _)| known == name).map(|(_, told)| Known::Ended(told.clone()))
    }

    /// Nothing is begun any more.
    pub fn close(&self) {
        self.lock().is_closed = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }
}
