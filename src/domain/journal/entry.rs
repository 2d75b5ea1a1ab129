//! A journal entry as it came over the wire, checked on its own: what can be judged without knowing the rest.

use crate::domain::deployment::{Operation, parse_bare};
use crate::domain::json::{Flaw, Scanner};
use crate::domain::resource::{ResourceFacts, Wrong};
use crate::error::Error;

/// What an entry tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A step began.
    Begin,
    /// It ended well.
    Success,
    /// It failed.
    Failure,
    /// A refresh of one resource ended well.
    RefreshSuccess,
    /// A resource registered its outputs.
    Outputs,
    /// A whole snapshot takes the place of the base.
    Write,
    /// The secrets provider is set.
    SecretsManager,
    /// What was journaled so far becomes the base.
    RebuiltBaseState,
    /// A provider extension was parameterized.
    ExtensionParameterize,
    /// The list of snippets is replaced.
    Snippets,
}

impl Kind {
    /// In the order of their numbers. Source: sdk/go/common/apitype/journal.go, `JournalEntryKind`.
    const ALL: [Kind; 10] = [
        Kind::Begin,
        Kind::Success,
        Kind::Failure,
        Kind::RefreshSuccess,
        Kind::Outputs,
        Kind::Write,
        Kind::SecretsManager,
        Kind::RebuiltBaseState,
        Kind::ExtensionParameterize,
        Kind::Snippets,
    ];
}

/// The numbers of an entry: all that is needed to tell what it points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The entry's place in the journal, from 1.
    pub sequence_id: i64,
    /// The step that it belongs to.
    pub operation_id: i64,
    /// What it tells.
    pub kind: Kind,
    /// Index into the base: taken out, or replaced by `state`.
    pub remove_old: Option<i64>,
    /// Operation id: its state is taken out, or replaced by `state`.
    pub remove_new: Option<i64>,
    /// Index into the base: marked as to be deleted.
    pub delete_old: Option<i64>,
    /// Operation id: its state is marked as to be deleted.
    pub delete_new: Option<i64>,
    /// Index into the base: marked as waiting for its replacement.
    pub pending_replacement_old: Option<i64>,
    /// Operation id: its state is marked as waiting for its replacement.
    pub pending_replacement_new: Option<i64>,
    /// It brings a state.
    pub has_state: bool,
    /// Resources in the snapshot that it brings.
    pub n_snapshot_resources: usize,
}

/// A journal entry; the texts are JSON values as they arrived.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// The whole entry.
    pub raw: &'a str,
    /// Its numbers.
    pub step: Step,
    /// The resource's new state.
    pub state: Option<&'a str>,
    /// `{resource, type}`, what becomes a pending operation if the step does not end.
    pub operation: Option<&'a str>,
    /// It is part of a refresh.
    pub is_refresh: bool,
    /// It holds strings that are not UTF-8.
    pub requires_byte_string: bool,
    /// `{type, state?}`.
    pub secrets_provider: Option<&'a str>,
    /// A whole DeploymentV3.
    pub new_snapshot: Option<&'a str>,
    /// The list of snippets.
    pub snippets: Option<&'a str>,
    /// The key of `extension`, as a string token.
    pub extension_ref: Option<&'a str>,
    /// `{name, version, value}`.
    pub extension: Option<&'a str>,
}

impl<'a> Entry<'a> {
    /// The entry's place in the journal, from 1.
    pub fn sequence_id(&self) -> i64 {
        self.step.sequence_id
    }

