//! Random journals, sound ones and strange ones. The same seed gives the same journal.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::rng::Rng;

/// A base and the entries that come upon it.
pub struct Journal {
    /// A DeploymentV3, or null.
    pub base: Value,
    /// In order of their sequence ids.
    pub entries: Vec<Value>,
    /// An entry points nowhere: upstream's answer is then not to be followed.
    pub points_nowhere: bool,
}

const TYPES: [&str; 6] = [
    "my:mod:Thing",
    "my:mod:Box",
    "aws:s3/bucket:Bucket",
    "k8s:apps/v1:Deployment",
    "pulumi:providers:aws",
    "pulumi:providers:k8s",
];
const ROOT: &str = "urn:pulumi:dev::web::pulumi:pulumi:Stack::web-dev";

/// Makes the journal of one seed.
pub fn random_journal(seed: u64) -> Journal {
    let mut maker = Maker::new(seed);
    let base = if maker.rng.chance(85) { maker.deployment() } else { Value::Null };
    maker.n_base = base["resources"].as_array().map_or(0, Vec::len);
    let n_entries = 2 + maker.rng.below(24);
    if maker.rng.chance(95) {
        maker.secrets_manager();
    }
    if maker.rng.chance(15) {
        maker.write();
    }
    for _ in 0..n_entries {
        maker.entry();
    }
    Journal { base, entries: maker.entries, points_nowhere: maker.points_nowhere }
}

struct Maker {
    rng: Rng,
    entries: Vec<Value>,
    /// URNs of resources made so far.
    urns: Vec<String>,
    n_names: usize,
    next_operation_id: i64,
    open: Vec<i64>,
    n_base: usize,
    n_new: usize,
    /// Operation id → place among the new resources, as the replayer counts them.
    pushed: HashMap<i64, usize>,
    removed_operations: HashSet<i64>,
    removed: HashSet<usize>,
    /// Upstream does not count new resources right behind a rebuilt base that had some.
    no_more_states: bool,
    points_nowhere: bool,
    /// How many percent of the references point nowhere; rarely any.
    percent_nowhere: usize,
    percent_aliases: usize,
    percent_dangling: usize,
    percent_features: usize,
    percent_odd_providers: usize,
}

impl Maker {
    fn new(seed: u64) -> Maker {
        let mut rng = Rng::new(seed);
        let percent_nowhere = if rng.chance(4) { 8 } else { 0 };
        let percent_aliases = if rng.chance(40) { 12 } else { 0 };
        let percent_dangling = if rng.chance(50) { 25 } else { 3 };
        let percent_features = if rng.chance(40) { 10 } else { 0 };
        let percent_odd_providers = if rng.chance(10) { 10 } else { 0 };
        Maker {
            rng,
            entries: Vec::new(),
            urns: vec![ROOT.into()],
            n_names: 0,
            next_operation_id: 1,
            open: Vec::new(),
            n_base: 0,
            n_new: 0,
            pushed: HashMap::new(),
            removed_operations: HashSet::new(),
            removed: HashSet::new(),
            no_more_states: false,
            points_nowhere: false,
            percent_nowhere,
            percent_aliases,
            percent_dangling,
            percent_features,
            percent_odd_providers,
        }
    }

    fn deployment(&mut self) -> Value {
        let n_resources = self.rng.below(9);
        let mut resources = vec![json!({"urn": ROOT, "custom": false, "type": "pulumi:pulumi:Stack"})];
        resources.extend((0..n_resources).map(|_| self.resource()));
        if self.rng.chance(5) {
            resources.clear();
        }
        let mut deployment = json!({
            "manifest": {"time": "2025-01-01T00:00:00Z", "magic": "", "version": ""},
            "metadata": {},
            "resources": resources,
        });
        if self.rng.chance(30) {
            let n_operations = 1 + self.rng.below(3);
            deployment["pending_operations"] = (0..n_operations).map(|_| self.operation()).collect();
        }
        if self.rng.chance(70) {
            deployment["secrets_providers"] = self.provider_of_secrets();
        }
        if self.rng.chance(10) {
            deployment["metadata"] = json!({"integrity_error": {"error": "a < b", "command": "up"}});
        }
        if self.rng.chance(15) {
            deployment["snippets"] = self.snippets();
        }
        if self.rng.chance(15) {
            deployment["extensions"] = json!({"e1": extension(self.rng.below(3)), "e2": extension(2)});
        }
        deployment
    }

