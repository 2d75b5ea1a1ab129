//! Users and organizations: one space of names, for a user's name is also a personal organization.

use rusqlite::{Connection, OptionalExtension, Row};

use super::{Job, Tx, grant, mac, token, total};
use crate::crypto::token::TokenHash;
use crate::domain::access::Grant;
use crate::domain::name::OrgName;
use crate::error::Error;

/// A user or an organization.
#[derive(Clone, Debug)]
pub struct Account {
    /// Row id; never used for another one.
    pub id: i64,
    /// As it was first written.
    pub name: String,
    /// Not a user.
    pub is_org: bool,
    /// May do everything.
    pub is_admin: bool,
    /// May do nothing for the time being.
    pub is_disabled: bool,
    /// When it was made.
    pub created_at_unix: i64,
}

/// Makes a user with a first token.
///
/// The first of all users must be an administrator; with it the open mode ends, and all that is there already
/// becomes an organization of that user's server.
/// Errors: `Conflict` if the name is taken; `Invalid` for a first user who is no administrator.
pub struct AddUser {
    /// The login.
    pub name: OrgName,
    /// Of the server.
    pub is_admin: bool,
    /// What the user may do.
    pub grants: Vec<Grant>,
    /// The organization of the open mode.
    pub org: OrgName,
    /// Who asks.
    pub created_by: String,
    /// Of the first token: its id and hash.
    pub token: (String, TokenHash),
    /// Now.
    pub now_unix: i64,
}

impl Job for AddUser {
    const NAME: &'static str = "add_user";
    /// Whether it was the first.
    type Output = bool;

    fn run(self, tx: &mut Tx) -> Result<bool, Error> {
        let is_first = count_users(tx.conn)? == 0;
        if is_first && !self.is_admin {
            let why = "the first user must be an administrator of the server, for nobody else could make the \
                       next one: add --admin";
            return Err(Error::invalid("admin", why));
        }
        if is_first && has_users(tx.conn)? {
            begin_anew(tx)?;
        }
        let name = self.name.as_str();
        let account_id = insert(tx, name, "user", self.is_admin, self.now_unix)?;
        if is_first {
            keep_organizations(tx, &self.org, self.now_unix)?;
        }
        for grant in &self.grants {
            require_org(tx.conn, &grant.pattern.org)?;
            grant::insert(tx, account_id, grant, self.now_unix)?;
        }
        let (uid, hash) = self.token;
        token::insert(
            tx,
            &token::NewToken {
                uid,
                hash,
                account_id,
                name: "first".into(),
                scope: None,
                is_exchanged: false,
                created_by: self.created_by,
                expires_at_unix: None,
                now_unix: self.now_unix,
            },
        )?;
        Ok(is_first)
    }
}

/// All users were lost, and the administrator of this machine makes the first one again. What they left behind must
/// not become somebody else's.
fn begin_anew(tx: &Tx) -> Result<(), Error> {
    total::start_again(tx, total::USERS)?;
    for sql in [
        "DELETE FROM tokens WHERE account_id NOT IN (SELECT id FROM accounts)",
        "DELETE FROM grants WHERE account_id NOT IN (SELECT id FROM accounts)",
    ] {
        tx.conn.execute(sql, [])?;
    }
    Ok(())
}

/// What stacks of the open mode belong to stays an organization.
fn keep_organizations(tx: &Tx, org: &OrgName, now_unix: i64) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO accounts (name, kind, created_at_unix)
        SELECT org, 'organization', ?2 FROM (SELECT ?1 AS org UNION SELECT org FROM stacks) WHERE true
        ON CONFLICT (name) DO NOTHING";
    tx.conn.prepare_cached(SQL)?.execute((org.as_str(), now_unix))?;
    Ok(())
}

/// Makes an organization. Errors: `Conflict` if the name is taken.
pub struct AddOrg {
    /// Its name.
    pub name: OrgName,
    /// Now.
    pub now_unix: i64,
}

impl Job for AddOrg {
    const NAME: &'static str = "add_org";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        insert(tx, self.name.as_str(), "organization", false, self.now_unix).map(drop)
    }
}

/// Locks a user out, or lets the user in again. Errors: `Conflict` for the last administrator.
pub struct SetDisabled {
    /// Whom.
    pub name: String,
    /// Whether the user is locked out.
    pub is_disabled: bool,
}

impl Job for SetDisabled {
    const NAME: &'static str = "set_disabled";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        let user = get_user(tx.conn, &self.name)?;
        if self.is_disabled {
            refuse_last_admin(tx.conn, &user)?;
        }
        const SQL: &str = "UPDATE accounts SET is_disabled = ?2 WHERE id = ?1";
        tx.conn.prepare_cached(SQL)?.execute((user.id, self.is_disabled))?;
        Ok(())
    }
}

/// Removes a user with all tokens and grants. Errors: `Conflict` for the last administrator, and while there are
/// stacks in the personal organization.
pub struct RemoveUser {
    /// Whom.
    pub name: String,
}

