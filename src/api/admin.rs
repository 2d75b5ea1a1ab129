//! What an administrator asks, and the vendor's API has no call for: locks, sizes, versions, the server's own state.

use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::call::Call;
use crate::clock;
use crate::error::Error;
use crate::http::Response;
use crate::limits;
use crate::store::lock::Lock;
use crate::store::{self, census, disk};

/// A stack that is held by an update.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LockBody {
    org_name: String,
    project_name: String,
    stack_name: String,
    #[serde(rename = "updateID")]
    update_id: String,
    kind: String,
    version: i64,
    holder: String,
    host: String,
    since: String,
    last_heartbeat: String,
    lease_expires: String,
    is_expired: bool,
}

fn lock_body(lock: Lock, now_unix: i64) -> LockBody {
    LockBody {
        org_name: lock.org,
        project_name: lock.project,
        stack_name: lock.stack,
        update_id: lock.update_uid,
        kind: lock.kind,
        version: lock.version,
        holder: lock.holder,
        host: lock.holder_address,
        since: time(lock.started_at_unix),
        last_heartbeat: time(lock.heard_at_unix),
        lease_expires: time(lock.lease_expires_at_unix),
        is_expired: lock.lease_expires_at_unix <= now_unix,
    }
}

/// RFC 3339, UTC.
fn time(unix: i64) -> String {
    format!("{}Z", clock::date_time(unix))
}

/// Every stack that an update holds: who, from where, since when, and when its CLI was last heard of.
pub fn locks(app: &App, _: &mut Call) -> Result<Response, Error> {
    let locks = app.store.read(store::lock::list)?;
    let now_unix = app.now_unix();
    let locks: Vec<LockBody> = locks.into_iter().map(|lock| lock_body(lock, now_unix)).collect();
    Response::json(&json!({ "locks": locks }))
}

/// What a stack takes. Its tags and its running operation are in `getStack`.
pub fn stack(app: &App, call: &mut Call) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let (stack, size) = app.store.read(|conn| {
        let stack = store::stack::get(conn, &stack_ref)?;
        let size = census::of_stack(conn, stack.id)?;
        Ok((stack, size))
    })?;
    Response::json(&json!({
        "id": stack.uid,
        "orgName": stack.stack_ref.org.as_str(),
        "projectName": stack.stack_ref.project.as_str(),
        "stackName": stack.stack_ref.stack.as_str(),
        "version": stack.version,
        "created": time(size.created_at_unix),
        "updated": size.updated_at_unix.map(time),
        "versionsKept": size.n_versions,
        "resourceCount": size.n_resources,
        "stateBytes": size.n_bytes,
    }))
}

/// A version of a state.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VersionBody {
    version: i64,
    #[serde(rename = "updateID")]
    update_id: String,
    kind: String,
    status: String,
    ended: Option<String>,
    requested_by: String,
    is_kept: bool,
    resource_count: Option<i64>,
    state_bytes: Option<i64>,
}

/// The versions of a stack, newest first; `before` a version, for the next page.
pub fn versions(app: &App, call: &mut Call) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let before = match call.query("before") {
        None => i64::MAX,
        Some(text) => {
            text.parse().map_err(|_| Error::invalid("before", format!("'{text}' is not a version")))?
        }
    };
    let n_max = limits::HISTORY_PAGE_MAX;
    let mut lines = app.store.read(|conn| {
        let stack = store::stack::get(conn, &stack_ref)?;
        census::list_versions(conn, stack.id, before, n_max + 1)
    })?;
    let has_more = lines.len() > n_max;
    lines.truncate(n_max);
    let next = lines.last().filter(|_| has_more).map(|line| line.version);
    let versions = lines.into_iter().map(|line| VersionBody {
        version: line.version,
        update_id: line.update_uid,
        kind: line.kind,
        status: line.status,
        ended: line.ended_at_unix.map(time),
        requested_by: line.requested_by,
        is_kept: line.n_resources.is_some(),
        resource_count: line.n_resources,
        state_bytes: line.n_bytes,
    });
    Response::json(&json!({ "versions": versions.collect::<Vec<_>>(), "before": next }))
}

/// The server and its data, in figures.
pub fn status(app: &App, _: &mut Call) -> Result<Response, Error> {
    let now_unix = app.now_unix();
    let census = app.store.read(|conn| census::take(conn, now_unix))?;
    let (db_bytes, wal_bytes) = disk::file_bytes(&app.config.db);
    Response::json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "schemaVersion": census.schema_version,
        "sqliteVersion": census.sqlite_version,
        "now": time(now_unix),
        "newestUnix": census.newest_unix,
        "stacks": census.n_stacks,
        "versions": census.n_versions,
        "leases": census.n_running,
        "leasesExpired": census.n_expired,
        "previews": census.n_previews,
        "databaseBytes": db_bytes,
        "walBytes": wal_bytes,
        "diskFreeBytes": disk::free_bytes(&app.config.db),
    }))
}
