//! Export and import of whole deployments.

use std::collections::BTreeSet;

use serde_json::json;

use crate::app::App;
use crate::call::{Call, Caller};
use crate::crypto;
use crate::domain::deployment::{Deployment, Each};
use crate::domain::digest::{self, Digester, Digests};
use crate::domain::integrity;
use crate::domain::name::StackRef;
use crate::domain::resource::ResourceFacts;
use crate::domain::urn::Urn;
use crate::error::Error;
use crate::http::{Body, Response};
use crate::state::{self, State, Told, guard};
use crate::store::import::Import;
use crate::store::stack::Stack;
use crate::store::version::{self, Encoded};
use crate::store::{self, Connection};

/// The stack's deployment; while an update runs, with all that it has reported.
pub fn export(app: &App, call: &mut Call) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let body = app.store.read(|conn| {
        let stack = store::stack::get(conn, &stack_ref)?;
        let state = state::current(app, conn, &stack)?;
        body(app, call, conn, &stack, state)
    })?;
    note_read(app, call, "stack.export", &stack_ref, String::new())?;
    Ok(Response::of(200, body))
}

/// Records that a state or its secrets were read, before they go out. In the open mode nobody could say by whom.
pub fn note_read(
    app: &App,
    call: &Call,
    action: &'static str,
    stack_ref: &StackRef,
    detail: String,
) -> Result<(), Error> {
    if matches!(&call.caller, Caller::User(user) if user.token.is_none()) {
        return Ok(());
    }
    let mut event = call.stack_event(app.now_unix(), action, stack_ref);
    event.detail = detail;
    app.record(event)
}

/// The deployment at the end of update `{version}`. 404 if there is none of that number.
pub fn export_version(app: &App, call: &mut Call) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let text = call.parameter(3).to_string();
    let number = text.parse::<i64>().ok().filter(|version| *version > 0);
    let version =
        number.ok_or_else(|| Error::invalid("version", format!("'{text}' is not a number from 1 on")))?;
    let body = app.store.read(|conn| {
        let stack = store::stack::get(conn, &stack_ref)?;
        let deployment_id = store::version::find_version(conn, stack.id, version)?;
        if deployment_id.is_none() && store::retention::was_dropped(conn, stack.id, version)? {
            return Err(Error::NotFound(format!(
                "Version {version} of stack '{stack_ref}' is no longer kept (--max-state-versions)"
            )));
        }
        if deployment_id.is_none() && !store::update::has_ended_version(conn, stack.id, version)? {
            return Err(Error::NotFound(format!("Stack '{stack_ref}' has no version {version}")));
        }
        body(app, call, conn, &stack, deployment_id.map_or(State::Empty, State::Stored))
    })?;
    note_read(app, call, "stack.export", &stack_ref, format!("version {version}"))?;
    Ok(Response::of(200, body))
}

/// A client that takes gzip may get what an earlier one got.
fn body(app: &App, call: &Call, conn: &Connection, stack: &Stack, state: State) -> Result<Body, Error> {
    let text = match state {
        State::Stored(id) if call.request.accepts_gzip() => {
            return Ok(Body::JsonGzip(state::export_gzip(app, conn, stack, id)?));
        }
        State::Stored(id) => version::read_text(conn, &*app.stack_key(stack)?, id)?,
        State::Empty => Deployment::empty().to_text(),
        State::Running(text) => text,
    };
    Ok(Body::Json(text.into_bytes()))
}

