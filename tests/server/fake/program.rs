//! What a made-up program wants: resources with properties, dependencies and parents. It changes between updates.

use crate::support::seed::Rng;
use serde_json::{Value, json};

/// The provider of all custom resources.
pub const PROVIDER: &str = "default";

/// One resource that the program wants.
#[derive(Clone)]
pub struct Want {
    /// Its name, unique in the program.
    pub name: String,
    /// A component has no id, and children.
    pub is_component: bool,
    /// Another size is an update.
    pub size: u64,
    /// Another shape is a replacement.
    pub shape: u64,
    /// A replacement deletes the old one before it makes the new one.
    pub is_deleted_first: bool,
    /// Names of earlier resources.
    pub dependencies: Vec<String>,
    /// The name of an earlier component.
    pub parent: Option<String>,
    /// A field that only some resources have, as `taint`.
    pub extra: Option<(&'static str, Value)>,
}

/// All that is wanted, dependencies before dependents, besides the root and the provider.
#[derive(Clone, Default)]
pub struct Program {
    /// In the order of the program.
    pub wants: Vec<Want>,
    n_named: usize,
}

impl Program {
    /// A program of up to `n_max` resources.
    pub fn random(rng: &mut Rng, n_max: usize) -> Program {
        let mut program = Program::default();
        for _ in 0..rng.between(1, n_max) {
            program.add(rng);
        }
        program
    }

    /// Changes something here and there; sometimes nothing at all.
    pub fn change(&mut self, rng: &mut Rng) {
        if rng.chance(15) {
            return;
        }
        for _ in 0..rng.below(4) {
            self.add(rng);
        }
        for want in &mut self.wants {
            want.size += u64::from(rng.chance(20));
            want.shape += u64::from(rng.chance(25));
        }
        if rng.chance(50) && !self.wants.is_empty() {
            let name = rng.pick(&self.wants).name.clone();
            self.drop(&name);
        }
    }

    fn add(&mut self, rng: &mut Rng) {
        self.n_named += 1;
        let components: Vec<String> =
            self.wants.iter().filter(|it| it.is_component).map(|it| it.name.clone()).collect();
        let is_component = rng.chance(15);
        let dependencies = self
            .wants
            .iter()
            .filter(|it| !it.is_component && rng.chance(20))
            .map(|it| it.name.clone())
            .collect();
        let extras = [
            ("taint", json!(true)),
            ("resourceHooks", json!({ "beforeCreate": ["hook"] })),
            ("protect", json!(false)),
            ("laterField", json!([1.5, {}])),
        ];
        self.wants.push(Want {
            name: format!("r{}", self.n_named),
            is_component,
            size: rng.below(3) as u64,
            shape: 0,
            is_deleted_first: rng.chance(40),
            dependencies,
            parent: (!components.is_empty() && rng.chance(50)).then(|| rng.pick(&components).clone()),
            extra: rng.chance(15).then(|| rng.pick(&extras).clone()),
        });
    }

    /// Takes a resource out, its children too, and what refers to them forgets them.
    fn drop(&mut self, name: &str) {
        let children: Vec<String> = self
            .wants
            .iter()
            .filter(|it| it.parent.as_deref() == Some(name))
            .map(|it| it.name.clone())
            .collect();
        children.iter().for_each(|child| self.drop(child));
        self.wants.retain(|want| want.name != name);
        for want in &mut self.wants {
            want.dependencies.retain(|dependency| dependency != name);
        }
    }
}

/// Writes the JSON of wanted resources for one stack.
#[derive(Clone)]
pub struct Writer {
    /// The stack's project.
    pub project: String,
    /// The stack's name.
    pub stack: String,
}

impl Writer {
    fn urn(&self, kind: &str, name: &str) -> String {
        format!("urn:pulumi:{}::{}::{kind}::{name}", self.stack, self.project)
    }

    /// The root, without its outputs.
    pub fn root(&self) -> Value {
        let urn = self.urn("pulumi:pulumi:Stack", &format!("{}-{}", self.project, self.stack));
        json!({ "urn": urn, "custom": false, "type": "pulumi:pulumi:Stack" })
    }

    /// The provider.
    pub fn provider(&self) -> Value {
        json!({ "urn": self.urn("pulumi:providers:test", PROVIDER), "custom": true, "id": "provider-1", "type": "pulumi:providers:test" })
    }

    /// The URN of a wanted resource. Its type holds the types of its parents.
    pub fn want_urn(&self, program: &Program, name: &str) -> String {
        let mut want = find(program, name);
        let mut kind = own_type(want).to_string();
        while let Some(parent) = &want.parent {
            want = find(program, parent);
            kind = format!("{}${kind}", own_type(want));
        }
        self.urn(&kind, name)
    }

    /// A wanted resource as it is after its step; `id` is nothing for a component.
    pub fn resource(&self, program: &Program, want: &Want, id: &str) -> Value {
        let parent = want
            .parent
            .as_ref()
            .map_or(self.root()["urn"].clone(), |parent| json!(self.want_urn(program, parent)));
        let mut state = json!({
            "urn": self.want_urn(program, &want.name), "custom": !want.is_component, "type": own_type(want), "parent": parent,
            "inputs": { "size": want.size, "shape": want.shape, "text": "<&> é \u{2028}" },
        });
        if !want.is_component {
            let provider = self.provider();
            state["id"] = json!(id);
            state["outputs"] =
                json!({ "size": want.size, "shape": want.shape, "half": want.size as f64 / 2.0 });
            state["provider"] = json!(format!(
                "{}::{}",
                provider["urn"].as_str().expect("a urn"),
                provider["id"].as_str().expect("an id")
            ));
        }
        let dependencies: Vec<String> =
            want.dependencies.iter().map(|it| self.want_urn(program, it)).collect();
        if !dependencies.is_empty() {
            state["propertyDependencies"] = json!({ "size": dependencies, "shape": dependencies[..1] });
            state["dependencies"] = json!(dependencies);
        }
        if let Some((name, value)) = &want.extra {
            state[name] = value.clone();
        }
        state
    }
}

fn find<'a>(program: &'a Program, name: &str) -> &'a Want {
    program.wants.iter().find(|want| want.name == name).expect("only what is wanted is referred to")
}

fn own_type(want: &Want) -> &'static str {
    if want.is_component { "test:index:Group" } else { "test:index:Thing" }
}
