//! Access tokens, as their hashes: made, found, noted as used, revoked.

use rusqlite::{Connection, OptionalExtension, Row};

use super::account::{self, Account};
use super::audit::{self, Entry};
use super::{Job, Tx, grant, mac};
use crate::crypto::token::TokenHash;
use crate::domain::access::{Grant, Pattern, Rights, Role};
use crate::error::Error;
use crate::limits;

/// What a token leaves of its owner's rights; all that a machine token has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// At most this role.
    pub role: Role,
    /// On these stacks only.
    pub patterns: Vec<Pattern>,
}

impl Scope {
    fn grants(&self) -> Vec<Grant> {
        let (role, patterns) = (self.role, self.patterns.iter());
        patterns.map(|pattern| Grant { role, pattern: pattern.clone() }).collect()
    }
}

/// A token as it is stored.
pub struct Token {
    /// Row id; never used for another one.
    pub id: i64,
    /// The id that people see.
    pub uid: String,
    /// What its owner calls it.
    pub name: String,
    /// What it is limited to.
    pub scope: Option<Scope>,
    /// Whether it was given for a token of another issuer.
    pub is_exchanged: bool,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at_unix: i64,
    /// When it ends.
    pub expires_at_unix: Option<i64>,
    /// When and from where it was last used, to the minute.
    pub last_used: Option<(i64, String)>,
}

/// A new token's row.
pub struct NewToken {
    /// The id that people see.
    pub uid: String,
    /// SHA-256 of its text.
    pub hash: TokenHash,
    /// Whose.
    pub account_id: i64,
    /// What its owner calls it.
    pub name: String,
    /// What it is limited to; a machine token must have one.
    pub scope: Option<Scope>,
    /// Whether it was given for a token of another issuer.
    pub is_exchanged: bool,
    /// Who made it.
    pub created_by: String,
    /// When it ends.
    pub expires_at_unix: Option<i64>,
    /// Now.
    pub now_unix: i64,
}

/// Makes a token for a user or, as a machine token, for an organization.
///
/// Errors: `NotFound` for an unknown owner; `Conflict` if the owner has too many; `Conflict` without users, as
/// every token is accepted then.
pub struct CreateToken {
    /// The owner's name.
    pub owner: String,
    /// Whether the owner is an organization.
    pub is_machine: bool,
    /// The row; its `account_id` is filled in.
    pub token: NewToken,
}

impl Job for CreateToken {
    const NAME: &'static str = "create_token";
    type Output = ();

    fn run(mut self, tx: &mut Tx) -> Result<(), Error> {
        if !account::has_users(tx.conn)? {
            let why = "there are no users yet, so every token is accepted; add the first user before";
            return Err(Error::Conflict(why.into()));
        }
        let owner = match self.is_machine {
            true => {
                let found = account::find(tx.conn, &self.owner)?;
                let found = found.filter(|it| it.is_org && it.name == self.owner);
                found.ok_or_else(|| account::org_not_found(&self.owner))?
            }
            false => account::get_user(tx.conn, &self.owner)?,
        };
        if self.token.is_exchanged {
            delete_exchanged(tx, self.token.now_unix)?;
        }
        const COUNT: &str = "SELECT count(*) FROM tokens WHERE account_id = ?1";
        let n_tokens: usize = tx.conn.prepare_cached(COUNT)?.query_row([owner.id], |row| row.get(0))?;
        if n_tokens >= limits::TOKENS_MAX {
            let why = format!("{} has {n_tokens} tokens already; revoke some first", owner.name);
            return Err(Error::Conflict(why));
        }
        self.token.account_id = owner.id;
        insert(tx, &self.token)
    }
}

/// Tokens that were exchanged are many and short-lived: those that have ended go.
fn delete_exchanged(tx: &Tx, now_unix: i64) -> Result<(), Error> {
    const SQL: &str = "DELETE FROM tokens WHERE is_exchanged = 1 AND expires_at_unix <= ?1";
    tx.conn.prepare_cached(SQL)?.execute([now_unix])?;
    Ok(())
}

