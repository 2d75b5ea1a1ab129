//! What the rows of updates hold in sealed texts: the create request, which tells the whole configuration of a stack,
//! and what is not sound in the state that an update left.

use rusqlite::{Connection, OptionalExtension};

use super::update::Update;
use super::{Tx, sealed};
use crate::crypto::keyring::StackKey;
use crate::domain::leak::{self, Leak};
use crate::error::Error;

/// Makes a create request ready for its row.
pub fn seal(key: &StackKey, update_uid: &str, text: &str, deflated: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    sealed::seal_text(key, &label(update_uid), text, deflated)
}

/// Makes what is not sound in a state ready for the row of its update.
pub fn seal_findings(
    key: &StackKey,
    update_uid: &str,
    findings: Option<&str>,
) -> Result<Option<Vec<u8>>, Error> {
    let seal = |findings| sealed::seal_text(key, &findings_label(update_uid), findings, None);
    findings.map(seal).transpose()
}

/// Makes what lies in a state in plain text ready for the row of its update; nothing for nothing.
pub fn seal_leaks(key: &StackKey, update_uid: &str, leaks: &[Leak]) -> Result<Option<Vec<u8>>, Error> {
    let text = (!leaks.is_empty()).then(|| leak::to_text(leaks));
    let seal = |text: String| sealed::seal_text(key, &leaks_label(update_uid), &text, None);
    text.map(seal).transpose()
}

fn leaks_label(update_uid: &str) -> String {
    format!("leaks {update_uid}")
}

/// What `seal_leaks` made ready.
pub(super) fn open_leaks(key: &StackKey, update_uid: &str, sealed: &[u8]) -> Result<Vec<Leak>, Error> {
    let what = format!("the list of values in plain text of update {update_uid}");
    let text = sealed::open_text(key, &leaks_label(update_uid), sealed, &what)?;
    leak::from_text(&text).ok_or_else(|| sealed::damaged(&what))
}

fn label(update_uid: &str) -> String {
    format!("program {update_uid}")
}

fn findings_label(update_uid: &str) -> String {
    format!("findings {update_uid}")
}

/// What `seal` made ready.
pub(super) fn open(key: &StackKey, update_uid: &str, sealed: &[u8]) -> Result<String, Error> {
    let what = format!("the create request of update {update_uid}");
    sealed::open_text(key, &label(update_uid), sealed, &what)
}

/// What `seal_findings` made ready.
pub(super) fn open_findings(key: &StackKey, update_uid: &str, sealed: &[u8]) -> Result<String, Error> {
    let what = format!("the findings of update {update_uid}");
    sealed::open_text(key, &findings_label(update_uid), sealed, &what)
}

/// Stores what `seal` made ready.
pub(super) fn insert(tx: &Tx, update_id: i64, program: &[u8]) -> Result<(), Error> {
    const SQL: &str = "INSERT INTO programs (update_id, body) VALUES (?1, ?2)";
    tx.conn.prepare_cached(SQL)?.execute((update_id, program))?;
    Ok(())
}

/// The create request of an update, as it came.
pub fn read(conn: &Connection, key: &StackKey, update: &Update) -> Result<String, Error> {
    const SQL: &str = "SELECT body FROM programs WHERE update_id = ?1";
    let sealed: Option<Vec<u8>> =
        conn.prepare_cached(SQL)?.query_row([update.id], |row| row.get(0)).optional()?;
    open(key, &update.uid, &sealed.unwrap_or_default())
}

/// Whether what is not right in the state that an update left can be read.
pub fn check_findings(conn: &Connection, key: &StackKey, update: &Update) -> Result<(), Error> {
    const SQL: &str = "SELECT findings, leaks FROM updates WHERE id = ?1";
    let (findings, leaks): (Option<Vec<u8>>, Option<Vec<u8>>) =
        conn.prepare_cached(SQL)?.query_row([update.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    findings.map_or(Ok(()), |sealed| open_findings(key, &update.uid, &sealed).map(drop))?;
    leaks.map_or(Ok(()), |sealed| open_leaks(key, &update.uid, &sealed).map(drop))
}
