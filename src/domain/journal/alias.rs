//! URNs that changed: references to an alias become references to the resource that claims it.
//! Source: sdk/go/common/apitype/core.go, `NormalizeURNReferences`.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::domain::json::{self, Flaw, Object};
use crate::domain::resource::{Features, ResourceFacts, Strings, resource_facts};
use crate::domain::urn::{ROOT_STACK_TYPE, UNKNOWN_ID, Urn, is_provider_urn, parse_provider_reference};
use crate::error::Error;

/// What one look at all resources tells.
#[derive(Debug, Default)]
pub struct Survey {
    /// Features that any of them asks for.
    pub features: Features,
    /// Any of them has aliases.
    pub has_aliases: bool,
    /// Places of those whose provider is no reference, or one without an id.
    pub odd_providers: Vec<usize>,
}

impl Survey {
    /// Looks at each resource once.
    pub fn of(resources: &[Cow<'_, str>]) -> Result<Survey, Error> {
        let mut survey = Survey::default();
        for (i, text) in resources.iter().enumerate() {
            let facts = resource_facts(text)?;
            survey.features.add(facts.features);
            survey.has_aliases |= !facts.aliases.is_empty();
            if facts.has_odd_provider() {
                survey.odd_providers.push(i);
            }
        }
        Ok(survey)
    }
}

/// Rewrites what refers to an alias, and clears the aliases; returns sentences about what was left as it is.
pub fn normalize(
    survey: &Survey,
    resources: &mut [Cow<'_, str>],
    snippets: &mut Option<Cow<'_, str>>,
) -> Result<Vec<String>, Error> {
    let mut findings = Vec::new();
    let rewritten = {
        let urns = match if survey.has_aliases { UrnMap::of(resources)? } else { Ok(UrnMap::default()) } {
            Ok(urns) => urns,
            Err(conflict) => return Ok(vec![conflict]),
        };
        if let Some(text) = snippets {
            *text = Cow::Owned(urns.rewrite_snippets(text).map_err(broken)?);
        }
        let mut rewritten = Vec::new();
        let every = 0..if survey.has_aliases { resources.len() } else { 0 };
        let odd = survey.odd_providers.iter().copied().filter(|_| !survey.has_aliases);
        for i in every.chain(odd) {
            let facts = resource_facts(&resources[i])?;
            if let Some(text) = urns.rewrite(&resources[i], &facts, &mut findings).map_err(broken)? {
                rewritten.push((i, text));
            }
        }
        rewritten
    };
    for (i, text) in rewritten {
        resources[i] = Cow::Owned(text);
    }
    Ok(findings)
}

/// Old URN → URN it has now.
#[derive(Default)]
struct UrnMap<'a>(HashMap<Cow<'a, str>, Cow<'a, str>>);

impl<'a> UrnMap<'a> {
    /// Reads the aliases of all resources; the inner error says that two resources claim the same one.
    fn of(resources: &'a [Cow<'_, str>]) -> Result<Result<UrnMap<'a>, String>, Error> {
        let mut map = HashMap::new();
        for text in resources {
            let facts = resource_facts(text)?;
            for alias in facts.aliases.iter().filter(|alias| !alias.is_empty()) {
                match map.get(&alias) {
                    Some(other) if *other != facts.urn => {
                        return Ok(Err(format!(
                            "the resources {other} and {} both claim the alias {alias}; aliases were left as they are",
                            facts.urn
                        )));
                    }
                    _ => map.insert(alias, facts.urn.clone()),
                };
            }
            if let Some(urn) = urn_under_renamed_parent(&facts, map.get(&facts.parent)) {
                map.insert(facts.urn, Cow::Owned(urn));
            }
        }
        Ok(Ok(UrnMap(map)))
    }

    fn get(&self, urn: &str) -> Option<&str> {
        self.0.get(urn).map(|urn| &**urn).filter(|new| *new != urn)
    }

