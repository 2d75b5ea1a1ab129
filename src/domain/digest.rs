//! What the rules need to know of a resource that nothing touches, in numbers that are kept beside its text.
//!
//! URNs are told apart by keyed hashes of 64 bits, so nobody can make two that are taken for one.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use sha2::{Digest as _, Sha256};

use crate::domain::deployment::Header;
use crate::domain::integrity;
use crate::domain::resource::{ResourceFacts, ResourceFlags};
use crate::domain::urn::is_provider_type;

/// A keyed hash of a resource's text: who has no key cannot make two texts that share one.
pub type TextHash = [u8; 16];

/// The digest of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest<'d> {
    /// Hash of its URN.
    pub urn: u64,
    /// Length of its text.
    pub n_bytes: usize,
    /// Hash of its text.
    pub text: TextHash,
    /// What it is and what it needs.
    pub flags: ResourceFlags,
    /// Hashes: its own reference if it is a provider, the provider that must be there if it has one, then each URN
    /// that must stand before it.
    pub references: &'d [u64],
}

/// Digests of a list of resources, in its order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Digests {
    each: Vec<One>,
    references: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct One {
    urn: u64,
    n_bytes: u32,
    text: TextHash,
    /// Where its references end; they start where those before it end.
    references_end: u32,
    flags: ResourceFlags,
}

impl Digests {
    /// None yet, with room for `n`.
    pub fn with_capacity(n: usize) -> Digests {
        Digests { each: Vec::with_capacity(n), references: Vec::with_capacity(2 * n) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// The digest at this place.
    pub fn get(&self, index: usize) -> Digest<'_> {
        let One { urn, n_bytes, text, references_end, flags } = self.each[index];
        let start = if index == 0 { 0 } else { self.each[index - 1].references_end };
        let references = &self.references[start as usize..references_end as usize];
        Digest { urn, n_bytes: n_bytes as usize, text, flags, references }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Digest<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Adds one at the end.
    pub fn push(&mut self, digest: Digest<'_>) {
        self.references.extend_from_slice(digest.references);
        self.close(digest.urn, digest.n_bytes, digest.text, digest.flags);
    }

    /// The references that were added since belong to this one.
    fn close(&mut self, urn: u64, n_bytes: usize, text: TextHash, flags: ResourceFlags) {
        let references_end =
            u32::try_from(self.references.len()).expect("less than the bytes of a deployment");
        let n_bytes = u32::try_from(n_bytes).expect("less than the bytes of a deployment");
        self.each.push(One { urn, n_bytes, text, references_end, flags });
    }
}

/// Makes digests.
pub struct Digester {
    urns: Sha256,
    texts: Sha256,
    // Most resources have the parent and the provider of the one before.
    parent: (String, u64),
    provider: (String, u64),
}

impl Digester {
    /// Hashers for URNs and for texts, which have been given a secret.
    pub fn new(urns: Sha256, texts: Sha256) -> Digester {
        Digester { urns, texts, parent: Default::default(), provider: Default::default() }
    }

    /// The hash by which a URN is known.
    pub fn urn(&self, urn: &str) -> u64 {
        hash(&self.urns, urn)
    }

    /// The hash of a resource's text.
    pub fn text(&self, text: &str) -> TextHash {
        let hash = self.texts.clone().chain_update(text).finalize();
        *hash.first_chunk().expect("32 bytes")
    }

    /// Adds the digest of a resource.
    pub fn push(&mut self, digests: &mut Digests, facts: &ResourceFacts<'_>, text: &str) {
        let is_provider = is_provider_type(&facts.type_token);
        let has_provider = !facts.provider.is_empty() && !facts.is_pending_replacement;
        let mut flags = ResourceFlags::of(facts);
        flags.set(ResourceFlags::IS_DELETE, facts.is_delete);
        flags.set(ResourceFlags::IS_UNSOUND, integrity::violation_in_itself(0, facts).is_some());
        flags.set(ResourceFlags::IS_PROVIDER, is_provider);
        flags.set(ResourceFlags::HAS_PROVIDER, has_provider);
        flags.set(
            ResourceFlags::NEEDS_PRUNING,
            facts.property_dependencies.iter().any(|(_, urns)| urns.is_empty()),
        );
        if is_provider {
            let reference = format!("{}::{}", facts.urn, integrity::own_provider_id(facts));
            digests.references.push(hash(&self.urns, &reference));
        }
        if has_provider {
            digests.references.push(remembered(&self.urns, &mut self.provider, &facts.provider));
        }
        if !facts.parent.is_empty() {
            digests.references.push(remembered(&self.urns, &mut self.parent, &facts.parent));
        }
        let by_property = facts.property_dependencies.iter().flat_map(|(_, urns)| urns.iter());
        let urns = facts.dependencies.iter().chain(by_property).chain(facts.replace_with.iter());
        digests.references.extend(urns.map(|urn| hash(&self.urns, &urn)));
        if !facts.deleted_with.is_empty() {
            digests.references.push(hash(&self.urns, &facts.deleted_with));
        }
        digests.close(hash(&self.urns, &facts.urn), text.len(), self.text(text), flags);
    }
}

fn hash(keyed: &Sha256, text: &str) -> u64 {
    let hash = keyed.clone().chain_update(text).finalize();
    u64::from_le_bytes(hash[..8].try_into().expect("32 bytes"))
}

/// The hash of `text`, which may be the one that was hashed last.
fn remembered(keyed: &Sha256, last: &mut (String, u64), text: &str) -> u64 {
    if last.0 != text || text.is_empty() {
        *last = (text.to_owned(), hash(keyed, text));
    }
    last.1
}

/// True only if `integrity::check` finds nothing in the deployment that these describe, in its order.
///
/// False says nothing: then the texts have to be looked at. Linear, without a look at any text.
pub fn is_sound<'d>(header: &Header<'_>, digests: impl Iterator<Item = Digest<'d>>) -> bool {
    integrity::is_header_sound(header) && are_sound(digests)
}

fn are_sound<'d>(digests: impl Iterator<Item = Digest<'d>>) -> bool {
    let mut providers = HashSet::<u64, Hashed>::default();
    // URN → whether one of its resources does not wait to be deleted.
    let mut seen =
        HashMap::<u64, bool, Hashed>::with_capacity_and_hasher(digests.size_hint().0, Hashed::default());
    for Digest { urn, flags, mut references, .. } in digests {
        if flags.has(ResourceFlags::IS_UNSOUND) {
            return false;
        }
        if flags.has(ResourceFlags::IS_PROVIDER) {
            providers.insert(references[0]);
            references = &references[1..];
        }
        if flags.has(ResourceFlags::HAS_PROVIDER) {
            if !providers.contains(&references[0]) {
                return false;
            }
            references = &references[1..];
        }
        if references.iter().any(|other| !seen.contains_key(other)) {
            return false;
        }
        let is_alive = !flags.has(ResourceFlags::IS_DELETE);
        match seen.entry(urn) {
            Entry::Occupied(before) if *before.get() && is_alive => return false,
            Entry::Occupied(mut before) => *before.get_mut() |= is_alive,
            Entry::Vacant(place) => _ = place.insert(is_alive),
        }
    }
    true
}

type Hashed = BuildHasherDefault<IsHash>;

/// For keys that are hashes already.
#[derive(Default)]
struct IsHash(u64);

impl Hasher for IsHash {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only for numbers");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
