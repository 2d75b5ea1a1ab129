//! Call: what one handler gets: parameters, query, body, caller.

use serde::de::DeserializeOwned;

use crate::domain::name::StackRef;
use crate::error::Error;
use crate::http::{Deflated, Request};
use crate::store::update::Update;

/// Which way a request came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// Through the gate.
    Network,
    /// Through the control socket, which only the owner of the data can open.
    Local,
}

/// Who calls, after the access check of the route.
pub enum Caller {
    /// Nobody in particular: the route is open to all.
    Anyone,
    /// The holder of an access token.
    User {
        /// The name that the history shows.
        name: String,
    },
    /// The administrator of the machine, at the control socket.
    LocalAdmin,
    /// The CLI that holds the lease of this update; the update may have ended meanwhile.
    Lease(Box<Update>),
}

/// The name of the local administrator in records; no user can have it.
pub const LOCAL_ADMIN: &str = "(local administrator)";

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
        match &self.caller {
            Caller::User { name } => name,
            Caller::Anyone => "",
            Caller::LocalAdmin => LOCAL_ADMIN,
            Caller::Lease(update) => &update.requested_by,
        }
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

    /// A query parameter that must be a whole number, at least `min`.
    pub fn query_number(&self, name: &str, min: usize) -> Result<Option<usize>, Error> {
        let Some(text) = self.query(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if number >= min => Ok(Some(number)),
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
