//! Who calls, and whether that is enough: the sentences of every refusal.
//!
//! What a caller may not see is answered like what is not there, word for word.

use crate::domain::access::{Permission, Rights};
use crate::error::Error;
use crate::store::audit::Who;
use crate::store::update::Update;

/// Who calls, after the access check of the route.
pub enum Caller {
    /// Nobody in particular: the route is open to all.
    Anyone,
    /// The holder of an access token.
    User(Box<User>),
    /// The administrator of the machine, at the control socket.
    LocalAdmin,
    /// The CLI that holds the lease of this update; the update may have ended meanwhile.
    Lease(Box<Update>),
}

/// The holder of an access token.
pub struct User {
    /// The login; of a machine token, the organization.
    pub name: String,
    /// A machine token: nobody's in particular.
    pub is_machine: bool,
    /// Of the server, with a token that is not limited.
    pub is_admin: bool,
    /// What the caller may do.
    pub rights: Rights,
    /// The token; none in the open mode, where any will do.
    pub token: Option<TokenUse>,
}

/// The token of a call.
pub struct TokenUse {
    /// The id that people see; empty for the single shared token.
    pub uid: String,
    /// What its owner calls it.
    pub name: String,
    /// Whether it may do less than its owner.
    pub is_limited: bool,
    /// When it ends.
    pub expires_at_unix: Option<i64>,
}

/// The name of the local administrator in records; no user can have it.
pub const LOCAL_ADMIN: &str = "(local administrator)";

impl Caller {
    /// The name that the history and the audit record show.
    pub fn name(&self) -> &str {
        match self {
            Caller::User(user) => &user.name,
            Caller::Anyone => "",
            Caller::LocalAdmin => LOCAL_ADMIN,
            Caller::Lease(update) => &update.requested_by,
        }
    }

    /// The token of the call, if it is that of somebody in particular.
    pub fn token(&self) -> Option<&TokenUse> {
        match self {
            Caller::User(user) => user.token.as_ref(),
            _ => None,
        }
    }

    /// For the audit record.
    pub fn who(&self, at_unix: i64, address: &str, request_id: &str) -> Who {
        let token = self.token();
        Who {
            at_unix,
            actor: self.name().into(),
            token: token.map_or(String::new(), |token| token.name.clone()),
            token_uid: token.map_or(String::new(), |token| token.uid.clone()),
            address: address.into(),
            request_id: request_id.into(),
        }
    }

    /// What the caller may do.
    pub fn rights(&self) -> Rights {
        match self {
            Caller::LocalAdmin => Rights::everything(),
            Caller::User(user) => user.rights.clone(),
            Caller::Anyone | Caller::Lease(_) => Rights::of(Vec::new()),
        }
    }

    fn decide(&self, allows: impl Fn(&Rights) -> bool) -> bool {
        match self {
            Caller::LocalAdmin => true,
            Caller::User(user) => allows(&user.rights),
            Caller::Anyone | Caller::Lease(_) => false,
        }
    }

    /// Errors: `NotFound` for a stack that the caller may not see, `Forbidden` for a missing role.
    pub fn require_on_stack(
        &self,
        needed: Permission,
        org: &str,
        project: &str,
        stack: &str,
    ) -> Result<(), Error> {
        let full = format!("{org}/{project}/{stack}");
        if self.decide(|rights| rights.on_stack(needed, org, project, stack)) {
            return Ok(());
        }
        match self.decide(|rights| rights.on_stack(Permission::See, org, project, stack)) {
            true => Err(self.missing(needed, &full)),
            false => Err(Error::NotFound(format!("Stack '{full}' not found"))),
        }
    }

    /// Errors: `NotFound` for an organization that is none of the caller's, `Forbidden` for a missing role.
    pub fn require_in_project(&self, needed: Permission, org: &str, project: &str) -> Result<(), Error> {
        let is_allowed = self.decide(|rights| rights.in_project(needed, org, project));
        self.org_result(is_allowed, needed, org, &format!("{org}/{project}/*"))
    }

    /// As `require_in_project`, for the organization as a whole; `*` is all of them.
    pub fn require_on_org(&self, needed: Permission, org: &str) -> Result<(), Error> {
        let is_allowed = self.decide(|rights| rights.on_org(needed, org));
        self.org_result(is_allowed, needed, org, org)
    }

    fn org_result(
        &self,
        is_allowed: bool,
        needed: Permission,
        org: &str,
        pattern: &str,
    ) -> Result<(), Error> {
        if is_allowed {
            return Ok(());
        }
        match self.decide(|rights| rights.in_org(org)) {
            true => Err(self.missing(needed, pattern)),
            false => Err(crate::store::account::org_not_found(org)),
        }
    }

    /// Errors: `Forbidden` for all but administrators of the server.
    pub fn require_server(&self) -> Result<(), Error> {
        match self {
            Caller::LocalAdmin => Ok(()),
            Caller::User(user) if user.is_admin => Ok(()),
            _ => Err(Error::Forbidden(
                "This needs an administrator of the server, with a token that is not limited. On the machine of \
                 the server, the commands of pulumi-backend can do it."
                    .into(),
            )),
        }
    }

    /// Errors: `Forbidden` for whoever does not have this on every organization.
    pub fn require_everywhere(&self, needed: Permission) -> Result<(), Error> {
        match self.decide(|rights| rights.on_org(needed, "*")) {
            true => Ok(()),
            false => Err(self.missing(needed, "*")),
        }
    }

    /// Errors: `Forbidden` for machine tokens and for tokens that are limited, which must not make others.
    pub fn require_own(&self) -> Result<(), Error> {
        let why = match self {
            Caller::User(user) if user.is_machine => "A machine token has no tokens of its own.",
            Caller::User(user) if user.token.as_ref().is_some_and(|token| token.is_limited) => {
                "A token that is limited cannot look after the tokens of its user."
            }
            Caller::User(_) => return Ok(()),
            _ => "The local administrator has no tokens; say whose are meant.",
        };
        Err(Error::Forbidden(why.into()))
    }

    fn missing(&self, needed: Permission, pattern: &str) -> Error {
        let role = needed.least_role().as_str();
        let name = self.name();
        let why = match self {
            Caller::User(user) if user.token.as_ref().is_some_and(|token| token.is_limited) => {
                let token = user.token.as_ref().map_or("", |token| &token.name);
                format!(
                    "This needs the role '{role}' on {pattern}, and the token '{token}' of {name} does not have it."
                )
            }
            _ => format!(
                "This needs the role '{role}' on {pattern}, and {name} does not have it. An administrator can \
                 give it: pulumi-backend grant {role} {name} '{pattern}'"
            ),
        };
        Error::Forbidden(why)
    }
}
