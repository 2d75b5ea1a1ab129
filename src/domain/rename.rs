//! A deployment under other names: the URNs of the stack's own resources are rewritten, and nothing else.
//! Source: pkg/resource/edit/operations.go, `RenameStack`.

use std::borrow::Cow;
use std::ops::Range;

use crate::domain::deployment::Deployment;
use crate::domain::json::{self, Flaw, Object, Scanner};
use crate::domain::urn::{ROOT_STACK_TYPE, UNKNOWN_ID, Urn, parse_provider_reference};
use crate::error::Error;
use crate::limits;

/// The key that says what kind of value an object is. Source: sdk/go/common/resource/properties.go, `SigKey`.
pub const SIGNATURE_KEY: &str = "4dabf18193072939515e22adb298388d";
/// What it says of a secret's envelope.
pub const SECRET: &str = "1b47061264138c4ac30d75fd1eb44270";
const RESOURCE_REFERENCE: &str = "5cf8f73096256a8f31e491e813e4eb8e";
const OUTPUT: &str = "d0e6a833031e9bbcd3f4e8bde6ca49a4";

/// How often JSON may be nested as a string in JSON: secrets in the plaintext of secrets.
const PLAINTEXT_DEPTH_MAX: usize = 16;

/// The names of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names<'n> {
    /// Its organization.
    pub org: &'n str,
    /// Its project.
    pub project: &'n str,
    /// Its own name.
    pub stack: &'n str,
}

/// Makes a new ciphertext of one in which URNs are to be rewritten; `None` if it can stay.
pub type Reseal<'f> = &'f mut dyn FnMut(&str) -> Option<String>;

/// Rewrites a deployment from the names `from` to the names `to`.
///
/// Changed are URNs whose stack and project are the old ones (`urn`, `parent`, `dependencies`,
/// `propertyDependencies`, `deletedWith`, `replaceWith`, `viewOf`, `aliases`, `provider`, resource references in
/// property values and in plaintext secrets, of pending operations too, and references of snippets), the name of
/// the root resource, and the state of the `service` secrets provider if it names the stack. All else is kept byte
/// for byte; resources without anything to change stay borrowed. `reseal` is called for the ciphertext of each
/// secret, and only for these. Linear in the text.
pub fn rename<'a>(
    mut deployment: Deployment<'a>,
    from: Names<'_>,
    to: Names<'_>,
    reseal: Reseal<'_>,
) -> Result<Deployment<'a>, Error> {
    let mut renamer =
        Renamer { from, to, needle: format!("urn:pulumi:{}::{}::", from.stack, from.project), reseal };
    for (i, text) in deployment.resources.iter_mut().enumerate() {
        let renamed = renamer.resource(text);
        if let Some(new) = renamed.map_err(|flaw| broken(&format!("resources[{i}]"), flaw))? {
            *text = Cow::Owned(new);
        }
    }
    for (key, value) in renamer.header(&deployment)? {
        deployment.set_member(key, &value)?;
    }
    Ok(deployment)
}

/// The plaintext of a secret under the new names, `None` if it can stay: JSON, in which resource references are
/// rewritten.
pub fn rename_plaintext(text: &str, from: Names<'_>, to: Names<'_>) -> Option<String> {
    let needle = format!("urn:pulumi:{}::{}::", from.stack, from.project);
    Renamer { from, to, needle, reseal: &mut |_| None }.plaintext(text, 0)
}

fn broken(field: &str, flaw: Flaw) -> Error {
    Error::invalid(format!("deployment.{field}"), flaw.to_string())
}

struct Renamer<'n> {
    from: Names<'n>,
    to: Names<'n>,
    /// How a URN of the stack starts.
    needle: String,
    reseal: Reseal<'n>,
}

