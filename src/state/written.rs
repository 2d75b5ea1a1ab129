//! What a running update has written, and what state that gives.
//!
//! Mostly it is worked out from digests: the texts of what the update did not touch stay on disk, unopened. Where a
//! rule needs the texts, and where something is not sound, all of them are read: the sentences name resources.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::State;
use crate::app::App;
use crate::call;
use crate::crypto::keyring::StackKey;
use crate::domain::deployment::Deployment;
use crate::domain::digest::{Digester, Digests, is_sound};
use crate::domain::integrity;
use crate::domain::journal::{self, Entry, Manifest, Slot, Source};
use crate::domain::leak::{Leak, Marks};
use crate::domain::resource::resource_facts;
use crate::error::Error;
use crate::state;
use crate::store::fold::Shared;
use crate::store::journal::Outline;
use crate::store::sketch::{Opened, Sketch, Text};
use crate::store::update::{EndState, Progress, Update};
use crate::store::version::{self, Draft, Encoded, Known};
use crate::store::{self, Connection};

/// What an update has written; there is something.
pub struct Written<'w> {
    conn: &'w Connection,
    key: &'w StackKey,
    marks: Option<&'w Marks>,
    update: &'w Update,
    progress: Progress,
    content: Content,
}

enum Content {
    /// Its last checkpoint is stored under this id.
    Checkpoint(i64),
    Journal {
        /// What it started from.
        base: Arc<Sketch>,
        /// Batches of entries, in order of arrival.
        outlines: Vec<Outline>,
        cli_version: String,
    },
}

/// How an update ends.
pub struct Outcome {
    /// How far it had come.
    pub progress: Progress,
    /// What it leaves.
    pub state: EndState,
    /// What is not sound in that, a sentence a line.
    pub findings: Option<String>,
    /// What lies in it in plain text.
    pub leaks: Vec<Leak>,
}

impl Default for Outcome {
    /// That of an update which wrote nothing.
    fn default() -> Outcome {
        Outcome { progress: Progress::default(), state: EndState::Base, findings: None, leaks: Vec::new() }
    }
}

