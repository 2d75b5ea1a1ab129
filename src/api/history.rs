//! The history of a stack: what ran, when, how it ended.

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use crate::app::App;
use crate::call::{self, Call};
use crate::domain::leak::Leak;
use crate::domain::update::UpdateKind;
use crate::error::Error;
use crate::http::Response;
use crate::program::Program;
use crate::store;
use crate::store::history::HistoryEntry;

/// Source: apitype/history.go, `UpdateInfo`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UpdateInfo {
    kind: &'static str,
    start_time: i64,
    message: String,
    environment: BTreeMap<String, String>,
    config: BTreeMap<String, Box<RawValue>>,
    result: &'static str,
    end_time: i64,
    version: i64,
    resource_changes: Box<RawValue>,
    resource_count: i64,
    #[serde(rename = "updateID")]
    update_id: String,
    requested_by: RequestedBy,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext_values: Option<PlaintextValues>,
}

/// Values of the resulting state that should be secrets; what they are is not told.
#[derive(Serialize)]
struct PlaintextValues {
    count: usize,
    values: Vec<PlaintextValue>,
}

#[derive(Serialize)]
struct PlaintextValue {
    urn: String,
    path: String,
    why: String,
}

fn plaintext_values(leaks: Vec<Leak>) -> Option<PlaintextValues> {
    let value = |Leak { urn, path, why }| PlaintextValue { urn, path, why: why.into_owned() };
    let (count, values) = (leaks.len(), leaks.into_iter().map(value).collect());
    (count > 0).then_some(PlaintextValues { count, values })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestedBy {
    name: String,
    github_login: String,
}

fn info(entry: HistoryEntry) -> Result<UpdateInfo, Error> {
    let program: Program = call::parse(&entry.program)?;
    let changes = entry.resource_changes.unwrap_or_else(|| "{}".into());
    Ok(UpdateInfo {
        kind: entry.kind.as_str(),
        start_time: entry.started_at_unix,
        message: program.metadata.message,
        environment: program.metadata.environment,
        config: program.config,
        result: entry.status.result().as_str(),
        end_time: entry.ended_at_unix.unwrap_or(0),
        version: entry.version,
        resource_changes: RawValue::from_string(changes)
            .map_err(|cause| Error::internal("read the changes that an update counted", cause))?,
        resource_count: entry.n_resources.unwrap_or(0),
        update_id: entry.uid,
        requested_by: RequestedBy { name: entry.requested_by.clone(), github_login: entry.requested_by },
        findings: entry.findings,
        plaintext_values: plaintext_values(entry.leaks),
    })
}

/// Updates, newest first; previews are not among them. Pages count from 1; past the end they are empty.
pub fn list(app: &App, call: &mut Call) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let page_size = call.query_number("pageSize", 0)?.filter(|size| *size > 0);
    let page = call.query_number("page", 0)?.unwrap_or(1).max(1);
    let n_max = page_size.unwrap_or(app.config.history_page_size).min(app.config.history_page_size);
    let entries = app.store.read(|conn| {
        let stack = store::stack::get(conn, &stack_ref)?;
        store::history::list(conn, &*app.stack_key(&stack)?, &stack, offset(page, n_max), n_max)
    })?;
    let updates = entries.into_iter().map(info).collect::<Result<Vec<_>, _>>()?;
    Response::json(&json!({ "updates": updates }))
}

/// What stands before a page. The database counts to `i64::MAX`, and nothing has so many entries.
fn offset(page: usize, n_max: usize) -> usize {
    (page - 1).saturating_mul(n_max).min(i64::MAX as usize)
}

/// The latest update, with the configuration that `config refresh` brings back. 404 if the stack was never updated.
pub fn latest(app: &App, call: &mut Call) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let (entries, configured) = app.store.read(|conn| {
        let stack = store::stack::get(conn, &stack_ref)?;
        let key = app.stack_key(&stack)?;
        let entries = store::history::list(conn, &key, &stack, 0, 1)?;
        Ok((entries, store::history::find_last_configured(conn, &key, stack.id)?))
    })?;
    let entry = entries.into_iter().next();
    let entry =
        entry.ok_or_else(|| Error::NotFound(format!("Stack '{stack_ref}' has never been updated")))?;
    let mut info = info(entry)?;
    // An import has no configuration of its own and changes none: that of the update before still holds.
    if let (true, Some(program)) = (info.kind == UpdateKind::Import.as_str(), configured) {
        info.config = call::parse::<Program>(&program)?.config;
    }
    Response::json(&json!({ "info": info, "updateID": info.update_id }))
}

/// The update of that number. 404 if there is none.
pub fn by_version(app: &App, call: &mut Call) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let version = call.parameter(3).to_string();
    let entry = app.store.read(|conn| {
        let stack = store::stack::get(conn, &stack_ref)?;
        let number = version.parse::<i64>().ok().filter(|number| (1..=stack.version).contains(number));
        let Some(number) = number else { return Ok(None) };
        let offset = (stack.version - number) as usize;
        let key = app.stack_key(&stack)?;
        Ok(store::history::list(conn, &key, &stack, offset, 1)?.into_iter().next())
    })?;
    let entry =
        entry.ok_or_else(|| Error::NotFound(format!("Stack '{stack_ref}' has no update {version}")))?;
    let info = info(entry)?;
    Response::json(&json!({ "info": info, "updateID": info.update_id }))
}

/// Ids of previews, newest first unless `asc=true`.
pub fn previews(app: &App, call: &mut Call) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let n_max = call.query_number("pageSize", 0)?.filter(|size| *size > 0);
    let n_max = n_max.unwrap_or(app.config.history_page_size).min(app.config.history_page_size);
    let page = call.query_number("page", 0)?.unwrap_or(1).max(1);
    let is_ascending = call.query("asc").as_deref() == Some("true");
    let uids = app.store.read(|conn| {
        let stack = store::stack::get(conn, &stack_ref)?;
        store::history::list_previews(conn, stack.id, is_ascending, offset(page, n_max), n_max)
    })?;
    let updates: Vec<_> = uids.into_iter().map(|uid| json!({ "updateID": uid })).collect();
    Response::json(&json!({ "updates": updates }))
}
