//! The text of a running update's last checkpoint. The next one mostly repeats it, and what it repeats is compared
//! with it instead of being read and hashed again.

use std::borrow::Cow;
use std::sync::Arc;

use crate::app::App;
use crate::cache::last_text::LastText;
use crate::crypto::keyring::StackKey;
use crate::domain::deployment::{Deployment, Each};
use crate::domain::digest::{Digester, Digests};
use crate::domain::leak::Marks;
use crate::domain::resource::ResourceFacts;
use crate::domain::update::UpdateStatus;
use crate::error::Error;
use crate::limits;
use crate::store::sketch::{Sketch, Text};
use crate::store::update::Update;
use crate::store::version::{self, Draft, Encoded, Known};
use crate::store::{self, Connection};

/// How many resources of the last checkpoint are compared with one of the next at most, to find where it goes on.
const LOOK_AHEAD_MAX: usize = 64;

/// Keeps the text of a checkpoint that is stored, until the next one or the end of the update.
pub fn keep(app: &App, update_id: i64, last: LastText) -> Result<(), Error> {
    if last.body.len() > limits::LAST_TEXT_BYTES_MAX {
        app.last_texts.forget(update_id);
        return Ok(());
    }
    app.last_texts.with(update_id, || Ok(None), |kept| *kept = Some(Arc::new(last)))?;
    // It may have ended since the text was stored.
    let update = app.store.read(|conn| store::update::read(conn, update_id));
    if !update.is_ok_and(|update| update.status == UpdateStatus::Running) {
        app.last_texts.forget(update_id);
    }
    Ok(())
}

/// The last checkpoint of an update, with what is known of its resources.
pub struct Last {
    text: Arc<LastText>,
    sketch: Sketch,
}

impl Last {
    /// None if there is none, or its text is not in memory.
    pub fn find(
        app: &App,
        conn: &Connection,
        key: &StackKey,
        update: &Update,
    ) -> Result<Option<Last>, Error> {
        let Some(stored) = store::checkpoint::find(conn, update.id)? else { return Ok(None) };
        let kept = app.last_texts.with(update.id, || Ok(None), |kept| kept.clone())?;
        let Some(text) = kept.filter(|last| last.deployment_id == stored.deployment_id) else {
            return Ok(None);
        };
        let sketch = Sketch::read(conn, key, stored.deployment_id)?;
        Ok(Some(Last { text, sketch }))
    }

    /// The text of its document, if it stands in memory in one piece.
    pub fn document(&self) -> Option<&str> {
        self.text.body.get(self.text.document.clone()?)
    }
}

/// Makes the digests of a deployment's resources while it is cut; those of the last checkpoint are taken over.
pub struct Cutting<'c> {
    last: Option<&'c Last>,
    digester: Digester,
    digests: Digests,
    /// Of each resource so far: its place in the last checkpoint, if it is one of that.
    places: Vec<Option<usize>>,
    /// The resource of the last checkpoint that is expected next, and where its text starts.
    next: usize,
    next_start: usize,
    n_missed: usize,
}

impl<'c> Cutting<'c> {
    /// Nothing is cut yet.
    pub fn new(key: &StackKey, last: Option<&'c Last>) -> Cutting<'c> {
        Cutting {
            last,
            digester: version::digester(key),
            digests: Digests::default(),
            places: Vec::new(),
            next: 0,
            next_start: last.map_or(0, |last| last.text.resources_start),
            n_missed: 0,
        }
    }

    /// The digests so far.
    pub fn digests(&self) -> &Digests {
        &self.digests
    }

    /// Makes the deployment that was cut ready for the disk.
    pub fn encode(
        self,
        conn: &Connection,
        key: &StackKey,
        stack_id: i64,
        deployment: &Deployment<'_>,
        marks: Option<&Marks>,
    ) -> Result<Encoded, Error> {
        let empty = Sketch::empty();
        let sketch = self.last.map_or(&empty, |last| &last.sketch);
        let texts = deployment.resources.iter().zip(&self.places).map(|(text, place)| match place {
            Some(place) => Text::Stored(*place),
            None => Text::New(Cow::Borrowed(&**text)),
        });
        let texts = texts.collect();
        let (head, tail) = (&deployment.head, &deployment.tail);
        let draft = Draft { head, texts, digests: self.digests, tail, marks };
        Encoded::new(key, &draft, Some(&Known { conn, stack_id, sketch }))
    }
}

impl<'a> Each<'a> for Cutting<'_> {
    fn known(&mut self, rest: &'a str) -> Option<usize> {
        let Last { text: last, sketch } = self.last?;
        // After a resource that is new, it may go on behind those that it has taken the place of.
        let n_tried = (2 + 2 * self.n_missed).min(LOOK_AHEAD_MAX);
        let mut start = self.next_start;
        for index in self.next..sketch.n_resources().min(self.next + n_tried) {
            let place = sketch.place(index);
            let digest = sketch.digest(place);
            let end = start + digest.n_bytes;
            let is_it = rest.starts_with(last.body.get(start..end)?);
            if is_it && matches!(rest.as_bytes().get(digest.n_bytes), Some(b',' | b']')) {
                self.digests.push(digest);
                self.places.push(Some(place));
                (self.next, self.next_start, self.n_missed) = (index + 1, end + 1, 0);
                return Some(digest.n_bytes);
            }
            start = end + 1;
        }
        None
    }

    fn add(&mut self, facts: &ResourceFacts<'a>, text: &'a str) {
        self.digester.push(&mut self.digests, facts, text);
        self.places.push(None);
        self.n_missed += 1;
    }
}
