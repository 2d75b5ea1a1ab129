//! What the rules need to know of one resource, read off its JSON text in one pass.

use std::borrow::Cow;

use crate::domain::json::{self, Flaw, Object, Scanner};
use crate::domain::urn::parse_provider_reference;
use crate::error::Error;

/// The facts of a resource. Texts are borrowed unless they have escapes; what is absent or null is empty.
///
/// Source: sdk/go/common/apitype/core.go, `ResourceV3`.
#[derive(Debug, Default, Clone)]
pub struct ResourceFacts<'a> {
    /// Its URN.
    pub urn: Cow<'a, str>,
    /// Its type.
    pub type_token: Cow<'a, str>,
    /// A plugin manages it; otherwise it is a component.
    pub is_custom: bool,
    /// The provider's id for it.
    pub id: Cow<'a, str>,
    /// A replaced copy that waits to be deleted.
    pub is_delete: bool,
    /// It was deleted, and waits for its replacement to be created.
    pub is_pending_replacement: bool,
    /// It may not be deleted.
    pub is_protect: bool,
    /// URN of its parent.
    pub parent: Cow<'a, str>,
    /// `<provider urn>::<provider id>`.
    pub provider: Cow<'a, str>,
    /// URN of the resource whose deletion takes this one with it.
    pub deleted_with: Cow<'a, str>,
    /// URN of the resource that this one is a view of.
    pub view_of: Cow<'a, str>,
    /// URNs.
    pub dependencies: Strings<'a>,
    /// URNs.
    pub replace_with: Strings<'a>,
    /// URNs it had before.
    pub aliases: Strings<'a>,
    /// URNs by property.
    pub property_dependencies: StringsByKey<'a>,
    /// What a CLI must know to read it.
    pub features: Features,
}

/// An array of strings that has been checked.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Strings<'a>(&'a str);

impl<'a> Strings<'a> {
    /// The strings.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        json::elements(self.0).map(|element| json::as_string(element).expect("checked by `scan`"))
    }

    /// The array's text; empty if it is absent.
    pub fn as_text(&self) -> &'a str {
        self.0
    }

    /// True without a single string.
    pub fn is_empty(&self) -> bool {
        json::elements(self.0).next().is_none()
    }

    fn scan(scanner: &mut Scanner<'a>, field: &'static str) -> Result<Strings<'a>, Wrong> {
        if scanner.peek() != b'[' {
            return scan_null(scanner, field, "must be an array of strings").map(|()| Strings(""));
        }
        let start = scanner.position();
        scanner.open_array()?;
        while scanner.next_element()? {
            if json::as_string(scanner.value()?).is_none() {
                return Err(Wrong::Field(field, "must be an array of strings"));
            }
        }
        Ok(Strings(scanner.text_since(start)))
    }
}

/// An object of arrays of strings that has been checked.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct StringsByKey<'a>(&'a str);

impl<'a> StringsByKey<'a> {
    /// Key and strings of each member.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'a, str>, Strings<'a>)> + use<'a> {
        let mut scanner = Scanner::new(self.0);
        let is_open = scanner.open_object().is_ok();
        std::iter::from_fn(move || {
            let key = if is_open { scanner.next_member().ok()?? } else { return None };
            Some((key, Strings(scanner.value().ok()?)))
        })
    }

    /// The object's text; empty if it is absent.
    pub fn as_text(&self) -> &'a str {
        self.0
    }

    fn scan(scanner: &mut Scanner<'a>, field: &'static str) -> Result<StringsByKey<'a>, Wrong> {
        if scanner.peek() != b'{' {
            return scan_null(scanner, field, "must be an object of arrays of strings")
                .map(|()| StringsByKey(""));
        }
        let start = scanner.position();
        scanner.open_object()?;
        while scanner.next_member()?.is_some() {
            Strings::scan(scanner, field)?;
        }
        Ok(StringsByKey(scanner.text_since(start)))
    }
}

/// A set of the features that make a deployment version 4.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Features(u8);

impl Features {
    /// A string that is not UTF-8, possibly inside a secret.
    pub const BYTE_STRING: Features = Features(1);
    /// A resource with an `extensionRef`.
    pub const EXTENSION_PARAMETERIZATION: Features = Features(2);
    /// A resource with hooks.
    pub const HOOKS: Features = Features(4);
    /// A resource to be refreshed before it is updated.
    pub const REFRESH_BEFORE_UPDATE: Features = Features(8);
    /// A resource with a non-empty `replaceWith`.
    pub const REPLACE_WITH: Features = Features(16);
    /// A snippet, or a resource made by one.
    pub const SNIPPETS: Features = Features(32);
    /// A tainted resource.
    pub const TAINT: Features = Features(64);
    /// A view of another resource.
    pub const VIEWS: Features = Features(128);

