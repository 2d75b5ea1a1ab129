//! Large states: many runs on disk, of which an update changes few. What comes out is what an independent model makes
//! of the journal, resource for resource, and is told to be sound exactly when it is.

use crate::support::seed::{Rng, for_each_seed, seeds};
use crate::support::server::TestServer;
use crate::support::stack::TestStack;
use crate::support::update::{entry, secrets_entry};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

const N_SEEDS: u64 = 12;
const N_UPDATES: usize = 12;
const N_RESOURCES: usize = 150;

#[test]
fn updates_of_a_large_state_give_what_the_model_gives() {
    let n_unsound = AtomicUsize::new(0);
    for_each_seed(&seeds(N_SEEDS), 2, |seed| {
        let mut rng = Rng::new(seed);
        let server = TestServer::start();
        let stack = server.create_stack("web", "dev");
        let mut model = Model::new(&stack);
        let mut states = Vec::new();
        for _ in 0..N_UPDATES {
            if !model.is_sound() || states.is_empty() {
                n_unsound.fetch_add(1, Ordering::Relaxed);
                model.fill(&mut rng);
                stack.import(&model.deployment()).ok();
                states.push(model.resources.clone());
            }
            update(&stack, &mut model, &mut rng);
            states.push(model.resources.clone());
            if rng.chance(5) {
                server.crash_and_restart();
            }
        }
        for (version, state) in (1..).zip(&states) {
            let export = stack.get(&format!("/export/{version}")).ok().json();
            assert_eq!(export["deployment"]["resources"], json!(state), "SEED={seed} version {version}");
        }
    });
    let n_unsound = n_unsound.into_inner();
    assert!(std::env::var("SEED").is_ok() || n_unsound > N_SEEDS as usize, "some are not sound: {n_unsound}");
}

/// One update of random steps; the model follows, and the server agrees before and after its end.
fn update(stack: &TestStack, model: &mut Model, rng: &mut Rng) {
    let update = stack.start_update();
    let mut entries = vec![secrets_entry(1)];
    model.take_steps(rng, &mut entries);
    let mut rest = &entries[..];
    while !rest.is_empty() {
        let (batch, behind) = rest.split_at(rng.between(1, rest.len().min(40)));
        update.journal(batch).ok();
        rest = behind;
    }
    if rng.chance(30) {
        assert_eq!(stack.resources(), model.resources, "while it runs");
    }
    let end = update.complete("succeeded").ok();
    let is_warned = end.header("X-Pulumi-Warning").is_some();
    assert_eq!(is_warned, !model.is_sound(), "{end}");
    assert_eq!(stack.resources(), model.resources, "after its end");
}

/// What the state has to be, told by nothing but the rules of the journal.
struct Model<'s> {
    stack: &'s TestStack<'s>,
    resources: Vec<Value>,
    n_made: usize,
}

