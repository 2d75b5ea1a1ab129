//! The tables, as numbered migrations: append only, a released one never changes.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::disk;
use crate::error::Error;

/// Oldest first. `user_version` of the database counts how many have run.
pub const MIGRATIONS: &[&str] = &[INITIAL];

const INITIAL: &str = "
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- How many rows there must be, so that a list that lacks one is noticed.
CREATE TABLE totals (
    name TEXT PRIMARY KEY,
    n    INTEGER NOT NULL,
    mac  BLOB
) STRICT, WITHOUT ROWID;

-- A row id is never used again: ciphertexts and keys are bound to it and to the uid.
CREATE TABLE stacks (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    uid             TEXT NOT NULL UNIQUE,
    org             TEXT NOT NULL,
    project         TEXT NOT NULL,
    name            TEXT NOT NULL,
    key_sealed      BLOB NOT NULL,          -- its keys, oldest first, under the master key
    n_seals         INTEGER NOT NULL DEFAULT 0,     -- values that the newest of them has sealed, about
    tags            TEXT NOT NULL,          -- JSON object
    version         INTEGER NOT NULL DEFAULT 0,     -- number of the latest started update or import
    deployment_id   INTEGER,                -- what export returns; none before the first
    active_update   TEXT NOT NULL DEFAULT '',       -- uid of the latest started update
    created_at_unix INTEGER NOT NULL,
    updated_at_unix INTEGER,
    n_removed       INTEGER NOT NULL DEFAULT 0,     -- deployments removed since its runs were last collected
    oldest_version  INTEGER NOT NULL DEFAULT 0,     -- those below were given up by retention
    n_updates       INTEGER NOT NULL DEFAULT 0,     -- started ones, which the history lists
    mac             BLOB,                   -- see mac.rs
    UNIQUE (org, project, name)
) STRICT;
CREATE INDEX stacks_to_collect ON stacks(id) WHERE n_removed > 0;
CREATE TRIGGER stacks_count_insert AFTER INSERT ON stacks BEGIN
    UPDATE totals SET n = n + 1 WHERE name = 'stacks';
END;
CREATE TRIGGER stacks_count_delete AFTER DELETE ON stacks BEGIN
    UPDATE totals SET n = n - 1 WHERE name = 'stacks';
END;

-- A deployment: everything but its resources, their order, and the runs that hold them (see chunk.rs).
-- Never changed once written.
CREATE TABLE deployments (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    stack_id     INTEGER NOT NULL REFERENCES stacks(id) ON DELETE CASCADE,
    n_resources  INTEGER NOT NULL,
    n_bytes      INTEGER NOT NULL,          -- of the text
    header       BLOB NOT NULL,             -- deflated, sealed
    resource_order BLOB NOT NULL,
    runs         BLOB NOT NULL,             -- row ids, as differences
    mac          BLOB
) STRICT;
CREATE INDEX deployments_by_stack ON deployments(stack_id);

-- Runs of resources, each stored once for all deployments of its stack that have it.
CREATE TABLE runs (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    stack_id INTEGER NOT NULL REFERENCES stacks(id) ON DELETE CASCADE,
    hash     BLOB NOT NULL,                 -- keyed, of the text
    facts    BLOB NOT NULL,                 -- what the rules need to know of each resource; sealed
    UNIQUE (stack_id, hash)
) STRICT;

-- Apart from the facts, so that these lie close together: the end of an update reads all facts and few bodies.
CREATE TABLE run_bodies (
    run_id INTEGER PRIMARY KEY REFERENCES runs(id) ON DELETE CASCADE,
    body   BLOB NOT NULL                    -- deflated, sealed
) STRICT;

