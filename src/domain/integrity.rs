//! Whether a deployment is one that the engine will work with. A violation is told, never repaired.
//! Source: pkg/resource/stack/snapshot/integrity.go, `VerifyIntegrity`, and pkg/resource/deploy/snapshot.go.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::domain::deployment::{Deployment, Header};
use crate::domain::journal::magic;
use crate::domain::json::{self, Scanner};
use crate::domain::resource::{ResourceFacts, resource_facts};
use crate::domain::urn::{UNKNOWN_ID, is_provider_type, is_provider_urn, parse_provider_reference};
use crate::error::Error;

/// The first violation as a sentence like the CLI's own; `None` if the deployment is sound.
///
/// Manifest, resources in their order, duplicates, snippets. What cannot be read at all is a violation too.
/// Linear in the deployment.
pub fn check(deployment: &Deployment<'_>) -> Option<String> {
    find_violation(deployment).unwrap_or_else(|error| Some(error.to_string()))
}

fn find_violation(deployment: &Deployment<'_>) -> Result<Option<String>, Error> {
    let header = deployment.header()?;
    if !is_magic_right(&header) {
        return Ok(Some("magic cookie mismatch: possible tampering/corruption detected".into()));
    }
    let places = places(deployment)?;
    let mut walk = Walk { places: &places, providers: HashSet::new() };
    for (i, text) in deployment.resources.iter().enumerate() {
        let violation = walk.visit(i, &resource_facts(text)?);
        if violation.is_some() {
            return Ok(violation);
        }
    }
    Ok(duplicate(&places).or_else(|| snippet_violation(header.snippets.unwrap_or("[]"))))
}

/// True if the header alone is sound.
pub fn is_header_sound(header: &Header<'_>) -> bool {
    is_magic_right(header) && snippet_violation(header.snippets.unwrap_or("[]")).is_none()
}

/// What is wrong with a resource whatever stands around it; `i` is its place.
pub fn violation_in_itself(i: usize, facts: &ResourceFacts<'_>) -> Option<String> {
    let ResourceFacts { urn, provider, .. } = facts;
    if urn.is_empty() {
        return Some(format!("resource at index {i} missing required 'urn' field"));
    }
    if facts.type_token.is_empty() {
        return Some(format!("resource '{urn}' missing required 'type' field"));
    }
    if !facts.is_custom && !facts.id.is_empty() {
        return Some(format!("resource '{urn}' has 'custom false but non-empty ID"));
    }
    if is_provider_type(&facts.type_token) && !is_provider_urn(urn) {
        return Some(format!("provider {urn} is not referenceable: it is not the URN of a provider"));
    }
    if !provider.is_empty() && parse_provider_reference(provider).is_none() {
        return Some(format!(
            "failed to parse provider reference for resource {urn}: '{provider}' is not <provider URN>::<id>"
        ));
    }
    None
}

fn is_magic_right(header: &Header<'_>) -> bool {
    let manifest = header.manifest.unwrap_or("{}");
    string_member(manifest, "magic") == magic(&string_member(manifest, "version"))
}

/// Where the resources of one URN stand.
struct Places {
    first: usize,
    last: usize,
    n_not_delete: usize,
}

type PlacesByUrn<'a> = HashMap<Cow<'a, str>, Places>;

fn places<'d>(deployment: &'d Deployment<'_>) -> Result<PlacesByUrn<'d>, Error> {
    let mut places = HashMap::with_capacity(deployment.resources.len());
    for (i, text) in deployment.resources.iter().enumerate() {
        let facts = resource_facts(text)?;
        let place = places.entry(facts.urn).or_insert(Places { first: i, last: i, n_not_delete: 0 });
        place.last = i;
        place.n_not_delete += usize::from(!facts.is_delete);
    }
    Ok(places)
}

struct Walk<'p, 'd> {
    places: &'p PlacesByUrn<'d>,
    /// References to the providers that were passed.
    providers: HashSet<String>,
}

impl Walk<'_, '_> {
    fn visit(&mut self, i: usize, facts: &ResourceFacts<'_>) -> Option<String> {
        violation_in_itself(i, facts)
            .or_else(|| self.visit_provider(facts))
            .or_else(|| self.dangling(i, facts))
    }

