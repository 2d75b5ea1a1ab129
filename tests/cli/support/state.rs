//! An exported deployment, and questions to it.

use std::collections::BTreeSet;

use serde_json::Value;

/// What `pulumi stack export` printed: `{"version": 3, "deployment": {…}}`.
pub struct State(pub Value);

impl State {
    /// Every resource, in the order of the state; empty where the stack has none.
    pub fn resources(&self) -> &[Value] {
        self.0["deployment"]["resources"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The names of the program's own resources, sorted: without the stack itself and the providers.
    /// A resource that is there twice (a replaced one that still waits for its end) is named twice.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.own().map(name_of).collect();
        names.sort();
        names
    }

    /// The one resource of this name that is not about to be deleted.
    #[track_caller]
    pub fn resource(&self, name: &str) -> &Value {
        let found: Vec<&Value> =
            self.own().filter(|resource| name_of(resource) == name && !is_condemned(resource)).collect();
        assert_eq!(found.len(), 1, "resources named {name:?} in:\n{:#}", self.0);
        found[0]
    }

    /// The old copies that wait to be deleted, by name.
    pub fn condemned(&self) -> Vec<&str> {
        self.own().filter(|resource| is_condemned(resource)).map(name_of).collect()
    }

    /// What was begun and never reported as done: `creating web`, sorted.
    pub fn pending(&self) -> Vec<String> {
        let operations = self.0["deployment"]["pending_operations"].as_array();
        let mut pending: Vec<String> = operations
            .into_iter()
            .flatten()
            .map(|operation| format!("{} {}", text(&operation["type"]), name_of(&operation["resource"])))
            .collect();
        pending.sort();
        pending
    }

    /// The document without what differs from one run of the same program to the next: the order of what
    /// does not need each other, times, and where in a host's code a call came from.
    pub fn content(&self) -> Value {
        let mut content =
            without(&self.0["deployment"], &["time", "created", "modified", "sourcePosition", "stackTrace"]);
        if let Some(resources) = content["resources"].as_array_mut() {
            resources.sort_by_key(|resource| text(&resource["urn"]).to_string());
        }
        content
    }

    /// As `content`, as text to compare with the state of another stack that ran the same programs: without
    /// what is random (ids) and how secrets are sealed. Ids inside provider references go, too.
    pub fn comparable(&self) -> String {
        let keys = ["id", "ciphertext", "manifest", "secrets_providers", "metadata"];
        let mut content = without(&self.content(), &keys);
        for resource in content["resources"].as_array_mut().into_iter().flatten() {
            if let Some((urn, _)) = text(&resource["provider"]).rsplit_once("::") {
                resource["provider"] = urn.into();
            }
        }
        format!("{content:#}")
    }

    /// An output of the stack, as it stands in the state.
    pub fn output(&self, name: &str) -> &Value {
        let root = self.resources().iter().find(|resource| resource["type"] == "pulumi:pulumi:Stack");
        root.map_or(&Value::Null, |root| &root["outputs"][name])
    }

    /// Fails unless the engine could load it: each URN once, and nothing stands before what it needs.
    #[track_caller]
    pub fn check(&self) {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for resource in self.resources() {
            let urn = text(&resource["urn"]);
            for needed in needs(resource) {
                assert!(seen.contains(needed), "{urn} stands before {needed} in:\n{:#}", self.0);
            }
            if !is_condemned(resource) {
                assert!(seen.insert(urn), "{urn} is twice in:\n{:#}", self.0);
            }
        }
    }

    fn own(&self) -> impl Iterator<Item = &Value> {
        self.resources().iter().filter(|resource| {
            let kind = text(&resource["type"]);
            kind != "pulumi:pulumi:Stack" && !kind.starts_with("pulumi:providers:")
        })
    }
}

/// The URNs that must stand before this resource: its parent, its provider, what it depends on.
fn needs(resource: &Value) -> Vec<&str> {
    let provider = resource["provider"].as_str().and_then(|reference| reference.rsplit_once("::"));
    let dependencies = resource["dependencies"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let parent = resource["parent"].as_str();
    // A replaced copy may depend on copies that went before it; the engine does not ask for those.
    match is_condemned(resource) {
        true => provider.map(|(urn, _)| urn).into_iter().collect(),
        false => dependencies.chain(parent).chain(provider.map(|(urn, _)| urn)).collect(),
    }
}

/// The same value without some keys, wherever they are.
fn without(value: &Value, keys: &[&str]) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| !keys.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key.clone(), without(value, keys))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| without(item, keys)).collect()),
        other => other.clone(),
    }
}

fn name_of(resource: &Value) -> &str {
    text(&resource["urn"]).rsplit("::").next().unwrap_or_default()
}

fn is_condemned(resource: &Value) -> bool {
    resource["delete"] == Value::Bool(true)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
