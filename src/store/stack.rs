//! Stacks: made, found, listed, renamed, tagged, deleted.

use rusqlite::{Connection, OptionalExtension, Row};

use super::filter::{StackFilter, Visible};
use super::version::{self, Encoded};
use super::{Job, Tx, key, mac, total, update};
use crate::domain::name::{ProjectName, StackName, StackRef};
use crate::error::Error;

/// A stack as it is stored.
pub struct Stack {
    /// Row id; never used for another stack.
    pub id: i64,
    /// The id that clients see, and that keys and ciphertexts are bound to.
    pub uid: String,
    /// Organization, project and name, as they were first written.
    pub stack_ref: StackRef,
    /// The stack's key, sealed with the master key.
    pub key_sealed: Vec<u8>,
    /// JSON object.
    pub tags: String,
    /// Number of the latest started update or import; 0 if none.
    pub version: i64,
    /// The deployment that export returns when no update runs; none if there never was one.
    pub deployment_id: Option<i64>,
    /// The latest started update's uid; empty if none.
    pub active_update: String,
    /// Entries that its history must have.
    pub n_updates: i64,
}

/// Makes a stack.
///
/// Answers false, and changes nothing, if the master key was changed since its key was sealed.
/// Errors: `Conflict` if the name is taken.
pub struct CreateStack {
    /// Its name.
    pub stack_ref: StackRef,
    /// Its new id.
    pub uid: String,
    /// Its new key.
    pub key_sealed: Vec<u8>,
    /// Of the master key that sealed it.
    pub key_fingerprint: String,
    /// JSON object.
    pub tags: String,
    /// What export returns before the first update.
    pub deployment: Option<Encoded>,
    /// Now.
    pub now_unix: i64,
}

impl Job for CreateStack {
    const NAME: &'static str = "create_stack";
    type Output = bool;

    fn is_done(is_done: &bool) -> bool {
        *is_done
    }

    fn run(self, tx: &mut Tx) -> Result<bool, Error> {
        if !key::is_under(tx, &self.key_fingerprint)? {
            return Ok(false);
        }
        if find(tx.conn, &self.stack_ref)?.is_some() {
            return Err(Error::Conflict(format!("Stack '{}' already exists.", self.stack_ref)));
        }
        const SQL: &str = "
            INSERT INTO stacks (uid, org, project, name, key_sealed, tags, created_at_unix)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let StackRef { org, project, stack } = &self.stack_ref;
        let stack_id = tx.conn.prepare_cached(SQL)?.insert((
            &self.uid,
            org.as_str(),
            project.as_str(),
            stack.as_str(),
            &self.key_sealed,
            &self.tags,
            self.now_unix,
        ))?;
        if let Some(encoded) = &self.deployment {
            let deployment_id = version::insert_deployment(tx, stack_id, encoded)?;
            set_deployment(tx, stack_id, deployment_id)?;
        }
        Ok(true)
    }
}

/// Deletes a stack with all its history.
///
/// Answers false, and deletes nothing, if the stack's deployment is not the one the caller looked at.
/// Errors: `NotFound`; `Conflict` while an update runs.
pub struct DeleteStack {
    /// Which.
    pub stack_id: i64,
    /// The deployment in which the caller found nothing worth keeping.
    pub deployment_id: Option<i64>,
}

impl Job for DeleteStack {
    const NAME: &'static str = "delete_stack";
    type Output = bool;

    fn is_done(is_done: &bool) -> bool {
        *is_done
    }

    fn run(self, tx: &mut Tx) -> Result<bool, Error> {
        let stack = read(tx.conn, self.stack_id)?;
        update::refuse_if_running(tx.conn, self.stack_id)?;
        if stack.deployment_id != self.deployment_id {
            return Ok(false);
        }
        tx.conn.prepare_cached("DELETE FROM stacks WHERE id = ?1")?.execute([self.stack_id])?;
        Ok(true)
    }
}

/// Gives a stack another name, and its latest deployment the URNs that go with it.
///
/// Answers false, and changes nothing, if the deployment is not the one that was rewritten.
/// Errors: `NotFound`; `Conflict` while an update runs or if the new name is taken.
pub struct RenameStack {
    /// Which.
    pub stack_id: i64,
    /// The new project; the organization stays.
    pub project: ProjectName,
    /// The new name.
    pub name: StackName,
    /// JSON object: the tags with the new project.
    pub tags: String,
    /// The deployment that was rewritten.
    pub base_deployment_id: Option<i64>,
    /// What it was rewritten to.
    pub deployment: Option<Encoded>,
}

impl Job for RenameStack {
    const NAME: &'static str = "rename_stack";
    type Output = bool;

    fn is_done(is_done: &bool) -> bool {
        *is_done
    }