    fn provider_of_secrets(&mut self) -> Value {
        let stack = *self.rng.pick(&["dev", "prod"]);
        match self.rng.below(3) {
            0 => json!({"type": "b64"}),
            1 => json!({"type": "passphrase", "state": {"salt": "v1:abc=:v1:def"}}),
            _ => {
                json!({"type": "service", "state": {"url": "http://a", "owner": "o", "project": "web", "stack": stack}})
            }
        }
    }

    fn snippets(&mut self) -> Value {
        let n_snippets = self.rng.below(3);
        let snippet = |i: usize, urn: String| {
            json!({"uuid": format!("u{i}"), "name": "n", "type": "my:mod:Thing", "code": "a = 1",
                   "descriptor": {"name": "my"}, "references": {"r": urn, "s": ROOT}})
        };
        (0..n_snippets).map(|i| snippet(i, self.urn())).collect()
    }

    fn operation(&mut self) -> Value {
        let resource = self.resource();
        let kind = *self.rng.pick(&["creating", "updating", "deleting", "reading", "importing"]);
        json!({"resource": resource, "type": kind})
    }

    /// A URN that some resource has, or had, or never had.
    fn urn(&mut self) -> String {
        if self.rng.chance(self.percent_dangling) {
            let i = self.rng.below(4);
            return format!("urn:pulumi:dev::web::my:mod:Gone::gone{i}");
        }
        self.rng.pick(&self.urns).clone()
    }

    fn urns(&mut self) -> Value {
        let n_urns = self.rng.below(4);
        (0..n_urns).map(|_| Value::from(self.urn())).collect()
    }

    fn resource(&mut self) -> Value {
        let mut object = Map::new();
        let type_token = *self.rng.pick(&TYPES);
        let parent = if self.rng.chance(60) { Some(self.urn()) } else { None };
        let urn = match self.rng.chance(35) {
            true => self.rng.pick(&self.urns).clone(),
            false => self.new_urn(type_token, parent.as_deref()),
        };
        object.insert("urn".into(), urn.into());
        let is_custom = self.rng.chance(75);
        object.insert("custom".into(), is_custom.into());
        object.insert("type".into(), type_token.into());
        if is_custom {
            object.insert("id".into(), self.rng.pick(&["i-1", "i-2", "a::b"]).to_string().into());
        }
        object.extend(parent.map(|parent| ("parent".to_owned(), parent.into())));
        self.add_references(&mut object);
        self.add_values(&mut object);
        self.add_features(&mut object);
        Value::Object(object)
    }

    fn new_urn(&mut self, type_token: &str, parent: Option<&str>) -> String {
        self.n_names += 1;
        let parent_type = parent.and_then(|parent| parent.split("::").nth(2));
        let qualified = match parent_type {
            Some(parent_type) if parent_type != "pulumi:pulumi:Stack" && !self.rng.chance(10) => {
                format!("{parent_type}${type_token}")
            }
            _ => type_token.to_owned(),
        };
        let name =
            if self.rng.chance(10) { format!("n::<{}>", self.n_names) } else { format!("r{}", self.n_names) };
        let urn = format!("urn:pulumi:dev::web::{qualified}::{name}");
        self.urns.push(urn.clone());
        urn
    }

    fn add_references(&mut self, object: &mut Map<String, Value>) {
        if self.rng.chance(45) {
            object.insert("dependencies".into(), self.urns());
        }
        if self.rng.chance(30) {
            let by_property = json!({"a": self.urns(), "b<": self.urns()});
            object.insert("propertyDependencies".into(), by_property);
        }
        if self.rng.chance(12) {
            object.insert("deletedWith".into(), self.urn().into());
        }
        if self.rng.chance(40) {
            let id = *self.rng.pick(&["i-1", "i-2"]);
            let providers: Vec<&String> = self.urns.iter().filter(|urn| is_provider(urn)).collect();
            let urn = match providers.is_empty() {
                true => "urn:pulumi:dev::web::pulumi:providers:aws::default".to_owned(),
                false => self.rng.pick(&providers).to_string(),
            };
            let is_odd = self.rng.chance(self.percent_odd_providers);
            let reference = match (is_odd, self.rng.below(3)) {
                (true, 0) => format!("{ROOT}::{id}"),
                (true, 1) => "no reference".into(),
                (true, _) => format!("{urn}::"),
                (false, _) => format!("{urn}::{id}"),
            };
            object.insert("provider".into(), reference.into());
        }
        if self.rng.chance(self.percent_aliases) {
            let n_aliases = 1 + self.rng.below(2);
            let aliases: Value = (0..n_aliases).map(|_| Value::from(self.alias())).collect();
            object.insert("aliases".into(), aliases);
        }
    }

