//! The state document, cut at its resources. Everything in it stays the text that arrived.
//! Source: sdk/go/common/apitype/core.go, `UntypedDeployment` and `DeploymentV3`.

use std::borrow::Cow;
use std::ops::Range;

use crate::domain::json::{self, Flaw, Scanner};
use crate::domain::resource::{Features, ResourceFacts, Wrong, resource_facts};
use crate::domain::urn::ROOT_STACK_TYPE;
use crate::error::Error;

/// The newest schema version that there is.
pub const SCHEMA_VERSION_MAX: i64 = 4;

/// What a stack has that was never updated.
const EMPTY: &str =
    r#"{"version":3,"deployment":{"manifest":{"time":"0001-01-01T00:00:00Z","magic":"","version":""}}}"#;

/// A deployment document (UntypedDeployment) cut at its resources; joined again, it is the text that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment<'a> {
    /// Up to and including the `[` of "resources"; the whole text if there is no such array.
    pub head: Cow<'a, str>,
    /// Each with whatever whitespace stood around it between the commas.
    pub resources: Vec<Cow<'a, str>>,
    /// From the `]` on; empty if there is no such array.
    pub tail: Cow<'a, str>,
}

impl<'a> Deployment<'a> {
    /// Cuts a document: a JSON object of `version` 1 to 4 whose `deployment` is an object, and the `resources` in
    /// that null, absent or an array of resources whose fields are of their types.
    ///
    /// `Error::Invalid` says what is not so. One pass over the text; bounded in depth.
    pub fn parse(text: &'a str) -> Result<Deployment<'a>, Error> {
        Deployment::parse_with(text, &mut |_: &ResourceFacts<'a>, _: &'a str| {})
    }

    /// The same; each resource is handed to `each` on the way: its facts and its text.
    pub fn parse_with(text: &'a str, each: &mut dyn Each<'a>) -> Result<Deployment<'a>, Error> {
        let mut scanner = Scanner::new(text);
        let mut cutter = Cutter::new(&scanner, each);
        Header::scan(&mut scanner, &mut |scanner| cutter.cut(scanner))?.check_schema_version()?;
        scanner.end().map_err(|flaw| Error::invalid("", flaw.to_string()))?;
        Ok(cutter.end(&scanner))
    }

