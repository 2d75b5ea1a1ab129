//! App: what every handler can reach.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::cache::{BaseHashes, ExportCache};
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::keyring::{Keyring, StackKey};
use crate::error::Error;
use crate::store::stack::Stack;
use crate::store::{self, Store};

/// The parts of a running server that handlers use.
pub struct App {
    /// The database.
    pub store: Store,
    /// The keys.
    pub keyring: Keyring,
    /// Exports as they were sent.
    pub exports: ExportCache,
    /// Hashes of what running updates started from.
    pub bases: BaseHashes,
    /// Stacks whose export is likely to be asked for next.
    pub warm: Sender<i64>,
    /// The time.
    pub clock: Clock,
    /// The settings.
    pub config: Config,
}

impl App {
    /// Now, in seconds since 1970.
    pub fn now_unix(&self) -> i64 {
        self.clock.now_unix()
    }

    /// The key of the stack with this row id.
    pub fn key_of(&self, stack_id: i64) -> Result<Arc<StackKey>, Error> {
        match self.keyring.opened_key(stack_id) {
            Some(key) => Ok(key),
            None => self.stack_key(&self.store.read(|conn| store::stack::read(conn, stack_id))?),
        }
    }

    /// The key of a stack.
    pub fn stack_key(&self, stack: &Stack) -> Result<Arc<StackKey>, Error> {
        self.keyring.stack_key(stack.id, &stack.uid, &stack.key_sealed)
    }
}