    fn visit_provider(&mut self, facts: &ResourceFacts<'_>) -> Option<String> {
        let ResourceFacts { urn, provider, .. } = facts;
        if is_provider_type(&facts.type_token) {
            self.providers.insert(format!("{urn}::{}", own_provider_id(facts)));
        }
        let is_known =
            provider.is_empty() || self.providers.contains(&**provider) || facts.is_pending_replacement;
        (!is_known).then(|| format!("resource {urn} refers to unknown provider {provider}"))
    }

    /// The first reference to something that does not stand before this resource.
    fn dangling(&self, i: usize, facts: &ResourceFacts<'_>) -> Option<String> {
        let check = |other: &str, [after, missing]: &[Sentence; 2]| match self.places.get(other) {
            Some(place) if place.first < i => None,
            Some(place) if place.last > i => Some(after(&facts.urn, other)),
            _ => Some(missing(&facts.urn, other)),
        };
        let parent = Some(&*facts.parent).filter(|parent| !parent.is_empty());
        let deleted_with = Some(&*facts.deleted_with).filter(|other| !other.is_empty());
        let by_property = || facts.property_dependencies.iter().flat_map(|(_, urns)| urns.iter());
        None.or_else(|| check(parent?, &PARENT))
            .or_else(|| facts.dependencies.iter().find_map(|other| check(&other, &DEPENDENCY)))
            .or_else(|| by_property().find_map(|other| check(&other, &PROPERTY_DEPENDENCY)))
            .or_else(|| check(deleted_with?, &DELETED_WITH))
            .or_else(|| facts.replace_with.iter().find_map(|other| check(&other, &REPLACE_WITH)))
    }
}

/// The id by which the resources of this provider know it.
pub fn own_provider_id<'f>(facts: &'f ResourceFacts<'_>) -> &'f str {
    if facts.id.is_empty() { UNKNOWN_ID } else { &facts.id }
}

/// What is said of a resource and another one that it refers to.
type Sentence = fn(&str, &str) -> String;

// Each: the other one comes after it; the other one is nowhere.
const PARENT: [Sentence; 2] = [
    |urn, other| format!("child resource {urn}'s parent {other} comes after it"),
    |urn, other| format!("child resource {urn} refers to missing parent {other}"),
];
const DEPENDENCY: [Sentence; 2] = [
    |urn, other| format!("resource {urn}'s dependency {other} comes after it"),
    |urn, other| format!("resource {urn} refers to missing dependency {other}"),
];
const PROPERTY_DEPENDENCY: [Sentence; 2] = [
    |urn, other| format!("resource {urn}'s property dependency {other} comes after it"),
    |urn, other| format!("resource {urn} refers to missing property dependency {other}"),
];
const DELETED_WITH: [Sentence; 2] = [
    |urn, other| format!("resource {urn} is specified as being deleted with {other}, which comes after it"),
    |urn, other| format!("resource {urn} is specified as being deleted with {other}, which is missing"),
];
const REPLACE_WITH: [Sentence; 2] = [
    |urn, other| format!("resource {urn} is specified as being replaced with {other}, which comes after it"),
    |urn, other| format!("resource {urn} is specified as being replaced with {other}, which is missing"),
];

/// Of resources with the same URN, all but one must be waiting to be deleted.
fn duplicate(places: &PlacesByUrn<'_>) -> Option<String> {
    let duplicates = places.iter().filter(|(_, place)| place.n_not_delete > 1);
    let (urn, _) = duplicates.min_by_key(|(_, place)| place.first)?;
    Some(format!("duplicate resource {urn} (not marked for deletion)"))
}

fn snippet_violation(snippets: &str) -> Option<String> {
    let mut places = HashMap::new();
    for (i, snippet) in json::elements(snippets).enumerate() {
        let uuid = string_member(snippet, "uuid");
        if uuid.is_empty() {
            return Some(format!("snippet at index {i} missing required 'uuid' field"));
        }
        if let Some(other) = places.get(&uuid) {
            return Some(format!("duplicate snippet uuid {uuid:?} at indexes {other} and {i}"));
        }
        places.insert(uuid, i);
    }
    None
}

/// A member of an object that is a string; empty if it is not there.
fn string_member<'a>(object: &'a str, wanted: &str) -> Cow<'a, str> {
    let mut scanner = Scanner::new(object);
    let mut found = Cow::Borrowed("");
    if scanner.open_object().is_err() {
        return found;
    }
    while let Ok(Some(key)) = scanner.next_member() {
        let Ok(value) = scanner.value() else { break };
        if key == wanted {
            found = json::as_string(value).unwrap_or_default();
        }
    }
    found
}
