//! The second phase of a replay: the plan carried out on the texts. What no rule touches is moved, not read.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::domain::deployment::{Deployment, Header};
use crate::domain::journal::alias::{self, Survey};
use crate::domain::journal::entry::Entry;
use crate::domain::journal::plan::{Plan, Slot, Snippets, Source};
use crate::domain::journal::prune::prune;
use crate::domain::json;
use crate::domain::resource::{Features, ResourceFlags, resource_facts};
use crate::error::Error;

/// What a replay gives.
pub struct Replayed<'a> {
    /// The state.
    pub deployment: Deployment<'a>,
    /// Sentences for the log and the history: what pointed nowhere or could not be normalized, and was kept as it came.
    pub findings: Vec<String>,
}

/// Who wrote a deployment, and when.
pub struct Manifest {
    /// RFC 3339.
    pub time: String,
    /// The CLI's version; empty if it is not known.
    pub version: String,
}

impl Manifest {
    /// `{time, magic, version}`.
    fn to_text(&self) -> String {
        let (time, magic) = (json::string(&self.time), magic(&self.version));
        format!(r#"{{"time":{time},"magic":"{magic}","version":{}}}"#, json::string(&self.version))
    }
}

/// What a manifest of that `version` must have as its magic: lowercase hex SHA-256; empty for the empty version.
/// Source: pkg/resource/deploy/manifest.go, `NewMagic`.
pub fn magic(version: &str) -> String {
    if version.is_empty() {
        return String::new();
    }
    Sha256::digest(version).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Replays one update's journal on `base` and returns the deployment it describes.
///
/// `entries` in any order, each sequence id once. In the result, new resources stand before untouched ones.
/// Linear in the size of both. What upstream gives up on (references that point nowhere, an alias claimed twice, a
/// provider that is no reference) is a finding, and the states are kept.
/// Source: pkg/backend/journal.go, `JournalReplayer`.
pub fn replay<'a>(
    base: Deployment<'a>,
    entries: &[Entry<'a>],
    manifest: &Manifest,
) -> Result<Replayed<'a>, Error> {
    let Deployment { head, resources, tail } = base;
    let header = Header::of(&head, &tail)?;
    let mut sorted: Vec<&Entry<'a>> = entries.iter().collect();
    sorted.sort_by_key(|entry| entry.sequence_id());
    let mut plan = Plan::new(&header, resources.len(), &sorted)?;

    let mut findings = std::mem::take(&mut plan.findings);
    let mut made = Made { resources, snippets: None, features: Features::default() };
    let n_stages = plan.stages.len();
    for (i, stage) in plan.stages.iter().enumerate() {
        made.fill(&stage.slots)?;
        if let Snippets::Brought(snippets) = stage.snippets {
            made.snippets = snippets.map(Cow::Borrowed);
        }
        if i + 1 == n_stages {
            made.add_strays(&plan.strays)?;
        }
        let survey = Survey::of(&made.resources)?;
        made.features = survey.features;
        if stage.is_pruned {
            prune(&mut made.resources)?;
        }
        findings.extend(alias::normalize(&survey, &mut made.resources, &mut made.snippets)?);
    }

    let top = Top {
        snippets: made.snippets.as_deref(),
        features: made.features,
        has_resources: !made.resources.is_empty(),
        keeps_base_resource: plan.slots().iter().any(|slot| matches!(slot.source, Source::Kept(_))),
    };
    let (head, tail) = write_header(&header, &plan, &top, manifest);
    let deployment = Deployment { head: Cow::Owned(head), resources: made.resources, tail: Cow::Owned(tail) };
    Ok(Replayed { deployment, findings })
}

/// The result of a replay without the texts of the base.
pub struct Outline<'a> {
    /// The resulting document up to its resources, see [`Deployment`].
    pub head: String,
    /// The resources in their order; kept ones are places in the base.
    pub slots: Vec<Slot<'a>>,
    /// The resulting document behind its resources.
    pub tail: String,
    /// As in [`Replayed`].
    pub findings: Vec<String>,
}

/// Replays without looking into the base, of which only the header and a few bits for each resource are known.
/// `flags_of` gives the same bits for a state that the journal brought.
///
/// `None` if a rule needs the texts (a refresh, aliases, odd providers, states that have no place): then [`replay`]
/// has to do it. Otherwise the result is the same. Cost: a few bytes for each resource of the base, and the entries.
pub fn outline<'a>(
    base: &Header<'_>,
    flags: &[ResourceFlags],
    entries: &[Entry<'a>],
    manifest: &Manifest,
    mut flags_of: impl FnMut(&'a str) -> Result<ResourceFlags, Error>,
) -> Result<Option<Outline<'a>>, Error> {
    let mut sorted: Vec<&Entry<'a>> = entries.iter().collect();
    sorted.sort_by_key(|entry| entry.sequence_id());
    let mut plan = Plan::new(base, flags.len(), &sorted)?;
    if !plan.strays.is_empty() || plan.stages.iter().any(|stage| stage.is_pruned) {
        return Ok(None);
    }
    // Earlier stages count too: a resource with an alias may have been removed since.
    for slot in plan.stages.iter().flat_map(|stage| &stage.slots) {
        if let Source::Brought(text) = slot.source
            && flags_of(text)?.needs_normalizing()
        {
            return Ok(None);
        }
    }
    let slots = plan.slots();
    let mut features = Features::default();
    for slot in &slots {
        features.add(match slot.source {
            Source::Kept(index) => flags[index].features(),
            Source::Brought(text) => flags_of(text)?.features(),
        });
    }
    if flags.iter().any(|flags| flags.needs_normalizing()) {
        return Ok(None);
    }
    let brought = plan.stages.iter().rev().find_map(|stage| match stage.snippets {
        Snippets::Brought(snippets) => Some(snippets),
        Snippets::Carried => None,
    });
    let top = Top {
        snippets: brought.flatten(),
        features,
        has_resources: !slots.is_empty(),
        keeps_base_resource: slots.iter().any(|slot| matches!(slot.source, Source::Kept(_))),
    };
    let (head, tail) = write_header(base, &plan, &top, manifest);
    Ok(Some(Outline { head, slots, tail, findings: std::mem::take(&mut plan.findings) }))
}

