//! The first phase of a replay: what ends up where, by places and counts. Looks into no resource of the base.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::deployment::{Header, Operation, parse_bare};
use crate::domain::journal::entry::{Entry, Kind, Step};
use crate::domain::json::{self, Scanner};
use crate::domain::resource::with_mark;
use crate::error::Error;

/// What a resource gets on its way into the result.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// `delete: true`.
    pub is_delete: bool,
    /// `pendingReplacement: true`.
    pub is_pending_replacement: bool,
}

/// Where a resource of the result comes from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A place in the list before: the base, or what the stage before made.
    Kept(usize),
    /// A text that the journal brought.
    Brought(&'a str),
}

/// One resource of the result.
#[derive(Debug, Clone, Copy)]
pub struct Slot<'a> {
    /// Where its text is.
    pub source: Source<'a>,
    /// What is set in that text.
    pub marks: Marks,
}

impl<'a> Slot<'a> {
    fn new(source: Source<'a>) -> Slot<'a> {
        Slot { source, marks: Marks::default() }
    }

    /// This slot, if it keeps what is in one of `before`.
    fn upon(&self, before: &[Slot<'a>]) -> Slot<'a> {
        let Source::Kept(index) = self.source else { return *self };
        let Slot { source, marks } = before[index];
        let marks = Marks {
            is_delete: marks.is_delete || self.marks.is_delete,
            is_pending_replacement: marks.is_pending_replacement || self.marks.is_pending_replacement,
        };
        Slot { source, marks }
    }

    /// True if something is set in its text.
    pub fn is_marked(&self) -> bool {
        self.marks != Marks::default()
    }

    /// Its text, of a list `before` in which kept ones are looked up. Only a mark makes a new text.
    pub fn text<'t>(&self, before: impl FnOnce(usize) -> Cow<'t, str>) -> Result<Cow<'t, str>, Error>
    where
        'a: 't,
    {
        self.with_marks(match self.source {
            Source::Kept(index) => before(index),
            Source::Brought(text) => Cow::Borrowed(text),
        })
    }

    /// `text`, which is what its source has, with the marks set.
    pub fn with_marks<'t>(&self, text: Cow<'t, str>) -> Result<Cow<'t, str>, Error> {
        let marks =
            [(self.marks.is_delete, "delete"), (self.marks.is_pending_replacement, "pendingReplacement")];
        let mut set = marks.into_iter().filter(|(is_set, _)| *is_set);
        set.try_fold(text, |text, (_, field)| with_mark(&text, field).map(Cow::Owned))
    }
}

/// The snippets of a stage.
#[derive(Debug, Clone, Copy)]
pub enum Snippets<'h> {
    /// Those that the stage before ended with.
    Carried,
    /// These, from the base or from an entry.
    Brought(Option<&'h str>),
}

/// One list of resources: the final one, or what was rebuilt on the way.
pub struct Stage<'a, 'h> {
    pub slots: Vec<Slot<'a>>,
    /// A refresh came before, so references to what is gone are dropped.
    pub is_pruned: bool,
    pub snippets: Snippets<'h>,
}

/// The result, without its texts.
pub struct Plan<'a, 'h> {
    /// Each made from the one before; the last is the result.
    pub stages: Vec<Stage<'a, 'h>>,
    /// States that were to replace one that is not there; in the result if nothing else has their URN.
    pub strays: Vec<&'a str>,
    pub secrets_providers: Option<&'h str>,
    pub metadata: Option<&'h str>,
    pub operations: Vec<Operation<'h>>,
    /// Key and value.
    pub extensions: Vec<(Cow<'h, str>, &'h str)>,
    /// Members of the base that are not known here.
    pub unknown: Vec<(Cow<'h, str>, &'h str)>,
    pub requires_byte_string: bool,
    /// Sentences about what pointed nowhere.
    pub findings: Vec<String>,
}

impl<'a: 'h, 'h> Plan<'a, 'h> {
    /// Plans the replay of `entries`, which are in order of their sequence ids, on a base with that header.
    pub fn new(base: &Header<'h>, n_base: usize, entries: &[&Entry<'a>]) -> Result<Plan<'a, 'h>, Error> {
        let mut planner = Planner::new(base, n_base)?;
        for entry in entries {
            planner.apply(entry)?;
        }
        planner.generate();
        Ok(planner.plan)
    }

    /// The result's slots with the stages between left out: kept ones refer to the base itself.
    pub fn slots(&self) -> Vec<Slot<'a>> {
        let mut slots: Option<Vec<Slot<'a>>> = None;
        for stage in &self.stages {
            slots = Some(match &slots {
                None => stage.slots.clone(),
                Some(before) => stage.slots.iter().map(|slot| slot.upon(before)).collect(),
            });
        }
        slots.unwrap_or_default()
    }
}