/// Stores a token.
pub fn insert(tx: &Tx, token: &NewToken) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO tokens (uid, hash, account_id, name, role, patterns, is_exchanged, created_by,
                            created_at_unix, expires_at_unix)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    tx.conn.prepare_cached(SQL)?.execute((
        &token.uid,
        token.hash.0,
        token.account_id,
        &token.name,
        token.scope.as_ref().map(|scope| scope.role.as_str()),
        token.scope.as_ref().map(|scope| patterns_to_json(&scope.patterns)),
        token.is_exchanged,
        &token.created_by,
        token.now_unix,
        token.expires_at_unix,
    ))?;
    Ok(())
}

/// Ends a token; it is not known any more. Errors: `NotFound`.
pub struct RevokeToken {
    /// Which.
    pub uid: String,
    /// If given, only one of this owner.
    pub owner: Option<String>,
}

impl Job for RevokeToken {
    const NAME: &'static str = "revoke_token";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        const SQL: &str = "
            DELETE FROM tokens
            WHERE uid = ?1 AND (?2 IS NULL OR account_id = (SELECT id FROM accounts WHERE name = ?2))";
        match tx.conn.prepare_cached(SQL)?.execute((&self.uid, &self.owner))? {
            0 => Err(Error::NotFound(format!("Token '{}' not found", self.uid))),
            _ => Ok(()),
        }
    }
}

/// Notes that a token was used. If that is its first use for long, or from another address, it is a sign-in.
pub struct TouchToken {
    /// Row id.
    pub token_id: i64,
    /// From where.
    pub address: String,
    /// What is recorded of a sign-in.
    pub sign_in: Entry,
    /// Now.
    pub now_unix: i64,
}

impl Job for TouchToken {
    const NAME: &'static str = "touch_token";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        const FIND: &str = "SELECT last_used_at_unix, last_used_address FROM tokens WHERE id = ?1";
        let row = |row: &Row| Ok((row.get(0)?, row.get(1)?));
        let found = tx.conn.prepare_cached(FIND)?.query_row([self.token_id], row).optional()?;
        // It was revoked a moment ago.
        let Some((at, address)): Option<(Option<i64>, Option<String>)> = found else { return Ok(()) };
        const SQL: &str = "UPDATE tokens SET last_used_at_unix = ?2, last_used_address = ?3 WHERE id = ?1";
        tx.conn.prepare_cached(SQL)?.execute((self.token_id, self.now_unix, &self.address))?;
        let is_known = at.is_some_and(|at| self.now_unix - at < limits::SIGN_IN_SECS);
        match is_known && address.as_ref() == Some(&self.address) {
            true => Ok(()),
            false => audit::append(tx, self.sign_in),
        }
    }
}

/// Who holds a token.
pub enum Holder {
    /// Everybody who has any token, as there are no users.
    Open,
    /// Nobody: it is unknown, has ended, or its user is locked out.
    Nobody,
    /// This user or organization.
    Account {
        /// Whose token it is.
        account: Account,
        /// The token.
        token: Box<Token>,
        /// What may be done with it.
        rights: Rights,
    },
}

/// The holder of the token with this hash.
pub fn find_holder(conn: &Connection, hash: &TokenHash, now_unix: i64) -> Result<Holder, Error> {
    let sql = format!("SELECT {COLUMNS}, t.hash, {} FROM {TABLES} WHERE t.hash = ?1", checks());
    let row = |row: &Row| Ok((from_row(row)?, row.get::<_, Vec<u8>>(N_COLUMNS)?));
    let found = conn.prepare_cached(&sql)?.query_row([&hash.0], row).optional()?;
    let Some((found, stored)) = found else {
        return Ok(if account::has_users(conn)? { Holder::Nobody } else { Holder::Open });
    };
    let (account, token) = found?;
    let is_over = token.expires_at_unix.is_some_and(|at| at <= now_unix);
    if !hash.matches(&stored) || is_over || account.is_disabled {
        return Ok(Holder::Nobody);
    }
    let rights = rights(conn, &account, token.scope.as_ref())?;
    Ok(Holder::Account { account, token: Box::new(token), rights })
}