/// Replaces the stack's deployment; done when it answers. A version and a history entry of its own.
///
/// What the CLI lets through only with `--force` comes in, for the server cannot see that flag: a state that is
/// not sound or has resources of another stack is stored, and the person is told.
/// Errors: 409 while an update runs; 400 for what is no deployment, and, if the setting says so, for one that brings
/// values in plain text.
pub fn import(app: &App, call: &mut Call) -> Result<Response, Error> {
    let stack_ref = call.stack_ref()?;
    let stack = app.store.read(|conn| store::stack::get(conn, &stack_ref))?;
    let text = call.text()?;
    let key = app.stack_key(&stack)?;
    let mut importing = Importing {
        digester: version::digester(&key),
        digests: Digests::default(),
        foreign: Foreign::new(&stack_ref),
    };
    let deployment = Deployment::parse_with(&text, &mut importing)?;
    let Importing { digests, foreign, .. } = importing;
    let mut findings: Vec<String> = Vec::new();
    if !digest::is_sound(&deployment.header()?, digests.iter()) {
        findings.extend(integrity::check(&deployment));
    }
    findings.extend(foreign.finding());
    let findings = (!findings.is_empty()).then(|| findings.join("\n"));
    if let Some(finding) = &findings {
        log::warn!("import into {stack_ref}: the state is not sound: {finding}");
    }

    state::end_expired(app)?;
    let uid = crypto::random_uuid()?;
    let marks = guard::marks(app, &key, stack.id)?;
    let marks = marks.as_deref();
    let encode = |conn: &Connection| Encoded::whole(conn, &key, stack.id, &deployment, digests, marks);
    let encoded = app.store.read(encode)?;
    let leaks = encoded.leaks().to_vec();
    guard::refuse_import(app, &key, Some(&stack), &leaks)?;
    if let Some(sentence) = guard::sentence(&leaks) {
        log::warn!("import into {stack_ref}: {sentence}");
    }
    let event = call.stack_event(app.now_unix(), "stack.import", &stack_ref);
    let job = Import {
        stack_id: stack.id,
        uid: uid.clone(),
        requested_by: call.user_name().to_string(),
        program: store::program::seal(&key, &uid, "{}", None)?,
        deployment: encoded,
        findings: store::program::seal_findings(&key, &uid, findings.as_deref())?,
        leaks: store::program::seal_leaks(&key, &uid, &leaks)?,
        now_unix: app.now_unix(),
    };
    app.write_recorded(job, event)?;
    Ok(with_warning(Response::json(&json!({ "updateId": uid }))?, &Told { findings, leaks }))
}

/// What is found out about a state while it is cut.
struct Importing<'s> {
    digester: Digester,
    digests: Digests,
    foreign: Foreign<'s>,
}

impl<'a> Each<'a> for Importing<'_> {
    fn add(&mut self, facts: &ResourceFacts<'a>, text: &'a str) {
        self.digester.push(&mut self.digests, facts, text);
        self.foreign.look_at(&facts.urn);
    }
}

/// Resources whose URN names another stack.
struct Foreign<'s> {
    stack: &'s str,
    urns: BTreeSet<String>,
}

impl<'s> Foreign<'s> {
    fn new(stack_ref: &'s StackRef) -> Foreign<'s> {
        Foreign { stack: stack_ref.stack.as_str(), urns: BTreeSet::new() }
    }

    fn look_at(&mut self, urn: &str) {
        if Urn::parse(urn).is_some_and(|urn| urn.stack != self.stack) {
            self.urns.insert(urn.to_owned());
        }
    }

    /// A sentence if there are any.
    fn finding(&self) -> Option<String> {
        let first = self.urns.first()?;
        Some(format!("{} resources are of another stack, as {first}", self.urns.len()))
    }
}

/// Tells the person at the CLI what is not right in the state that was just stored.
pub fn with_warning(response: Response, told: &Told) -> Response {
    let findings = told.findings.iter().map(|findings| {
        let lines: Vec<&str> = findings.lines().take(3).collect();
        format!("the state was stored, but it is not sound: {}", lines.join("; "))
    });
    let warnings: Vec<String> = findings.chain(guard::sentence(&told.leaks)).collect();
    warnings.iter().fold(response, |response, warning| {
        let ascii: String =
            warning.chars().filter(|c| c.is_ascii() && !c.is_ascii_control()).take(1000).collect();
        response.with_header("X-Pulumi-Warning", ascii)
    })
}
