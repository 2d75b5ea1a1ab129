//! base deployment + journal entries → deployment, as Pulumi's own replayer gives it, but nothing reported is lost.
//! Source: pkg/backend/journal.go, `JournalReplayer`.

mod alias;
mod entry;
mod ledger;
mod plan;
mod prune;
mod replay;

pub use entry::{Entry, Kind, Step, parse_batch};
pub use ledger::{Ledger, Noted, Verdict};
pub use plan::{Marks, Slot, Source};
pub use replay::{Manifest, Outline, Replayed, magic, outline, replay};