    fn alias(&mut self) -> String {
        match self.rng.chance(70) {
            // Most likely nobody else claims this one, and somebody refers to it.
            true => format!("urn:pulumi:dev::web::my:mod:Gone::gone{}", self.rng.below(4)),
            false => self.urn(),
        }
    }

    fn add_values(&mut self, object: &mut Map<String, Value>) {
        let values = [
            json!({"a": 1, "b": [1.5, -3, 9007199254740991i64], "c": {"d": null, "e": "<&>\u{2028}\"\\"}}),
            json!({"s": {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "AAE="}}),
            json!({"": "", "empty": {}, "none": [], "t": true}),
        ];
        for key in ["inputs", "outputs"] {
            if self.rng.chance(50) {
                object.insert(key.into(), self.rng.pick(&values).clone());
            }
        }
        for key in ["delete", "pendingReplacement", "protect", "external", "retainOnDelete"] {
            if self.rng.chance(6) {
                object.insert(key.into(), true.into());
            }
        }
        if self.rng.chance(10) {
            object.insert("initErrors".into(), json!(["boom", "tab\there"]));
            object.insert("created".into(), "2025-01-01T00:00:00Z".into());
            object.insert("customTimeouts".into(), json!({"create": 60}));
        }
    }

    fn add_features(&mut self, object: &mut Map<String, Value>) {
        let features = [
            ("refreshBeforeUpdate", json!(true)),
            ("taint", json!(true)),
            ("resourceHooks", json!({"beforeCreate": ["h"]})),
            ("extensionRef", json!("e1")),
            ("snippetID", json!("u0")),
        ];
        for (key, value) in features {
            if self.rng.chance(self.percent_features) {
                object.insert(key.into(), value);
            }
        }
        if self.rng.chance(self.percent_features) {
            object.insert("viewOf".into(), self.urn().into());
        }
        if self.rng.chance(self.percent_features) {
            object.insert("replaceWith".into(), self.urns());
        }
    }

    /// One more entry of any kind.
    fn entry(&mut self) {
        match self.rng.below(100) {
            0..=27 => self.begin(),
            28..=69 => self.success(),
            70..=75 => self.failure(),
            76..=82 => self.refresh(3),
            83..=88 => self.refresh(4),
            89 => self.write(),
            90..=91 => self.secrets_manager(),
            92..=95 => self.rebuilt(),
            96..=97 => {
                let (key, n) = (*self.rng.pick(&["e1", "e3"]), self.rng.below(5));
                self.push(8, 0, json!({"extensionRef": key, "extension": extension(n)}));
            }
            _ => {
                let snippets = self.snippets();
                self.push(9, 0, json!({"snippets": snippets}));
            }
        }
    }

    fn push(&mut self, kind: i64, operation_id: i64, members: Value) {
        // Gaps are legal.
        let last = self.entries.last().map_or(0, |entry| entry["sequenceID"].as_i64().expect("a number"));
        let step = if self.rng.chance(3) { 2 } else { 1 };
        let mut entry = json!({
            "version": 1, "kind": kind, "sequenceID": last + step, "operationID": operation_id,
            "removeOld": null, "removeNew": null,
        });
        for (key, value) in members.as_object().expect("members") {
            entry[key] = value.clone();
        }
        if self.rng.chance(1) {
            entry["requiresByteString"] = true.into();
        }
        self.entries.push(entry);
    }

    /// An operation that was begun, a new one, or rarely one that ended before.
    fn operation_id(&mut self) -> i64 {
        if !self.open.is_empty() && self.rng.chance(85) {
            let at = self.rng.below(self.open.len());
            return self.open.swap_remove(at);
        }
        if self.next_operation_id > 1 && self.rng.chance(10) {
            return 1 + self.rng.below(self.next_operation_id as usize - 1) as i64;
        }
        self.next_operation_id += 1;
        self.next_operation_id - 1
    }

