//! How a deployment is laid out on disk: a header, the order of its resources, and runs of resources that are
//! stored once for all versions that share them.
//!
//! The engine reports resources in another order at each update, so a resource has its place by its identity: the
//! resources, sorted by a hash of their URN, are cut where that hash says so, and a changed or new resource
//! disturbs its own run only. Cuts and hashes may change between releases: then runs are stored anew, nothing more.

use std::ops::Range;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_slice_iter_to_slice;
use sha2::{Digest as _, Sha256};

use super::facts;
use super::packed::{damaged, number_bytes, read_number, write_number};
use crate::crypto::hex;
use crate::crypto::keyring::StackKey;
use crate::domain::digest::{Digest, Digests};
use crate::domain::leak::{self, Leak};
use crate::error::Error;
use crate::limits;

/// Level 1 is six times as fast as 6 and takes a quarter more space.
const DEFLATE_LEVEL: u8 = 1;
/// About how much text a run holds: more deflates better, less is written anew for a change in it.
const RUN_BYTES: usize = 24 << 10;
/// A run is cut here at the latest.
const RUN_BYTES_MAX: usize = 128 << 10;

/// Identifies a run within its stack: a hash that only the holder of the stack's key can make.
pub type RunHash = [u8; 16];

/// A resource, and where it has its place.
#[derive(Clone, Copy)]
pub struct Member {
    /// Hash of its URN: copies of a replaced resource share it, and are told apart by their order.
    pub identity: u64,
    /// Its index in the deployment.
    pub index: u32,
    /// The length of its text.
    pub n_bytes: u32,
    /// Its place in the sketch, if it is stored.
    pub stored: Option<u32>,
}

/// Cuts resources, which are in order of identity, into runs.
pub fn cut(members: &[Member]) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let (mut start, mut n_bytes) = (0, 0);
    for (at, member) in members.iter().enumerate() {
        let len = member.n_bytes as usize;
        n_bytes += len;
        if at + 1 == members.len() || n_bytes >= RUN_BYTES_MAX || ends_run(member.identity, len) {
            runs.push(start..at + 1);
            (start, n_bytes) = (at + 1, 0);
        }
    }
    runs
}

/// The place of each resource, in the deployment's order, among those sorted by identity.
pub fn places(members: &[Member]) -> Vec<u32> {
    let mut places = vec![0; members.len()];
    for (place, member) in members.iter().enumerate() {
        places[member.index as usize] = place as u32;
    }
    places
}

/// A long resource ends a run more often, so that runs have about the same size. Depends on this resource alone.
fn ends_run(identity: u64, n_bytes: usize) -> bool {
    let draw = (identity >> 32) as usize % RUN_BYTES;
    draw < n_bytes
}

/// A run of resources as one text: how many, the length of each, and they themselves.
pub fn join<'t>(texts: impl Iterator<Item = &'t str> + Clone) -> Vec<u8> {
    let n_bytes: usize = texts.clone().map(|text| text.len() + 4).sum();
    let mut plain = Vec::with_capacity(n_bytes + 4);
    write_number(&mut plain, texts.clone().count());
    texts.clone().for_each(|text| write_number(&mut plain, text.len()));
    texts.for_each(|text| plain.extend_from_slice(text.as_bytes()));
    plain
}

/// The hash of a run of these resources.
pub fn hash<'d>(digests: impl Iterator<Item = Digest<'d>>, key: &StackKey) -> RunHash {
    let mut hasher = key.keyed_hasher("run");
    digests.for_each(|digest| hasher.update(digest.text));
    *hasher.finalize().first_chunk().expect("32 bytes")
}

/// The body of a run for the disk: compressed, then sealed.
pub fn seal_run(plain: &[u8], hash: &RunHash, key: &StackKey) -> Result<Vec<u8>, Error> {
    key.seal(&label("run", hash), &compress_to_vec(plain, DEFLATE_LEVEL))
}

/// The facts of a run for the disk.
pub fn seal_facts(plain: &[u8], hash: &RunHash, key: &StackKey) -> Result<Vec<u8>, Error> {
    key.seal(&label("facts", hash), plain)
}