    /// The same for the document that comes next in `scanner`, which then stands behind it.
    pub fn scan(scanner: &mut Scanner<'a>, each: &mut dyn Each<'a>) -> Result<Deployment<'a>, Error> {
        let mut cutter = Cutter::new(scanner, each);
        Header::scan(scanner, &mut |scanner| cutter.cut(scanner))?.check_schema_version()?;
        Ok(cutter.end(scanner))
    }

    /// The same for an inner `deployment`, without the document around it.
    pub fn scan_inner(scanner: &mut Scanner<'a>, each: &mut dyn Each<'a>) -> Result<Deployment<'a>, Error> {
        let mut cutter = Cutter::new(scanner, each);
        Header::default().scan_deployment(scanner, "deployment", &mut |scanner| cutter.cut(scanner))?;
        Ok(cutter.end(scanner))
    }

    /// The document around an inner deployment; `features` is a JSON text.
    pub fn wrapped(self, version: i64, features: Option<&str>) -> Result<Deployment<'a>, Error> {
        let features = features.map_or(String::new(), |features| format!(r#","features":{features}"#));
        let mut whole = Deployment {
            head: Cow::Owned(format!(r#"{{"version":{version}{features},"deployment":{}"#, self.head)),
            ..self
        };
        // Without resources all of it is the head.
        match whole.tail.is_empty() {
            true => whole.head += "}",
            false => whole.tail += "}",
        }
        whole.header()?.check_schema_version()?;
        Ok(whole)
    }

    /// The deployment of a stack that was never updated.
    pub fn empty() -> Deployment<'static> {
        Deployment { head: Cow::Borrowed(EMPTY), resources: Vec::new(), tail: Cow::Borrowed("") }
    }

    /// The length of the document's text.
    pub fn bytes_len(&self) -> usize {
        let n_commas = self.resources.len().saturating_sub(1);
        let n_resource_bytes: usize = self.resources.iter().map(|resource| resource.len()).sum();
        self.head.len() + n_resource_bytes + n_commas + self.tail.len()
    }

    /// Appends the document's text.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.head.as_bytes());
        for (i, resource) in self.resources.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(resource.as_bytes());
        }
        out.extend_from_slice(self.tail.as_bytes());
    }

    /// The document's text.
    pub fn to_text(&self) -> String {
        let mut out = Vec::with_capacity(self.bytes_len());
        self.write_to(&mut out);
        String::from_utf8(out).expect("joined from texts")
    }

    /// The same, independent of the text it was cut from.
    pub fn into_owned(self) -> Deployment<'static> {
        let own = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        Deployment {
            head: own(self.head),
            resources: self.resources.into_iter().map(own).collect(),
            tail: own(self.tail),
        }
    }

    /// Everything but the resources.
    pub fn header(&self) -> Result<Header<'_>, Error> {
        Header::of(&self.head, &self.tail)
    }

    /// Puts `value`, a JSON text, in the place of the member `key` of the inner `deployment`, or adds the member.
    pub fn set_member(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let header = self.header()?;
        let place =
            header.places.iter().rev().find(|(known, _)| known == key).map(|(_, place)| place.clone());
        let start = header.members_start;
        let is_only = self.head[start.min(self.head.len())..].trim_start().starts_with('}');
        match place {
            Some(place) => self.splice(place, value),
            None => {
                let comma = if is_only { "" } else { "," };
                self.splice(start..start, &format!("{}:{value}{comma}", json::string(key)));
            }
        }
        Ok(())
    }

    /// Puts `text` in the place of a range of head and tail joined, which lies in one of the two.
    fn splice(&mut self, place: Range<usize>, text: &str) {
        let n_head_bytes = self.head.len();
        if place.end <= n_head_bytes {
            self.head.to_mut().replace_range(place, text);
        } else {
            self.tail.to_mut().replace_range(place.start - n_head_bytes..place.end - n_head_bytes, text);
        }
    }

    /// True if there is no resource but the one that stands for the stack: such a stack may be removed.
    pub fn is_removable(&self) -> Result<bool, Error> {
        match self.resources.as_slice() {
            [] => Ok(true),
            [only] => Ok(resource_facts(only)?.type_token == ROOT_STACK_TYPE),
            _ => Ok(false),
        }
    }
}

/// Cuts a text at its resources while it is stepped over.
struct Cutter<'a, 'e> {
    each: &'e mut dyn Each<'a>,
    /// Where the text begins.
    start: usize,
    resources: Vec<Cow<'a, str>>,
    /// The text before the resources, and where it goes on behind them.
    cut: Option<(&'a str, usize)>,
}

impl<'a, 'e> Cutter<'a, 'e> {
    fn new(scanner: &Scanner<'a>, each: &'e mut dyn Each<'a>) -> Cutter<'a, 'e> {
        Cutter { each, start: scanner.position(), resources: Vec::new(), cut: None }
    }