    fn begin(&mut self) {
        let operation_id = self.next_operation_id;
        self.next_operation_id += 1 + i64::from(self.rng.chance(5));
        self.open.push(operation_id);
        let members = if self.rng.chance(50) { json!({"operation": self.operation()}) } else { json!({}) };
        self.push(0, operation_id, members);
    }

    fn failure(&mut self) {
        let operation_id = self.operation_id();
        let members = json!({"state": self.resource(), "removeOld": self.rng.below(99), "deleteNew": 99});
        self.push(2, operation_id, members);
    }

    fn success(&mut self) {
        let operation_id = self.operation_id();
        let mut members = json!({});
        if self.rng.chance(70) && !self.no_more_states {
            members["state"] = self.resource();
            self.pushed.insert(operation_id, self.n_new);
            self.n_new += 1;
        }
        for key in ["removeOld", "deleteOld", "pendingReplacementOld"] {
            if self.rng.chance(if key == "removeOld" { 55 } else { 9 })
                && let Some(index) = self.base_index()
            {
                members[key] = index.into();
                if key == "removeOld" {
                    self.removed.extend(usize::try_from(index));
                }
            }
        }
        for key in ["removeNew", "deleteNew", "pendingReplacementNew"] {
            if self.rng.chance(if key == "removeNew" { 18 } else { 9 })
                && let Some(id) = self.pushed_operation()
            {
                members[key] = id.into();
                if key == "removeNew" {
                    self.removed_operations.insert(id);
                }
            }
        }
        if self.rng.chance(5) {
            members["isRefresh"] = true.into();
        }
        self.push(1, operation_id, members);
    }

    /// Kind 3, a refresh, or kind 4, outputs.
    fn refresh(&mut self, kind: i64) {
        let operation_id = self.operation_id();
        let mut members = json!({});
        if kind == 4 || self.rng.chance(60) {
            members["state"] = self.resource();
        }
        let is_gone = members.get("state").is_none();
        // Never both: upstream then shares one state between two places, and a mark on one shows on the other.
        let index = if self.rng.chance(70) { self.base_index() } else { None };
        if let Some(index) = index {
            members["removeOld"] = index.into();
            if is_gone {
                self.removed.extend(usize::try_from(index));
            }
        } else if self.rng.chance(80)
            && let Some(id) = self.pushed_operation()
        {
            members["removeNew"] = id.into();
            if is_gone {
                self.removed_operations.insert(id);
            }
        }
        self.push(kind, operation_id, members);
    }

    fn write(&mut self) {
        let snapshot = self.deployment();
        self.n_base = snapshot["resources"].as_array().map_or(0, Vec::len);
        self.push(5, 0, json!({"newSnapshot": snapshot}));
    }

    fn secrets_manager(&mut self) {
        let provider = self.provider_of_secrets();
        self.push(6, 0, json!({"secretsProvider": provider}));
    }

    fn rebuilt(&mut self) {
        let dead: HashSet<_> = self.removed_operations.iter().filter_map(|id| self.pushed.get(id)).collect();
        let n_removed = self.removed.iter().filter(|index| **index < self.n_base).count();
        self.no_more_states |= self.n_new > 0;
        self.n_base = self.n_new - dead.len() + self.n_base - n_removed;
        self.n_new = 0;
        self.pushed.clear();
        self.removed_operations.clear();
        self.removed.clear();
        self.push(7, 0, json!({}));
    }

    fn base_index(&mut self) -> Option<i64> {
        if self.rng.chance(self.percent_nowhere) {
            self.points_nowhere = true;
            return Some(if self.rng.chance(20) { -1 } else { (self.n_base + self.rng.below(3)) as i64 });
        }
        (self.n_base > 0).then(|| self.rng.below(self.n_base) as i64)
    }

    fn pushed_operation(&mut self) -> Option<i64> {
        if self.rng.chance(self.percent_nowhere) {
            self.points_nowhere = true;
            return Some(1_000 + self.rng.below(3) as i64);
        }
        let mut ids: Vec<i64> = self.pushed.keys().copied().collect();
        ids.sort_unstable();
        (!ids.is_empty()).then(|| *self.rng.pick(&ids))
    }
}

fn is_provider(urn: &str) -> bool {
    let own_type = urn.split("::").nth(2).and_then(|types| types.rsplit('$').next());
    own_type.is_some_and(|own_type| own_type.starts_with("pulumi:providers:"))
}

fn extension(i: usize) -> Value {
    json!({"name": "ext", "version": format!("1.0.{i}"), "value": "AQI="})
}