    /// Names as they are written, sorted, in the order of the bits.
    const NAMES: [&str; 8] = [
        "byteString",
        "extensionParameterization",
        "hooks",
        "refreshBeforeUpdate",
        "replaceWith",
        "snippets-prototype",
        "taint",
        "views",
    ];

    /// Adds those of `other`.
    pub fn add(&mut self, other: Features) {
        self.0 |= other.0;
    }

    /// True if all of `other` are in it.
    pub fn has(self, other: Features) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True for a name that can be told from the resources.
    pub fn is_known(name: &str) -> bool {
        Features::NAMES.contains(&name)
    }

    /// Their names, sorted.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        (0..8).filter(move |bit| self.0 & (1 << bit) != 0).map(|bit| Features::NAMES[bit])
    }
}

/// What the rules need to know of a resource that nothing touches, in the bits of a number that can be stored.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ResourceFlags(u16);

impl ResourceFlags {
    const NEEDS_NORMALIZING: ResourceFlags = ResourceFlags(1 << 8);
    /// It waits to be deleted.
    pub const IS_DELETE: ResourceFlags = ResourceFlags(1 << 9);
    /// It is not sound, whatever stands around it.
    pub const IS_UNSOUND: ResourceFlags = ResourceFlags(1 << 10);
    /// It is a provider.
    pub const IS_PROVIDER: ResourceFlags = ResourceFlags(1 << 11);
    /// It refers to a provider, which must be there.
    pub const HAS_PROVIDER: ResourceFlags = ResourceFlags(1 << 12);
    /// It has a property without dependencies, which a refresh takes out.
    pub const NEEDS_PRUNING: ResourceFlags = ResourceFlags(1 << 13);

    /// Those of a resource that a replay needs; `Digester` adds the others.
    pub fn of(facts: &ResourceFacts<'_>) -> ResourceFlags {
        let needs_normalizing = !facts.aliases.is_empty() || facts.has_odd_provider();
        let mut flags = ResourceFlags(u16::from(facts.features.0));
        flags.set(ResourceFlags::NEEDS_NORMALIZING, needs_normalizing);
        flags
    }

    /// Adds those of `other` if `is_so`.
    pub fn set(&mut self, other: ResourceFlags, is_so: bool) {
        self.0 |= if is_so { other.0 } else { 0 };
    }

    /// True if all of `other` are in it.
    pub fn has(self, other: ResourceFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// From the number that `bits` gave.
    pub fn from_bits(bits: u16) -> ResourceFlags {
        ResourceFlags(bits)
    }

    /// A number that is stored; the meaning of a bit never changes.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// What it asks of a CLI.
    pub fn features(self) -> Features {
        Features((self.0 & 0xff) as u8)
    }

    /// It has aliases, or a provider that is no whole reference.
    pub fn needs_normalizing(self) -> bool {
        self.has(ResourceFlags::NEEDS_NORMALIZING)
    }
}

/// Reads the facts of one resource.
///
/// `Error::Invalid` names the field that is not what the CLI could read.
pub fn resource_facts(text: &str) -> Result<ResourceFacts<'_>, Error> {
    let mut scanner = Scanner::new(text);
    let facts = ResourceFacts::scan(&mut scanner).and_then(|facts| {
        scanner.end()?;
        Ok(facts)
    });
    facts.map_err(|wrong| wrong.into_error(""))
}

/// Why a resource cannot be read.
#[derive(Debug)]
pub enum Wrong {
    /// It is not JSON.
    Flaw(Flaw),
    /// A field is not of its type: the field, and what it must be.
    Field(&'static str, &'static str),
}

impl From<Flaw> for Wrong {
    fn from(flaw: Flaw) -> Wrong {
        Wrong::Flaw(flaw)
    }
}

impl Wrong {
    /// As an error about the thing called `whole`.
    pub fn into_error(self, whole: &str) -> Error {
        match self {
            Wrong::Flaw(flaw) => Error::invalid(whole, flaw.to_string()),
            Wrong::Field(field, why) if whole.is_empty() => Error::invalid(field, why),
            Wrong::Field(field, why) => Error::invalid(format!("{whole}.{field}"), why),
        }
    }
}

