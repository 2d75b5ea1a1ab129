//! Issuers whose tokens are taken in exchange for one of ours.

use rusqlite::{Connection, Row};

use super::{Job, Tx, account, mac, token};
use crate::domain::access::{Pattern, Role};
use crate::error::Error;
use crate::limits;

/// A rule: tokens of this issuer with these claims may do this.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The id that people see.
    pub uid: String,
    /// The claim `iss`.
    pub url: String,
    /// The organization that tokens are given for.
    pub org: String,
    /// What the claim `aud` must have.
    pub audience: String,
    /// JSON object: a claim's name to the pattern that its value must fit.
    pub claims: String,
    /// At most this role.
    pub role: Role,
    /// On these stacks.
    pub patterns: Vec<Pattern>,
    /// The issuer's public keys.
    pub keys: Keys,
    /// The most that a token of ours lives.
    pub lifetime_secs: i64,
}

/// Where the public keys of an issuer are.
#[derive(Clone, Debug)]
pub enum Keys {
    /// Here: a key set, as JSON.
    Set(String),
    /// At this address, where they are fetched when they are needed.
    At(String),
}

impl Keys {
    /// Set and address as they are stored; one of them is empty.
    fn columns(&self) -> (&str, &str) {
        match self {
            Keys::Set(text) => (text, ""),
            Keys::At(url) => ("", url),
        }
    }

    fn from_columns(set: String, url: String) -> Keys {
        if url.is_empty() { Keys::Set(set) } else { Keys::At(url) }
    }
}

/// Trusts an issuer. Errors: `NotFound` for an unknown organization; `Conflict` if there are too many.
pub struct AddIssuer {
    /// What is trusted.
    pub issuer: Issuer,
    /// Now.
    pub now_unix: i64,
}

impl Job for AddIssuer {
    const NAME: &'static str = "add_issuer";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        let Issuer { uid, url, org, audience, claims, role, patterns, keys, lifetime_secs } = self.issuer;
        if !account::find(tx.conn, &org)?.is_some_and(|account| account.is_org && account.name == org) {
            return Err(account::org_not_found(&org));
        }
        if list(tx.conn)?.len() >= limits::ISSUERS_MAX {
            return Err(Error::Conflict(format!("there are {} issuers already", limits::ISSUERS_MAX)));
        }
        const SQL: &str = "
            INSERT INTO issuers (uid, url, org, audience, claims, role, patterns, key_set,
                                 key_set_url, lifetime_secs, created_at_unix)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let (key_set, key_set_url) = keys.columns();
        tx.conn.prepare_cached(SQL)?.execute((
            uid,
            url,
            org,
            audience,
            claims,
            role.as_str(),
            token::patterns_to_json(&patterns),
            key_set,
            key_set_url,
            lifetime_secs,
            self.now_unix,
        ))?;
        Ok(())
    }
}

/// Trusts an issuer no more; tokens that were given live to their end. Errors: `NotFound`.
pub struct RemoveIssuer {
    /// Which.
    pub uid: String,
}

impl Job for RemoveIssuer {
    const NAME: &'static str = "remove_issuer";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        match tx.conn.prepare_cached("DELETE FROM issuers WHERE uid = ?1")?.execute([&self.uid])? {
            0 => Err(Error::NotFound(format!("Issuer '{}' not found", self.uid))),
            _ => Ok(()),
        }
    }
}

const COLUMNS: &str = "uid, url, org, audience, claims, role, patterns, key_set, lifetime_secs, key_set_url";

/// All of them, in the order in which they were added.
pub fn list(conn: &Connection) -> Result<Vec<Issuer>, Error> {
    let sql = format!("SELECT {COLUMNS}, {} FROM issuers ORDER BY id", mac::check("issuers", ""));
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([], from_row)?;
    rows.map(|row| row?).collect()
}

/// The rules for tokens that call themselves this issuer's, for an organization.
pub fn list_of(conn: &Connection, url: &str, org: &str) -> Result<Vec<Issuer>, Error> {
    let check = mac::check("issuers", "");
    let sql = format!("SELECT {COLUMNS}, {check} FROM issuers WHERE url = ?1 AND org = ?2 ORDER BY id");
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([url, org], from_row)?;
    rows.map(|row| row?).collect()
}

fn from_row(row: &Row) -> rusqlite::Result<Result<Issuer, Error>> {
    let (role, patterns): (String, String) = (row.get(5)?, row.get(6)?);
    let (role, patterns) = match (Role::parse(&role), token::patterns_from_json(&patterns)) {
        (Ok(role), Ok(patterns)) => (role, patterns),
        (Err(cause), _) | (_, Err(cause)) => return Ok(Err(cause)),
    };
    Ok(Ok(Issuer {
        uid: row.get(0)?,
        url: row.get(1)?,
        org: row.get(2)?,
        audience: row.get(3)?,
        claims: row.get(4)?,
        role,
        patterns,
        keys: Keys::from_columns(row.get(7)?, row.get(9)?),
        lifetime_secs: row.get(8)?,
    }))
}
