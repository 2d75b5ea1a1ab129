//! Who may do what on which stacks: roles, patterns of stacks, and the rule that decides.
//!
//! There is no implicit access: what no grant gives, nobody has. A token's scope only takes away.

use std::fmt;

use super::name::OrgName;
use crate::error::Error;

/// What may be granted. Each but `Auditor` has all that those before it have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Sees which stacks there are, their history and the audit record; no state.
    Auditor,
    /// Sees stacks and their states; secrets stay encrypted.
    Read,
    /// Reads secrets, and so may preview.
    Decrypt,
    /// Runs updates.
    Update,
    /// Creates, deletes, renames, imports; on a whole organization also its tokens and grants.
    Admin,
}

/// What a call needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permission {
    /// To know of the stack: name, tags, history.
    See,
    /// To read its state.
    Read,
    /// To read its secrets.
    Decrypt,
    /// To change its resources.
    Update,
    /// To change the stack itself, or the organization.
    Admin,
    /// To read the audit record.
    Audit,
}

impl Role {
    const TEXTS: [(Role, &'static str); 5] = [
        (Role::Auditor, "auditor"),
        (Role::Read, "read"),
        (Role::Decrypt, "decrypt"),
        (Role::Update, "update"),
        (Role::Admin, "admin"),
    ];

    /// The role of that name.
    pub fn parse(text: &str) -> Result<Role, Error> {
        let found = Role::TEXTS.iter().find(|(_, name)| *name == text);
        found.map(|(role, _)| *role).ok_or_else(|| {
            Error::invalid("role", format!("'{text}' is not read, decrypt, update, admin or auditor"))
        })
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Role::TEXTS.iter().find(|(role, _)| *role == self).map_or("", |(_, name)| name)
    }

    /// Whether it has this permission.
    pub fn permits(self, permission: Permission) -> bool {
        match permission {
            Permission::See => true,
            Permission::Audit => matches!(self, Role::Auditor | Role::Admin),
            other => self >= other.least_role(),
        }
    }
}

impl Permission {
    /// The least role that has it.
    pub fn least_role(self) -> Role {
        match self {
            Permission::See | Permission::Read => Role::Read,
            Permission::Decrypt => Role::Decrypt,
            Permission::Update => Role::Update,
            Permission::Admin => Role::Admin,
            Permission::Audit => Role::Auditor,
        }
    }
}

/// Which stacks: `acme`, `acme/web/*`, `acme/*/prod`, `acme/web-*/dev`, or `*` for all of every organization.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    /// An organization's name, or `*`.
    pub org: String,
    /// `*` stands for any characters, also among others.
    pub project: String,
    /// As the project.
    pub stack: String,
}

impl Pattern {
    /// From its text; what is left out at the end is `*`.
    pub fn parse(text: &str) -> Result<Pattern, Error> {
        let wrong = || {
            let why = format!(
                "'{text}' is not a pattern: ORG, ORG/PROJECT/STACK with * for any characters, or * for all"
            );
            Error::invalid("pattern", why)
        };
        let is_part = |part: &&str| {
            let is_char = |c: char| c.is_ascii_alphanumeric() || "-_.*".contains(c);
            (1..=super::name::NAME_CHARS_MAX).contains(&part.len()) && part.chars().all(is_char)
        };
        let mut parts = text.split('/');
        let org = parts.next().unwrap_or("");
        let mut next = || parts.next().map_or(Some("*"), |part| Some(part).filter(is_part));
        let (project, stack) = (next().ok_or_else(wrong)?, next().ok_or_else(wrong)?);
        if parts.next().is_some() || (org != "*" && OrgName::parse(org).is_err()) {
            return Err(wrong());
        }
        Ok(Pattern { org: org.into(), project: project.into(), stack: stack.into() })
    }

    /// All stacks of an organization.
    pub fn whole(org: &str) -> Pattern {
        Pattern { org: org.into(), project: "*".into(), stack: "*".into() }
    }

    fn has_org(&self, org: &str) -> bool {
        self.org == "*" || self.org == org
    }

    fn has_project(&self, org: &str, project: &str) -> bool {
        self.has_org(org) && is_like(&self.project, project)
    }

    fn has_stack(&self, org: &str, project: &str, stack: &str) -> bool {
        has_stack([&*self.org, &self.project, &self.stack], [org, project, stack])
    }

    fn has_whole(&self, org: &str) -> bool {
        self.has_org(org) && self.project == "*" && self.stack == "*"
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.project.as_str(), self.stack.as_str()) {
            ("*", "*") => f.write_str(&self.org),
            (project, stack) => write!(f, "{}/{project}/{stack}", self.org),
        }
    }
}

/// Whether a stack is in a pattern; both as organization, project and name.
pub fn has_stack<'p>(pattern: impl IntoIterator<Item = &'p str>, names: [&str; 3]) -> bool {
    let mut parts = pattern.into_iter();
    names.iter().all(|name| parts.next().is_some_and(|part| is_like(part, name)))
}

/// Whether `text` is what `pattern` says, where `*` stands for any characters.
pub fn is_like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A role on some stacks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// What may be done.
    pub role: Role,
    /// Where.
    pub pattern: Pattern,
}

impl Grant {
    /// A role on all stacks of an organization.
    pub fn on_org(role: Role, org: &str) -> Grant {
        Grant { role, pattern: Pattern::whole(org) }
    }
}

/// All that a caller may do: what its owner was granted, less what the token's scope leaves out.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// Nothing where a layer has everything; each layer that is there must allow a thing.
    layers: Vec<Vec<Grant>>,
}

impl Rights {
    /// Everything on every stack.
    pub fn everything() -> Rights {
        Rights::default()
    }

    /// What these grants give.
    pub fn of(grants: Vec<Grant>) -> Rights {
        Rights { layers: vec![grants] }
    }

    /// The same, less what `scope` does not have.
    pub fn within(mut self, scope: Vec<Grant>) -> Rights {
        self.layers.push(scope);
        self
    }

    /// Whether there is nothing that is not allowed.
    pub fn is_everything(&self) -> bool {
        self.layers.is_empty()
    }

    /// Whether a thing may be done on a stack.
    pub fn on_stack(&self, needed: Permission, org: &str, project: &str, stack: &str) -> bool {
        self.all(|grant| grant.role.permits(needed) && grant.pattern.has_stack(org, project, stack))
    }

    /// Whether a thing may be done on an organization as a whole.
    pub fn on_org(&self, needed: Permission, org: &str) -> bool {
        self.all(|grant| grant.role.permits(needed) && grant.pattern.has_whole(org))
    }

    /// Whether a thing may be done on some stack of a project, there or not.
    pub fn in_project(&self, needed: Permission, org: &str, project: &str) -> bool {
        self.all(|grant| grant.role.permits(needed) && grant.pattern.has_project(org, project))
    }

    /// Whether the caller has anything to do with an organization.
    pub fn in_org(&self, org: &str) -> bool {
        self.all(|grant| grant.pattern.has_org(org))
    }

    /// What a list may show: a stack must be in a pattern of each layer.
    pub fn layers(&self) -> impl Iterator<Item = Vec<&Pattern>> {
        self.layers.iter().map(|grants| grants.iter().map(|grant| &grant.pattern).collect())
    }

    fn all(&self, allows: impl Fn(&Grant) -> bool) -> bool {
        self.layers.iter().all(|grants| grants.iter().any(&allows))
    }
}