impl<'a> ResourceFacts<'a> {
    /// True if its provider is no reference, or one without an id.
    pub fn has_odd_provider(&self) -> bool {
        let is_whole = |provider| parse_provider_reference(provider).is_some_and(|(_, id)| !id.is_empty());
        !self.provider.is_empty() && !is_whole(&self.provider)
    }

    /// Reads the resource that comes next in `scanner`, and steps over it.
    pub fn scan(scanner: &mut Scanner<'a>) -> Result<ResourceFacts<'a>, Wrong> {
        let mut facts = ResourceFacts::default();
        scanner.open_object()?;
        while let Some(key) = scanner.next_member()? {
            facts.scan_member(&key, scanner)?;
        }
        Ok(facts)
    }

    #[rustfmt::skip]
    fn scan_member(&mut self, key: &str, scanner: &mut Scanner<'a>) -> Result<(), Wrong> {
        match key {
            "urn" => self.urn = scan_string(scanner, "urn")?,
            "type" => self.type_token = scan_string(scanner, "type")?,
            "custom" => self.is_custom = scan_bool(scanner, "custom")?,
            "id" => self.id = scan_string(scanner, "id")?,
            "delete" => self.is_delete = scan_bool(scanner, "delete")?,
            "pendingReplacement" => self.is_pending_replacement = scan_bool(scanner, "pendingReplacement")?,
            "protect" => self.is_protect = scan_bool(scanner, "protect")?,
            "parent" => self.parent = scan_string(scanner, "parent")?,
            "provider" => self.provider = scan_string(scanner, "provider")?,
            "deletedWith" => self.deleted_with = scan_string(scanner, "deletedWith")?,
            "dependencies" => self.dependencies = Strings::scan(scanner, "dependencies")?,
            "aliases" => self.aliases = Strings::scan(scanner, "aliases")?,
            "propertyDependencies" => {
                self.property_dependencies = StringsByKey::scan(scanner, "propertyDependencies")?;
            }
            _ => return self.scan_feature(key, scanner),
        }
        Ok(())
    }

    /// The fields that ask for version 4; all others are stepped over.
    fn scan_feature(&mut self, key: &str, scanner: &mut Scanner<'a>) -> Result<(), Wrong> {
        let (is_used, feature) = match key {
            "refreshBeforeUpdate" => {
                (scan_bool(scanner, "refreshBeforeUpdate")?, Features::REFRESH_BEFORE_UPDATE)
            }
            "viewOf" => {
                self.view_of = scan_string(scanner, "viewOf")?;
                (!self.view_of.is_empty(), Features::VIEWS)
            }
            "resourceHooks" => {
                let hooks = StringsByKey::scan(scanner, "resourceHooks")?;
                (hooks.iter().next().is_some(), Features::HOOKS)
            }
            "taint" => (scan_bool(scanner, "taint")?, Features::TAINT),
            "replaceWith" => {
                self.replace_with = Strings::scan(scanner, "replaceWith")?;
                (!self.replace_with.is_empty(), Features::REPLACE_WITH)
            }
            "extensionRef" => {
                (!scan_string(scanner, "extensionRef")?.is_empty(), Features::EXTENSION_PARAMETERIZATION)
            }
            "snippetID" => (!scan_string(scanner, "snippetID")?.is_empty(), Features::SNIPPETS),
            _ => {
                scanner.value()?;
                return Ok(());
            }
        };
        if is_used {
            self.features.add(feature);
        }
        Ok(())
    }
}

fn scan_string<'a>(scanner: &mut Scanner<'a>, field: &'static str) -> Result<Cow<'a, str>, Wrong> {
    json::as_string(scanner.value()?).ok_or(Wrong::Field(field, "must be a string"))
}

fn scan_bool(scanner: &mut Scanner<'_>, field: &'static str) -> Result<bool, Wrong> {
    match scanner.value()? {
        "true" => Ok(true),
        "false" | "null" => Ok(false),
        _ => Err(Wrong::Field(field, "must be true or false")),
    }
}

fn scan_null(scanner: &mut Scanner<'_>, field: &'static str, why: &'static str) -> Result<(), Wrong> {
    if scanner.value()? != "null" {
        return Err(Wrong::Field(field, why));
    }
    Ok(())
}

/// The resource with the boolean `field` set; the rest of its text stays as it is.
pub fn with_mark(text: &str, field: &str) -> Result<String, Error> {
    let mut object = Object::parse(text).map_err(|flaw| Error::invalid("resource", flaw.to_string()))?;
    object.set(field, "true");
    Ok(object.to_text())
}
