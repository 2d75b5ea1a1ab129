//! Whether everything that is stored is as it was written.

use std::sync::Arc;

use serde_json::json;

use crate::app::App;
use crate::call::Call;
use crate::crypto::hash_key::HashKey;
use crate::crypto::keyring::Keyring;
use crate::error::Error;
use crate::http::Response;
use crate::pace::{Meter, Pace};
use crate::store::audit::{self, chain::Chain};
use crate::store::verify::{self, Report};
use crate::store::{self, Store};

/// What it is called among the works that are under way.
pub const WORK: &str = "verify";

/// Opens and compares everything. Reads only; the server goes on meanwhile.
///
/// Errors: the database cannot be read at all.
pub fn verify(store: &Store, keyring: &Keyring, pace: &mut Pace) -> Result<Report, Error> {
    let mut report = Report::default();
    store.read(|conn| verify::database(conn, &mut report, pace))?;
    pace.begin("checking the audit record", 0);
    let audit_key = Arc::new(HashKey::new(keyring.server(), audit::KEY));
    match audit::walk(store, || Chain::new(Some(audit_key.clone()), None)) {
        Ok(walked) => {
            report.count("audit records", walked.n_records);
            walked
                .problem
                .into_iter()
                .for_each(|problem| report.problem(format!("the audit record: {problem}")));
        }
        Err(error) if store::is_damage(&error) => report.problem(format!("the audit record: {error}")),
        Err(error) => return Err(error),
    }
    let (stack_ids, n_things) =
        store.read(|conn| Ok((verify::list_stacks(conn)?, verify::count_things(conn)?)))?;
    pace.begin("checking stacks", n_things);
    for stack_id in stack_ids {
        // A view of its own for each stack: a long one would keep the log from being folded.
        let done = store.read(|conn| {
            let stack = store::stack::read(conn, stack_id)?;
            let key = keyring.stack_key(stack.id, &stack.uid, &stack.key_sealed)?;
            verify::stack(conn, &key, &stack, &mut report, pace)
        });
        match done {
            // It was deleted meanwhile.
            Ok(()) | Err(Error::NotFound(_)) => {}
            Err(Error::Damaged(what)) => report.problem(format!("a stack: {what}")),
            Err(error) if store::is_damage(&error) => report.problem(format!("a stack: {error}")),
            Err(error) => return Err(error),
        }
    }
    Ok(report)
}

/// Everything is opened and compared; what is wrong is told.
pub fn run(app: &App, _: &mut Call) -> Result<Response, Error> {
    let meter = Meter::default();
    let _work = app.works.enter(WORK, &meter);
    let report = verify(&app.store, &app.keyring, &mut Pace::full(meter))?;
    report.problems.iter().for_each(|problem| log::error!("verify: {problem}"));
    let counts = report.counts.iter().map(|(what, n)| (what.to_string(), json!(n)));
    Response::json(&json!({
        "isSound": report.problems.is_empty(),
        "checked": counts.collect::<serde_json::Map<_, _>>(),
        "problems": report.problems,
    }))
}
