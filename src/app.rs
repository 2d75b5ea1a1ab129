//! App: what every handler can reach.

use std::sync::{Arc, OnceLock};

use crossbeam_channel::Sender;

use crate::cache::ExportCache;
use crate::cache::kept::Kept;
use crate::cache::last_text::LastText;
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::hash_key::HashKey;
use crate::crypto::keyring::{Keyring, StackKey};
use crate::crypto::token::TokenHash;
use crate::error::Error;
use crate::observe::figures::GateFigures;
use crate::outbound::key_set::KeySets;
use crate::recent::Recent;
use crate::store::audit::{Audited, Entry, Event, Note, Who};
use crate::store::mark::StoredMarks;
use crate::store::sketch::Sketch;
use crate::store::stack::Stack;
use crate::store::{self, Job, Store};

/// Who did it, if nobody called. No user can have this name.
const THE_SERVER: &str = "(server)";

/// The parts of a running server that handlers use.
pub struct App {
    /// The database.
    pub store: Store,
    /// The keys.
    pub keyring: Keyring,
    /// The key of the audit record.
    pub audit_key: Arc<HashKey>,
    /// Of the one token that all share, if there is one.
    pub single_token: Option<TokenHash>,
    /// Keys of issuers that publish theirs.
    pub key_sets: KeySets,
    /// Wrong tokens and denied calls of the last minute.
    pub recent: Recent,
    /// Exports as they were sent.
    pub exports: ExportCache,
    /// What running updates started from.
    pub bases: Kept<Arc<Sketch>>,
    /// Last checkpoints of running updates.
    pub last_texts: Kept<Option<Arc<LastText>>>,
    /// Marks of what was encrypted for stacks.
    pub marks: Kept<StoredMarks>,
    /// Stacks whose export is likely to be asked for next.
    pub warm: Sender<i64>,
    /// The time.
    pub clock: Clock,
    /// How busy the gate is; not set while there is none.
    pub gate: OnceLock<Box<dyn Fn() -> GateFigures + Send + Sync>>,
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

    /// Carries out a job and records it in the same commit.
    pub fn write_recorded<J: Job>(&self, job: J, event: Event) -> Result<J::Output, Error> {
        self.store.write(Audited { job, entry: Some(self.entry(event)) })
    }

    /// Records what changed nothing; done when it is on disk.
    pub fn record(&self, event: Event) -> Result<(), Error> {
        self.store.write(Note(self.entry(event)))
    }

    /// What the server does by itself, or by its settings.
    pub fn own_event(&self, action: &'static str, target: &str) -> Event {
        Event {
            who: Who { at_unix: self.now_unix(), actor: THE_SERVER.into(), ..Who::default() },
            action,
            target: target.into(),
            org: String::new(),
            result: "ok".into(),
            detail: String::new(),
        }
    }

    /// An event ready to be recorded.
    pub fn entry(&self, event: Event) -> Entry {
        Entry { event, key: self.audit_key.clone() }
    }
}
