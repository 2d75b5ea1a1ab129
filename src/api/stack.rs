//! Stacks: create, get, list, rename, tag, delete.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use crate::app::App;
use crate::call::{self, Call};
use crate::crypto;
use crate::domain::access::Permission;
use crate::domain::deployment::Deployment;
use crate::domain::name::{ProjectName, StackName, StackRef, TagName, TagValue};
use crate::domain::rename::{self, Names};
use crate::error::Error;
use crate::http::{Body, Response};
use crate::limits;
use crate::state::{self, guard};
use crate::store;
use crate::store::filter::{StackFilter, Visible};
use crate::store::stack::{CreateStack, DeleteStack, RenameStack, SetTags, Stack};
use crate::store::version::{self, Draft, Encoded};

/// Name → value.
pub type Tags = BTreeMap<String, String>;

const PROJECT_TAG: &str = "pulumi:project";

/// Source: apitype/stacks.go, `CreateStackRequest`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateRequest<'a> {
    stack_name: String,
    #[serde(default)]
    tags: Option<Tags>,
    #[serde(borrow, default)]
    state: Option<&'a RawValue>,
    #[serde(borrow, default)]
    config: Option<&'a RawValue>,
}

/// Makes a stack; its project comes with its first stack.
///
/// Errors: 409 "already exists"; 404 unknown organization; 400 bad name, tag or state.
pub fn create(app: &App, call: &mut Call) -> Result<Response, Error> {
    let text = call.text()?;
    let request: CreateRequest = call::parse_object(&text)?;
    let stack_ref = StackRef::from_parts(call.parameter(0), call.parameter(1), &request.stack_name)?;
    call.require(Permission::Admin, &stack_ref)?;
    require_organization(app, &stack_ref)?;
    if request.config.is_some() {
        return Err(no_environments());
    }
    let tags = request.tags.unwrap_or_default();
    check_tags(&tags)?;

    for _ in 0..limits::END_ATTEMPTS_MAX {
        let uid = crypto::random_uuid()?;
        let (key, key_sealed, key_fingerprint) = app.keyring.make_stack_key(&uid)?;
        let encode = |text: &RawValue| -> Result<Encoded, Error> {
            let (deployment, digests) = version::parse(text.get(), &key)?;
            let marks = guard::marks_of_new(app, &key);
            let encoded = Encoded::new(&key, &Draft::new(&deployment, digests, marks.as_ref()), None)?;
            guard::refuse_import(app, &key, None, encoded.leaks())?;
            Ok(encoded)
        };
        let job = CreateStack {
            key_sealed,
            key_fingerprint,
            uid,
            stack_ref: stack_ref.clone(),
            tags: to_json(&tags),
            deployment: request.state.map(encode).transpose()?,
            now_unix: app.now_unix(),
        };
        if app.write_recorded(job, call.stack_event(app.now_unix(), "stack.create", &stack_ref))? {
            return Response::json(&json!({ "messages": [] }));
        }
        // The master key is being changed at this very moment.
        drop(app.keyring.begin_rotation());
    }
    Err(Error::Busy)
}

fn require_organization(app: &App, stack_ref: &StackRef) -> Result<(), Error> {
    let org = &stack_ref.org;
    let has_users = app.store.read(store::account::has_users)?;
    if !has_users && (*org == app.config.org || *org == app.config.user) {
        return Ok(());
    }
    app.store.read(|conn| store::account::require_org(conn, org.as_str()))
}

fn no_environments() -> Error {
    Error::invalid(
        "config",
        "this server has no environments (Pulumi ESC), so a stack's configuration cannot live on it; \
         leave out --remote-config, and it is kept in Pulumi.<stack>.yaml",
    )
}

/// A link to a remote configuration is refused, for nothing here could follow it.
pub fn refuse_config(app: &App, call: &mut Call) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    app.store.read(|conn| store::stack::get(conn, &stack_ref))?;
    Err(no_environments())
}

fn check_tags(tags: &Tags) -> Result<(), Error> {
    if tags.len() > limits::TAGS_MAX {
        return Err(Error::invalid("tags", format!("there are more than {}", limits::TAGS_MAX)));
    }
    tags.iter().try_for_each(|(tag, value)| {
        TagName::parse(tag)?;
        TagValue::parse(tag, value).map(drop)
    })
}

fn to_json(tags: &Tags) -> String {
    serde_json::to_string(tags).expect("texts")
}

/// Tags as they came with a request, checked, as JSON.
pub fn tags_json(tags: &Tags) -> Result<String, Error> {
    check_tags(tags)?;
    Ok(to_json(tags))
}