/// Opens the facts of a run and adds them to `digests`; how many resources it has.
pub fn open_facts(
    sealed: &[u8],
    hash: &RunHash,
    key: &StackKey,
    digests: &mut Digests,
) -> Result<usize, Error> {
    facts::decode(&open(&label("facts", hash), sealed, key)?, digests)
}

/// Opens a run, whose resources have these lengths, into `plain`; where their texts start in it.
pub fn open_run(
    sealed: &[u8],
    hash: &RunHash,
    lens: impl ExactSizeIterator<Item = usize> + Clone,
    key: &StackKey,
    plain: &mut Vec<u8>,
) -> Result<usize, Error> {
    let start = number_bytes(lens.len()) + lens.clone().map(number_bytes).sum::<usize>();
    let deflated = open(&label("run", hash), sealed, key)?;
    plain.resize(start + lens.clone().sum::<usize>(), 0);
    let n_bytes = decompress_slice_iter_to_slice(plain, std::iter::once(deflated.as_slice()), false, true);
    if n_bytes != Ok(plain.len()) {
        return Err(damaged("does not inflate to the length that its facts say"));
    }
    let mut rest = plain.as_slice();
    let is_as_said = read_number(&mut rest)? == lens.len();
    for len in lens {
        if !is_as_said || read_number(&mut rest)? != len {
            return Err(damaged("has other resources than its facts say"));
        }
    }
    Ok(start)
}

/// What a header belongs to: the order of the resources, and the runs. It does not open with others.
pub struct Bond(Sha256);

impl Bond {
    /// With the packed order of `n_resources`.
    pub fn new(n_resources: usize, order: &[u8]) -> Bond {
        Bond(Sha256::new().chain_update(n_resources.to_le_bytes()).chain_update(order))
    }

    /// With the next run.
    pub fn add(&mut self, run: &RunHash) {
        self.0.update(run);
    }

    fn label(self) -> String {
        format!("deployment header {}", hex(&self.0.finalize()))
    }
}

/// Everything but the resources: the document before and behind them, and what lies in them in plain text.
pub struct HeaderParts {
    /// Before.
    pub head: String,
    /// Behind.
    pub tail: String,
    /// In them.
    pub leaks: Vec<Leak>,
}

/// A header for the disk: compressed, then sealed.
pub fn seal_header(
    head: &str,
    tail: &str,
    leaks: &[Leak],
    bond: Bond,
    key: &StackKey,
) -> Result<Vec<u8>, Error> {
    let leaks = if leaks.is_empty() { String::new() } else { leak::to_text(leaks) };
    let mut plain = Vec::with_capacity(head.len() + tail.len() + leaks.len() + 10);
    for part in [head, &leaks] {
        write_number(&mut plain, part.len());
        plain.extend_from_slice(part.as_bytes());
    }
    plain.extend_from_slice(tail.as_bytes());
    key.seal(&bond.label(), &compress_to_vec(&plain, DEFLATE_LEVEL))
}

/// The parts of a stored header.
pub fn open_header(sealed: &[u8], bond: Bond, key: &StackKey) -> Result<HeaderParts, Error> {
    let deflated = open(&bond.label(), sealed, key)?;
    let plain = miniz_oxide::inflate::decompress_to_vec_with_limit(&deflated, limits::BODY_BYTES_DEPLOYMENT)
        .map_err(|cause| damaged(&format!("does not inflate: {cause}")))?;
    let mut rest = plain.as_slice();
    let (head, leaks) = (read_part(&mut rest)?, read_part(&mut rest)?);
    let leaks = leak::from_text(&leaks).ok_or_else(|| damaged("has leaks that are no list"))?;
    Ok(HeaderParts { head, tail: text(rest)?, leaks })
}

fn read_part(rest: &mut &[u8]) -> Result<String, Error> {
    let n_bytes = read_number(rest)?;
    let (part, after) = rest.split_at_checked(n_bytes).ok_or_else(|| damaged("is too short"))?;
    *rest = after;
    text(part)
}

fn label(what: &str, hash: &RunHash) -> String {
    format!("{what} {}", hex(hash))
}

fn open(label: &str, sealed: &[u8], key: &StackKey) -> Result<Vec<u8>, Error> {
    key.open(label, sealed).ok_or_else(|| damaged("does not open with its stack's key"))
}

fn text(bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_vec()).map_err(|_| damaged("is no text"))
}
