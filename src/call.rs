//! Call: what one handler gets: parameters, query, body, caller.

mod caller;

use serde::de::DeserializeOwned;

pub use self::caller::{Caller, LOCAL_ADMIN, TokenUse, User};
use crate::domain::access::Permission;
use crate::domain::name::StackRef;
use crate::error::Error;
use crate::http::{Deflated, Request};
use crate::store::audit::Event;
use crate::store::update::Update;

/// Which way a request came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// Through the gate.
    Network,
    /// Through the address for monitors: without a token, but to little.
    Management,
    /// Through the control socket, which only the owner of the data can open.
    Local,
}

/// One call: a request that has found its route and passed its access check.
pub struct Call<'a> {
    /// The request; its body is read by `body` and `json`.
    pub request: &'a mut Request,
    /// Values of the `{…}` parts of the route, in order.
    pub parameters: Vec<String>,
    /// Who calls.
    pub caller: Caller,
    /// The route's limit.
    pub body_bytes_max: usize,
    /// Where the call comes from.
    pub address: String,
    /// The id of the answer.
    pub request_id: String,
}

impl Call<'_> {
    /// The parameter at this place of the route's pattern.
    pub fn parameter(&self, index: usize) -> &str {
        self.parameters.get(index).map_or("", String::as_str)
    }

    /// The stack that the first three parameters name; one with an impossible name is not found.
    pub fn stack_ref(&self) -> Result<StackRef, Error> {
        let (org, project, stack) = (self.parameter(0), self.parameter(1), self.parameter(2));
        StackRef::from_parts(org, project, stack)
            .map_err(|_| Error::NotFound(format!("Stack '{org}/{project}/{stack}' not found")))
    }

    /// The name of the user who calls.
    pub fn user_name(&self) -> &str {
        self.caller.name()
    }

    /// For names that come in a body, where the route's row cannot see them: as the row's own check.
    pub fn require(&self, needed: Permission, stack_ref: &StackRef) -> Result<(), Error> {
        let StackRef { org, project, stack } = stack_ref;
        self.caller.require_on_stack(needed, org.as_str(), project.as_str(), stack.as_str())
    }

    /// What is recorded of this call. `org` is empty for what concerns the whole server.
    pub fn event(&self, now_unix: i64, action: &'static str, org: &str, target: impl ToString) -> Event {
        Event {
            who: self.caller.who(now_unix, &self.address, &self.request_id),
            action,
            target: target.to_string(),
            org: org.into(),
            result: "ok".into(),
            detail: String::new(),
        }
    }

    /// What is recorded of this call on a stack.
    pub fn stack_event(&self, now_unix: i64, action: &'static str, stack_ref: &StackRef) -> Event {
        self.event(now_unix, action, stack_ref.org.as_str(), stack_ref)
    }

    /// The update whose lease the caller holds.
    pub fn lease(&self) -> Result<&Update, Error> {
        match &self.caller {
            Caller::Lease(update) => Ok(update),
            _ => Err(Error::internal("find the caller's lease", "the route is not one for leases")),
        }
    }

    /// A query parameter; an empty one counts as absent.
    pub fn query(&self, name: &str) -> Option<String> {
        self.request.query(name).filter(|value| !value.is_empty())
    }

    /// A query parameter that must be a whole number, at least `min`. One that no column could hold is given as the
    /// largest that one can.
    pub fn query_number(&self, name: &str, min: usize) -> Result<Option<usize>, Error> {
        let Some(text) = self.query(name) else { return Ok(None) };
        match text.parse::<usize>() {
            Ok(number) if number >= min => Ok(Some(number.min(i64::MAX as usize))),
            _ => Err(Error::invalid(name, format!("'{text}' is not a whole number from {min} on"))),
        }
    }

    /// The body as text, inflated; at most the route's limit.
    pub fn text(&mut self) -> Result<String, Error> {
        self.packed_text().map(|(text, _)| text)
    }

    /// As `text`, with the stream that it was inflated from, if it was.
    pub fn packed_text(&mut self) -> Result<(String, Option<Deflated>), Error> {
        let (bytes, deflated) = self.request.read_packed_body(self.body_bytes_max)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::invalid("body", "is not UTF-8"))?;
        Ok((text, deflated))
    }

    /// The body, a JSON object, as a value of this type.
    pub fn json<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let text = self.text()?;
        parse_object(&text)
    }
}

/// Reads the body of a request, which is an object (or `null`, where the type has that).
pub fn parse_object<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    // A derived reader also takes an array for an object, its elements for the fields.
    if text.trim_start().starts_with('[') {
        return Err(Error::invalid("body", "must be a JSON object, not an array"));
    }
    parse(text)
}

/// Reads a JSON text; what is wrong is said in the parser's words, with line and column.
pub fn parse<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    serde_json::from_str(text)
        .map_err(|cause| Error::invalid("body", format!("not the JSON expected here: {cause}")))
}
