//! Deployments at rest, and the versions that name them.

use std::borrow::Cow;
use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};
use sha2::Digest as _;

use super::chunk::{self, Bond, Member, RunHash};
use super::packed::{pack, write_number, zigzag};
use super::sketch::{Opened, Sketch, StoredRun, Text};
use super::{Tx, facts, mac};
use crate::crypto::keyring::StackKey;
use crate::domain::deployment::{Deployment, Header};
use crate::domain::digest::{Digest, Digester, Digests};
use crate::domain::leak::{self, Leak, Marks};
use crate::domain::resource::{ResourceFacts, resource_facts};
use crate::error::Error;

/// A deployment that is to be stored.
pub struct Draft<'d> {
    /// The document up to its resources, see `Deployment`.
    pub head: &'d str,
    /// The resources in their order; stored ones are those of the sketch that it is stored with.
    pub texts: Vec<Text<'d>>,
    /// Their digests.
    pub digests: Digests,
    /// The document behind its resources.
    pub tail: &'d str,
    /// What is looked for in new texts; none looks for nothing.
    pub marks: Option<&'d Marks>,
}

impl<'d> Draft<'d> {
    /// One of which all texts are here; `digests` are of its resources.
    pub fn new(deployment: &'d Deployment<'_>, digests: Digests, marks: Option<&'d Marks>) -> Draft<'d> {
        let texts = deployment.resources.iter().map(|text| Text::New(Cow::Borrowed(&**text))).collect();
        Draft { head: &deployment.head, texts, digests, tail: &deployment.tail, marks }
    }

    /// The resources in order of identity. Those of the sketch are so already, so only the others are sorted.
    fn sorted(&self, sketch: Option<&Sketch>) -> Vec<Member> {
        let mut indices = vec![None; sketch.map_or(0, Sketch::n_resources)];
        let mut new = Vec::new();
        for (text, index) in self.texts.iter().zip(0u32..) {
            match text {
                Text::Stored(place) => indices[*place] = Some(index),
                Text::New(_) => new.push((self.digests.get(index as usize).urn, index)),
            }
        }
        new.sort_unstable();
        let member = |digest: Digest<'_>, index, stored| Member {
            identity: digest.urn,
            index,
            n_bytes: digest.n_bytes as u32,
            stored,
        };
        let stored = indices.iter().zip(0u32..).filter_map(|(index, place)| {
            let digest = sketch?.digest(place as usize);
            index.map(|index| member(digest, index, Some(place)))
        });
        let mut new = new.into_iter().map(|(_, i)| member(self.digests.get(i as usize), i, None)).peekable();
        let mut members = Vec::with_capacity(self.texts.len());
        for stored in stored {
            let before = |new: &Member| (new.identity, new.index) < (stored.identity, stored.index);
            members.extend(std::iter::from_fn(|| new.next_if(before)));
            members.push(stored);
        }
        members.extend(new);
        members
    }

    /// What lies in it in plain text: in new texts what is found there, in stored ones what was.
    fn leaks(&self, key: &StackKey, sketch: Option<&Sketch>) -> Result<Vec<Leak>, Error> {
        let Some(marks) = self.marks else { return Ok(Vec::new()) };
        let mut leaks = sketch.map_or(Vec::new(), |sketch| self.kept_leaks(key, sketch));
        for text in &self.texts {
            if let Text::New(text) = text {
                leak::find(text, marks, &mut leaks);
            }
        }
        for operation in Header::of(self.head, self.tail)?.operations()? {
            leak::find(operation.resource, marks, &mut leaks);
        }
        Ok(leaks)
    }

    fn kept_leaks(&self, key: &StackKey, sketch: &Sketch) -> Vec<Leak> {
        if sketch.leaks.is_empty() {
            return Vec::new();
        }
        let urns = self.texts.iter().filter_map(|text| match text {
            Text::Stored(place) => Some(sketch.digest(*place).urn),
            Text::New(_) => None,
        });
        let (urns, digester): (HashSet<u64>, _) = (urns.collect(), digester(key));
        sketch.leaks.iter().filter(|leak| urns.contains(&digester.urn(&leak.urn))).cloned().collect()
    }

