//! A stored deployment without its texts: its header, its order, and the facts of its resources. What is looked at
//! in it is opened run by run.

use std::collections::HashSet;
use std::ops::Range;

use rusqlite::{CachedStatement, Connection, OptionalExtension};

use super::chunk::{self, Bond, HeaderParts, RunHash};
use super::packed::{damaged, read_number, unpack, unzigzag};
use super::{mac, opening};
use crate::crypto::keyring::StackKey;
use crate::domain::deployment::{Deployment, Header};
use crate::domain::digest::{Digest, Digests};
use crate::domain::leak::Leak;
use crate::domain::resource::ResourceFlags;
use crate::error::Error;
use crate::pace::Pace;

/// What is known of a stored deployment without its texts: about 60 bytes for each resource.
pub struct Sketch {
    /// Its row; none for the deployment of a stack that never had one.
    pub deployment_id: Option<i64>,
    head: String,
    tail: String,
    /// What lies in it in plain text, as far as that was looked for.
    pub leaks: Vec<Leak>,
    /// Of each resource, in the deployment's order: its place in `digests`.
    places: Vec<u32>,
    digests: Digests,
    runs: Vec<StoredRun>,
}

/// How many resources, header, order and runs.
type Row = (usize, Vec<u8>, Vec<u8>, Vec<u8>);

/// A run that is on disk.
#[derive(Clone, Copy)]
pub struct StoredRun {
    /// Its row.
    pub id: i64,
    /// Its hash.
    pub hash: RunHash,
    /// The place of its first resource.
    start: u32,
}

/// One resource's text, of a deployment made from a stored one.
pub enum Text<'t> {
    /// The stored one at this place of the sketch.
    Stored(usize),
    /// Another.
    New(std::borrow::Cow<'t, str>),
}

/// Texts of resources.
#[derive(Default)]
pub struct Resources {
    /// One after the other, with a comma between them.
    text: String,
    lens: Vec<usize>,
}

impl Resources {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.lens.iter().scan(0, |start, len| {
            let text = &self.text[*start..*start + len];
            *start += len + 1;
            Some(text)
        })
    }
}

impl Sketch {
    /// That of a stack that was never updated.
    pub fn empty() -> Sketch {
        let Deployment { head, tail, .. } = Deployment::empty();
        Sketch {
            deployment_id: None,
            head: head.into_owned(),
            tail: tail.into_owned(),
            leaks: Vec::new(),
            places: Vec::new(),
            digests: Digests::default(),
            runs: Vec::new(),
        }
    }

    /// That of a stored deployment. It must be there; one that is damaged is an error of ours.
    pub fn read(conn: &Connection, key: &StackKey, deployment_id: i64) -> Result<Sketch, Error> {
        let sql = format!(
            "SELECT n_resources, header, resource_order, runs, {} FROM deployments WHERE id = ?1",
            mac::check("deployments", "")
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let found = statement
            .query_row([deployment_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        let found: Option<Row> = found.optional()?;
        let (n_resources, header, order, runs) = found.ok_or_else(|| damaged("is missing"))?;
        let mut bond = Bond::new(n_resources, &order);
        // A damaged number must not be taken for an amount of memory.
        let mut digests = Digests::with_capacity(n_resources.min(order.len().saturating_mul(8).max(1)));
        let runs = read_runs(conn, key, &runs, &mut bond, &mut digests)?;
        let HeaderParts { head, tail, leaks } = chunk::open_header(&header, bond, key)?;
        let places = unpack(&order, n_resources)?;
        if digests.len() != n_resources || places.iter().any(|place| *place as usize >= n_resources) {
            return Err(damaged("lacks a run"));
        }
        Ok(Sketch { deployment_id: Some(deployment_id), head, tail, leaks, places, digests, runs })
    }

    /// How many resources it has.
    pub fn n_resources(&self) -> usize {
        self.digests.len()
    }

    /// Everything but the resources.
    pub fn header(&self) -> Result<Header<'_>, Error> {
        Header::of(&self.head, &self.tail)
    }

    /// The texts of all resources, in the deployment's order.
    pub fn texts(&self) -> Vec<Text<'static>> {
        self.places.iter().map(|place| Text::Stored(*place as usize)).collect()
    }

    /// What a replay needs to know of each resource, in the deployment's order.
    pub fn flags(&self) -> Vec<ResourceFlags> {
        self.digests().map(|digest| digest.flags).collect()
    }

    /// The digest of each resource, in the deployment's order.
    pub fn digests(&self) -> impl ExactSizeIterator<Item = Digest<'_>> {
        self.places.iter().map(|place| self.digests.get(*place as usize))
    }

