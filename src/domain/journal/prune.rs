//! After a refresh: references to resources that are gone are dropped.
//! Source: pkg/backend/journal.go, `rebuildDependencies` and `undangleParentResources`.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::domain::json::{self, Flaw, Object};
use crate::domain::resource::{ResourceFacts, Strings, resource_facts};
use crate::error::Error;

/// Drops, from each resource, references to what does not stand before it, and a parent that stands nowhere.
pub fn prune(resources: &mut [Cow<'_, str>]) -> Result<(), Error> {
    let pruned = pruned_texts(resources)?;
    for (i, text) in pruned {
        resources[i] = Cow::Owned(text);
    }
    Ok(())
}

/// Place and new text of each resource that changes.
fn pruned_texts(resources: &[Cow<'_, str>]) -> Result<Vec<(usize, String)>, Error> {
    let mut seen = HashSet::with_capacity(resources.len());
    let mut pruned: Vec<(usize, Object)> = Vec::new();
    let mut parents_to_come = Vec::new();
    for (i, text) in resources.iter().enumerate() {
        let facts = resource_facts(text)?;
        if has_dangling(&facts, &seen) {
            pruned.push((i, without_dangling(text, &facts, &seen).map_err(broken)?));
        }
        seen.insert(facts.urn);
        if !facts.parent.is_empty() && !seen.contains(&facts.parent) {
            parents_to_come.push((i, facts.parent));
        }
    }
    for (i, parent) in parents_to_come {
        if seen.contains(&parent) {
            continue;
        }
        match pruned.binary_search_by_key(&i, |(i, _)| *i) {
            Ok(at) => pruned[at].1.remove("parent"),
            Err(at) => {
                let mut object = Object::parse(&resources[i]).map_err(broken)?;
                object.remove("parent");
                pruned.insert(at, (i, object));
            }
        }
    }
    Ok(pruned.into_iter().map(|(i, object)| (i, object.to_text())).collect())
}

type Urns<'a> = HashSet<Cow<'a, str>>;

fn has_dangling(facts: &ResourceFacts<'_>, seen: &Urns<'_>) -> bool {
    let is_dangling = |strings: &Strings<'_>| strings.iter().any(|urn| !seen.contains(&urn));
    is_dangling(&facts.dependencies)
        || is_dangling(&facts.replace_with)
        || (!facts.deleted_with.is_empty() && !seen.contains(&facts.deleted_with))
        || facts.property_dependencies.iter().any(|(_, urns)| urns.is_empty() || is_dangling(&urns))
}

fn without_dangling<'t>(
    text: &'t str,
    facts: &ResourceFacts<'t>,
    seen: &Urns<'_>,
) -> Result<Object<'t>, Flaw> {
    let mut object = Object::parse(text)?;
    for (key, urns) in [("dependencies", &facts.dependencies), ("replaceWith", &facts.replace_with)] {
        match kept(urns.as_text(), seen) {
            Some(kept) => object.set(key, kept),
            None => object.remove(key),
        }
    }
    if !facts.property_dependencies.as_text().is_empty() {
        let mut by_property = Object::parse(facts.property_dependencies.as_text())?;
        by_property.retain(|member| kept(&member.value, seen).is_some());
        for member in by_property.members() {
            member.value = Cow::Owned(kept(&member.value, seen).expect("retained because something is kept"));
        }
        match by_property.is_empty() {
            true => object.remove("propertyDependencies"),
            false => object.set("propertyDependencies", by_property.to_text()),
        }
    }
    if !seen.contains(&facts.deleted_with) {
        object.remove("deletedWith");
    }
    Ok(object)
}

/// The array without the URNs that were not seen; `None` if nothing is left.
fn kept(array: &str, seen: &Urns<'_>) -> Option<String> {
    let is_seen = |urn: &&str| seen.contains(&*json::as_string(urn).expect("checked by `resource_facts`"));
    let mut urns = json::elements(array).filter(is_seen).peekable();
    urns.peek()?;
    Some(json::array(urns))
}

fn broken(flaw: Flaw) -> Error {
    Error::invalid("resource", flaw.to_string())
}
