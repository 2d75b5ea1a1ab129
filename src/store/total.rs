//! How many rows there must be: rows that were deleted by damage, or by hand, are noticed. Triggers count.

use rusqlite::{Connection, OptionalExtension};

use super::{Tx, mac};
use crate::error::Error;

/// Stacks. A list that lacks one would look like all there is.
pub const STACKS: &str = "stacks";
/// Users. Without them every token would be accepted.
pub const USERS: &str = "users";

/// Begins to count the rows of a new database.
pub fn start(tx: &Tx) -> Result<(), Error> {
    for name in [STACKS, USERS] {
        tx.conn.execute("INSERT INTO totals (name, n) VALUES (?1, 0)", [name])?;
    }
    Ok(())
}

/// How many there must be. Errors: `Damaged`.
pub fn expected(conn: &Connection, name: &str) -> Result<i64, Error> {
    let sql = format!("SELECT n, {} FROM totals WHERE name = ?1", mac::check("totals", ""));
    let n = conn.prepare_cached(&sql)?.query_row([name], |row| row.get(0)).optional()?;
    n.ok_or_else(|| Error::Damaged(format!("the number of {name} is missing")))
}

/// Errors: `Damaged` if there are not as many as there must be.
pub fn check(conn: &Connection, name: &str, there: i64) -> Result<(), Error> {
    match expected(conn, name)? {
        expected if expected != there => {
            Err(Error::Damaged(format!("there are {there} {name}, and should be {expected}")))
        }
        _ => Ok(()),
    }
}

/// Counts anew from none, when a person has said what is to be.
pub fn start_again(tx: &Tx, name: &str) -> Result<(), Error> {
    tx.conn.execute("UPDATE totals SET n = 0 WHERE name = ?1", [name])?;
    Ok(())
}