    fn cut(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Error> {
        let head_end = scanner.position() + 1;
        let Cutter { each, resources, .. } = self;
        let cut = |text| resources.push(Cow::Borrowed(text));
        scan_resources(scanner, "deployment.resources", *each, cut)?;
        let text = scanner.text_since(self.start);
        self.cut = Some((&text[..head_end - self.start], scanner.position() - 1));
        Ok(())
    }

    fn end(self, scanner: &Scanner<'a>) -> Deployment<'a> {
        let (head, tail) = match self.cut {
            Some((head, tail_start)) => (head, scanner.text_since(tail_start)),
            None => (scanner.text_since(self.start), ""),
        };
        Deployment { head: Cow::Borrowed(head), resources: self.resources, tail: Cow::Borrowed(tail) }
    }
}

/// What is done with the resources of a deployment while it is cut; a text is that of a resource with the whitespace
/// around it.
pub trait Each<'a> {
    /// The length of the resource at the start of `rest`, if it is known: it is not looked at then. It must be one that
    /// was cut before, and a comma or the end of the resources must follow it.
    fn known(&mut self, _rest: &'a str) -> Option<usize> {
        None
    }

    /// One that is not known.
    fn add(&mut self, facts: &ResourceFacts<'a>, text: &'a str);
}

impl<'a, F: FnMut(&ResourceFacts<'a>, &'a str)> Each<'a> for F {
    fn add(&mut self, facts: &ResourceFacts<'a>, text: &'a str) {
        self(facts, text);
    }
}

/// Steps over an array of resources and hands the text of each to `cut`.
fn scan_resources<'a>(
    scanner: &mut Scanner<'a>,
    field: &str,
    each: &mut dyn Each<'a>,
    mut cut: impl FnMut(&'a str),
) -> Result<(), Error> {
    let broken = |flaw: Flaw| Error::invalid(field, flaw.to_string());
    scanner.open_array().map_err(broken)?;
    for i in 0.. {
        let before = scanner.position();
        if !scanner.next_element().map_err(broken)? {
            break;
        }
        let start = before + usize::from(i > 0);
        if let Some(n_bytes) = each.known(scanner.text_from(start)) {
            scanner.go_to(start + n_bytes);
            cut(scanner.text_since(start));
            continue;
        }
        let facts = ResourceFacts::scan(scanner).map_err(|wrong| match wrong {
            Wrong::Flaw(Flaw { expected: "an object", .. }) => {
                Error::invalid(format!("{field}[{i}]"), "must be an object")
            }
            wrong => wrong.into_error(&format!("{field}[{i}]")),
        })?;
        scanner.peek();
        each.add(&facts, scanner.text_since(start));
        cut(scanner.text_since(start));
    }
    Ok(())
}

/// Everything in a deployment document but its resources; values are JSON texts.
///
/// Absent and null are the same: `None`.
#[derive(Debug, Default, Clone)]
pub struct Header<'a> {
    /// The schema version, 1 to 4.
    pub schema_version: i64,
    /// What a CLI must know to read it; names that are not known here are kept.
    pub features: Vec<Cow<'a, str>>,
    /// `{time, magic, version, plugins?}`.
    pub manifest: Option<&'a str>,
    /// `{type, state?}`.
    pub secrets_providers: Option<&'a str>,
    /// `{integrity_error?}`.
    pub metadata: Option<&'a str>,
    /// `[{resource, type}]`.
    pub pending_operations: Option<&'a str>,
    /// `[{uuid, name, type, code, descriptor, references?}]`.
    pub snippets: Option<&'a str>,
    /// `{<ref>: {name, version, value}}`.
    pub extensions: Option<&'a str>,
    /// Members of `deployment` that are not known here: what the key spells, and the value.
    pub unknown: Vec<(Cow<'a, str>, &'a str)>,
    /// Members of the document that are not known here.
    pub unknown_outer: Vec<(Cow<'a, str>, &'a str)>,
    /// Where the members of `deployment` start, behind its `{`, in head and tail joined.
    members_start: usize,
    /// Key and place of the value, in head and tail joined, of each member of `deployment` but the resources.
    places: Vec<(Cow<'a, str>, Range<usize>)>,
}

/// What is done with the resources when they come.
type OnResources<'f, 'a> = &'f mut dyn FnMut(&mut Scanner<'a>) -> Result<(), Error>;

impl<'a> Header<'a> {
    /// Reads the header of a document that was cut into `head` and `tail`, see [`Deployment`].
    pub fn of(head: &'a str, tail: &'a str) -> Result<Header<'a>, Error> {
        let mut scanner = Scanner::new(head);
        let header = Header::scan(&mut scanner, &mut |scanner| {
            *scanner = Scanner::behind_value(tail, head.len());
            Ok(())
        })?;
        scanner.end().map_err(|flaw| Error::invalid("", flaw.to_string()))?;
        Ok(header)
    }