impl<'w> Written<'w> {
    /// What the update has written so far; nothing if there is nothing. `marks` are looked for in what it leaves.
    pub fn read(
        app: &App,
        conn: &'w Connection,
        key: &'w StackKey,
        marks: Option<&'w Marks>,
        update: &'w Update,
    ) -> Result<Option<Written<'w>>, Error> {
        let progress = store::update::find_progress(conn, update.id)?;
        let content = if let Some(found) = store::checkpoint::find(conn, update.id)? {
            Content::Checkpoint(found.deployment_id)
        } else if progress != Progress::default() {
            let base = match update.base_deployment_id {
                Some(id) => state::base(app, conn, key, id)?,
                None => Arc::new(Sketch::empty()),
            };
            Content::Journal {
                base,
                outlines: store::journal::list_outlines(conn, key, update)?,
                cli_version: cli_version(conn, key, update)?,
            }
        } else {
            return Ok(None);
        };
        Ok(Some(Written { conn, key, marks, update, progress, content }))
    }

    /// The stack's deployment with all that has been reported. `now` is for the manifest, RFC 3339.
    pub fn current(&self, now: String) -> Result<State, Error> {
        let (base, outlines, manifest) = match &self.content {
            Content::Checkpoint(id) => return Ok(State::Stored(*id)),
            Content::Journal { base, outlines, cli_version } => {
                (base, outlines, Manifest { time: now, version: cli_version.clone() })
            }
        };
        if let Some(Outlined { head, texts, tail, .. }) = self.outlined(base, outlines, &manifest)? {
            return Ok(State::Running(base.write(self.conn, self.key, &head, &tail, &texts)?));
        }
        let (text, batches) = self.texts(base)?;
        let entries = self.entries(batches.iter())?;
        Ok(State::Running(self.replayed(&text, &entries, &manifest)?.deployment.to_text()))
    }

    /// What the update leaves if it ends now. `now` is for the manifest, RFC 3339.
    ///
    /// The cost follows what was reported, but for a pass over the digests of the base.
    pub fn outcome(self, now: String) -> Result<Outcome, Error> {
        let (state, findings, leaks) = match &self.content {
            _ if self.update.is_dry_run => (EndState::Base, Vec::new(), Vec::new()),
            Content::Checkpoint(id) => {
                let sketch = Sketch::read(self.conn, self.key, *id)?;
                (EndState::Checkpoint(*id), self.findings_of_stored(&sketch)?, sketch.leaks)
            }
            Content::Journal { base, outlines, cli_version } => {
                let manifest = Manifest { time: now, version: cli_version.clone() };
                let (encoded, findings) = match self.outlined(base, outlines, &manifest)? {
                    Some(outlined) if outlined.is_sound()? => self.encode(base, outlined)?,
                    _ => self.encode_replayed(base, &manifest)?,
                };
                let leaks = encoded.leaks().to_vec();
                (EndState::Written(encoded), findings, leaks)
            }
        };
        let findings = (!findings.is_empty()).then(|| findings.join("\n"));
        Ok(Outcome { progress: self.progress, state, findings, leaks })
    }

    fn failed(&self, cause: Error) -> Error {
        Error::internal(format!("work out the state of update {}", self.update.uid), cause)
    }

    /// The text of the base, and those of the batches.
    fn texts(&self, base: &Sketch) -> Result<(String, Vec<String>), Error> {
        let batches = store::journal::list_batches(self.conn, self.key, self.update)?;
        Ok((base.to_text(self.conn, self.key)?, batches))
    }

    fn entries<'b>(&self, batches: impl Iterator<Item = &'b String>) -> Result<Vec<Entry<'b>>, Error> {
        let mut entries = Vec::new();
        for batch in batches {
            entries.extend(journal::parse_batch(batch).map_err(|cause| self.failed(cause))?);
        }
        Ok(entries)
    }

    /// What is not sound in a stored deployment.
    fn findings_of_stored(&self, sketch: &Sketch) -> Result<Vec<String>, Error> {
        if is_sound(&sketch.header()?, sketch.digests()) {
            return Ok(Vec::new());
        }
        let text = sketch.to_text(self.conn, self.key)?;
        let deployment = Deployment::parse(&text).map_err(|cause| self.failed(cause))?;
        Ok(integrity::check(&deployment).into_iter().collect())
    }

    /// The replay without the base's texts, where that is possible.
    fn outlined<'e>(
        &self,
        base: &Sketch,
        outlines: &'e [Outline],
        manifest: &Manifest,
    ) -> Result<Option<Outlined<'e>>, Error> {
        let entries = self.entries(outlines.iter().map(|outline| &outline.text))?;
        let shared = shared_places(base, outlines)?;
        let mut brought = Brought::new(version::digester(self.key));
        let flags_of = |text: &'e str| match shared.get(&text.as_ptr()) {
            Some(place) => Ok(base.digest(*place).flags),
            None => brought.index(text).map(|index| brought.digests.get(index).flags),
        };
        let outline = journal::outline(&base.header()?, &base.flags(), &entries, manifest, flags_of);
        let Some(outline) = outline.map_err(|cause| self.failed(cause))? else { return Ok(None) };
        let mut outlined = Outlined {
            head: outline.head,
            texts: Vec::with_capacity(outline.slots.len()),
            digests: Digests::with_capacity(outline.slots.len()),
            tail: outline.tail,
            findings: outline.findings,
        };
        let mut opened = Opened::new(base, self.conn, self.key)?;
        let mut is_used = vec![false; base.n_resources()];
        for slot in &outline.slots {
            let mut text = match slot.source {
                Source::Kept(index) => Text::Stored(base.place(index)),
                Source::Brought(text) => match shared.get(&text.as_ptr()) {
                    Some(place) => Text::Stored(*place),
                    None => Text::New(Cow::Borrowed(text)),
                },
            };
            // A stored text can stand in one place only.
            if let Text::Stored(place) = text
                && (slot.is_marked() || std::mem::replace(&mut is_used[place], true))
            {
                text = Text::New(Cow::Owned(opened.text(place)?.to_owned()));
            }
            outlined.push(slot, text, base, &mut brought)?;
        }
        Ok(Some(outlined))
    }

    fn encode(&self, base: &Sketch, outlined: Outlined<'_>) -> Result<(Encoded, Vec<String>), Error> {
        let Outlined { head, texts, digests, tail, findings } = outlined;
        let known = Known { conn: self.conn, stack_id: self.update.stack_id, sketch: base };
        let draft = Draft { head: &head, texts, digests, tail: &tail, marks: self.marks };
        Ok((Encoded::new(self.key, &draft, Some(&known))?, findings))
    }

    /// The same by a replay of all texts.
    fn encode_replayed(&self, base: &Sketch, manifest: &Manifest) -> Result<(Encoded, Vec<String>), Error> {
        let (text, batches) = self.texts(base)?;
        let entries = self.entries(batches.iter())?;
        let journal::Replayed { deployment, mut findings } = self.replayed(&text, &entries, manifest)?;
        let digests = version::digests(&deployment, self.key).map_err(|cause| self.failed(cause))?;
        if !is_sound(&deployment.header()?, digests.iter()) {
            findings.extend(integrity::check(&deployment));
        }
        let stack_id = self.update.stack_id;
        let encoded = Encoded::whole(self.conn, self.key, stack_id, &deployment, digests, self.marks)?;
        Ok((encoded, findings))
    }

    fn replayed<'t>(
        &self,
        base: &'t str,
        entries: &[Entry<'t>],
        manifest: &Manifest,
    ) -> Result<journal::Replayed<'t>, Error> {
        let base = Deployment::parse(base).map_err(|cause| self.failed(cause))?;
        journal::replay(base, entries, manifest).map_err(|cause| self.failed(cause))
    }
}