impl Renamer<'_> {
    /// The URN's new form, if it is one of the stack.
    fn urn(&self, text: &str) -> Option<String> {
        let old = Urn::parse(text)?;
        if old.stack != self.from.stack || old.project != self.from.project {
            return None;
        }
        let root_name = format!("{}-{}", self.to.project, self.to.stack);
        let is_root = old.qualified_type == ROOT_STACK_TYPE;
        let name = if is_root { &root_name } else { old.name };
        let new = Urn { stack: self.to.stack, project: self.to.project, name, ..old }.to_string();
        (new != text).then_some(new)
    }

    fn provider(&self, text: &str) -> Option<String> {
        let (urn, id) = parse_provider_reference(text)?;
        let id = if id.is_empty() { UNKNOWN_ID } else { id };
        Some(format!("{}::{id}", self.urn(urn)?))
    }

    /// False for most texts without anything to change. An escape may hide what is looked for.
    fn may_change(&self, text: &str) -> bool {
        text.contains(&self.needle) || text.contains(SECRET) || text.contains("\\u")
    }

    fn resource(&mut self, text: &str) -> Result<Option<String>, Flaw> {
        if !self.may_change(text) {
            return Ok(None);
        }
        let mut edits = Edits::default();
        let mut scanner = Scanner::new(text);
        self.scan_resource(&mut scanner, &mut edits)?;
        Ok(edits.apply(text))
    }

    fn scan_resource(&mut self, scanner: &mut Scanner<'_>, edits: &mut Edits) -> Result<(), Flaw> {
        scanner.open_object()?;
        while let Some(key) = scanner.next_member()? {
            match &*key {
                "urn" | "parent" | "deletedWith" | "viewOf" => self.scan_urn(scanner, edits)?,
                "dependencies" | "replaceWith" | "aliases" => self.scan_urns(scanner, edits)?,
                "provider" => {
                    let value = scanner.value()?;
                    let new = json::as_string(value).and_then(|text| self.provider(&text));
                    edits.replace_value(scanner, value, new);
                }
                "propertyDependencies" if scanner.peek() == b'{' => {
                    scanner.open_object()?;
                    while scanner.next_member()?.is_some() {
                        self.scan_urns(scanner, edits)?;
                    }
                }
                "inputs" | "outputs" | "replacementTrigger" => self.scan_property(scanner, edits, 0)?,
                _ => _ = scanner.value()?,
            }
        }
        Ok(())
    }

    fn scan_urn(&self, scanner: &mut Scanner<'_>, edits: &mut Edits) -> Result<(), Flaw> {
        let value = scanner.value()?;
        let new = json::as_string(value).and_then(|urn| self.urn(&urn));
        edits.replace_value(scanner, value, new);
        Ok(())
    }

    fn scan_urns(&self, scanner: &mut Scanner<'_>, edits: &mut Edits) -> Result<(), Flaw> {
        if scanner.peek() != b'[' {
            scanner.value()?;
            return Ok(());
        }
        scanner.open_array()?;
        while scanner.next_element()? {
            self.scan_urn(scanner, edits)?;
        }
        Ok(())
    }

    /// Steps over a property value, however deep, without recursion but for JSON in strings.
    fn scan_property(
        &mut self,
        scanner: &mut Scanner<'_>,
        edits: &mut Edits,
        plaintext_depth: usize,
    ) -> Result<(), Flaw> {
        let mut frames: Vec<Frame> = Vec::new();
        loop {
            match scanner.peek() {
                b'{' => {
                    scanner.open_object()?;
                    frames.push(Frame::Object(Envelope::default()));
                }
                b'[' => {
                    scanner.open_array()?;
                    let of = matches!(frames.last(), Some(Frame::Object(of)) if of.key == "dependencies");
                    frames.push(Frame::Array { is_dependencies: of });
                }
                _ => {
                    let value = scanner.value()?;
                    note(&mut frames, scanner, value);
                }
            }
            if frames.len() > limits::JSON_DEPTH_MAX {
                return Err(Flaw { at: scanner.position(), expected: "less nesting" });
            }
            // To the next value; what ends on the way is an envelope that is now known whole.
            loop {
                let is_next = match frames.last_mut() {
                    None => return Ok(()),
                    Some(Frame::Array { .. }) => scanner.next_element()?,
                    Some(Frame::Object(envelope)) => match scanner.next_member()? {
                        Some(key) => {
                            envelope.key = key.into_owned();
                            true
                        }
                        None => false,
                    },
                };
                if is_next {
                    break;
                }
                if let Some(Frame::Object(envelope)) = frames.pop() {
                    self.rewrite_envelope(envelope, edits, plaintext_depth);
                }
            }
        }
    }

    fn rewrite_envelope(&mut self, envelope: Envelope, edits: &mut Edits, plaintext_depth: usize) {
        match envelope.signature.as_str() {
            RESOURCE_REFERENCE => edits.extend(envelope.urn, |urn| self.urn(urn)),
            SECRET => {
                edits.extend(envelope.ciphertext, |ciphertext| (self.reseal)(ciphertext));
                edits.extend(envelope.plaintext, |plaintext| self.plaintext(plaintext, plaintext_depth + 1));
            }
            OUTPUT => {
                for dependency in envelope.dependencies {
                    edits.extend(Some(dependency), |urn| self.urn(urn));
                }
            }
            _ => {}
        }
    }

    /// A secret's plaintext is JSON; what is not is left alone.
    fn plaintext(&mut self, text: &str, depth: usize) -> Option<String> {
        if depth > PLAINTEXT_DEPTH_MAX || !self.may_change(text) {
            return None;
        }
        let mut edits = Edits::default();
        let mut scanner = Scanner::new(text);
        self.scan_property(&mut scanner, &mut edits, depth).ok()?;
        scanner.end().ok()?;
        edits.apply(text)
    }

    /// Members of the header that change, and their new values.
    fn header(&mut self, deployment: &Deployment<'_>) -> Result<Vec<(&'static str, String)>, Error> {
        let header = deployment.header()?;
        let mut changes = Vec::new();
        if let Some(operations) = header.pending_operations {
            let new = self.operations(operations).map_err(|flaw| broken("pending_operations", flaw))?;
            changes.extend(new.map(|new| ("pending_operations", new)));
        }
        if let Some(snippets) = header.snippets {
            let new = self.snippets(snippets).map_err(|flaw| broken("snippets", flaw))?;
            changes.extend(new.map(|new| ("snippets", new)));
        }
        if let Some(provider) = header.secrets_providers {
            let new = self.secrets_provider(provider).map_err(|flaw| broken("secrets_providers", flaw))?;
            changes.extend(new.map(|new| ("secrets_providers", new)));
        }
        Ok(changes)
    }

    fn operations(&mut self, text: &str) -> Result<Option<String>, Flaw> {
        let mut edits = Edits::default();
        let mut scanner = Scanner::new(text);
        scanner.open_array()?;
        while scanner.next_element()? {
            scanner.open_object()?;
            while let Some(key) = scanner.next_member()? {
                if key == "resource" && scanner.peek() == b'{' {
                    self.scan_resource(&mut scanner, &mut edits)?;
                } else {
                    scanner.value()?;
                }
            }
        }
        Ok(edits.apply(text))
    }

    fn snippets(&self, text: &str) -> Result<Option<String>, Flaw> {
        let mut edits = Edits::default();
        let mut scanner = Scanner::new(text);
        scanner.open_array()?;
        while scanner.next_element()? {
            scanner.open_object()?;
            while let Some(key) = scanner.next_member()? {
                if key != "references" || scanner.peek() != b'{' {
                    scanner.value()?;
                    continue;
                }
                scanner.open_object()?;
                while scanner.next_member()?.is_some() {
                    self.scan_urn(&mut scanner, &mut edits)?;
                }
            }
        }
        Ok(edits.apply(text))
    }

    /// `{type, state: {url, owner, project, stack}}`, if it is our own and names the stack.
    fn secrets_provider(&self, text: &str) -> Result<Option<String>, Flaw> {
        let mut provider = Object::parse(text)?;
        let is_service = provider.get("type").and_then(json::as_string).is_some_and(|name| name == "service");
        let Some(state) = provider.get("state").filter(|state| is_service && state.starts_with('{')) else {
            return Ok(None);
        };
        let mut state = Object::parse(state)?;
        let names =
            |key: &str, name: &str| state.get(key).and_then(json::as_string).is_some_and(|it| it == name);
        let owner = state.get("owner").and_then(json::as_string);
        let is_owner = owner.as_ref().is_none_or(|owner| owner.eq_ignore_ascii_case(self.from.org));
        if !is_owner || !names("project", self.from.project) || !names("stack", self.from.stack) {
            return Ok(None);
        }
        let is_moved = owner.is_some() && self.from.org != self.to.org;
        drop(owner);
        if is_moved {
            state.set("owner", json::string(self.to.org));
        }
        state.set("project", json::string(self.to.project));
        state.set("stack", json::string(self.to.stack));
        let state = state.to_text();
        provider.set("state", state);
        Ok(Some(provider.to_text()))
    }
}