    /// Reads the document that comes next in `scanner`.
    fn scan(scanner: &mut Scanner<'a>, on_resources: OnResources<'_, 'a>) -> Result<Header<'a>, Error> {
        let broken = |flaw: Flaw| Error::invalid("", flaw.to_string());
        let mut header = Header::default();
        let mut has_deployment = false;
        scanner.open_object().map_err(broken)?;
        while let Some(key) = scanner.next_member().map_err(broken)? {
            match &*key {
                "deployment" => {
                    if std::mem::replace(&mut has_deployment, true) {
                        return Err(Error::invalid("deployment", "is there twice"));
                    }
                    header.scan_deployment(scanner, "deployment", on_resources)?;
                }
                "version" => header.schema_version = schema_version(scanner.value().map_err(broken)?)?,
                "features" => header.features = features(scanner.value().map_err(broken)?)?,
                _ => header.unknown_outer.push((key, scanner.value().map_err(broken)?)),
            }
        }
        if !has_deployment {
            return Err(Error::invalid("deployment", "must be an object; it is missing"));
        }
        Ok(header)
    }

    /// Reads the inner object, a DeploymentV3, called `field`.
    fn scan_deployment(
        &mut self,
        scanner: &mut Scanner<'a>,
        field: &str,
        on_resources: OnResources<'_, 'a>,
    ) -> Result<(), Error> {
        let broken = |flaw: Flaw| Error::invalid(field, flaw.to_string());
        if scanner.peek() != b'{' {
            return Err(Error::invalid(field, "must be an object"));
        }
        scanner.open_object().map_err(broken)?;
        self.members_start = scanner.position();
        let mut has_resources = false;
        while let Some(key) = scanner.next_member().map_err(broken)? {
            if key == "resources" {
                if std::mem::replace(&mut has_resources, true) {
                    return Err(Error::invalid(format!("{field}.resources"), "is there twice"));
                }
                match scanner.peek() {
                    b'[' => on_resources(scanner)?,
                    _ if scanner.value().map_err(broken)? == "null" => {}
                    _ => return Err(Error::invalid(format!("{field}.resources"), "must be an array")),
                }
                continue;
            }
            let value = scanner.value().map_err(broken)?;
            self.places.push((key.clone(), scanner.position() - value.len()..scanner.position()));
            self.set(field, key, value)?;
        }
        Ok(())
    }

    fn set(&mut self, field: &str, key: Cow<'a, str>, value: &'a str) -> Result<(), Error> {
        let (slot, opening, must) = match &*key {
            "manifest" => (&mut self.manifest, '{', "must be an object"),
            "secrets_providers" => (&mut self.secrets_providers, '{', "must be an object"),
            "metadata" => (&mut self.metadata, '{', "must be an object"),
            "pending_operations" => (&mut self.pending_operations, '[', "must be an array"),
            "snippets" => (&mut self.snippets, '[', "must be an array"),
            "extensions" => (&mut self.extensions, '{', "must be an object"),
            _ => {
                self.unknown.push((key, value));
                return Ok(());
            }
        };
        *slot = match value {
            "null" => None,
            value if value.starts_with(opening) => Some(value),
            _ => return Err(Error::invalid(format!("{field}.{key}"), must)),
        };
        if let ("pending_operations", Some(array)) = (&*key, *slot) {
            for (i, operation) in json::elements(array).enumerate() {
                Operation::parse(operation, &format!("{field}.pending_operations[{i}]"))?;
            }
        }
        Ok(())
    }

    fn check_schema_version(&self) -> Result<(), Error> {
        match self.schema_version {
            1..=SCHEMA_VERSION_MAX => Ok(()),
            ..=0 => {
                Err(Error::invalid("version", "is missing or below 1; deployments are of version 1 to 4"))
            }
            newer => Err(Error::invalid(
                "version",
                format!("is {newer}, and this server knows deployments up to version {SCHEMA_VERSION_MAX}"),
            )),
        }
    }

    /// The pending operations.
    pub fn operations(&self) -> Result<Vec<Operation<'a>>, Error> {
        let texts = json::elements(self.pending_operations.unwrap_or("[]"));
        texts.map(|text| Operation::parse(text, "pending_operations")).collect()
    }
}