    /// The resource's new text, if any URN in it changed.
    fn rewrite(
        &self,
        text: &str,
        facts: &ResourceFacts<'_>,
        findings: &mut Vec<String>,
    ) -> Result<Option<String>, Flaw> {
        let mut changes: Vec<(&str, Option<String>)> = Vec::new();
        let single = [
            ("urn", &facts.urn),
            ("parent", &facts.parent),
            ("deletedWith", &facts.deleted_with),
            ("viewOf", &facts.view_of),
        ];
        for (key, urn) in single {
            changes.extend(self.get(urn).map(|new| (key, Some(json::string(new)))));
        }
        changes
            .extend(self.rewrite_provider(facts, findings).map(|new| ("provider", Some(json::string(&new)))));
        changes.extend(self.rewrite_list(&facts.dependencies).map(|new| ("dependencies", Some(new))));
        let by_property = facts.property_dependencies;
        if by_property.iter().any(|(_, urns)| self.rewrite_list(&urns).is_some()) {
            changes.push(("propertyDependencies", Some(self.rewrite_values(by_property.as_text())?)));
        }
        if !facts.aliases.is_empty() {
            changes.push(("aliases", None));
        }
        if changes.is_empty() {
            return Ok(None);
        }
        let mut object = Object::parse(text)?;
        for (key, value) in changes {
            match value {
                Some(value) => object.set(key, value),
                None => object.remove(key),
            }
        }
        Ok(Some(object.to_text()))
    }

    /// The resource's new provider reference, if it changed; an empty id becomes the placeholder, as upstream has it.
    fn rewrite_provider(&self, facts: &ResourceFacts<'_>, findings: &mut Vec<String>) -> Option<String> {
        if facts.provider.is_empty() {
            return None;
        }
        let kept = |why: &str| {
            format!(
                "the resource {} has the provider '{}', {why}; it was left as it is",
                facts.urn, facts.provider
            )
        };
        let Some((urn, id)) = parse_provider_reference(&facts.provider) else {
            findings.push(kept("which is not <provider URN>::<id>"));
            return None;
        };
        let new_urn = self.get(urn);
        if new_urn.is_some_and(|new| !is_provider_urn(new)) {
            findings.push(kept("whose URN is now one of another kind of resource"));
            return None;
        }
        if new_urn.is_none() && !id.is_empty() {
            return None;
        }
        let id = if id.is_empty() { UNKNOWN_ID } else { id };
        Some(format!("{}::{id}", new_urn.unwrap_or(urn)))
    }

    /// The array with its URNs rewritten, if any is.
    fn rewrite_list(&self, urns: &Strings<'_>) -> Option<String> {
        urns.iter().find(|urn| self.get(urn).is_some())?;
        let rewrite = |element| match self.get(&json::as_string(element).unwrap_or_default()) {
            Some(new) => Cow::Owned(json::string(new)),
            None => Cow::Borrowed(element),
        };
        Some(json::array(json::elements(urns.as_text()).map(rewrite)))
    }

    /// An object of URNs, or of arrays of URNs, with those rewritten.
    fn rewrite_values(&self, object: &str) -> Result<String, Flaw> {
        let mut object = Object::parse(object)?;
        for member in object.members() {
            let new = match member.value.as_bytes()[0] {
                b'[' => {
                    let rewrite = |element| match self.get(&json::as_string(element).unwrap_or_default()) {
                        Some(new) => Cow::Owned(json::string(new)),
                        None => Cow::Borrowed(element),
                    };
                    Some(json::array(json::elements(&member.value).map(rewrite)))
                }
                b'"' => self.get(&json::unescape(&member.value)).map(json::string),
                _ => None,
            };
            if let Some(new) = new {
                member.value = Cow::Owned(new);
            }
        }
        Ok(object.to_text())
    }

    /// The list of snippets with their references rewritten.
    fn rewrite_snippets(&self, snippets: &str) -> Result<String, Flaw> {
        if self.0.is_empty() {
            return Ok(snippets.to_owned());
        }
        let rewrite = |snippet| {
            let mut object = Object::parse(snippet)?;
            let references = object.get("references").filter(|value| value.starts_with('{'));
            if let Some(references) = references {
                let rewritten = self.rewrite_values(references)?;
                object.set("references", rewritten);
            }
            Ok(object.to_text())
        };
        let snippets: Result<Vec<_>, Flaw> = json::elements(snippets).map(rewrite).collect();
        Ok(json::array(snippets?))
    }
}

/// A child's URN has its parent's type in it, so a renamed parent renames its children.
fn urn_under_renamed_parent(facts: &ResourceFacts<'_>, parent: Option<&Cow<'_, str>>) -> Option<String> {
    let parent = Urn::parse(parent?)?;
    if parent.qualified_type == ROOT_STACK_TYPE {
        return None;
    }
    Some(Urn::parse(&facts.urn)?.under(parent.qualified_type))
}

fn broken(flaw: Flaw) -> Error {
    Error::invalid("resource", flaw.to_string())
}