/// A container that is being stepped through.
enum Frame {
    Object(Envelope),
    Array {
        /// The value of a member `dependencies`.
        is_dependencies: bool,
    },
}

/// What an object would mean if its signature says that it is an envelope.
#[derive(Default)]
struct Envelope {
    /// Of the member at which the scanner is.
    key: String,
    signature: String,
    urn: Option<Place>,
    ciphertext: Option<Place>,
    plaintext: Option<Place>,
    dependencies: Vec<Place>,
}

/// A string, and where its token stands.
struct Place {
    range: Range<usize>,
    string: String,
}

/// Keeps a scalar that `scanner` has just stepped over, if it may matter once the object around it is known.
fn note(frames: &mut [Frame], scanner: &Scanner<'_>, value: &str) {
    if !value.starts_with('"') {
        return;
    }
    let range = scanner.position() - value.len()..scanner.position();
    let place = || Place { range, string: json::unescape(value).into_owned() };
    match frames {
        [.., Frame::Object(envelope), Frame::Array { is_dependencies: true }] => {
            envelope.dependencies.push(place());
        }
        [.., Frame::Object(envelope)] => match envelope.key.as_str() {
            SIGNATURE_KEY => envelope.signature = json::unescape(value).into_owned(),
            "urn" => envelope.urn = Some(place()),
            "ciphertext" => envelope.ciphertext = Some(place()),
            "plaintext" => envelope.plaintext = Some(place()),
            _ => {}
        },
        _ => {}
    }
}

/// Ranges of a text and what takes their place.
#[derive(Default)]
struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    /// Puts the string `new` in the place of a value that `scanner` has just stepped over.
    fn replace_value(&mut self, scanner: &Scanner<'_>, value: &str, new: Option<String>) {
        let range = scanner.position() - value.len()..scanner.position();
        self.0.extend(new.map(|new| (range, json::string(&new))));
    }

    fn extend(&mut self, place: Option<Place>, new: impl FnOnce(&str) -> Option<String>) {
        let Some(Place { range, string }) = place else { return };
        self.0.extend(new(&string).map(|new| (range, json::string(&new))));
    }

    /// The text with the edits made; `None` if there are none.
    fn apply(mut self, text: &str) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.sort_by_key(|(range, _)| range.start);
        let mut out = String::with_capacity(text.len() + 32 * self.0.len());
        let mut done = 0;
        for (range, new) in self.0 {
            out.push_str(&text[done..range.start]);
            out.push_str(&new);
            done = range.end;
        }
        out.push_str(&text[done..]);
        Some(out)
    }
}