/// An operation that was begun and of which the end is not known.
#[derive(Debug, Clone)]
pub struct Operation<'a> {
    /// `{resource, type}` as it arrived.
    pub text: &'a str,
    /// `creating`, `updating`, `deleting`, `reading` or `importing`.
    pub type_token: Cow<'a, str>,
    /// The resource it is done to.
    pub resource: &'a str,
    /// What that resource asks of a CLI.
    pub features: Features,
}

impl<'a> Operation<'a> {
    /// Reads one operation; `field` is what it is called in an error.
    pub fn parse(text: &'a str, field: &str) -> Result<Operation<'a>, Error> {
        let mut scanner = Scanner::new(text);
        let operation = Operation::scan(&mut scanner, field)?;
        scanner.end().map_err(|flaw| Error::invalid(field, flaw.to_string()))?;
        Ok(operation)
    }

    /// Reads the operation that comes next in `scanner`, and steps over it.
    pub fn scan(scanner: &mut Scanner<'a>, field: &str) -> Result<Operation<'a>, Error> {
        let broken = |flaw: Flaw| Error::invalid(field, flaw.to_string());
        let mut operation = Operation {
            text: "",
            type_token: Cow::Borrowed(""),
            resource: "",
            features: Features::default(),
        };
        scanner.peek();
        let start = scanner.position();
        scanner.open_object().map_err(broken)?;
        while let Some(key) = scanner.next_member().map_err(broken)? {
            match &*key {
                "type" => {
                    let type_token = json::as_string(scanner.value().map_err(broken)?);
                    operation.type_token = type_token
                        .ok_or_else(|| Error::invalid(format!("{field}.type"), "must be a string"))?;
                }
                "resource" => {
                    scanner.peek();
                    let start = scanner.position();
                    let facts = ResourceFacts::scan(scanner);
                    operation.features =
                        facts.map_err(|wrong| wrong.into_error(&format!("{field}.resource")))?.features;
                    operation.resource = scanner.text_since(start);
                }
                _ => drop(scanner.value().map_err(broken)?),
            }
        }
        operation.text = scanner.text_since(start);
        Ok(operation)
    }
}

fn schema_version(value: &str) -> Result<i64, Error> {
    value.parse().map_err(|_| Error::invalid("version", "must be a whole number from 1 to 4"))
}

fn features(value: &str) -> Result<Vec<Cow<'_, str>>, Error> {
    let names: Option<Vec<_>> = match value.as_bytes()[0] {
        b'[' => json::elements(value).map(json::as_string).collect(),
        b'n' => Some(Vec::new()),
        _ => None,
    };
    names.ok_or_else(|| Error::invalid("features", "must be an array of strings"))
}

/// A bare DeploymentV3, as a journal entry brings it: its header, and the texts of its resources.
pub fn parse_bare<'a>(text: &'a str, field: &str) -> Result<(Header<'a>, Vec<&'a str>), Error> {
    let mut resources = Vec::new();
    let mut header = Header::default();
    let mut scanner = Scanner::new(text);
    header.scan_deployment(&mut scanner, field, &mut |scanner| {
        let each = &mut |_: &ResourceFacts<'a>, _: &'a str| {};
        scan_resources(scanner, &format!("{field}.resources"), each, |text| resources.push(text))
    })?;
    scanner.end().map_err(|flaw| Error::invalid(field, flaw.to_string()))?;
    Ok((header, resources))
}
