//! How a deployment is laid out on disk: a header, the order of its resources, and runs of resources that are
//! stored once for all versions that share them.
//!
//! The engine reports resources in another order at each update, so a resource has its place by its identity: the
//! resources, sorted by a hash of their URN, are cut where that hash says so, and a changed or new resource
//! disturbs its own run only. Cuts and hashes may change between releases: then runs are stored anew, nothing more.

use std::ops::Range;

use miniz_oxide::deflate::compress_to_vec;
use sha2::{Digest, Sha256};

use crate::crypto::keyring::StackKey;
use crate::domain::deployment::Deployment;
use crate::domain::json::{self, Scanner};
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

/// A deployment cut in runs; nothing compressed yet.
pub struct Cut<'d> {
    deployment: &'d Deployment<'d>,
    /// Indices of the resources, in order of identity.
    sorted: Vec<u32>,
    /// Ranges of `sorted`.
    runs: Vec<(Range<usize>, RunHash)>,
}

impl<'d> Cut<'d> {
    /// Sorts, cuts and hashes: one pass over the text, and one over the URNs.
    pub fn new(deployment: &'d Deployment<'d>, key: &StackKey) -> Cut<'d> {
        let identities: Vec<u64> = deployment.resources.iter().map(|text| identity(text)).collect();
        let mut sorted: Vec<u32> = (0..deployment.resources.len() as u32).collect();
        sorted.sort_by_key(|&i| (identities[i as usize], i));
        let mut cut = Cut { deployment, sorted, runs: Vec::new() };
        let (mut start, mut n_bytes) = (0, 0);
        for at in 0..cut.sorted.len() {
            let i = cut.sorted[at] as usize;
            let len = deployment.resources[i].len();
            n_bytes += len;
            if at + 1 == cut.sorted.len() || n_bytes >= RUN_BYTES_MAX || ends_run(identities[i], len) {
                cut.runs.push((start..at + 1, cut.hash(start..at + 1, key)));
                (start, n_bytes) = (at + 1, 0);
            }
        }
        cut
    }

    /// The hash of each run, in order.
    pub fn hashes(&self) -> impl Iterator<Item = &RunHash> {
        self.runs.iter().map(|(_, hash)| hash)
    }

    /// The body of a run for the disk: compressed, then sealed.
    pub fn seal_run(&self, index: usize, key: &StackKey) -> Result<Vec<u8>, Error> {
        let (range, hash) = &self.runs[index];
        let mut plain = Vec::new();
        write_number(&mut plain, range.len());
        self.texts(range.clone()).for_each(|text| write_number(&mut plain, text.len()));
        self.texts(range.clone()).for_each(|text| plain.extend_from_slice(text.as_bytes()));
        key.seal(&run_label(hash), &compress_to_vec(&plain, DEFLATE_LEVEL))
    }

    /// Everything but the resources: compressed, then sealed.
    pub fn seal_header(&self, key: &StackKey) -> Result<Vec<u8>, Error> {
        let (head, tail) = (&self.deployment.head, &self.deployment.tail);
        let mut plain = Vec::with_capacity(head.len() + tail.len() + 10);
        write_number(&mut plain, head.len());
        plain.extend_from_slice(head.as_bytes());
        plain.extend_from_slice(tail.as_bytes());
        key.seal(HEADER_LABEL, &compress_to_vec(&plain, DEFLATE_LEVEL))
    }

    /// The place of each resource, in the deployment's order, among those sorted by identity.
    pub fn order(&self) -> Vec<u8> {
        let mut places = vec![0; self.sorted.len()];
        for (place, &i) in self.sorted.iter().enumerate() {
            places[i as usize] = place as u32;
        }
        pack(&places)
    }

    fn texts(&self, range: Range<usize>) -> impl Iterator<Item = &str> {
        self.sorted[range].iter().map(|&i| self.deployment.resources[i as usize].as_ref())
    }

    fn hash(&self, range: Range<usize>, key: &StackKey) -> RunHash {
        let mut hasher = key.keyed_hasher("run");
        for text in self.texts(range) {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize()[..16].try_into().expect("32 bytes")
    }
}

const HEADER_LABEL: &str = "deployment header";

fn run_label(hash: &RunHash) -> String {
    format!("run {}", crate::crypto::hex(hash))
}

/// A hash of the resource's URN. Copies of a replaced resource share it, and are told apart by their order.
fn identity(resource: &str) -> u64 {
    let hash = Sha256::digest(urn(resource).unwrap_or_default().as_bytes());
    u64::from_le_bytes(hash[..8].try_into().expect("32 bytes"))
}

fn urn(resource: &str) -> Option<std::borrow::Cow<'_, str>> {
    let mut scanner = Scanner::new(resource);
    scanner.open_object().ok()?;
    while let Some(key) = scanner.next_member().ok()? {
        let value = scanner.value().ok()?;
        if key == "urn" {
            return json::as_string(value);
        }
    }
    None
}

/// A long resource ends a run more often, so that runs have about the same size. Depends on this resource alone.
fn ends_run(identity: u64, n_bytes: usize) -> bool {
    let draw = (identity >> 32) as usize % RUN_BYTES;
    draw < n_bytes
}