/// The result of a replay, with the texts of the base still on disk.
struct Outlined<'e> {
    head: String,
    texts: Vec<Text<'e>>,
    digests: Digests,
    tail: String,
    findings: Vec<String>,
}

impl<'e> Outlined<'e> {
    /// Adds the resource of a slot, whose source has `text`.
    fn push(
        &mut self,
        slot: &Slot<'_>,
        text: Text<'e>,
        base: &Sketch,
        brought: &mut Brought,
    ) -> Result<(), Error> {
        let text = match text {
            Text::Stored(place) => {
                self.digests.push(base.digest(place));
                text
            }
            Text::New(Cow::Borrowed(text)) if !slot.is_marked() => {
                let index = brought.index(text)?;
                self.digests.push(brought.digests.get(index));
                Text::New(Cow::Borrowed(text))
            }
            Text::New(text) => {
                let text = slot.with_marks(text)?;
                brought.digester.push(&mut self.digests, &resource_facts(&text)?, &text);
                Text::New(text)
            }
        };
        self.texts.push(text);
        Ok(())
    }

    fn is_sound(&self) -> Result<bool, Error> {
        let header = crate::domain::deployment::Header::of(&self.head, &self.tail)?;
        Ok(is_sound(&header, self.digests.iter()))
    }
}

/// Where the resources of the base that a journal repeats would stand in memory → their places in the base.
fn shared_places(base: &Sketch, outlines: &[Outline]) -> Result<HashMap<*const u8, usize>, Error> {
    let mut places = HashMap::new();
    for Outline { text, shared } in outlines {
        for Shared { start, index, .. } in shared {
            if *index >= base.n_resources() {
                return Err(Error::Damaged(
                    "a journal repeats a resource that its base does not have".into(),
                ));
            }
            places.insert(text[*start..].as_ptr(), base.place(*index));
        }
    }
    Ok(places)
}

/// Digests of the states that a journal brought, each made once.
struct Brought {
    digester: Digester,
    digests: Digests,
    /// Where a text stands in memory → place in `digests`.
    places: HashMap<*const u8, usize>,
}

impl Brought {
    fn new(digester: Digester) -> Brought {
        Brought { digester, digests: Digests::default(), places: HashMap::new() }
    }

    fn index(&mut self, text: &str) -> Result<usize, Error> {
        let next = self.digests.len();
        let place = *self.places.entry(text.as_ptr()).or_insert(next);
        if place == next {
            self.digester.push(&mut self.digests, &resource_facts(text)?, text);
        }
        Ok(place)
    }
}

/// The version of the CLI that runs an update, for the manifest of what it leaves.
fn cli_version(conn: &Connection, key: &StackKey, update: &Update) -> Result<String, Error> {
    let program = store::program::read(conn, key, update)?;
    let program: crate::program::Program = call::parse(&program)?;
    Ok(program.metadata.environment.get("pulumi.version").cloned().unwrap_or_default())
}
