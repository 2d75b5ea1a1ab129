//! The plaintext guard: marks of what is encrypted, and what is said of values that lie in a state in plain text.

use std::sync::Arc;

use crate::app::App;
use crate::config::PlaintextGuard;
use crate::crypto::keyring::StackKey;
use crate::domain::leak::mark::Mark;
use crate::domain::leak::{Leak, Marks};
use crate::error::Error;
use crate::limits;
use crate::store;
use crate::store::mark::{AddMarks, StoredMarks};
use crate::store::stack::Stack;
use crate::store::version;

/// Leaks that are named to a person at once; the history has all.
const NAMED_MAX: usize = 3;

/// What is to be looked for in states of a stack; none if nothing is.
pub fn marks(app: &App, key: &StackKey, stack_id: i64) -> Result<Option<Arc<Marks>>, Error> {
    if app.config.plaintext_guard == PlaintextGuard::Off {
        return Ok(None);
    }
    app.marks.with(stack_id, || read(app, key, stack_id), |kept| Some(kept.marks.clone()))
}

/// What is to be looked for in the state of a stack that is only made: nothing was encrypted for it yet.
pub fn marks_of_new(app: &App, key: &StackKey) -> Option<Marks> {
    (app.config.plaintext_guard != PlaintextGuard::Off).then(|| store::mark::none(key))
}

fn read(app: &App, key: &StackKey, stack_id: i64) -> Result<StoredMarks, Error> {
    let mut stored = app.store.read(|conn| store::mark::read(conn, key, stack_id))?;
    if let Some(damage) = stored.damage.take() {
        log::error!("values that were encrypted for the stack may be missed in plain text: {damage}");
    }
    Ok(stored)
}

/// Remembers values that are encrypted now, before they are answered. Those that are known cost no write.
///
/// What cannot be stored is known in memory only, and the encryption goes on: it must not depend on the guard.
pub fn remember(
    app: &App,
    key: &StackKey,
    stack_id: i64,
    plaintexts: &[impl AsRef<[u8]>],
) -> Result<(), Error> {
    let Some(known) = marks(app, key, stack_id)? else { return Ok(()) };
    if known.new_of(plaintexts).is_empty() {
        return Ok(());
    }
    let add = |kept: &mut StoredMarks| {
        // Another call may have brought the same meanwhile.
        let new = kept.marks.new_of(plaintexts);
        if new.is_empty() {
            return Ok(());
        }
        let mut marks = (*kept.marks).clone();
        marks.add(new.iter().copied());
        kept.marks = Arc::new(marks);
        store_new(app, key, stack_id, kept, &new)
    };
    match app.marks.with(stack_id, || read(app, key, stack_id), add)? {
        Err(error @ Error::NotFound(_)) => Err(error),
        Err(error) => {
            log::warn!(
                "could not note that values were encrypted, for the guard against plain text: {error}"
            );
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// In a row of their own, or, if there are many rows, in one with all.
fn store_new(
    app: &App,
    key: &StackKey,
    stack_id: i64,
    kept: &mut StoredMarks,
    new: &[Mark],
) -> Result<(), Error> {
    let is_full = kept.n_rows >= limits::MARK_ROWS_MAX || kept.n_stored + new.len() > 2 * limits::MARKS_MAX;
    let (stored, replaces) = if is_full { (kept.marks.list(), kept.last_row) } else { (new, 0) };
    kept.last_row = app.store.write(AddMarks::new(key, stack_id, stored, replaces)?)?;
    let n_stored = stored.len();
    (kept.n_rows, kept.n_stored) =
        if is_full { (1, n_stored) } else { (kept.n_rows + 1, kept.n_stored + n_stored) };
    Ok(())
}

/// A sentence about values in plain text, for one line; none for none.
pub fn sentence(leaks: &[Leak]) -> Option<String> {
    let named: Vec<String> = leaks
        .iter()
        .take(NAMED_MAX)
        .map(|Leak { urn, path, why }| format!("{path} of {urn} {why}"))
        .collect();
    let more = match leaks.len() - named.len() {
        0 => String::new(),
        n => format!("; and {n} more, which the history of the stack names"),
    };
    let (n, are) = match leaks.len() {
        0 => return None,
        1 => ("1 value".to_string(), "lies"),
        n => (format!("{n} values"), "lie"),
    };
    Some(format!("{n} that should be secret {are} in the state in plain text: {}{more}", named.join("; ")))
}

/// Refuses the import of a state that brings values in plain text, if the setting says so.
///
/// What lay in the stack's state before is let through: it could not be mended otherwise.
/// Errors: `Invalid`, with what to do.
pub fn refuse_import(app: &App, key: &StackKey, stack: Option<&Stack>, leaks: &[Leak]) -> Result<(), Error> {
    if app.config.plaintext_guard != PlaintextGuard::Block || leaks.is_empty() {
        return Ok(());
    }
    let present = match stack.and_then(|stack| stack.deployment_id) {
        Some(id) => app.store.read(|conn| version::read_leaks(conn, key, id))?,
        None => Vec::new(),
    };
    let is_new = |leak: &&Leak| !present.iter().any(|known| known.urn == leak.urn && known.path == leak.path);
    let new: Vec<Leak> = leaks.iter().filter(is_new).cloned().collect();
    match sentence(&new) {
        None => Ok(()),
        Some(sentence) => Err(Error::invalid(
            "deployment",
            format!(
                "is refused, as this server is set to --plaintext-guard block: {sentence}. Nothing was stored. Put a \
                 secret in the place of each (as {{\"4dabf18193072939515e22adb298388d\": \
                 \"1b47061264138c4ac30d75fd1eb44270\", \"plaintext\": \"…\"}} in the file, with the value's JSON as \
                 the plaintext; `pulumi stack import` encrypts it), or ask the administrator to import it under \
                 --plaintext-guard warn"
            ),
        )),
    }
}
