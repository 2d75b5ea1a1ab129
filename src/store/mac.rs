//! A keyed hash in each row that others are found by, so that a row which was edited, damaged or put in another's
//! place is noticed when it is read.
//!
//! Triggers write it, so that no job can forget it; every query of such a row asks `row_check`, which fails on a
//! row whose hash is not its own.

use std::sync::LazyLock;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, ffi};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Bytes of the hash that are kept.
const MAC_BYTES: usize = 16;

/// What `row_check` says. SQLite keeps the words of a function that fails, not its code.
pub const NOT_AS_WRITTEN: &str = "is not as it was written";

/// A hasher that begins with the server's key.
pub type RowHasher = Sha256;

/// A table whose rows are guarded.
pub struct Guarded {
    /// Its name.
    pub table: &'static str,
    /// What identifies a row.
    key: &'static [&'static str],
    /// Every column but `mac` and those of `key`.
    columns: &'static [&'static str],
}

/// The guarded tables. What they do not hold themselves is sealed.
#[rustfmt::skip]
pub const GUARDED: &[Guarded] = &[
    Guarded { table: "stacks", key: &["id"], columns: &[
        "uid", "org", "project", "name", "key_sealed", "n_seals", "tags", "version", "deployment_id", "active_update",
        "created_at_unix", "updated_at_unix", "n_removed", "n_updates", "oldest_version",
    ] },
    // A header opens only with its own order and runs, so these need no hash.
    Guarded { table: "deployments", key: &["id"], columns: &["stack_id", "n_resources", "n_bytes", "header"] },
    Guarded { table: "versions", key: &["stack_id", "version"], columns: &["deployment_id"] },
    Guarded { table: "updates", key: &["id"], columns: &[
        "uid", "stack_id", "kind", "is_dry_run", "status", "version", "base_deployment_id", "requested_by",
        "created_at_unix", "started_at_unix", "ended_at_unix", "lease_hash", "lease_expires_at_unix", "journal_version",
        "checkpoint_sequence", "n_journal_rows", "n_journal_entries", "n_event_rows", "resource_changes", "n_resources",
        "findings", "leaks", "end_note", "delivered", "heard_at_unix", "holder_address",
    ] },
    Guarded { table: "checkpoints", key: &["update_id"], columns: &["hash", "deployment_id"] },
    Guarded { table: "accounts", key: &["id"], columns: &["name", "kind", "is_admin", "is_disabled", "created_at_unix"] },
    Guarded { table: "grants", key: &["account_id", "org", "project", "stack", "role"], columns: &["created_at_unix"] },
    Guarded { table: "tokens", key: &["id"], columns: &[
        "uid", "hash", "account_id", "name", "role", "patterns", "is_exchanged", "created_by", "created_at_unix",
        "expires_at_unix", "last_used_at_unix", "last_used_address",
    ] },
    Guarded { table: "issuers", key: &["id"], columns: &[
        "uid", "url", "org", "audience", "claims", "role", "patterns", "key_set", "key_set_url", "lifetime_secs", "created_at_unix",
    ] },
    Guarded { table: "marks", key: &["id"], columns: &["stack_id", "hash", "body"] },
    Guarded { table: "totals", key: &["name"], columns: &["n"] },
];

impl Guarded {
    /// `'stacks', s.id, s.uid, …`: what the hash is of. `of` is the row's name with a dot, or nothing.
    fn values(&self, of: &str) -> String {
        let columns = self.key.iter().chain(self.columns).map(|column| format!(", {of}{column}"));
        format!("'{}'{}", self.table, columns.collect::<String>())
    }

    /// Every column but the hash.
    pub fn all_columns(&self) -> impl Iterator<Item = &'static str> {
        self.key.iter().chain(self.columns).copied()
    }

    /// A query of all rows: what identifies each, as a text, and whether it is as it was written.
    pub fn list_sql(&self) -> String {
        let key = self.key.iter().map(|column| format!("ifnull({column}, '')")).collect::<Vec<_>>();
        format!(
            "SELECT {} || '', mac IS row_mac({}) FROM {}",
            key.join(" || ' ' || "),
            self.values(""),
            self.table
        )
    }

    /// Name and text of the triggers that keep the hash.
    fn triggers(&self) -> [(String, String); 2] {
        let Guarded { table, key, .. } = self;
        let is_row = key.iter().map(|column| format!("{column} = new.{column}")).collect::<Vec<_>>();
        let watched = self.all_columns().collect::<Vec<_>>().join(", ");
        let set = format!(
            "BEGIN UPDATE {table} SET mac = row_mac({}) WHERE {}; END",
            self.values("new."),
            is_row.join(" AND ")
        );
        [("insert", "INSERT".to_string()), ("update", format!("UPDATE OF {watched}"))].map(|(name, event)| {
            let name = format!("{table}_mac_{name}");
            let text = format!("CREATE TRIGGER {name} AFTER {event} ON {table} {set}");
            (name, text)
        })
    }
}