impl Job for RemoveUser {
    const NAME: &'static str = "remove_user";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        let user = get_user(tx.conn, &self.name)?;
        refuse_last_admin(tx.conn, &user)?;
        const STACKS: &str = "SELECT count(*) FROM stacks WHERE org = ?1";
        let n_stacks: i64 = tx.conn.prepare_cached(STACKS)?.query_row([&user.name], |row| row.get(0))?;
        if n_stacks > 0 {
            return Err(Error::Conflict(format!(
                "{} has {n_stacks} stacks in the personal organization '{}'; delete them first, or disable the \
                 user instead",
                user.name, user.name
            )));
        }
        tx.conn.prepare_cached("DELETE FROM accounts WHERE id = ?1")?.execute([user.id])?;
        Ok(())
    }
}

fn refuse_last_admin(conn: &Connection, user: &Account) -> Result<(), Error> {
    const SQL: &str = "
        SELECT EXISTS (SELECT 1 FROM accounts
                       WHERE kind = 'user' AND is_admin = 1 AND is_disabled = 0 AND id <> ?1)";
    let has_other: bool = conn.prepare_cached(SQL)?.query_row([user.id], |row| row.get(0))?;
    match user.is_admin && !has_other {
        true => Err(Error::Conflict(format!(
            "{} is the last administrator of the server; make another one first",
            user.name
        ))),
        false => Ok(()),
    }
}

fn insert(tx: &Tx, name: &str, kind: &str, is_admin: bool, now_unix: i64) -> Result<i64, Error> {
    if let Some(taken) = find(tx.conn, name)? {
        let kind = if taken.is_org { "an organization" } else { "a user" };
        return Err(Error::Conflict(format!("there is {kind} '{}' already", taken.name)));
    }
    const SQL: &str = "INSERT INTO accounts (name, kind, is_admin, created_at_unix) VALUES (?1, ?2, ?3, ?4)";
    Ok(tx.conn.prepare_cached(SQL)?.insert((name, kind, is_admin, now_unix))?)
}

/// Whether there must be a user; if not, the server is in its open mode.
///
/// This asks what was counted: rows that were lost, or deleted by hand, open nothing.
pub fn has_users(conn: &Connection) -> Result<bool, Error> {
    Ok(total::expected(conn, total::USERS)? > 0)
}

/// Users that are there.
pub fn count_users(conn: &Connection) -> Result<i64, Error> {
    const SQL: &str = "SELECT count(*) FROM accounts WHERE kind = 'user'";
    Ok(conn.prepare_cached(SQL)?.query_row([], |row| row.get(0))?)
}

/// Errors: `Damaged` if users were lost.
pub fn check_total(conn: &Connection) -> Result<(), Error> {
    total::check(conn, total::USERS, count_users(conn)?)
}

const COLUMNS: &str = "id, name, kind = 'organization', is_admin, is_disabled, created_at_unix";

/// The user or organization of this name, in any case of its letters: names differ in more than case.
pub fn find(conn: &Connection, name: &str) -> Result<Option<Account>, Error> {
    let sql = format!("SELECT {COLUMNS}, {} FROM accounts WHERE name = ?1", mac::check("accounts", ""));
    Ok(conn.prepare_cached(&sql)?.query_row([name], from_row).optional()?)
}

/// The user of this name. Errors: `NotFound`.
pub fn get_user(conn: &Connection, name: &str) -> Result<Account, Error> {
    let found = find(conn, name)?.filter(|account| !account.is_org && account.name == name);
    found.ok_or_else(|| Error::NotFound(format!("User '{name}' not found")))
}

/// Whether an organization of exactly this name is there, be it a personal one.
pub fn has_org(conn: &Connection, name: &str) -> Result<bool, Error> {
    Ok(find(conn, name)?.is_some_and(|account| account.name == name))
}

/// The error for an organization that is not there.
pub fn org_not_found(name: &str) -> Error {
    Error::NotFound(format!("Organization '{name}' not found"))
}

/// Errors: `NotFound` for an organization that is not there; `*` stands for all.
pub fn require_org(conn: &Connection, name: &str) -> Result<(), Error> {
    match name == "*" || has_org(conn, name)? {
        true => Ok(()),
        false => Err(org_not_found(name)),
    }
}

/// All users, by name.
pub fn list_users(conn: &Connection) -> Result<Vec<Account>, Error> {
    list(conn, "user")
}

/// All organizations but personal ones, by name.
pub fn list_orgs(conn: &Connection) -> Result<Vec<Account>, Error> {
    list(conn, "organization")
}

fn list(conn: &Connection, kind: &str) -> Result<Vec<Account>, Error> {
    let check = mac::check("accounts", "");
    let sql = format!("SELECT {COLUMNS}, {check} FROM accounts WHERE kind = ?1 ORDER BY name");
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([kind], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn from_row(row: &Row) -> rusqlite::Result<Account> {
    Ok(Account {
        id: row.get(0)?,
        name: row.get(1)?,
        is_org: row.get(2)?,
        is_admin: row.get(3)?,
        is_disabled: row.get(4)?,
        created_at_unix: row.get(5)?,
    })
}
