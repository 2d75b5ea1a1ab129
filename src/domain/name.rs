//! Names of organizations, projects, stacks and tags: checked once, at the edge, and then known to be right.

use std::fmt;

use crate::error::Error;

/// The longest name of a project or stack, in characters.
pub const NAME_CHARS_MAX: usize = 100;
/// The longest name of an organization, in characters.
pub const ORG_NAME_CHARS_MAX: usize = 40;
/// The longest name of a tag, in characters.
pub const TAG_NAME_CHARS_MAX: usize = 40;
/// The longest value of a tag, in characters.
pub const TAG_VALUE_CHARS_MAX: usize = 256;

/// A name that has been checked: private text, shown and compared as it is.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of an organization: 3 to 40 letters, digits, `-` or `_`; a letter or digit at each end.
    OrgName
}
name! {
    /// The name of a project: 1 to 100 letters, digits, `-`, `_` or `.`.
    ProjectName
}
name! {
    /// The name of a stack: 1 to 100 letters, digits, `-`, `_` or `.`.
    StackName
}
name! {
    /// The name of a tag: 1 to 40 letters, digits, `-`, `_`, `.` or `:`.
    TagName
}
name! {
    /// The value of a tag: up to 256 characters.
    TagValue
}

impl OrgName {
    /// Source: sdk/go/common/workspace, the rule for owners.
    pub fn parse(text: &str) -> Result<OrgName, Error> {
        let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let has_ends = is_end(text.as_bytes().first()) && is_end(text.as_bytes().last());
        let is_length_right = (3..=ORG_NAME_CHARS_MAX).contains(&text.len());
        if !is_length_right || !has_ends || !consists_of(text, "-_") {
            return Err(Error::invalid(
                "orgName",
                "an organization's name has 3 to 40 letters, digits, hyphens or underscores, \
                 and starts and ends with a letter or digit",
            ));
        }
        Ok(OrgName(text.to_owned()))
    }
}

impl ProjectName {
    /// Source: sdk/go/common/tokens, the rule for names.
    pub fn parse(text: &str) -> Result<ProjectName, Error> {
        check_name(text, "projectName", "project").map(|()| ProjectName(text.to_owned()))
    }
}

impl StackName {
    /// Source: sdk/go/common/tokens, `ParseStackName`.
    pub fn parse(text: &str) -> Result<StackName, Error> {
        check_name(text, "stackName", "stack").map(|()| StackName(text.to_owned()))
    }
}

fn check_name(text: &str, field: &str, noun: &str) -> Result<(), Error> {
    if text.is_empty() || text.len() > NAME_CHARS_MAX || !consists_of(text, "-_.") {
        return Err(Error::invalid(
            field,
            format!("a {noun}'s name has 1 to 100 letters, digits, hyphens, underscores or periods"),
        ));
    }
    // In a path these mean another place, and clients resolve them before they send it.
    if text == "." || text == ".." {
        return Err(Error::invalid(field, format!("a {noun} cannot be called '{text}'")));
    }
    Ok(())
}

impl TagName {
    /// Source: pkg/backend/stack.go, `ValidateStackTags`.
    pub fn parse(text: &str) -> Result<TagName, Error> {
        if text.is_empty() || text.len() > TAG_NAME_CHARS_MAX || !consists_of(text, "-_.:") {
            return Err(Error::invalid(
                "tags",
                format!(
                    "'{text}' is not a tag's name: it has 1 to 40 letters, digits, hyphens, underscores, \
                     periods or colons"
                ),
            ));
        }
        Ok(TagName(text.to_owned()))
    }
}

impl TagValue {
    /// `name` is the tag it belongs to, for the error.
    pub fn parse(name: &str, text: &str) -> Result<TagValue, Error> {
        if text.chars().count() > TAG_VALUE_CHARS_MAX {
            return Err(Error::invalid(
                "tags",
                format!("the value of '{name}' has more than 256 characters"),
            ));
        }
        Ok(TagValue(text.to_owned()))
    }
}

fn consists_of(text: &str, others: &str) -> bool {
    text.chars().all(|char| char.is_ascii_alphanumeric() || others.contains(char))
}

/// A stack's full name, `acme/web/dev`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackRef {
    /// Who owns it.
    pub org: OrgName,
    /// The project that it is a stack of.
    pub project: ProjectName,
    /// Its own name.
    pub stack: StackName,
}

impl StackRef {
    /// From the three parts of a path.
    pub fn from_parts(org: &str, project: &str, stack: &str) -> Result<StackRef, Error> {
        Ok(StackRef {
            org: OrgName::parse(org)?,
            project: ProjectName::parse(project)?,
            stack: StackName::parse(stack)?,
        })
    }

    /// From `org/project/stack`.
    pub fn parse(text: &str) -> Result<StackRef, Error> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(org), Some(project), Some(stack), None) => StackRef::from_parts(org, project, stack),
            _ => Err(Error::invalid("stack", "a stack is named organization/project/stack")),
        }
    }
}

impl fmt::Display for StackRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.org, self.project, self.stack)
    }
}