/// Source: apitype/stacks.go, `Stack`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StackBody<'a> {
    id: &'a str,
    org_name: &'a str,
    project_name: &'a str,
    stack_name: &'a str,
    active_update: &'a str,
    version: i64,
    tags: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_operation: Option<CurrentOperation<'a>>,
}

/// Source: apitype/stacks.go, `OperationStatus`.
#[derive(Serialize)]
struct CurrentOperation<'a> {
    kind: &'a str,
    author: &'a str,
    started: i64,
}

/// A stack, with the update that runs on it now.
pub fn get(app: &App, call: &mut Call) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let (stack, running) = app.store.read(|conn| {
        let stack = store::stack::get(conn, &stack_ref)?;
        let running = store::update::find_running(conn, stack.id)?;
        Ok((stack, running))
    })?;
    Response::json(&StackBody {
        id: &stack.uid,
        org_name: stack.stack_ref.org.as_str(),
        project_name: stack.stack_ref.project.as_str(),
        stack_name: stack.stack_ref.stack.as_str(),
        active_update: &stack.active_update,
        version: stack.version,
        tags: call::parse(&stack.tags)?,
        current_operation: running.as_ref().map(|update| CurrentOperation {
            kind: update.kind.as_str(),
            author: &update.requested_by,
            started: update.started_at_unix.unwrap_or(0),
        }),
    })
}

/// Source: apitype/stacks.go, `StackSummary`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    id: String,
    org_name: String,
    project_name: String,
    stack_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_count: Option<i64>,
}

/// A page of the stacks that fit the filters, in the order of their names.
pub fn list(app: &App, call: &mut Call) -> Result<Response, Error> {
    let filter = StackFilter {
        org: call.query("organization"),
        project: call.query("project"),
        tag_name: call.query("tagName"),
        tag_value: call.query("tagValue"),
        visible: Visible::of(&call.caller.rights()),
    };
    let after = match call.query("continuationToken") {
        Some(token) => decode_token(&token)?,
        None => Default::default(),
    };
    // CLIs before API version 8 do not follow tokens.
    let n_max = if follows_tokens(call) { app.config.stack_list_page_size } else { usize::MAX >> 1 };
    let mut lines = app.store.read(|conn| {
        if after[0].is_empty() {
            store::stack::check_total(conn)?;
        }
        store::stack::list(conn, &filter, &after, n_max + 1)
    })?;

    let has_more = lines.len() > n_max;
    lines.truncate(n_max);
    let token = lines.last().filter(|_| has_more).map(|l| format!("{}:{}:{}", l.org, l.project, l.name));
    let stacks: Vec<_> = lines.into_iter().map(summary).collect();
    Response::json(&json!({ "stacks": stacks, "continuationToken": token }))
}

fn summary(line: store::stack::StackLine) -> Summary {
    Summary {
        id: line.uid,
        org_name: line.org,
        project_name: line.project,
        stack_name: line.name,
        last_update: line.last_update,
        resource_count: line.n_resources,
    }
}

/// `org:project:stack`, the last stack of the page before; names have no colon.
fn decode_token(token: &str) -> Result<[String; 3], Error> {
    let parts: Vec<String> = token.split(':').map(String::from).collect();
    parts.try_into().map_err(|_| Error::invalid("continuationToken", "is not one that this server gave"))
}

fn follows_tokens(call: &Call) -> bool {
    let accept = call.request.header("Accept").unwrap_or("");
    let version = accept.split("application/vnd.pulumi+").nth(1);
    let digits = version.map(|v| v.chars().take_while(char::is_ascii_digit).collect::<String>());
    digits.and_then(|digits| digits.parse::<u32>().ok()).is_none_or(|version| version >= 8)
}

/// 204 if the project has a stack. An answer to HEAD has no body.
pub fn project_exists(app: &App, call: &mut Call) -> Result<Response, Error> {
    let (org, project) = (call.parameter(0), call.parameter(1));
    let visible = Visible::of(&call.caller.rights());
    let exists = app.store.read(|conn| store::stack::has_project(conn, org, project, &visible))?;
    Ok(if exists { Response::no_content() } else { Response::of(404, Body::Empty) })
}

/// Replaces all tags; `null` clears them.
pub fn set_tags(app: &App, call: &mut Call) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let tags: Option<Tags> = call.json()?;
    let tags = tags_json(&tags.unwrap_or_default())?;
    let event = call.stack_event(app.now_unix(), "stack.tag", &stack_ref);
    app.write_recorded(SetTags { stack_ref, tags }, event)?;
    Ok(Response::no_content())
}

