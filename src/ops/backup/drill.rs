//! A restore for a check: the backup is read back from where it was put, opened as a database, and looked at whole.

use std::path::Path;

use super::archive::Archive;
use super::place::Place;
use super::scratch::{Scratch, Steady};
use crate::app::App;
use crate::crypto::keyring::Keyring;
use crate::error::Error;
use crate::ops::verify;
use crate::pace::Pace;
use crate::store::Store;
use crate::store::backup::read_facts;

/// Restores the backup `name` to a private folder and checks it. Answers what is not right.
///
/// `database_sha256` is that of the database when it was written. Errors: it does not even open.
pub fn run(
    app: &App,
    place: &Place,
    name: &str,
    database_sha256: &str,
    pace: &mut Pace,
) -> Result<Vec<String>, Error> {
    let scratch = Scratch::make(&app.config.db)?;
    pace.begin("fetching", 0);
    let mut archive = Archive::open(&place.fetch(name, scratch.path())?)?;
    if archive.manifest().database_sha256 != database_sha256 {
        return Ok(vec!["what is there is another backup".into()]);
    }
    let db = scratch.file("restored");
    unpack(&mut archive, &db, pace)?;
    let mut problems: Vec<String> = archive.manifest().differs(read_facts(&db)?).into_iter().collect();
    problems.extend(problems_of(&db, &app.keyring, pace)?);
    pace.begin("clearing up", 0);
    scratch.remove("restored", pace);
    Ok(problems)
}

/// Writes the database of a backup to the new file `db`; each byte is checked.
pub fn unpack(archive: &mut Archive<std::fs::File>, db: &Path, pace: &mut Pace) -> Result<(), Error> {
    let mut out = Steady::create(db)?;
    archive.unpack(&mut out, pace)?;
    let failed = |cause| Error::internal(format!("write {}", db.display()), cause);
    out.finish().map(drop).map_err(failed)
}

/// Opens a database that nobody else uses and checks it whole.
pub fn problems_of(db: &Path, keyring: &Keyring, pace: &mut Pace) -> Result<Vec<String>, Error> {
    let store = Store::open(db, keyring.server().keyed_hasher("row"), None)?;
    let checked = verify::verify(&store, keyring, pace);
    store.close();
    Ok(checked?.problems)
}