/// What queries call a guarded row, with its dot.
const ROW_NAMES: [&str; 8] = ["", "a.", "d.", "g.", "s.", "t.", "u.", "updates."];

/// Table, name of the row, expression: put together once, as each query asks for one.
static CHECKS: LazyLock<Vec<(&str, &str, String)>> = LazyLock::new(|| {
    let of_table = |guarded: &'static Guarded| {
        let text = |of: &str| format!("row_check({of}mac, {})", guarded.values(of));
        ROW_NAMES.map(|of| (guarded.table, of, text(of)))
    };
    GUARDED.iter().flat_map(of_table).collect()
});

/// An expression that fails for a row that is not as it was written. `of` is the row's name with a dot, or nothing.
pub fn check(table: &str, of: &str) -> &'static str {
    let found = CHECKS.iter().find(|(its_table, its_name, _)| *its_table == table && *its_name == of);
    &found.expect("a guarded table, and one of ROW_NAMES").2
}

/// Makes `row_mac` and `row_check` known to a connection.
pub fn register(conn: &Connection, hasher: &RowHasher) -> Result<(), Error> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        // They look at nothing but their arguments, so triggers may call them.
        | FunctionFlags::SQLITE_INNOCUOUS;
    let for_mac = hasher.clone();
    conn.create_scalar_function("row_mac", -1, flags, move |row| Ok(mac(&for_mac, row, 0)))?;
    let for_check = hasher.clone();
    conn.create_scalar_function("row_check", -1, flags, move |row| {
        let stored = row.get_raw(0);
        match stored == ValueRef::Blob(&mac(&for_check, row, 1)) {
            true => Ok(1),
            false => Err(not_its_own(row)),
        }
    })?;
    Ok(())
}

fn not_its_own(row: &Context) -> rusqlite::Error {
    not_as_written(row.get_raw(1).as_str().unwrap_or("a table"))
}

/// The failure of a function of ours on a damaged row.
pub(super) fn not_as_written(table: &str) -> rusqlite::Error {
    let why = format!("a row of {table} {NOT_AS_WRITTEN}");
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(why))
}

/// Each value with its type and length, so that no two rows read the same.
fn mac(hasher: &RowHasher, row: &Context, from: usize) -> [u8; MAC_BYTES] {
    let mut hasher = hasher.clone();
    for index in from..row.len() {
        match row.get_raw(index) {
            ValueRef::Null => hasher.update([0]),
            ValueRef::Integer(number) => {
                hasher.update([1]);
                hasher.update(number.to_le_bytes());
            }
            ValueRef::Real(number) => {
                hasher.update([2]);
                hasher.update(number.to_le_bytes());
            }
            ValueRef::Text(bytes) => update_sized(&mut hasher, 3, bytes),
            ValueRef::Blob(bytes) => update_sized(&mut hasher, 4, bytes),
        }
    }
    hasher.finalize()[..MAC_BYTES].try_into().expect("32 bytes")
}

fn update_sized(hasher: &mut RowHasher, kind: u8, bytes: &[u8]) {
    hasher.update([kind]);
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// Makes the triggers that are not there yet, or that guard other columns than now. All in one transaction: a commit
/// for each would be half the time of a first start.
pub fn install(conn: &Connection) -> Result<(), Error> {
    let tx = conn.unchecked_transaction()?;
    for (name, text) in GUARDED.iter().flat_map(Guarded::triggers) {
        const SQL: &str = "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = ?1";
        let present: Option<String> = tx.query_row(SQL, [&name], |row| row.get(0)).optional()?;
        if present.as_ref() != Some(&text) {
            tx.execute_batch(&format!("DROP TRIGGER IF EXISTS {name}; {text};"))?;
        }
    }
    Ok(tx.commit()?)
}