/// The names follow the specification of the replayer.
struct Planner<'a, 'h> {
    /// Grows as entries are applied. Its header fields are those of the base as it is now.
    plan: Plan<'a, 'h>,
    base: Vec<Slot<'a>>,
    snippets: Snippets<'h>,
    new: Vec<Slot<'a>>,
    /// Operation id → place in `new`.
    pushed: HashMap<i64, usize>,
    removed_operations: HashSet<i64>,
    removed: HashSet<usize>,
    replaced: HashMap<usize, &'a str>,
    marks: HashMap<usize, Marks>,
    /// Operation id → its begin.
    open: HashMap<i64, (i64, Option<&'a str>)>,
    extensions: BTreeMap<Cow<'a, str>, &'a str>,
    has_refresh: bool,
}

impl<'a: 'h, 'h> Planner<'a, 'h> {
    fn new(base: &Header<'h>, n_base: usize) -> Result<Planner<'a, 'h>, Error> {
        Ok(Planner {
            plan: Plan {
                stages: Vec::new(),
                strays: Vec::new(),
                secrets_providers: base.secrets_providers,
                metadata: base.metadata,
                operations: base.operations()?,
                extensions: extensions(base.extensions),
                unknown: base.unknown.clone(),
                requires_byte_string: false,
                findings: Vec::new(),
            },
            base: (0..n_base).map(|i| Slot::new(Source::Kept(i))).collect(),
            snippets: Snippets::Brought(base.snippets),
            new: Vec::new(),
            pushed: HashMap::new(),
            removed_operations: HashSet::new(),
            removed: HashSet::new(),
            replaced: HashMap::new(),
            marks: HashMap::new(),
            open: HashMap::new(),
            extensions: BTreeMap::new(),
            has_refresh: false,
        })
    }

    fn apply(&mut self, entry: &Entry<'a>) -> Result<(), Error> {
        self.plan.requires_byte_string |= entry.requires_byte_string;
        let operation_id = entry.step.operation_id;
        match entry.step.kind {
            Kind::Begin => {
                self.open.insert(operation_id, (entry.step.sequence_id, entry.operation));
            }
            Kind::Success => self.succeed(entry),
            Kind::Failure => {
                self.open.remove(&operation_id);
            }
            Kind::RefreshSuccess => {
                self.open.remove(&operation_id);
                self.has_refresh = true;
                self.refresh(entry);
            }
            Kind::Outputs => self.refresh(entry),
            Kind::Write => self.write(entry)?,
            Kind::SecretsManager => {
                self.plan.secrets_providers = entry.secrets_provider.or(self.plan.secrets_providers);
            }
            Kind::RebuiltBaseState => self.rebuild(),
            Kind::ExtensionParameterize => {
                if let (Some(key), Some(value)) = (entry.extension_ref, entry.extension) {
                    self.extensions.insert(json::unescape(key), value);
                }
            }
            Kind::Snippets => self.snippets = Snippets::Brought(entry.snippets),
        }
        Ok(())
    }

    fn succeed(&mut self, entry: &Entry<'a>) {
        let step = &entry.step;
        self.open.remove(&step.operation_id);
        self.has_refresh |= entry.is_refresh;
        if let Some(state) = entry.state {
            // Before the marks are set, because a mark may be meant for this very state.
            self.pushed.insert(step.operation_id, self.new.len());
            self.new.push(Slot::new(Source::Brought(state)));
        }
        if let Some(index) = self.base_index(step, "removeOld", step.remove_old) {
            self.removed.insert(index);
        }
        if self.new_index(step, "removeNew", step.remove_new).is_some() {
            self.removed_operations.extend(step.remove_new);
        }
        if let Some(index) = self.base_index(step, "deleteOld", step.delete_old) {
            self.marks.entry(index).or_default().is_delete = true;
        }
        if let Some(index) = self.new_index(step, "deleteNew", step.delete_new) {
            self.new[index].marks.is_delete = true;
        }
        if let Some(index) = self.base_index(step, "pendingReplacementOld", step.pending_replacement_old) {
            self.marks.entry(index).or_default().is_pending_replacement = true;
        }
        if let Some(index) = self.new_index(step, "pendingReplacementNew", step.pending_replacement_new) {
            self.new[index].marks.is_pending_replacement = true;
        }
    }

    /// Puts the entry's state in the place of the old one, or takes the old one out if there is no state.
    fn refresh(&mut self, entry: &Entry<'a>) {
        let step = &entry.step;
        if step.remove_old.is_some() {
            match (self.base_index(step, "removeOld", step.remove_old), entry.state) {
                (Some(index), Some(state)) => _ = self.replaced.insert(index, state),
                (Some(index), None) => _ = self.removed.insert(index),
                (None, state) => self.plan.strays.extend(state),
            }
        }
        if let Some(operation_id) = step.remove_new {
            match (self.new_index(step, "removeNew", step.remove_new), entry.state) {
                (Some(index), Some(state)) => self.new[index] = Slot::new(Source::Brought(state)),
                (Some(_), None) => _ = self.removed_operations.insert(operation_id),
                (None, state) => self.plan.strays.extend(state),
            }
        }
    }