    fn n_bytes(&self) -> usize {
        let n_commas = self.texts.len().saturating_sub(1);
        let n_resource_bytes: usize = self.digests.iter().map(|digest| digest.n_bytes).sum();
        self.head.len() + n_resource_bytes + n_commas + self.tail.len()
    }
}

/// What is on disk already when a deployment is made ready.
pub struct Known<'k> {
    /// The database.
    pub conn: &'k Connection,
    /// Whose runs may be shared.
    pub stack_id: i64,
    /// The deployment that stored texts of the draft are of.
    pub sketch: &'k Sketch,
}

/// A deployment made ready for the disk by a worker, so that the writer only stores it.
pub struct Encoded {
    n_resources: usize,
    n_bytes: usize,
    header: Vec<u8>,
    order: Vec<u8>,
    runs: Vec<Run>,
    leaks: Vec<Leak>,
    /// The deployment that kept runs are of.
    kept_from: Option<i64>,
}

enum Run {
    /// That of the deployment before, under this row id.
    Kept(i64),
    /// It is stored already, under this row id.
    Known(i64),
    New {
        hash: RunHash,
        facts: Vec<u8>,
        body: Vec<u8>,
    },
}

impl Encoded {
    /// Cuts, compresses and seals what the stack does not have yet: the cost follows what changed, but for one
    /// pass over the digests. `known` is none for a stack that is only being made.
    pub fn new(key: &StackKey, draft: &Draft<'_>, known: Option<&Known<'_>>) -> Result<Encoded, Error> {
        let leaks = draft.leaks(key, known.map(|known| known.sketch))?;
        let members = draft.sorted(known.map(|known| known.sketch));
        let order = pack(&chunk::places(&members));
        let mut bond = Bond::new(draft.texts.len(), &order);
        let mut runs = Vec::new();
        let mut opened = known.map(|known| Opened::new(known.sketch, known.conn, key)).transpose()?;
        for range in chunk::cut(&members) {
            let members = &members[range];
            let (hash, run) = match known.and_then(|known| kept_run(members, known.sketch)) {
                Some(run) => (run.hash, Run::Kept(run.id)),
                None => make_run(key, draft, members, known, opened.as_mut())?,
            };
            bond.add(&hash);
            runs.push(run);
        }
        Ok(Encoded {
            n_resources: draft.texts.len(),
            n_bytes: draft.n_bytes(),
            header: chunk::seal_header(draft.head, draft.tail, &leaks, bond, key)?,
            order,
            runs,
            leaks,
            kept_from: known.and_then(|known| known.sketch.deployment_id),
        })
    }

    /// The same for a deployment of which all texts are here, with the digests of its resources.
    pub fn whole(
        conn: &Connection,
        key: &StackKey,
        stack_id: i64,
        deployment: &Deployment<'_>,
        digests: Digests,
        marks: Option<&Marks>,
    ) -> Result<Encoded, Error> {
        let known = Known { conn, stack_id, sketch: &Sketch::empty() };
        Encoded::new(key, &Draft::new(deployment, digests, marks), Some(&known))
    }

    /// What lies in it in plain text.
    pub fn leaks(&self) -> &[Leak] {
        &self.leaks
    }

    /// Resources in it.
    pub fn n_resources(&self) -> usize {
        self.n_resources
    }
}

/// Makes digests of a stack's resources.
pub fn digester(key: &StackKey) -> Digester {
    Digester::new(key.keyed_hasher("urn"), key.keyed_hasher("text"))
}

/// Cuts a deployment document, and makes the digests of its resources on the way.
pub fn parse<'t>(text: &'t str, key: &StackKey) -> Result<(Deployment<'t>, Digests), Error> {
    let (mut digester, mut digests) = (digester(key), Digests::default());
    let mut each = |facts: &ResourceFacts<'t>, text: &'t str| digester.push(&mut digests, facts, text);
    let deployment = Deployment::parse_with(text, &mut each)?;
    Ok((deployment, digests))
}

/// A keyed hash of a deployment's text, of whose resources `digests` are.
pub fn hash(key: &StackKey, deployment: &Deployment<'_>, digests: &Digests) -> [u8; 32] {
    let mut hasher = key.keyed_hasher("deployment");
    for part in [&deployment.head, &deployment.tail] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(&**part);
    }
    digests.iter().for_each(|digest| hasher.update(digest.text));
    hasher.finalize().into()
}