/// Deletes a stack. Without `force` only one that has no resources but its root.
///
/// Errors: 400 "Stack still contains resources."; 409 while an update runs.
pub fn delete(app: &App, call: &mut Call) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let is_forced = match call.query("force").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(Error::invalid("force", format!("'{other}' is neither true nor false"))),
    };
    state::end_expired(app)?;
    for _ in 0..limits::END_ATTEMPTS_MAX {
        let (stack, current) = read_current(app, &stack_ref)?;
        if !is_forced && !Deployment::parse(&current)?.is_removable()? {
            return Err(Error::invalid("", "Stack still contains resources."));
        }
        let mut event = call.stack_event(app.now_unix(), "stack.delete", &stack_ref);
        event.detail = if is_forced { "with force".into() } else { String::new() };
        let job = DeleteStack { stack_id: stack.id, deployment_id: stack.deployment_id };
        if app.write_recorded(job, event)? {
            return Ok(Response::no_content());
        }
    }
    Err(Error::Busy)
}

/// A stack and the text of its deployment; `Conflict` while an update runs.
fn read_current(app: &App, stack_ref: &StackRef) -> Result<(Stack, String), Error> {
    app.store.read(|conn| {
        let stack = store::stack::get(conn, stack_ref)?;
        store::update::refuse_if_running(conn, stack.id)?;
        let text = state::stored(conn, &*app.stack_key(&stack)?, stack.deployment_id)?;
        Ok((stack, text))
    })
}

/// Source: apitype/stacks.go, `StackRenameRequest`. An empty project stays as it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenameRequest {
    #[serde(default)]
    new_name: String,
    #[serde(default)]
    new_project: String,
}

/// Renames a stack, and the URNs in its latest deployment with it. History and keys stay.
///
/// Errors: 409 if the new name is taken or an update runs.
pub fn rename(app: &App, call: &mut Call) -> Result<Response, Error> {
    let from = call.stack_ref()?;
    let request: RenameRequest = call.json()?;
    let project = Some(request.new_project.as_str()).filter(|project| !project.is_empty());
    let to = StackRef {
        org: from.org.clone(),
        project: ProjectName::parse(project.unwrap_or(from.project.as_str()))?,
        stack: StackName::parse(&request.new_name)?,
    };
    call.require(Permission::Admin, &to)?;
    state::end_expired(app)?;
    for _ in 0..limits::END_ATTEMPTS_MAX {
        if try_rename(app, call, &from, &to)? {
            return Ok(Response::no_content());
        }
    }
    Err(Error::Busy)
}

/// False if the stack changed meanwhile.
fn try_rename(app: &App, call: &Call, from: &StackRef, to: &StackRef) -> Result<bool, Error> {
    let (stack, current) = read_current(app, from)?;
    let mut tags: Tags = call::parse(&stack.tags)?;
    if tags.contains_key(PROJECT_TAG) {
        tags.insert(PROJECT_TAG.into(), to.project.to_string());
    }
    let deployment = match stack.deployment_id {
        Some(_) => Some(rewrite(app, &stack, &current, to)?),
        None => None,
    };
    let mut event = call.stack_event(app.now_unix(), "stack.rename", from);
    event.detail = format!("to {to}");
    let job = RenameStack {
        stack_id: stack.id,
        project: to.project.clone(),
        name: to.stack.clone(),
        tags: to_json(&tags),
        base_deployment_id: stack.deployment_id,
        deployment,
    };
    app.write_recorded(job, event)
}

fn names(stack_ref: &StackRef) -> Names<'_> {
    Names {
        org: stack_ref.org.as_str(),
        project: stack_ref.project.as_str(),
        stack: stack_ref.stack.as_str(),
    }
}

/// The deployment with the new names in it, also inside of secrets that are ours.
fn rewrite(app: &App, stack: &Stack, text: &str, to: &StackRef) -> Result<Encoded, Error> {
    let key = app.stack_key(stack)?;
    let deployment = Deployment::parse(text)?;
    let (from, to) = (names(&stack.stack_ref), names(to));
    let mut rewrite_secret = |ciphertext: &str| super::secret::rewrite(&key, ciphertext, from, to);
    let renamed = rename::rename(deployment, from, to, &mut rewrite_secret)?;
    let digests = version::digests(&renamed, &key)?;
    let marks = guard::marks(app, &key, stack.id)?;
    let marks = marks.as_deref();
    app.store.read(|conn| Encoded::whole(conn, &key, stack.id, &renamed, digests, marks))
}