    /// The place of the resource with this index in the deployment's order.
    pub fn place(&self, index: usize) -> usize {
        self.places[index] as usize
    }

    /// The digest of the resource at a place.
    pub fn digest(&self, place: usize) -> Digest<'_> {
        self.digests.get(place)
    }

    /// The run that holds exactly the `n` resources from `place` on.
    pub fn find_run(&self, place: usize, n: usize) -> Option<StoredRun> {
        let index = self.runs.binary_search_by_key(&place, |run| run.start as usize).ok()?;
        (self.range(index).len() == n).then_some(self.runs[index])
    }

    /// Opens the bodies of its runs, but for those whose rows are in `seen` already.
    pub fn verify(
        &self,
        conn: &Connection,
        key: &StackKey,
        seen: &mut HashSet<i64>,
        pace: &mut Pace,
    ) -> Result<(), Error> {
        let mut bodies = Bodies::new(self, conn, key)?;
        let mut plain = Vec::new();
        for (index, run) in self.runs.iter().enumerate() {
            if !seen.contains(&run.id) {
                bodies.open(index, &mut plain)?;
                seen.insert(run.id);
                pace.done(1)?;
            }
        }
        Ok(())
    }

    /// The document's text.
    pub fn to_text(&self, conn: &Connection, key: &StackKey) -> Result<String, Error> {
        self.write(conn, key, &self.head, &self.tail, &self.texts())
    }

    /// The texts of the resources, in the deployment's order.
    pub fn resources(&self, conn: &Connection, key: &StackKey) -> Result<Resources, Error> {
        let text = self.write(conn, key, "", "", &self.texts())?;
        Ok(Resources { text, lens: self.digests().map(|digest| digest.n_bytes).collect() })
    }

    /// The text of a document with some of these resources and some others: one pass over the runs, each of which
    /// is opened alone, so that the text is in memory once.
    pub fn write(
        &self,
        conn: &Connection,
        key: &StackKey,
        head: &str,
        tail: &str,
        texts: &[Text<'_>],
    ) -> Result<String, Error> {
        let len = |text: &Text| match text {
            Text::Stored(place) => self.digest(*place).n_bytes,
            Text::New(text) => text.len(),
        };
        let n_commas = texts.len().saturating_sub(1);
        let n_bytes = head.len() + texts.iter().map(len).sum::<usize>() + n_commas + tail.len();
        let mut out = vec![0; n_bytes];
        // Of each stored resource: where it comes to stand.
        let mut targets = vec![usize::MAX; self.digests.len()];
        let mut at = head.len();
        out[..at].copy_from_slice(head.as_bytes());
        for (i, text) in texts.iter().enumerate() {
            if i > 0 {
                out[at] = b',';
                at += 1;
            }
            match text {
                Text::Stored(place) => targets[*place] = at,
                Text::New(text) => out[at..at + text.len()].copy_from_slice(text.as_bytes()),
            }
            at += len(text);
        }
        out[at..].copy_from_slice(tail.as_bytes());
        self.copy_runs(conn, key, &targets, &mut out)?;
        String::from_utf8(out).map_err(|_| damaged("is no text"))
    }

    /// Copies each stored resource to where it is wanted.
    fn copy_runs(
        &self,
        conn: &Connection,
        key: &StackKey,
        targets: &[usize],
        out: &mut [u8],
    ) -> Result<(), Error> {
        let is_wanted =
            |index: &usize| targets[self.range(*index)].iter().any(|target| *target != usize::MAX);
        let wanted: Vec<usize> = (0..self.runs.len()).filter(is_wanted).collect();
        let mut copy = |index: usize, mut texts: &[u8]| {
            for place in self.range(index) {
                let (text, rest) = texts.split_at(self.digest(place).n_bytes);
                if let Some(target) = Some(targets[place]).filter(|target| *target != usize::MAX) {
                    out[target..target + text.len()].copy_from_slice(text);
                }
                texts = rest;
            }
        };
        let mut bodies = Bodies::new(self, conn, key)?;
        let open = |index: usize, sealed: &[u8]| {
            let mut plain = Vec::new();
            let start = self.open_run(index, sealed, key, &mut plain)?;
            Ok((plain, start))
        };
        let n_bytes =
            wanted.iter().flat_map(|index| self.range(*index)).map(|p| self.digest(p).n_bytes).sum();
        let runs = wanted.iter().map(|index| Ok((*index, bodies.read(*index, <[u8]>::to_vec)?)));
        if opening::on_all_processors(n_bytes, runs, &open, &mut copy)? {
            return Ok(());
        }
        let mut plain = Vec::new();
        for index in wanted {
            let start = bodies.open(index, &mut plain)?;
            copy(index, &plain[start..]);
        }
        Ok(())
    }

    /// Opens the sealed body of a run into `plain`; where its texts start in that.
    fn open_run(
        &self,
        index: usize,
        sealed: &[u8],
        key: &StackKey,
        plain: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        let lens = self.range(index).map(|place| self.digest(place).n_bytes);
        chunk::open_run(sealed, &self.runs[index].hash, lens, key, plain)
    }

    /// The places of the resources of a run.
    fn range(&self, index: usize) -> Range<usize> {
        let end = self.runs.get(index + 1).map_or(self.digests.len(), |next| next.start as usize);
        self.runs[index].start as usize..end
    }
}

