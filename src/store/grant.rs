//! Grants: what users may do beside all in their personal organization.

use rusqlite::{Connection, Row};

use super::{Job, Tx, account, mac};
use crate::domain::access::{Grant, Pattern, Role};
use crate::error::Error;
use crate::limits;

/// Gives a user a role on some stacks; the same again changes nothing.
///
/// Errors: `NotFound` for an unknown user or organization.
pub struct AddGrant {
    /// To whom.
    pub user: String,
    /// What.
    pub grant: Grant,
    /// Now.
    pub now_unix: i64,
}

impl Job for AddGrant {
    const NAME: &'static str = "add_grant";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        let user = account::get_user(tx.conn, &self.user)?;
        account::require_org(tx.conn, &self.grant.pattern.org)?;
        if list_of(tx.conn, user.id)?.len() >= limits::GRANTS_MAX {
            return Err(Error::Conflict(format!("{} has {} grants already", user.name, limits::GRANTS_MAX)));
        }
        insert(tx, user.id, &self.grant, self.now_unix)
    }
}

/// Takes a grant back. Errors: `NotFound` if there is no such grant.
pub struct RemoveGrant {
    /// From whom.
    pub user: String,
    /// What.
    pub grant: Grant,
}

impl Job for RemoveGrant {
    const NAME: &'static str = "remove_grant";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        let user = account::get_user(tx.conn, &self.user)?;
        const SQL: &str = "
            DELETE FROM grants WHERE account_id = ?1 AND org = ?2 AND project = ?3 AND stack = ?4 AND role = ?5";
        let Grant { role, pattern } = &self.grant;
        let row = (user.id, &pattern.org, &pattern.project, &pattern.stack, role.as_str());
        match tx.conn.prepare_cached(SQL)?.execute(row)? {
            0 => Err(Error::NotFound(format!(
                "{} has no grant of '{}' on {pattern}",
                user.name,
                role.as_str()
            ))),
            _ => Ok(()),
        }
    }
}

/// Takes back all that a user was granted in an organization. Errors: `NotFound` if that is nothing.
pub struct RemoveMember {
    /// From whom.
    pub user: String,
    /// Where.
    pub org: String,
}

impl Job for RemoveMember {
    const NAME: &'static str = "remove_member";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        let user = account::get_user(tx.conn, &self.user)?;
        match delete_in_org(tx, user.id, &self.org)? {
            0 => {
                Err(Error::NotFound(format!("User '{}' not found in organization '{}'", self.user, self.org)))
            }
            _ => Ok(()),
        }
    }
}

/// Gives a user one role on a whole organization in place of all that was granted there.
pub struct SetMember {
    /// To whom.
    pub user: String,
    /// Where.
    pub org: String,
    /// What.
    pub role: Role,
    /// Now.
    pub now_unix: i64,
}

impl Job for SetMember {
    const NAME: &'static str = "set_member";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        let user = account::get_user(tx.conn, &self.user)?;
        account::require_org(tx.conn, &self.org)?;
        delete_in_org(tx, user.id, &self.org)?;
        insert(tx, user.id, &Grant::on_org(self.role, &self.org), self.now_unix)
    }
}

fn delete_in_org(tx: &Tx, account_id: i64, org: &str) -> Result<usize, Error> {
    const SQL: &str = "DELETE FROM grants WHERE account_id = ?1 AND org = ?2";
    Ok(tx.conn.prepare_cached(SQL)?.execute((account_id, org))?)
}

/// Stores a grant.
pub fn insert(tx: &Tx, account_id: i64, grant: &Grant, now_unix: i64) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO grants (account_id, org, project, stack, role, created_at_unix)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    let Grant { role, pattern } = grant;
    let row = (account_id, &pattern.org, &pattern.project, &pattern.stack, role.as_str(), now_unix);
    tx.conn.prepare_cached(SQL)?.execute(row)?;
    Ok(())
}

/// What a user was granted.
pub fn list_of(conn: &Connection, account_id: i64) -> Result<Vec<Grant>, Error> {
    let sql = format!(
        "SELECT role, org, project, stack, {} FROM grants WHERE account_id = ?1
         ORDER BY org, project, stack, role",
        mac::check("grants", "")
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([account_id], |row| from_row(row, 0))?;
    rows.map(|row| row?).collect()
}

/// A grant with the user who has it.
pub struct Granted {
    /// Who.
    pub user: String,
    /// What.
    pub grant: Grant,
    /// Since when.
    pub created_at_unix: i64,
}

/// All grants of an organization, or all there are, by user.
pub fn list(conn: &Connection, org: Option<&str>) -> Result<Vec<Granted>, Error> {
    let sql = format!(
        "SELECT a.name, g.created_at_unix, g.role, g.org, g.project, g.stack, {}
         FROM grants g JOIN accounts a ON a.id = g.account_id
         WHERE ?1 IS NULL OR g.org = ?1
         ORDER BY a.name, g.org, g.project, g.stack, g.role",
        mac::check("grants", "g.")
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([org], |row| {
        let (user, created_at_unix) = (row.get(0)?, row.get(1)?);
        Ok(from_row(row, 2)?.map(|grant| Granted { user, grant, created_at_unix }))
    })?;
    rows.map(|row| row?).collect()
}

fn from_row(row: &Row, at: usize) -> rusqlite::Result<Result<Grant, Error>> {
    let role: String = row.get(at)?;
    let pattern = Pattern { org: row.get(at + 1)?, project: row.get(at + 2)?, stack: row.get(at + 3)? };
    Ok(Role::parse(&role).map(|role| Grant { role, pattern }))
}