fn rights(conn: &Connection, account: &Account, scope: Option<&Scope>) -> Result<Rights, Error> {
    let own = match account {
        // A machine token may do what its scope says, within its organization.
        Account { is_org: true, .. } => Rights::of(vec![Grant::on_org(Role::Admin, &account.name)]),
        Account { is_admin: true, .. } => Rights::everything(),
        Account { .. } => {
            let mut grants = grant::list_of(conn, account.id)?;
            grants.push(Grant::on_org(Role::Admin, &account.name));
            Rights::of(grants)
        }
    };
    Ok(match scope {
        Some(scope) => own.within(scope.grants()),
        None => own,
    })
}

/// Tokens of an owner, or all there are, with their owners; the newest last.
pub fn list(conn: &Connection, owner: Option<&str>) -> Result<Vec<(Account, Token)>, Error> {
    let sql =
        format!("SELECT {COLUMNS}, {} FROM {TABLES} WHERE ?1 IS NULL OR a.name = ?1 ORDER BY t.id", checks());
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([owner], from_row)?;
    rows.map(|row| row?).collect()
}

const TABLES: &str = "tokens t JOIN accounts a ON a.id = t.account_id";
const COLUMNS: &str = "
    t.id, t.uid, t.name, t.role, t.patterns, t.is_exchanged, t.created_by, t.created_at_unix,
    t.expires_at_unix, t.last_used_at_unix, t.last_used_address,
    a.id, a.name, a.kind = 'organization', a.is_admin, a.is_disabled, a.created_at_unix";
const N_COLUMNS: usize = 17;

/// Whoever can write to the file cannot give a token by that.
fn checks() -> String {
    format!("{}, {}", mac::check("tokens", "t."), mac::check("accounts", "a."))
}

fn from_row(row: &Row) -> rusqlite::Result<Result<(Account, Token), Error>> {
    let account = Account {
        id: row.get(11)?,
        name: row.get(12)?,
        is_org: row.get(13)?,
        is_admin: row.get(14)?,
        is_disabled: row.get(15)?,
        created_at_unix: row.get(16)?,
    };
    let (role, patterns): (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
    let last_used: (Option<i64>, Option<String>) = (row.get(9)?, row.get(10)?);
    let token = Token {
        id: row.get(0)?,
        uid: row.get(1)?,
        name: row.get(2)?,
        scope: None,
        is_exchanged: row.get(5)?,
        created_by: row.get(6)?,
        created_at_unix: row.get(7)?,
        expires_at_unix: row.get(8)?,
        last_used: last_used.0.zip(last_used.1),
    };
    Ok(scope_from(role, patterns).map(|scope| (account, Token { scope, ..token })))
}

fn scope_from(role: Option<String>, patterns: Option<String>) -> Result<Option<Scope>, Error> {
    let Some((role, patterns)) = role.zip(patterns) else { return Ok(None) };
    Ok(Some(Scope { role: Role::parse(&role)?, patterns: patterns_from_json(&patterns)? }))
}

/// Patterns as they are stored.
pub fn patterns_to_json(patterns: &[Pattern]) -> String {
    let texts: Vec<String> = patterns.iter().map(Pattern::to_string).collect();
    serde_json::to_string(&texts).expect("texts")
}

/// Stored patterns.
pub fn patterns_from_json(json: &str) -> Result<Vec<Pattern>, Error> {
    let texts: Vec<String> =
        serde_json::from_str(json).map_err(|cause| Error::internal("read the scope of a token", cause))?;
    texts.iter().map(|text| Pattern::parse(text)).collect()
}