/// The digests of a deployment's resources.
pub fn digests(deployment: &Deployment<'_>, key: &StackKey) -> Result<Digests, Error> {
    let mut digester = digester(key);
    let mut digests = Digests::with_capacity(deployment.resources.len());
    for text in &deployment.resources {
        digester.push(&mut digests, &resource_facts(text)?, text);
    }
    Ok(digests)
}

/// The stored run that has exactly these resources.
fn kept_run(members: &[Member], sketch: &Sketch) -> Option<StoredRun> {
    let first = members[0].stored?;
    let is_whole = members.iter().zip(first..).all(|(member, wanted)| member.stored == Some(wanted));
    if is_whole { sketch.find_run(first as usize, members.len()) } else { None }
}

/// A run that may be new.
fn make_run(
    key: &StackKey,
    draft: &Draft<'_>,
    members: &[Member],
    known: Option<&Known<'_>>,
    mut opened: Option<&mut Opened<'_>>,
) -> Result<(RunHash, Run), Error> {
    let digests = || members.iter().map(|member| draft.digests.get(member.index as usize));
    let hash = chunk::hash(digests(), key);
    let found = known.map(|known| find_run(known.conn, known.stack_id, &hash)).transpose()?.flatten();
    if let Some(id) = found {
        return Ok((hash, Run::Known(id)));
    }
    let mut texts = Vec::with_capacity(members.len());
    for member in members {
        texts.push(match (&draft.texts[member.index as usize], opened.as_mut()) {
            (Text::New(text), _) => Cow::Borrowed(&**text),
            (Text::Stored(place), Some(opened)) => Cow::Owned(opened.text(*place)?.to_owned()),
            (Text::Stored(_), None) => unreachable!("stored texts are of a sketch"),
        });
    }
    let plain = chunk::join(texts.iter().map(|text| &**text));
    let facts = chunk::seal_facts(&facts::encode(digests()), &hash, key)?;
    let body = chunk::seal_run(&plain, &hash, key)?;
    Ok((hash, Run::New { hash, facts, body }))
}

fn find_run(conn: &Connection, stack_id: i64, hash: &RunHash) -> Result<Option<i64>, Error> {
    const SQL: &str = "SELECT id FROM runs WHERE stack_id = ?1 AND hash = ?2";
    Ok(conn.prepare_cached(SQL)?.query_row((stack_id, hash), |row| row.get(0)).optional()?)
}

/// Stores a deployment of a stack; its id.
///
/// Errors: `Busy`, and nothing is stored, if a run that was known has been collected as unused meanwhile.
pub fn insert_deployment(tx: &Tx, stack_id: i64, encoded: &Encoded) -> Result<i64, Error> {
    if !has_known_runs(tx.conn, encoded)? {
        return Err(Error::Busy);
    }
    let mut runs = Vec::new();
    let mut last = 0;
    for run in &encoded.runs {
        let id = match run {
            Run::Kept(id) | Run::Known(id) => *id,
            Run::New { hash, facts, body } => insert_run(tx, stack_id, hash, facts, body)?,
        };
        write_number(&mut runs, zigzag(id - last));
        last = id;
    }
    const SQL: &str = "
        INSERT INTO deployments (stack_id, n_resources, n_bytes, header, resource_order, runs)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let Encoded { n_resources, n_bytes, header, order, .. } = encoded;
    Ok(tx.conn.prepare_cached(SQL)?.insert((stack_id, n_resources, n_bytes, header, order, runs))?)
}