    fn run(self, tx: &mut Tx) -> Result<bool, Error> {
        let stack = read(tx.conn, self.stack_id)?;
        update::refuse_if_running(tx.conn, self.stack_id)?;
        if stack.deployment_id != self.base_deployment_id {
            return Ok(false);
        }
        let target = StackRef { org: stack.stack_ref.org.clone(), project: self.project, stack: self.name };
        if target != stack.stack_ref && find(tx.conn, &target)?.is_some() {
            return Err(Error::Conflict(format!("Stack '{target}' already exists.")));
        }
        const SQL: &str = "UPDATE stacks SET project = ?2, name = ?3, tags = ?4 WHERE id = ?1";
        let row = (stack.id, target.project.as_str(), target.stack.as_str(), &self.tags);
        tx.conn.prepare_cached(SQL)?.execute(row)?;
        if let Some(encoded) = &self.deployment {
            replace_deployment(tx, &stack, encoded)?;
        }
        Ok(true)
    }
}

/// The latest version gets another text; older versions keep theirs.
fn replace_deployment(tx: &Tx, stack: &Stack, encoded: &Encoded) -> Result<(), Error> {
    let deployment_id = version::insert_deployment(tx, stack.id, encoded)?;
    if version::find_version(tx.conn, stack.id, stack.version)?.is_some() {
        version::set_version(tx, stack.id, stack.version, deployment_id)?;
    }
    set_deployment(tx, stack.id, deployment_id)?;
    match stack.deployment_id {
        Some(old) => version::delete_deployment_if_unused(tx, old),
        None => Ok(()),
    }
}

/// Replaces all tags of a stack. Errors: `NotFound`.
pub struct SetTags {
    /// Which.
    pub stack_ref: StackRef,
    /// JSON object.
    pub tags: String,
}

impl Job for SetTags {
    const NAME: &'static str = "set_tags";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        let stack = find(tx.conn, &self.stack_ref)?.ok_or_else(|| not_found(&self.stack_ref))?;
        set_tags(tx, stack.id, &self.tags)
    }
}

/// The error for a stack that is not there.
pub fn not_found(stack_ref: &StackRef) -> Error {
    Error::NotFound(format!("Stack '{stack_ref}' not found"))
}

/// Sets the tags of a stack.
pub fn set_tags(tx: &Tx, stack_id: i64, tags: &str) -> Result<(), Error> {
    const SQL: &str = "UPDATE stacks SET tags = ?2 WHERE id = ?1";
    tx.conn.prepare_cached(SQL)?.execute((stack_id, tags))?;
    Ok(())
}

/// Sets what export returns.
pub fn set_deployment(tx: &Tx, stack_id: i64, deployment_id: i64) -> Result<(), Error> {
    const SQL: &str = "UPDATE stacks SET deployment_id = ?2 WHERE id = ?1";
    tx.conn.prepare_cached(SQL)?.execute((stack_id, deployment_id))?;
    Ok(())
}

/// The next version of a stack, claimed for the update `uid`, which is now its latest.
pub fn claim_version(tx: &Tx, stack_id: i64, uid: &str, now_unix: i64) -> Result<i64, Error> {
    const SQL: &str = "
        UPDATE stacks SET version = version + 1, active_update = ?2, updated_at_unix = ?3
        WHERE id = ?1 RETURNING version";
    Ok(tx.conn.prepare_cached(SQL)?.query_row((stack_id, uid, now_unix), |row| row.get(0))?)
}

/// Notes when a stack was last written.
pub fn touch(tx: &Tx, stack_id: i64, now_unix: i64) -> Result<(), Error> {
    const SQL: &str = "UPDATE stacks SET updated_at_unix = ?2 WHERE id = ?1";
    tx.conn.prepare_cached(SQL)?.execute((stack_id, now_unix))?;
    Ok(())
}

const COLUMNS: &str =
    "id, uid, org, project, name, key_sealed, tags, version, deployment_id, active_update, n_updates";

/// The stack of this name.
pub fn find(conn: &Connection, stack_ref: &StackRef) -> Result<Option<Stack>, Error> {
    let sql = select(" WHERE org = ?1 AND project = ?2 AND name = ?3");
    let StackRef { org, project, stack } = stack_ref;
    let names = (org.as_str(), project.as_str(), stack.as_str());
    let found = conn.prepare_cached(&sql)?.query_row(names, from_row).optional()?;
    let found = found.transpose()?;
    // A damaged index leads to another row, which is itself as it was written.
    if found.as_ref().is_some_and(|stack| stack.stack_ref != *stack_ref) {
        return Err(Error::Damaged("the index of the stacks' names leads to another stack".into()));
    }
    Ok(found)
}

/// The stack of this name; `NotFound` if there is none.
pub fn get(conn: &Connection, stack_ref: &StackRef) -> Result<Stack, Error> {
    find(conn, stack_ref)?.ok_or_else(|| not_found(stack_ref))
}

/// The stack with this row id; `NotFound` if it has been deleted meanwhile.
pub fn read(conn: &Connection, stack_id: i64) -> Result<Stack, Error> {
    let sql = select(" WHERE id = ?1");
    let found = conn.prepare_cached(&sql)?.query_row([stack_id], from_row).optional()?;
    found.transpose()?.ok_or_else(|| Error::NotFound("the stack has been deleted".into()))
}

