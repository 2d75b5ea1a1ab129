//! Everything that is stored, opened and compared: what is not as it was written is told, a sentence each.

use std::collections::HashSet;

use rusqlite::Connection;

use super::mac::{GUARDED, Guarded};
use super::sketch::Sketch;
use super::stack::{self, Stack};
use super::update::{self, Update};
use super::{account, event, history, journal, mark, program};
use crate::crypto::keyring::StackKey;
use crate::domain::update::UpdateStatus;
use crate::error::Error;
use crate::pace::Pace;

/// Problems that are told at the most; one damaged page can cause thousands.
const PROBLEMS_MAX: usize = 1000;

/// What was looked at, and what is wrong.
#[derive(Default)]
pub struct Report {
    /// How many of each were looked at, as `("updates", 12)`.
    pub counts: Vec<(&'static str, u64)>,
    /// A sentence each, at most `PROBLEMS_MAX`.
    pub problems: Vec<String>,
}

impl Report {
    /// Counts what was looked at.
    pub fn count(&mut self, what: &'static str, n: u64) {
        match self.counts.iter_mut().find(|(name, _)| *name == what) {
            Some((_, so_far)) => *so_far += n,
            None => self.counts.push((what, n)),
        }
    }

    /// Notes what is wrong.
    pub fn problem(&mut self, sentence: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(sentence);
        }
    }

    /// Notes what is wrong with a part of `whose`, if it is damage; what only keeps us from looking is an error.
    fn keep(&mut self, whose: &dyn std::fmt::Display, done: Result<(), Error>) -> Result<(), Error> {
        match done {
            Ok(()) => Ok(()),
            Err(Error::Damaged(what)) => {
                self.problem(format!("{whose}: {what}"));
                Ok(())
            }
            Err(error) if super::is_damage(&error) => {
                self.problem(format!("{whose}: {error}"));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// What belongs to no stack: SQLite's own structures, the rows that are guarded, and that all are there.
pub fn database(conn: &Connection, report: &mut Report, pace: &mut Pace) -> Result<(), Error> {
    pace.begin("checking the file", 0);
    let structure = structure(conn, report);
    report.keep(&"the file", structure)?;
    let count = |guarded: &Guarded| super::backup::count_rows_of(conn, guarded.table);
    let n_rows = GUARDED.iter().map(count).sum::<Result<u64, Error>>();
    pace.begin("checking rows", n_rows.unwrap_or(0));
    for guarded in GUARDED {
        let rows = rows(conn, guarded, report, pace);
        report.keep(&format!("table {}", guarded.table), rows)?;
    }
    let total = stack::check_total(conn);
    report.keep(&"the list of stacks", total)?;
    let total = account::check_total(conn);
    report.keep(&"the list of users", total)
}

fn structure(conn: &Connection, report: &mut Report) -> Result<(), Error> {
    let mut statement = conn.prepare(&format!("PRAGMA integrity_check({PROBLEMS_MAX})"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        if line != "ok" {
            report.problem(format!("the file: {line}"));
        }
    }
    Ok(())
}

fn rows(conn: &Connection, guarded: &Guarded, report: &mut Report, pace: &mut Pace) -> Result<(), Error> {
    let mut statement = conn.prepare(&guarded.list_sql())?;
    let mut rows = statement.query([])?;
    let mut n_rows = 0;
    while let Some(row) = rows.next()? {
        n_rows += 1;
        pace.done(1)?;
        let is_whole: bool = row.get(1)?;
        if !is_whole {
            let key: String = row.get(0)?;
            report.problem(format!("table {}: row {key} is not as it was written", guarded.table));
        }
    }
    report.count("rows", n_rows);
    Ok(())
}

/// Row ids of all stacks.
pub fn list_stacks(conn: &Connection) -> Result<Vec<i64>, Error> {
    let mut statement = conn.prepare_cached("SELECT id FROM stacks ORDER BY id")?;
    let ids = statement.query_map([], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Of all stacks: what `stack` looks at.
pub fn count_things(conn: &Connection) -> Result<u64, Error> {
    const SQL: &str = "SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM updates)";
    Ok(conn.query_row(SQL, [], |row| row.get(0))?)
}

/// Everything of one stack, with its key.
pub fn stack(
    conn: &Connection,
    key: &StackKey,
    stack: &Stack,
    report: &mut Report,
    pace: &mut Pace,
) -> Result<(), Error> {
    let whose = format!("stack '{}'", stack.stack_ref);
    report.count("stacks", 1);
    deployments(conn, key, stack, report, pace)?;
    report.keep(&whose, history::check_count(conn, stack))?;
    marks(conn, key, stack, report)?;
    for id in list_ids(conn, "SELECT id FROM updates WHERE stack_id = ?1 ORDER BY id", stack.id)? {
        pace.done(1)?;
        let done = update(conn, key, id, report);
        report.keep(&whose, done)?;
    }
    Ok(())
}

/// Every deployment, each run of resources once, and that what versions and the stack name is there.
fn deployments(
    conn: &Connection,
    key: &StackKey,
    stack: &Stack,
    report: &mut Report,
    pace: &mut Pace,
) -> Result<(), Error> {
    let whose = format!("stack '{}'", stack.stack_ref);
    let mut seen = HashSet::new();
    let ids = list_ids(conn, "SELECT id FROM deployments WHERE stack_id = ?1 ORDER BY id", stack.id)?;
    for id in &ids {
        let sketch = Sketch::read(conn, key, *id);
        report.keep(&whose, sketch.and_then(|sketch| sketch.verify(conn, key, &mut seen, pace)))?;
    }
    report.count("deployments", ids.len() as u64);
    report.count("runs of resources", seen.len() as u64);
    const NAMED: &str = "SELECT deployment_id FROM versions WHERE stack_id = ?1";
    let named = list_ids(conn, NAMED, stack.id)?;
    let is_there = |id: &i64| ids.binary_search(id).is_ok();
    let n_missing = named.iter().chain(&stack.deployment_id).filter(|id| !is_there(id)).count();
    if n_missing > 0 {
        report.problem(format!("{whose}: {n_missing} deployments are missing"));
    }
    report.count("versions", named.len() as u64);
    Ok(())
}

/// What is known of values that were encrypted.
fn marks(conn: &Connection, key: &StackKey, stack: &Stack, report: &mut Report) -> Result<(), Error> {
    let stored = mark::read(conn, key, stack.id)?;
    report.count("batches of marks", stored.n_rows as u64);
    report.keep(&format!("stack '{}'", stack.stack_ref), stored.damage.map_or(Ok(()), Err))
}

fn list_ids(conn: &Connection, sql: &str, stack_id: i64) -> Result<Vec<i64>, Error> {
    let mut statement = conn.prepare_cached(sql)?;
    let ids = statement.query_map([stack_id], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

fn update(conn: &Connection, key: &StackKey, id: i64, report: &mut Report) -> Result<(), Error> {
    let update = update::read(conn, id)?;
    report.count("updates", 1);
    program::read(conn, key, &update)?;
    program::check_findings(conn, key, &update)?;
    report.count("event batches", event::verify(conn, key, &update)?);
    if update.status == UpdateStatus::Running {
        report.count("journal batches", journal_of(conn, key, &update)?);
    }
    Ok(())
}

fn journal_of(conn: &Connection, key: &StackKey, update: &Update) -> Result<u64, Error> {
    Ok(journal::list_batches(conn, key, update)?.len() as u64)
}
