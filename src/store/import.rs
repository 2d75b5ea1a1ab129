//! An import: a state that comes from outside.

use super::version::{self, Encoded};
use super::{Job, Tx, program, stack, update};
use crate::error::Error;

/// Replaces a stack's deployment from outside: a version and a history entry of its own.
///
/// Errors: `Conflict` while an update runs.
pub struct Import {
    /// Into which stack.
    pub stack_id: i64,
    /// Id of the history entry.
    pub uid: String,
    /// Who imports.
    pub requested_by: String,
    /// What stands in for a create request, as `seal_program` made it ready.
    pub program: Vec<u8>,
    /// The new deployment.
    pub deployment: Encoded,
    /// What is not sound in it, a sentence a line, as `seal_findings` made it ready.
    pub findings: Option<Vec<u8>>,
    /// What lies in it in plain text, as `seal_leaks` made it ready.
    pub leaks: Option<Vec<u8>>,
    /// Now.
    pub now_unix: i64,
}

impl Job for Import {
    const NAME: &'static str = "import";
    type Output = ();

    fn run(self, tx: &mut Tx) -> Result<(), Error> {
        stack::read(tx.conn, self.stack_id)?;
        update::refuse_if_running(tx.conn, self.stack_id)?;
        let version = stack::claim_version(tx, self.stack_id, &self.uid, self.now_unix)?;
        let deployment_id = version::insert_deployment(tx, self.stack_id, &self.deployment)?;
        version::set_version(tx, self.stack_id, version, deployment_id)?;
        stack::set_deployment(tx, self.stack_id, deployment_id)?;
        const SQL: &str = "
            INSERT INTO updates (uid, stack_id, kind, is_dry_run, status, version, requested_by,
                                 created_at_unix, started_at_unix, ended_at_unix, n_resources, findings, leaks)
            VALUES (?1, ?2, 'import', 0, 'succeeded', ?3, ?4, ?5, ?5, ?5, ?6, ?7, ?8)";
        let update_id = tx.conn.prepare_cached(SQL)?.insert((
            &self.uid,
            self.stack_id,
            version,
            &self.requested_by,
            self.now_unix,
            self.deployment.n_resources(),
            &self.findings,
            &self.leaks,
        ))?;
        program::insert(tx, update_id, &self.program)
    }
}