fn select(condition: &str) -> String {
    format!("SELECT {COLUMNS}, {} FROM stacks{condition}", mac::check("stacks", ""))
}

/// Whether a project has a stack that the caller may see.
pub fn has_project(
    conn: &Connection,
    org: &str,
    project: &str,
    visible: &[Visible; 2],
) -> Result<bool, Error> {
    const SQL: &str = "
        SELECT EXISTS (SELECT 1 FROM stacks
                       WHERE org = ?1 AND project = ?2
                         AND (?3 IS NULL OR is_visible(?3, org, project, name))
                         AND (?4 IS NULL OR is_visible(?4, org, project, name)))";
    let parameters = (org, project, &visible[0].0, &visible[1].0);
    Ok(conn.prepare_cached(SQL)?.query_row(parameters, |row| row.get(0))?)
}

/// A line of the list of stacks.
pub struct StackLine {
    /// The id that clients see.
    pub uid: String,
    /// Organization.
    pub org: String,
    /// Project.
    pub project: String,
    /// Name.
    pub name: String,
    /// When it was last written; none if never updated, 0 while an update runs (the CLI shows "in progress").
    pub last_update: Option<i64>,
    /// Resources of the latest deployment; none if there is none.
    pub n_resources: Option<i64>,
}

/// Stacks in order of organization, project and name, after the one named; at most `n_max`.
pub fn list(
    conn: &Connection,
    filter: &StackFilter,
    after: &[String; 3],
    n_max: usize,
) -> Result<Vec<StackLine>, Error> {
    let sql = format!(
        "
        SELECT s.uid, s.org, s.project, s.name,
               CASE EXISTS (SELECT 1 FROM updates u
                            WHERE u.stack_id = s.id AND u.status = 'running' AND u.is_dry_run = 0)
                    + coalesce((SELECT {} * (u.status = 'running' AND u.is_dry_run = 0)
                                FROM updates u WHERE u.uid = s.active_update), 0)
                    WHEN 2 THEN 0 WHEN 0 THEN s.updated_at_unix
                    -- One of the two indexes is damaged.
                    ELSE row_check(NULL, 'updates') END,
               CASE WHEN s.deployment_id IS NULL THEN NULL
                    WHEN d.id IS NULL THEN row_check(NULL, 'deployments')
                    ELSE d.n_resources * {} END,
               {}
        FROM stacks s LEFT JOIN deployments d ON d.id = s.deployment_id
        WHERE (s.org, s.project, s.name) > (?1, ?2, ?3)
          AND (?4 IS NULL OR s.org = ?4)
          AND (?5 IS NULL OR s.project = ?5)
          AND (?6 IS NULL OR has_tag(s.tags, ?6, ?7))
          AND (?9 IS NULL OR is_visible(?9, s.org, s.project, s.name))
          AND (?10 IS NULL OR is_visible(?10, s.org, s.project, s.name))
        ORDER BY s.org, s.project, s.name
        LIMIT ?8",
        mac::check("updates", "u."),
        mac::check("deployments", "d."),
        mac::check("stacks", "s.")
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let StackFilter { org, project, tag_name, tag_value, visible: [own, scope] } = filter;
    let parameters =
        (&after[0], &after[1], &after[2], org, project, tag_name, tag_value, n_max, &own.0, &scope.0);
    let lines = statement.query_map(parameters, |row| {
        Ok(StackLine {
            uid: row.get(0)?,
            org: row.get(1)?,
            project: row.get(2)?,
            name: row.get(3)?,
            last_update: row.get(4)?,
            n_resources: row.get(5)?,
        })
    })?;
    Ok(lines.collect::<Result<_, _>>()?)
}

/// Whether there are as many stacks as were made, by the index that the list uses. A list that lacks one would look
/// like all there is.
pub fn check_total(conn: &Connection) -> Result<(), Error> {
    const SQL: &str = "SELECT count(*) FROM stacks WHERE (org, project, name) > ('', '', '')";
    let there = conn.prepare_cached(SQL)?.query_row([], |row| row.get(0))?;
    total::check(conn, total::STACKS, there)
}

type FromRow<T> = rusqlite::Result<Result<T, Error>>;

fn from_row(row: &Row) -> FromRow<Stack> {
    let names: [String; 3] = [row.get(2)?, row.get(3)?, row.get(4)?];
    let stack_ref = match StackRef::from_parts(&names[0], &names[1], &names[2]) {
        Ok(stack_ref) => stack_ref,
        Err(cause) => return Ok(Err(Error::internal("read a stack's name", cause))),
    };
    Ok(Ok(Stack {
        id: row.get(0)?,
        uid: row.get(1)?,
        stack_ref,
        key_sealed: row.get(5)?,
        tags: row.get(6)?,
        version: row.get(7)?,
        deployment_id: row.get(8)?,
        active_update: row.get(9)?,
        n_updates: row.get(10)?,
    }))
}