    /// Reads one entry; `field` is what it is called in an error.
    pub fn parse(text: &'a str, field: &str) -> Result<Entry<'a>, Error> {
        let mut scanner = Scanner::new(text);
        let entry = scan_entry(&mut scanner, field)?;
        scanner.end().map_err(|flaw| Error::invalid(field, flaw.to_string()))?;
        Ok(entry)
    }
}

/// Reads the body of a batch, `{"entries":[…]}`.
///
/// `Error::Invalid` for a body without entries, an entry of an unknown version or kind, one that lacks what its
/// kind needs, or one whose resource the CLI could not read again. Linear in the text.
pub fn parse_batch(text: &str) -> Result<Vec<Entry<'_>>, Error> {
    let broken = |flaw: Flaw| Error::invalid("", flaw.to_string());
    let mut entries = Vec::new();
    let mut scanner = Scanner::new(text);
    scanner.open_object().map_err(broken)?;
    while let Some(key) = scanner.next_member().map_err(broken)? {
        if key != "entries" || scanner.peek() != b'[' {
            scanner.value().map_err(broken)?;
            continue;
        }
        scanner.open_array().map_err(broken)?;
        while scanner.next_element().map_err(broken)? {
            let field = format!("entries[{}]", entries.len());
            entries.push(scan_entry(&mut scanner, &field)?);
        }
    }
    scanner.end().map_err(broken)?;
    if entries.is_empty() {
        return Err(Error::invalid("entries", "must be a list of at least one journal entry"));
    }
    Ok(entries)
}

fn scan_entry<'a>(scanner: &mut Scanner<'a>, field: &str) -> Result<Entry<'a>, Error> {
    let broken = |flaw: Flaw| Error::invalid(field, flaw.to_string());
    if scanner.peek() != b'{' {
        return Err(Error::invalid(field, "must be an object"));
    }
    let start = scanner.position();
    let mut wire = Wire::default();
    scanner.open_object().map_err(broken)?;
    while let Some(key) = scanner.next_member().map_err(broken)? {
        match &*key {
            // Scanned once, for its fields and for its end.
            "state" if scanner.peek() == b'{' => wire.state = Some(scan_state(scanner, field)?),
            "operation" if scanner.peek() == b'{' => {
                let operation = Operation::scan(scanner, &format!("{field}.operation"))?;
                wire.operation = Some((operation.text, !operation.resource.is_empty()));
            }
            _ => {
                let value = scanner.value().map_err(broken)?;
                wire.set(&key, value).map_err(|must| Error::invalid(format!("{field}.{key}"), must))?;
            }
        }
    }
    wire.into_entry(scanner.text_since(start), field)
}

fn scan_state<'a>(scanner: &mut Scanner<'a>, field: &str) -> Result<&'a str, Error> {
    let start = scanner.position();
    match ResourceFacts::scan(scanner) {
        Ok(_) => Ok(scanner.text_since(start)),
        Err(Wrong::Flaw(flaw)) => Err(Error::invalid(field, flaw.to_string())),
        Err(wrong) => Err(wrong.into_error(&format!("{field}.state"))),
    }
}

/// The members as they came, before anything is required of them.
#[derive(Default)]
struct Wire<'a> {
    version: Option<i64>,
    kind: Option<i64>,
    sequence_id: Option<i64>,
    operation_id: Option<i64>,
    remove_old: Option<i64>,
    remove_new: Option<i64>,
    delete_old: Option<i64>,
    delete_new: Option<i64>,
    pending_replacement_old: Option<i64>,
    pending_replacement_new: Option<i64>,
    is_refresh: bool,
    requires_byte_string: bool,
    state: Option<&'a str>,
    /// And whether it has a resource.
    operation: Option<(&'a str, bool)>,
    secrets_provider: Option<&'a str>,
    new_snapshot: Option<&'a str>,
    snippets: Option<&'a str>,
    extension_ref: Option<&'a str>,
    extension: Option<&'a str>,
}