/// True if the runs that are not brought along are there. Those of a deployment that is there are.
fn has_known_runs(conn: &Connection, encoded: &Encoded) -> Result<bool, Error> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM deployments WHERE id = ?1)";
    let has_kept: bool = match encoded.kept_from {
        Some(id) => conn.prepare_cached(SQL)?.query_row([id], |row| row.get(0))?,
        None => false,
    };
    let mut statement = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM runs WHERE id = ?1)")?;
    for run in &encoded.runs {
        let is_there = match run {
            Run::Kept(_) if has_kept => true,
            Run::Kept(id) | Run::Known(id) => statement.query_row([id], |row| row.get(0))?,
            Run::New { .. } => true,
        };
        if !is_there {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The row id of a run; another job may have stored the same meanwhile.
fn insert_run(tx: &Tx, stack_id: i64, hash: &RunHash, facts: &[u8], body: &[u8]) -> Result<i64, Error> {
    if let Some(id) = find_run(tx.conn, stack_id, hash)? {
        return Ok(id);
    }
    const SQL: &str = "INSERT INTO runs (stack_id, hash, facts) VALUES (?1, ?2, ?3)";
    let id = tx.conn.prepare_cached(SQL)?.insert((stack_id, hash, facts))?;
    tx.conn.prepare_cached("INSERT INTO run_bodies (run_id, body) VALUES (?1, ?2)")?.execute((id, body))?;
    Ok(id)
}

/// What lies in a stored deployment in plain text, as far as that was looked for.
pub fn read_leaks(conn: &Connection, key: &StackKey, deployment_id: i64) -> Result<Vec<Leak>, Error> {
    Ok(Sketch::read(conn, key, deployment_id)?.leaks)
}

/// The text of a stored deployment. It must be there; one that is damaged is an error of ours, never other text.
pub fn read_text(conn: &Connection, key: &StackKey, deployment_id: i64) -> Result<String, Error> {
    Sketch::read(conn, key, deployment_id)?.to_text(conn, key)
}

/// Says which deployment a version ended with; a version that is there is given another one.
pub fn set_version(tx: &Tx, stack_id: i64, version: i64, deployment_id: i64) -> Result<(), Error> {
    const SQL: &str = "
        INSERT INTO versions (stack_id, version, deployment_id) VALUES (?1, ?2, ?3)
        ON CONFLICT (stack_id, version) DO UPDATE SET deployment_id = excluded.deployment_id";
    tx.conn.prepare_cached(SQL)?.execute((stack_id, version, deployment_id))?;
    Ok(())
}

/// Removes a deployment that nothing names any more. Its runs are collected later, see `unused`.
pub fn delete_deployment_if_unused(tx: &Tx, deployment_id: i64) -> Result<(), Error> {
    const SQL: &str = "
        DELETE FROM deployments
        WHERE id = ?1
          AND NOT EXISTS (SELECT 1 FROM versions WHERE deployment_id = ?1)
          AND NOT EXISTS (SELECT 1 FROM checkpoints WHERE deployment_id = ?1)
        RETURNING stack_id";
    let removed = tx.conn.prepare_cached(SQL)?.query_row([deployment_id], |row| row.get(0)).optional()?;
    removed.map_or(Ok(()), |stack_id| note_removed(tx, stack_id))
}

/// A deployment of the stack is gone, and some of its runs may be without use.
pub fn note_removed(tx: &Tx, stack_id: i64) -> Result<(), Error> {
    const SQL: &str = "UPDATE stacks SET n_removed = n_removed + 1 WHERE id = ?1";
    tx.conn.prepare_cached(SQL)?.execute([stack_id])?;
    Ok(())
}

/// The deployment that a version ended with.
pub fn find_version(conn: &Connection, stack_id: i64, version: i64) -> Result<Option<i64>, Error> {
    let sql = format!(
        "SELECT deployment_id, {} FROM versions WHERE stack_id = ?1 AND version = ?2",
        mac::check("versions", "")
    );
    Ok(conn.prepare_cached(&sql)?.query_row([stack_id, version], |row| row.get(0)).optional()?)
}

/// How many resources a stored deployment has.
pub fn read_n_resources(conn: &Connection, deployment_id: i64) -> Result<usize, Error> {
    const SQL: &str = "SELECT n_resources FROM deployments WHERE id = ?1";
    Ok(conn.prepare_cached(SQL)?.query_row([deployment_id], |row| row.get(0))?)
}

/// The length of a stored deployment's text.
pub fn read_n_bytes(conn: &Connection, deployment_id: i64) -> Result<usize, Error> {
    const SQL: &str = "SELECT n_bytes FROM deployments WHERE id = ?1";
    Ok(conn.prepare_cached(SQL)?.query_row([deployment_id], |row| row.get(0))?)
}

/// Whether a deployment is there.
pub fn has_deployment(conn: &Connection, deployment_id: i64) -> Result<bool, Error> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM deployments WHERE id = ?1)";
    Ok(conn.prepare_cached(SQL)?.query_row([deployment_id], |row| row.get(0))?)
}