/// What the header depends on besides the plan.
struct Top<'m> {
    snippets: Option<&'m str>,
    /// Of the resources.
    features: Features,
    has_resources: bool,
    keeps_base_resource: bool,
}

impl Top<'_> {
    /// Names of all features, sorted.
    fn features<'n>(&self, base: &'n Header<'_>, plan: &Plan<'_, '_>) -> Vec<&'n str> {
        let mut features = self.features;
        for operation in &plan.operations {
            features.add(operation.features);
        }
        let is_empty = !self.has_resources && plan.operations.is_empty();
        let base_has_byte_string = base.features.iter().any(|feature| feature == "byteString");
        // Upstream trusts that every resource is journaled anew, with the flag; what is left of the base was not.
        let keeps_byte_string = base_has_byte_string && self.keeps_base_resource;
        if (plan.requires_byte_string && !is_empty) || keeps_byte_string {
            features.add(Features::BYTE_STRING);
        }
        if self.snippets.is_some_and(|snippets| json::elements(snippets).next().is_some()) {
            features.add(Features::SNIPPETS);
        }
        // What a later CLI asked for cannot be judged here, so it stays.
        let unknown = base.features.iter().map(|name| &**name).filter(|name| !Features::is_known(name));
        let mut names: Vec<&'n str> = features.names().collect();
        names.extend(unknown);
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// What the stages so far have made.
struct Made<'a, 'h> {
    resources: Vec<Cow<'a, str>>,
    snippets: Option<Cow<'h, str>>,
    /// Of the resources before they were pruned.
    features: Features,
}

impl<'a> Made<'a, '_> {
    /// Puts the resources of the stage before into the slots of the next.
    fn fill(&mut self, slots: &[Slot<'a>]) -> Result<(), Error> {
        let mut before = std::mem::take(&mut self.resources);
        let texts = slots.iter().map(|slot| slot.text(|index| std::mem::take(&mut before[index])));
        self.resources = texts.collect::<Result<_, Error>>()?;
        Ok(())
    }

    /// Adds, at the end, the states that had no place and whose URN nothing else has.
    fn add_strays(&mut self, strays: &[&'a str]) -> Result<(), Error> {
        if strays.is_empty() {
            return Ok(());
        }
        let mut added = Vec::new();
        let mut urns = HashSet::new();
        for text in &self.resources {
            urns.insert(resource_facts(text)?.urn);
        }
        for stray in strays.iter().rev() {
            if urns.insert(resource_facts(stray)?.urn) {
                added.push(Cow::Borrowed(*stray));
            }
        }
        drop(urns);
        self.resources.extend(added.into_iter().rev());
        Ok(())
    }
}

/// The document around the resources, members in the CLI's own order.
fn write_header(
    base: &Header<'_>,
    plan: &Plan<'_, '_>,
    top: &Top<'_>,
    manifest: &Manifest,
) -> (String, String) {
    let features = top.features(base, plan);
    let schema_version = if features.is_empty() { 3 } else { 4 };
    let mut head = format!(r#"{{"version":{schema_version}"#);
    if !features.is_empty() {
        let names = features.into_iter().map(json::string);
        write_member(&mut head, "features", &json::array(names));
    }
    for (key, value) in &base.unknown_outer {
        write_member(&mut head, key, value);
    }
    write!(head, r#","deployment":{{"manifest":{}"#, manifest.to_text()).expect("written to memory");
    if let Some(secrets_providers) = plan.secrets_providers {
        write_member(&mut head, "secrets_providers", secrets_providers);
    }
    let mut tail = String::new();
    if top.has_resources {
        head.push_str(r#","resources":["#);
        tail.push(']');
    }
    write_tail(plan, top.snippets, &mut tail);
    if !top.has_resources {
        head.push_str(&std::mem::take(&mut tail));
    }
    (head, tail)
}

/// What stands behind the resources.
fn write_tail(plan: &Plan<'_, '_>, snippets: Option<&str>, tail: &mut String) {
    if !plan.operations.is_empty() {
        let operations = plan.operations.iter().map(|operation| operation.text);
        write_member(tail, "pending_operations", &json::array(operations));
    }
    write_member(tail, "metadata", plan.metadata.unwrap_or("{}"));
    if let Some(snippets) = snippets {
        write_member(tail, "snippets", snippets);
    }
    if !plan.extensions.is_empty() {
        let mut members = String::from("{");
        for (i, (key, value)) in plan.extensions.iter().enumerate() {
            members.push_str(if i > 0 { "," } else { "" });
            json::write_string(key, &mut members);
            members.push(':');
            members.push_str(value);
        }
        members.push('}');
        write_member(tail, "extensions", &members);
    }
    for (key, value) in &plan.unknown {
        write_member(tail, key, value);
    }
    tail.push_str("}}");
}

fn write_member(out: &mut String, key: &str, value: &str) {
    out.push(',');
    json::write_string(key, out);
    out.push(':');
    out.push_str(value);
}
