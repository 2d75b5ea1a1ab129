//! URNs, `urn:pulumi:<stack>::<project>::<type a$b$c>::<name>`, and provider references, `<urn>::<id>`.
//! The name may contain anything, `::` included. Source: sdk/go/common/resource/urn/urn.go, `URN`.

/// The type of the resource that stands for the stack itself.
pub const ROOT_STACK_TYPE: &str = "pulumi:pulumi:Stack";

/// The id that stands for one that is not known yet. Source: plugin.UnknownStringValue.
pub const UNKNOWN_ID: &str = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

const PREFIX: &str = "urn:pulumi:";
const DELIMITER: &str = "::";
const PROVIDERS_MODULE: &str = "pulumi:providers:";

/// The parts of a URN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Urn<'a> {
    /// The stack's name.
    pub stack: &'a str,
    /// The project's name.
    pub project: &'a str,
    /// The types of all ancestors and its own, with `$` between them.
    pub qualified_type: &'a str,
    /// The resource's name.
    pub name: &'a str,
}

impl<'a> Urn<'a> {
    /// Takes a URN apart; `None` if it is not one.
    pub fn parse(text: &'a str) -> Option<Urn<'a>> {
        let (stack, rest) = cut(text.strip_prefix(PREFIX)?)?;
        let (project, rest) = cut(rest)?;
        let (qualified_type, name) = cut(rest)?;
        Some(Urn { stack, project, qualified_type, name })
    }

    /// The resource's own type.
    pub fn own_type(&self) -> &'a str {
        self.qualified_type.rsplit('$').next().unwrap_or("")
    }

    /// This URN under a parent of the qualified type `parent_type`.
    pub fn under(&self, parent_type: &str) -> String {
        let Urn { stack, project, name, .. } = self;
        let own_type = self.own_type();
        if parent_type.is_empty() || parent_type == ROOT_STACK_TYPE {
            return format!("{PREFIX}{stack}::{project}::{own_type}::{name}");
        }
        format!("{PREFIX}{stack}::{project}::{parent_type}${own_type}::{name}")
    }
}

impl std::fmt::Display for Urn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Urn { stack, project, qualified_type, name } = self;
        write!(f, "{PREFIX}{stack}::{project}::{qualified_type}::{name}")
    }
}

/// The text cut at its first delimiter. For a needle of two bytes the searcher of std takes longer to make than to use.
fn cut(text: &str) -> Option<(&str, &str)> {
    let at = text.as_bytes().windows(DELIMITER.len()).position(|bytes| bytes == DELIMITER.as_bytes())?;
    Some((&text[..at], &text[at + DELIMITER.len()..]))
}

/// True for the type of a provider, `pulumi:providers:<package>`.
/// Source: sdk/go/common/providers/reference.go, `IsProviderType`.
pub fn is_provider_type(type_token: &str) -> bool {
    type_token.strip_prefix(PROVIDERS_MODULE).is_some_and(|package| !package.is_empty())
}

/// True for the URN of a provider.
pub fn is_provider_urn(text: &str) -> bool {
    Urn::parse(text).is_some_and(|urn| is_provider_type(urn.own_type()))
}

/// Cuts a provider reference into the provider's URN and its id; `None` if it is not one. The id may be empty.
/// Source: sdk/go/common/providers/reference.go, `ParseReference`.
pub fn parse_provider_reference(text: &str) -> Option<(&str, &str)> {
    let at = text.as_bytes().windows(DELIMITER.len()).rposition(|bytes| bytes == DELIMITER.as_bytes())?;
    let (urn, id) = (&text[..at], &text[at + DELIMITER.len()..]);
    is_provider_urn(urn).then_some((urn, id))
}