impl<'a> Wire<'a> {
    /// Takes one member; the error says what its value must be.
    fn set(&mut self, key: &str, value: &'a str) -> Result<(), &'static str> {
        match key {
            "version" => self.version = integer(value)?,
            "kind" => self.kind = integer(value)?,
            "sequenceID" => self.sequence_id = integer(value)?,
            "operationID" => self.operation_id = integer(value)?,
            "removeOld" => self.remove_old = integer(value)?,
            "removeNew" => self.remove_new = integer(value)?,
            "deleteOld" => self.delete_old = integer(value)?,
            "deleteNew" => self.delete_new = integer(value)?,
            "pendingReplacementOld" => self.pending_replacement_old = integer(value)?,
            "pendingReplacementNew" => self.pending_replacement_new = integer(value)?,
            "isRefresh" => self.is_refresh = boolean(value)?,
            "requiresByteString" => self.requires_byte_string = boolean(value)?,
            "state" | "operation" if value != "null" => return Err("must be an object"),
            "state" => self.state = None,
            "operation" => self.operation = None,
            "secretsProvider" => self.secrets_provider = opened_by(value, '{', "must be an object")?,
            "newSnapshot" => self.new_snapshot = opened_by(value, '{', "must be an object")?,
            "snippets" => self.snippets = opened_by(value, '[', "must be an array")?,
            "extensionRef" => self.extension_ref = opened_by(value, '"', "must be a string")?,
            "extension" => self.extension = opened_by(value, '{', "must be an object")?,
            _ => {}
        }
        Ok(())
    }

    fn into_entry(self, raw: &'a str, field: &str) -> Result<Entry<'a>, Error> {
        let invalid = |name: &str, why: String| Err(Error::invalid(format!("{field}.{name}"), why));
        if self.version != Some(1) {
            return invalid("version", "must be 1, the only version of journal entries there is".into());
        }
        let Some(number) = self.kind else { return invalid("kind", "is missing".into()) };
        let Some(&kind) = usize::try_from(number).ok().and_then(|number| Kind::ALL.get(number)) else {
            return invalid("kind", format!("is {number}; this server knows the kinds 0 to 9"));
        };
        let sequence_id = self.sequence_id.unwrap_or(0);
        if sequence_id < 1 {
            return invalid("sequenceID", format!("is {sequence_id}, and they start at 1"));
        }
        if let Some(name) = self.missing(kind) {
            return invalid(name, format!("is missing, and an entry of kind {number} needs it"));
        }
        let n_snapshot_resources = self.check_contents(field)?;
        Ok(self.entry(raw, kind, sequence_id, n_snapshot_resources))
    }

    /// The member that `kind` needs and that is not there.
    fn missing(&self, kind: Kind) -> Option<&'static str> {
        match kind {
            Kind::Outputs if self.state.is_none() => Some("state"),
            Kind::Write if self.new_snapshot.is_none() => Some("newSnapshot"),
            Kind::ExtensionParameterize if self.extension_ref.is_none() => Some("extensionRef"),
            Kind::ExtensionParameterize if self.extension.is_none() => Some("extension"),
            _ => None,
        }
    }

    /// Checks what else must be readable again; returns how many resources there are in a snapshot.
    fn check_contents(&self, field: &str) -> Result<usize, Error> {
        if let Some((_, false)) = self.operation {
            let why = "is missing, and without it the state could not be read again";
            return Err(Error::invalid(format!("{field}.operation.resource"), why));
        }
        match self.new_snapshot {
            Some(snapshot) => Ok(parse_bare(snapshot, &format!("{field}.newSnapshot"))?.1.len()),
            None => Ok(0),
        }
    }

    fn entry(self, raw: &'a str, kind: Kind, sequence_id: i64, n_snapshot_resources: usize) -> Entry<'a> {
        Entry {
            raw,
            step: Step {
                sequence_id,
                operation_id: self.operation_id.unwrap_or(0),
                kind,
                remove_old: self.remove_old,
                remove_new: self.remove_new,
                delete_old: self.delete_old,
                delete_new: self.delete_new,
                pending_replacement_old: self.pending_replacement_old,
                pending_replacement_new: self.pending_replacement_new,
                has_state: self.state.is_some(),
                n_snapshot_resources,
            },
            state: self.state,
            operation: self.operation.map(|(text, _)| text),
            is_refresh: self.is_refresh,
            requires_byte_string: self.requires_byte_string,
            secrets_provider: self.secrets_provider,
            new_snapshot: self.new_snapshot,
            snippets: self.snippets,
            extension_ref: self.extension_ref,
            extension: self.extension,
        }
    }
}

fn integer(value: &str) -> Result<Option<i64>, &'static str> {
    if value == "null" {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| "must be a whole number")
}

fn boolean(value: &str) -> Result<bool, &'static str> {
    match value {
        "true" => Ok(true),
        "false" | "null" => Ok(false),
        _ => Err("must be true or false"),
    }
}

fn opened_by<'a>(value: &'a str, opening: char, must: &'static str) -> Result<Option<&'a str>, &'static str> {
    match value {
        "null" => Ok(None),
        value if value.starts_with(opening) => Ok(Some(value)),
        _ => Err(must),
    }
}