fn read_runs(
    conn: &Connection,
    key: &StackKey,
    mut ids: &[u8],
    bond: &mut Bond,
    digests: &mut Digests,
) -> Result<Vec<StoredRun>, Error> {
    let mut statement = conn.prepare_cached("SELECT hash, facts FROM runs WHERE id = ?1")?;
    let mut runs = Vec::new();
    let mut id = 0;
    while !ids.is_empty() {
        id += unzigzag(read_number(&mut ids)?);
        let start = digests.len() as u32;
        let mut rows = statement.query([id])?;
        let row = rows.next()?.ok_or_else(|| damaged("lacks a run"))?;
        let hash: RunHash = row.get(0)?;
        let facts = row.get_ref(1)?.as_blob().map_err(|_| damaged("has facts of another type"))?;
        chunk::open_facts(facts, &hash, key, digests)?;
        bond.add(&hash);
        runs.push(StoredRun { id, hash, start });
    }
    Ok(runs)
}

/// The bodies of a sketch's runs, to be read one after the other.
struct Bodies<'s> {
    sketch: &'s Sketch,
    statement: CachedStatement<'s>,
    key: &'s StackKey,
}

impl<'s> Bodies<'s> {
    fn new(sketch: &'s Sketch, conn: &'s Connection, key: &'s StackKey) -> Result<Bodies<'s>, Error> {
        let statement = conn.prepare_cached("SELECT body FROM run_bodies WHERE run_id = ?1")?;
        Ok(Bodies { sketch, statement, key })
    }

    /// What `work` makes of the sealed body of a run.
    fn read<T>(&mut self, index: usize, work: impl FnOnce(&[u8]) -> T) -> Result<T, Error> {
        let mut rows = self.statement.query([self.sketch.runs[index].id])?;
        let row = rows.next()?.ok_or_else(|| damaged("lacks a run"))?;
        Ok(work(row.get_ref(0)?.as_blob().map_err(|_| damaged("has a body of another type"))?))
    }

    /// Opens a run into `plain`; where its texts start in that.
    fn open(&mut self, index: usize, plain: &mut Vec<u8>) -> Result<usize, Error> {
        let (sketch, key) = (self.sketch, self.key);
        self.read(index, |sealed| sketch.open_run(index, sealed, key, plain))?
    }
}

/// Texts of a sketch's resources, looked up here and there; the two runs that were used last are kept open.
pub struct Opened<'s> {
    bodies: Bodies<'s>,
    runs: [OpenRun; 2],
}

#[derive(Default)]
struct OpenRun {
    places: Range<usize>,
    plain: Vec<u8>,
    /// Where the texts start in `plain`.
    start: usize,
}

impl<'s> Opened<'s> {
    /// Nothing is opened yet.
    pub fn new(sketch: &'s Sketch, conn: &'s Connection, key: &'s StackKey) -> Result<Opened<'s>, Error> {
        Ok(Opened { bodies: Bodies::new(sketch, conn, key)?, runs: Default::default() })
    }

    /// The text of the resource at a place.
    pub fn text(&mut self, place: usize) -> Result<&str, Error> {
        let sketch = self.bodies.sketch;
        if !self.runs[0].places.contains(&place) {
            self.runs.swap(0, 1);
        }
        let OpenRun { places, plain, start } = &mut self.runs[0];
        if !places.contains(&place) {
            let index = sketch.runs.partition_point(|run| run.start as usize <= place) - 1;
            *places = 0..0;
            *start = self.bodies.open(index, plain)?;
            *places = sketch.range(index);
        }
        let n_bytes = |place| sketch.digest(place).n_bytes;
        let from = *start + (places.start..place).map(n_bytes).sum::<usize>();
        std::str::from_utf8(&plain[from..from + n_bytes(place)]).map_err(|_| damaged("is no text"))
    }
}