    fn write(&mut self, entry: &Entry<'a>) -> Result<(), Error> {
        let (header, resources) = parse_bare(entry.new_snapshot.unwrap_or("{}"), "newSnapshot")?;
        self.base = resources.into_iter().map(|text| Slot::new(Source::Brought(text))).collect();
        // Without a provider of its own, the snapshot must not lose the one that was set before it.
        self.plan.secrets_providers = header.secrets_providers.or(self.plan.secrets_providers);
        self.plan.metadata = header.metadata;
        self.plan.operations = header.operations()?;
        self.plan.extensions = extensions(header.extensions);
        self.plan.unknown = header.unknown;
        self.snippets = Snippets::Brought(header.snippets);
        Ok(())
    }

    /// What was made so far becomes the base; later indices refer to it.
    fn rebuild(&mut self) {
        let n_resources = self.generate();
        self.base = (0..n_resources).map(|i| Slot::new(Source::Kept(i))).collect();
        self.snippets = Snippets::Carried;
        self.new.clear();
        self.pushed.clear();
        self.removed_operations.clear();
        self.removed.clear();
        self.replaced.clear();
        self.marks.clear();
        self.open.clear();
        self.extensions.clear();
    }

    /// Adds the stage that the entries so far give; returns how many resources it has.
    fn generate(&mut self) -> usize {
        let slots = self.slots();
        let n_resources = slots.len();
        self.plan.stages.push(Stage { slots, is_pruned: self.has_refresh, snippets: self.snippets });
        self.plan.operations = self.pending_operations();
        for (key, value) in &self.extensions {
            if !self.plan.extensions.iter().any(|(known, _)| known == key) {
                self.plan.extensions.push((key.clone(), value));
            }
        }
        n_resources
    }

    /// New ones in their order, then what is left of the base in its own.
    fn slots(&self) -> Vec<Slot<'a>> {
        let dead: HashSet<_> = self.removed_operations.iter().map(|id| self.pushed[id]).collect();
        let new = self.new.iter().enumerate().filter(|(i, _)| !dead.contains(i)).map(|(_, slot)| *slot);
        // The base may be long and the changes few, so these are looked up there and not the other way round. A
        // snapshot may have put a shorter base in the place of the one that they were meant for.
        let mut base: Vec<_> = self.base.iter().map(|slot| Slot::new(slot.source)).collect();
        for (i, marks) in &self.marks {
            base.get_mut(*i).into_iter().for_each(|slot| slot.marks = *marks);
        }
        for (i, state) in &self.replaced {
            base.get_mut(*i).into_iter().for_each(|slot| *slot = Slot::new(Source::Brought(state)));
        }
        let mut is_left = vec![true; base.len()];
        for i in &self.removed {
            is_left.get_mut(*i).into_iter().for_each(|is_left| *is_left = false);
        }
        let left = base.into_iter().zip(is_left).filter_map(|(slot, is_left)| is_left.then_some(slot));
        new.chain(left).collect()
    }

    /// Open operations in the order in which they began, then those of the base that were creating something:
    /// only a person can tell what became of these.
    fn pending_operations(&self) -> Vec<Operation<'h>> {
        let mut open: Vec<_> = self.open.values().filter_map(|(id, text)| Some((*id, (*text)?))).collect();
        open.sort_unstable();
        let open = open
            .into_iter()
            .map(|(_, text)| Operation::parse(text, "operation").expect("checked when the entry was parsed"));
        let base = self.plan.operations.iter().filter(|operation| operation.type_token == "creating");
        open.chain(base.cloned()).collect()
    }

    /// An index into the base; one that points outside is noted and ignored.
    fn base_index(&mut self, step: &Step, field: &str, index: Option<i64>) -> Option<usize> {
        let found = usize::try_from(index?).ok().filter(|index| *index < self.base.len());
        if found.is_none() {
            let why = outside_base(index?, self.base.len());
            self.plan.findings.push(finding(step, field, &why));
        }
        found
    }

    /// The place in `new` of an operation's state; an operation without one is noted and ignored.
    fn new_index(&mut self, step: &Step, field: &str, operation_id: Option<i64>) -> Option<usize> {
        let found = self.pushed.get(&operation_id?).copied();
        if found.is_none() {
            let why = unknown_operation(operation_id?);
            self.plan.findings.push(finding(step, field, &why));
        }
        found
    }
}

fn finding(step: &Step, field: &str, why: &str) -> String {
    format!(
        "journal entry {}: {field} {why}; it was ignored, the rest of the entry was kept",
        step.sequence_id
    )
}

/// Why an index into the base is refused.
pub fn outside_base(index: i64, n_base: usize) -> String {
    format!("is index {index} into a base of {n_base} resources")
}

/// Why an operation id is refused.
pub fn unknown_operation(operation_id: i64) -> String {
    format!("is operation {operation_id}, and no earlier entry brought a state for it")
}

/// The members of an object of extensions.
fn extensions(object: Option<&str>) -> Vec<(Cow<'_, str>, &str)> {
    let mut scanner = Scanner::new(object.unwrap_or("{}"));
    let is_open = scanner.open_object().is_ok();
    let next = move || {
        let key = if is_open { scanner.next_member().ok()?? } else { return None };
        Some((key, scanner.value().ok()?))
    };
    std::iter::from_fn(next).collect()
}