/// Resources of a stored deployment, opened.
pub struct Opened {
    head: String,
    tail: String,
    runs: Vec<Run>,
    places: Vec<u32>,
}

struct Run {
    text: String,
    /// Where each resource ends in `text`.
    ends: Vec<u32>,
}

impl Opened {
    /// Opens a stored header; `order` as `Cut::order` gave it.
    pub fn new(header: &[u8], order: &[u8], n_resources: usize, key: &StackKey) -> Result<Opened, Error> {
        let plain = open(HEADER_LABEL, header, key)?;
        let mut rest = plain.as_slice();
        let n_head_bytes = read_number(&mut rest)?;
        let (head, tail) = rest.split_at_checked(n_head_bytes).ok_or_else(|| damaged("is too short"))?;
        let places = unpack(order, n_resources)?;
        Ok(Opened { head: text(head.to_vec())?, tail: text(tail.to_vec())?, runs: Vec::new(), places })
    }

    /// Opens the next of its runs.
    pub fn push_run(&mut self, hash: &RunHash, body: &[u8], key: &StackKey) -> Result<(), Error> {
        let mut plain = open(&run_label(hash), body, key)?;
        let mut rest = plain.as_slice();
        let n_resources = read_number(&mut rest)?;
        let mut ends = Vec::with_capacity(n_resources.min(rest.len()));
        let mut end = 0;
        for _ in 0..n_resources {
            end += read_number(&mut rest)?;
            ends.push(end as u32);
        }
        if rest.len() != end {
            return Err(damaged("has another length than it says"));
        }
        let n_before = plain.len() - end;
        plain.drain(..n_before);
        self.runs.push(Run { text: text(plain)?, ends });
        Ok(())
    }

    /// The deployment's text, as it was stored.
    pub fn to_text(&self, n_bytes: usize) -> Result<String, Error> {
        let resources: Vec<&str> = self.runs.iter().flat_map(Run::resources).collect();
        let mut out = String::with_capacity(n_bytes);
        out.push_str(&self.head);
        for (n, place) in self.places.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            out.push_str(resources.get(*place as usize).ok_or_else(|| damaged("lacks a run"))?);
        }
        out.push_str(&self.tail);
        if out.len() != n_bytes || resources.len() != self.places.len() {
            return Err(damaged("has another length than it says"));
        }
        Ok(out)
    }
}

impl Run {
    fn resources(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.text[start as usize..end as usize])
    }
}

fn open(label: &str, sealed: &[u8], key: &StackKey) -> Result<Vec<u8>, Error> {
    let deflated = key.open(label, sealed).ok_or_else(|| damaged("does not open with its stack's key"))?;
    miniz_oxide::inflate::decompress_to_vec_with_limit(&deflated, limits::BODY_BYTES_DEPLOYMENT)
        .map_err(|cause| damaged(&format!("does not inflate: {cause}")))
}

fn text(bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|_| damaged("is no text"))
}

fn damaged(why: &str) -> Error {
    Error::internal("read a stored deployment", format!("a part of it {why}; the database is damaged"))
}

/// Seven bits a byte, lowest first.
pub fn write_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The number at the start of `rest`, which then begins behind it.
pub fn read_number(rest: &mut &[u8]) -> Result<usize, Error> {
    let mut number = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or_else(|| damaged("is too short"))?;
        *rest = after;
        number |= ((byte & 0x7f) as usize).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(damaged("has a number that is too long"))
}

/// A permutation's numbers, each with as many bits as the largest needs.
fn pack(places: &[u32]) -> Vec<u8> {
    let n_bits = bits_for(places.len());
    let mut out = Vec::with_capacity((places.len() * n_bits as usize).div_ceil(8));
    let (mut buffer, mut n_filled) = (0u64, 0);
    for &place in places {
        buffer |= u64::from(place) << n_filled;
        n_filled += n_bits;
        while n_filled >= 8 {
            out.push(buffer as u8);
            buffer >>= 8;
            n_filled -= 8;
        }
    }
    if n_filled > 0 {
        out.push(buffer as u8);
    }
    out
}

fn unpack(packed: &[u8], n: usize) -> Result<Vec<u32>, Error> {
    let n_bits = bits_for(n);
    if packed.len() != (n * n_bits as usize).div_ceil(8) {
        return Err(damaged("has an order of another length"));
    }
    let mut places = Vec::with_capacity(n);
    let (mut buffer, mut n_filled) = (0u64, 0);
    let mut bytes = packed.iter();
    while places.len() < n {
        while n_filled < n_bits {
            buffer |= u64::from(*bytes.next().expect("the length was checked")) << n_filled;
            n_filled += 8;
        }
        places.push((buffer & ((1u64 << n_bits) - 1)) as u32);
        buffer >>= n_bits;
        n_filled -= n_bits;
    }
    Ok(places)
}

/// Bits that the numbers below `n` need.
fn bits_for(n: usize) -> u32 {
    usize::BITS - n.saturating_sub(1).leading_zeros()
}