impl<'s> Model<'s> {
    fn new(stack: &'s TestStack) -> Model<'s> {
        Model { stack, resources: Vec::new(), n_made: 0 }
    }

    /// A new sound state, in part of the resources that were there.
    fn fill(&mut self, rng: &mut Rng) {
        let mut before = std::mem::take(&mut self.resources);
        before.retain(|resource| resource["delete"] != true);
        self.resources.push(self.stack.root());
        for mut resource in before.into_iter().skip(1).take(N_RESOURCES / 2) {
            resource["dependencies"] = json!([]);
            let is_new = self.resources.iter().all(|other| other["urn"] != resource["urn"]);
            self.resources.extend(is_new.then_some(resource));
        }
        while self.resources.len() < N_RESOURCES {
            let others = self.resources.clone();
            let resource = self.make(rng, &others);
            self.resources.push(resource);
        }
    }

    fn deployment(&self) -> Value {
        let mut deployment = self.stack.deployment(&[]);
        deployment["deployment"]["resources"] = json!(self.resources);
        deployment
    }

    /// A new resource of about 1 KB that depends on some of `others`.
    fn make(&mut self, rng: &mut Rng, others: &[Value]) -> Value {
        self.n_made += 1;
        let mut resource = self.stack.resource(&format!("r{}", self.n_made));
        let filling: String =
            (0..rng.between(20, 200)).map(|_| format!("{:08x}", rng.below(1 << 30))).collect();
        resource["inputs"]["filling"] = filling.into();
        let n_dependencies = if others.is_empty() { 0 } else { rng.below(3) };
        let urns = (0..n_dependencies).map(|_| rng.pick(others)["urn"].clone());
        resource["dependencies"] = urns.collect();
        resource
    }

    /// Which of the base an update takes up. A careful engine takes up all that these depend on too.
    fn choose(&self, rng: &mut Rng) -> Vec<bool> {
        let percent = *rng.pick(&[1, 2, 3, 10, 100]);
        let is_careless = rng.chance(8);
        let mut chosen: Vec<bool> = self.resources.iter().map(|_| rng.chance(percent)).collect();
        for index in (0..chosen.len()).rev().filter(|_| !is_careless) {
            if chosen[index] {
                let wanted: Vec<&Value> = references(&self.resources[index]).collect();
                for (before, is_chosen) in chosen[..index].iter_mut().enumerate() {
                    *is_chosen |= wanted.contains(&&self.resources[before]["urn"]);
                }
            }
        }
        chosen
    }

    fn is_needed(&self, index: usize) -> bool {
        let urn = &self.resources[index]["urn"];
        self.resources.iter().any(|other| references(other).any(|wanted| wanted == urn))
    }

    /// Random steps; what is not taken up stays behind what is.
    fn take_steps(&mut self, rng: &mut Rng, entries: &mut Vec<Value>) {
        let chosen = self.choose(rng);
        let base = self.resources.clone();
        let mut is_kept = vec![true; base.len()];
        let mut is_marked = vec![false; base.len()];
        let mut new: Vec<Value> = Vec::new();
        for (index, old) in base.iter().enumerate().filter(|(index, _)| chosen[*index]) {
            let id = entries.len() as u64 + 1;
            let mut state = old.clone();
            match if index == 0 { 0 } else { rng.below(10) } {
                0..=4 => {}
                5..=7 => state["outputs"]["size"] = rng.below(1000).into(),
                8 if old["delete"] != true => {
                    // Replaced: the old one waits to be deleted.
                    state["id"] = format!("new-{id}").into();
                    entries.push(entry(1, id, id, json!({ "state": state, "deleteOld": index })));
                    new.push(state);
                    is_marked[index] = true;
                    continue;
                }
                _ if !self.is_needed(index) => {
                    entries.push(entry(1, id, id, json!({ "removeOld": index })));
                    is_kept[index] = false;
                    continue;
                }
                _ => {}
            }
            entries.push(entry(1, id, id, json!({ "state": state, "removeOld": index })));
            new.push(state);
            is_kept[index] = false;
            if rng.chance(10) {
                let state = self.make(rng, &new);
                entries.push(entry(1, id + 1, id + 1, json!({ "state": state })));
                new.push(state);
            }
        }
        let left = (0..base.len()).filter(|index| is_kept[*index]).map(|index| {
            let mut resource = base[index].clone();
            if is_marked[index] {
                resource["delete"] = true.into();
            }
            resource
        });
        self.resources = new.into_iter().chain(left).collect();
    }

    /// Whether each refers only to what stands before it, and none is there twice.
    fn is_sound(&self) -> bool {
        let (mut seen, mut alive) = (HashSet::new(), HashSet::new());
        self.resources.iter().all(|resource| {
            let refers_back = references(resource).all(|urn| seen.contains(urn));
            seen.insert(&resource["urn"]);
            refers_back && (resource["delete"] == true || alive.insert(&resource["urn"]))
        })
    }
}

/// URNs that must stand before a resource.
fn references(resource: &Value) -> impl Iterator<Item = &Value> {
    let urns = resource.get("dependencies").and_then(Value::as_array).into_iter().flatten();
    urns.chain(resource.get("parent"))
}