-- The deployment at the end of each update. Several versions may share one.
CREATE TABLE versions (
    stack_id      INTEGER NOT NULL REFERENCES stacks(id) ON DELETE CASCADE,
    version       INTEGER NOT NULL,
    deployment_id INTEGER NOT NULL REFERENCES deployments(id) DEFERRABLE INITIALLY DEFERRED,
    mac           BLOB,
    PRIMARY KEY (stack_id, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX versions_by_deployment ON versions(deployment_id);

CREATE TABLE updates (
    id                    INTEGER PRIMARY KEY AUTOINCREMENT,
    uid                   TEXT NOT NULL UNIQUE,
    stack_id              INTEGER NOT NULL REFERENCES stacks(id) ON DELETE CASCADE,
    kind                  TEXT NOT NULL,
    is_dry_run            INTEGER NOT NULL,
    status                TEXT NOT NULL CHECK (status IN ('not started', 'running', 'succeeded', 'failed', 'cancelled')),
    version               INTEGER,          -- claimed at the start; none for a dry run
    base_deployment_id    INTEGER,          -- what it started from, while it runs
    requested_by          TEXT NOT NULL,
    created_at_unix       INTEGER NOT NULL,
    started_at_unix       INTEGER,
    ended_at_unix         INTEGER,
    lease_hash            BLOB,
    lease_expires_at_unix INTEGER,
    heard_at_unix         INTEGER,          -- its start, or the last renewal of its lease
    holder_address        TEXT NOT NULL DEFAULT '', -- where the CLI called from when it started
    journal_version       INTEGER NOT NULL DEFAULT 0,
    checkpoint_sequence   INTEGER NOT NULL DEFAULT 0,
    n_journal_rows        INTEGER NOT NULL DEFAULT 0,   -- taken in all; the rows themselves go at the end
    n_journal_entries     INTEGER NOT NULL DEFAULT 0,
    n_event_rows          INTEGER NOT NULL DEFAULT 0,
    resource_changes      TEXT,             -- JSON object, from the summary event
    n_resources           INTEGER,
    findings              BLOB,             -- sealed: what is not sound in the resulting state, a sentence a line
    leaks                 BLOB,             -- sealed: values in it that should be secrets, as JSON
    end_note              TEXT,             -- why it ended, if not by its own CLI; quotes nothing of the state
    mac                   BLOB,
    delivered             BLOB              -- after the end: 16 bytes of hash of each batch or checkpoint taken
) STRICT;
CREATE INDEX updates_by_stack ON updates(stack_id, id);
CREATE UNIQUE INDEX updates_one_running ON updates(stack_id) WHERE status = 'running' AND is_dry_run = 0;
CREATE UNIQUE INDEX updates_by_version ON updates(stack_id, version) WHERE version IS NOT NULL;
CREATE TRIGGER updates_count_insert AFTER INSERT ON updates WHEN new.version IS NOT NULL BEGIN
    UPDATE stacks SET n_updates = n_updates + 1 WHERE id = new.stack_id;
END;
CREATE TRIGGER updates_count_start AFTER UPDATE OF version ON updates WHEN old.version IS NULL AND new.version IS NOT NULL BEGIN
    UPDATE stacks SET n_updates = n_updates + 1 WHERE id = new.stack_id;
END;
CREATE TRIGGER updates_count_delete AFTER DELETE ON updates WHEN old.version IS NOT NULL BEGIN
    UPDATE stacks SET n_updates = n_updates - 1 WHERE id = old.stack_id;
END;
CREATE INDEX updates_by_lease ON updates(lease_expires_at_unix) WHERE status = 'running';

-- The create request of each update, sealed. Apart, so that a step in the life of an update writes a short row.
CREATE TABLE programs (
    update_id INTEGER PRIMARY KEY REFERENCES updates(id) ON DELETE CASCADE,
    body      BLOB NOT NULL
) STRICT;

-- A row is what was new in one batch: an object with its `entries`, sealed. Only running updates have rows. The id is
-- made of the update's id and the row's number, see journal.rs: a batch is written to one page and no index.
CREATE TABLE journal (
    id   INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,                     -- keyed, of the batch as it arrived
    body BLOB NOT NULL
) STRICT;

-- The last checkpoint of a running update.
CREATE TABLE checkpoints (
    update_id     INTEGER PRIMARY KEY REFERENCES updates(id) ON DELETE CASCADE,
    hash          BLOB NOT NULL,            -- to know a repeat by
    deployment_id INTEGER NOT NULL REFERENCES deployments(id) DEFERRABLE INITIALLY DEFERRED,
    mac           BLOB
) STRICT;
CREATE INDEX checkpoints_by_deployment ON checkpoints(deployment_id);

-- A row is one batch: an object with its `events`, sealed.
CREATE TABLE events (
    update_id      INTEGER NOT NULL REFERENCES updates(id) ON DELETE CASCADE,
    first_sequence INTEGER NOT NULL,
    last_sequence  INTEGER NOT NULL,
    hash           BLOB NOT NULL,           -- keyed, of the batch as it arrived: a repeat is not stored again
    body           BLOB NOT NULL,
    PRIMARY KEY (update_id, first_sequence, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_by_last_sequence ON events(update_id, last_sequence);

-- Marks of the values that were encrypted: keyed hashes, by which they are known again. See mark.rs.
CREATE TABLE marks (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    stack_id INTEGER NOT NULL REFERENCES stacks(id) ON DELETE CASCADE,
    hash     BLOB NOT NULL,                 -- keyed, of the batch
    body     BLOB NOT NULL,                 -- sealed
    mac      BLOB
) STRICT;
CREATE INDEX marks_by_stack ON marks(stack_id, id);

-- Who asked to see secrets: what the CLI reports of its own decryptions.
CREATE TABLE decryptions (
    id         INTEGER PRIMARY KEY,
    stack_id   INTEGER NOT NULL REFERENCES stacks(id) ON DELETE CASCADE,
    at_unix    INTEGER NOT NULL,
    user_name  TEXT NOT NULL,
    what       BLOB NOT NULL                -- sealed: the secret's name, or the command's
) STRICT;
CREATE INDEX decryptions_by_stack ON decryptions(stack_id, id);

-- Backups that were made or that failed. Whether one is good is known once it was restored for a check.
CREATE TABLE backups (
    id               INTEGER PRIMARY KEY,
    name             TEXT NOT NULL,         -- of the file
    place            TEXT NOT NULL,         -- folder or bucket
    made_at_unix     INTEGER NOT NULL,
    n_bytes          INTEGER NOT NULL,
    key_fingerprint  TEXT NOT NULL,
    verified_at_unix INTEGER,
    problem          TEXT,
    UNIQUE (place, name)
) STRICT;
CREATE INDEX backups_by_time ON backups(made_at_unix);

-- Users and organizations share one space of names: a user's name is also that of a personal organization.
CREATE TABLE accounts (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT NOT NULL UNIQUE COLLATE NOCASE,
    kind            TEXT NOT NULL CHECK (kind IN ('user', 'organization')),
    is_admin        INTEGER NOT NULL DEFAULT 0,     -- of the server
    is_disabled     INTEGER NOT NULL DEFAULT 0,
    created_at_unix INTEGER NOT NULL,
    mac             BLOB
) STRICT;

CREATE TRIGGER users_count_insert AFTER INSERT ON accounts WHEN new.kind = 'user' BEGIN
    UPDATE totals SET n = n + 1 WHERE name = 'users';
END;
CREATE TRIGGER users_count_delete AFTER DELETE ON accounts WHEN old.kind = 'user' BEGIN
    UPDATE totals SET n = n - 1 WHERE name = 'users';
END;

-- What users may do, beside all in their personal organization.
CREATE TABLE grants (
    account_id      INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
    org             TEXT NOT NULL,          -- or *
    project         TEXT NOT NULL,          -- with * for any characters
    stack           TEXT NOT NULL,
    role            TEXT NOT NULL,
    created_at_unix INTEGER NOT NULL,
    mac             BLOB,
    PRIMARY KEY (account_id, org, project, stack, role)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_org ON grants(org);

-- Access tokens that are valid; a revoked one is deleted. Only their hashes are kept.
CREATE TABLE tokens (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    uid               TEXT NOT NULL UNIQUE,
    hash              BLOB NOT NULL UNIQUE,         -- SHA-256
    account_id        INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
    name              TEXT NOT NULL,
    role              TEXT,                 -- a scope takes away from what the owner may; a machine token has only that
    patterns          TEXT,                 -- of the scope: JSON array of texts
    is_exchanged      INTEGER NOT NULL DEFAULT 0,   -- for a token of another issuer
    created_by        TEXT NOT NULL,
    created_at_unix   INTEGER NOT NULL,
    expires_at_unix   INTEGER,
    last_used_at_unix INTEGER,
    last_used_address TEXT,
    mac               BLOB
) STRICT;
CREATE INDEX tokens_by_account ON tokens(account_id);
CREATE INDEX tokens_by_expiry ON tokens(expires_at_unix) WHERE is_exchanged = 1;

-- Whose tokens are taken in exchange for one of ours, and what that may do.
CREATE TABLE issuers (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    uid             TEXT NOT NULL UNIQUE,
    url             TEXT NOT NULL,          -- the claim `iss`
    org             TEXT NOT NULL,
    audience        TEXT NOT NULL,          -- what the claim `aud` must have
    claims          TEXT NOT NULL,          -- JSON object: claim to pattern
    role            TEXT NOT NULL,
    patterns        TEXT NOT NULL,          -- JSON array of texts
    key_set         TEXT NOT NULL,          -- JSON: the public keys; empty if they are fetched
    key_set_url     TEXT NOT NULL,          -- where they are fetched from; empty if they are not
    lifetime_secs   INTEGER NOT NULL,       -- the most that a token of ours lives
    created_at_unix INTEGER NOT NULL,
    mac             BLOB
) STRICT;
CREATE INDEX issuers_by_url ON issuers(url);

-- Who did what. Each row's hash covers the row and the hash before it.
CREATE TABLE audit (
    sequence   INTEGER PRIMARY KEY,
    at_unix    INTEGER NOT NULL,
    actor      TEXT NOT NULL,
    token      TEXT NOT NULL,               -- its name
    token_uid  TEXT NOT NULL,
    address    TEXT NOT NULL,
    action     TEXT NOT NULL,
    org        TEXT NOT NULL,               -- empty for what concerns the whole server
    target     TEXT NOT NULL,
    result     TEXT NOT NULL,
    detail     TEXT NOT NULL,
    request_id TEXT NOT NULL,
    hash       BLOB NOT NULL,               -- SHA-256
    seal       BLOB NOT NULL                -- of the hash, under a key that is not in here in clear
) STRICT;
CREATE INDEX audit_by_org ON audit(org, sequence);
";

/// Brings the database at `path` up to date, each migration in a transaction of its own.
///
/// Before the first of them a snapshot of a database that has data is laid beside it. Tables that are not ours are
/// left alone. Errors: a database that a newer server has migrated is refused; no space for the snapshot.
pub fn migrate(conn: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), Error> {
    let n_run: usize = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if n_run > migrations.len() {
        return Err(Error::invalid(
            "db",
            format!(
                "this database was written by a newer pulumi-backend (schema {n_run}; this one knows up to {}); \
                 start it with that version, or restore a backup made before the upgrade",
                migrations.len()
            ),
        ));
    }
    if n_run > 0 && n_run < migrations.len() {
        let snapshot = lay_snapshot(conn, path, migrations.len())?;
        log::warn!(
            "upgrading {} from schema {n_run} to {}; as it was before, it stays as {}",
            path.display(),
            migrations.len(),
            snapshot.display()
        );
    }
    for (index, sql) in migrations.iter().enumerate().skip(n_run) {
        let tx = conn.transaction()?;
        tx.execute_batch(sql)?;
        tx.pragma_update(None, "user_version", index + 1)?;
        tx.commit()?;
    }
    Ok(())
}

/// Copies the database to `<db>-before-schema-N`, on disk before it has that name.
///
/// One that is there already is of an upgrade that did not come to its end: a migration may have run since, so the
/// older copy is the one to keep.
fn lay_snapshot(conn: &Connection, path: &Path, n_migrations: usize) -> Result<PathBuf, Error> {
    let snapshot = disk::beside(path, &format!("-before-schema-{n_migrations}"));
    let aside = disk::beside(&snapshot, "-new");
    if snapshot.exists() {
        return Ok(snapshot);
    }
    let failed = |cause: std::io::Error| {
        Error::internal(format!("lay a snapshot beside {} before its upgrade", path.display()), cause)
    };
    match std::fs::remove_file(&aside) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(failed(cause)),
        _ => {}
    }
    super::make_private(&aside)?;
    let name = aside.to_str().ok_or_else(|| Error::invalid("db", "its path is not UTF-8"))?;
    conn.execute("VACUUM INTO ?1", [name])?;
    std::fs::File::open(&aside).and_then(|file| file.sync_all()).map_err(failed)?;
    std::fs::rename(&aside, &snapshot).map_err(failed)?;
    disk::sync_folder(path).map_err(failed)?;
    Ok(snapshot)
}
