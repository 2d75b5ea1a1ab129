//! What was taken away in a database since a backup of it was made: a restore must not give it back.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::mac::{self, RowHasher};
use super::{Job, Tx, backup};
use crate::error::Error;

/// What a restored database has that was taken away after its backup.
#[derive(Default, Clone)]
pub struct Revoked {
    /// Tokens that were revoked: id, and owner with name.
    pub tokens: Vec<(String, String)>,
    /// Users that were locked out or removed.
    pub users: Vec<String>,
    /// Grants that were taken back: user, organization, project, stack, role.
    pub grants: Vec<[String; 5]>,
}

/// Compares the database at `old` with the backup at `new`, whose audit record ended at `head`.
///
/// Nothing if `old` did not come from there: another database knows nothing of these tokens.
/// `hasher` begins with the server's key. Errors: the old one cannot be read, or was edited.
pub fn find(
    old: &Path,
    new: &Path,
    head: Option<(i64, &[u8])>,
    hasher: &RowHasher,
) -> Result<Option<Revoked>, Error> {
    let conn = backup::open_both(old, new)?;
    mac::register(&conn, hasher)?;
    let Some((sequence, hash)) = head else { return Ok(None) };
    const IS_LATER: &str = "SELECT 1 FROM main.audit WHERE sequence = ?1 AND hash = ?2";
    let later: Option<i64> = conn.query_row(IS_LATER, (sequence, hash), |row| row.get(0)).optional()?;
    if later.is_none() {
        return Ok(None);
    }
    // A row that was put there by hand vouches for nothing.
    let of_old = |table: &str| format!("SELECT {} FROM main.{table}", mac::check(table, ""));
    for table in ["tokens", "accounts", "grants"] {
        conn.prepare(&of_old(table))?.query_map([], |_| Ok(()))?.collect::<Result<Vec<()>, _>>()?;
    }
    Ok(Some(Revoked { tokens: tokens(&conn)?, users: users(&conn)?, grants: grants(&conn)? }))
}

fn tokens(conn: &Connection) -> Result<Vec<(String, String)>, Error> {
    const SQL: &str = "
        SELECT t.uid, a.name || ' ' || t.name
        FROM restored.tokens t JOIN restored.accounts a ON a.id = t.account_id
        WHERE NOT EXISTS (SELECT 1 FROM main.tokens o WHERE o.uid = t.uid) ORDER BY 2";
    let mut statement = conn.prepare(SQL)?;
    Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

fn users(conn: &Connection) -> Result<Vec<String>, Error> {
    const SQL: &str = "
        SELECT name FROM restored.accounts r
        WHERE kind = 'user' AND is_disabled = 0
          AND NOT EXISTS (SELECT 1 FROM main.accounts o WHERE o.id = r.id AND o.name = r.name AND o.is_disabled = 0)
        ORDER BY 1";
    let mut statement = conn.prepare(SQL)?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

fn grants(conn: &Connection) -> Result<Vec<[String; 5]>, Error> {
    const SQL: &str = "
        SELECT a.name, g.org, g.project, g.stack, g.role
        FROM restored.grants g JOIN restored.accounts a ON a.id = g.account_id
        WHERE EXISTS (SELECT 1 FROM main.accounts o WHERE o.id = g.account_id)
          AND NOT EXISTS (SELECT 1 FROM main.grants o
                          WHERE o.account_id = g.account_id AND o.org = g.org AND o.project = g.project
                            AND o.stack = g.stack AND o.role = g.role)
        ORDER BY 1, 2, 3, 4, 5";
    let mut statement = conn.prepare(SQL)?;
    let rows = statement
        .query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?]))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Takes it away in the restored database too. A user that was removed is locked out, for there may be stacks.
pub struct TakeAway(pub Revoked);

impl Job for TakeAway {
    const NAME: &'static str = "take_away";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        for (uid, _) in &self.0.tokens {
            tx.conn.prepare_cached("DELETE FROM tokens WHERE uid = ?1")?.execute([uid])?;
        }
        const DISABLE: &str = "UPDATE accounts SET is_disabled = 1 WHERE name = ?1 AND kind = 'user'";
        for name in &self.0.users {
            tx.conn.prepare_cached(DISABLE)?.execute([name])?;
        }
        const REVOKE: &str = "
            DELETE FROM grants
            WHERE account_id = (SELECT id FROM accounts WHERE name = ?1)
              AND org = ?2 AND project = ?3 AND stack = ?4 AND role = ?5";
        for grant in &self.0.grants {
            tx.conn.prepare_cached(REVOKE)?.execute(rusqlite::params_from_iter(grant))?;
        }
        Ok(())
    }
}
