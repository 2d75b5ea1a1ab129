//! A key for hashes that nobody else can make, and so nobody can make anew for a changed text.

use sha2::Digest;
use zeroize::Zeroizing;

use super::keyring::ServerKey;

/// Made from the server's key; it stays the same when the master key is changed.
pub struct HashKey(Zeroizing<[u8; 32]>);

impl HashKey {
    /// The key for this use.
    pub fn new(server: &ServerKey, what: &str) -> HashKey {
        HashKey(Zeroizing::new(server.keyed_hasher(what).finalize().into()))
    }

    /// The hash of the parts, one after the other. Their lengths are for the caller to fix.
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let keyed = |label: &[u8]| sha2::Sha256::new_with_prefix(*self.0).chain_update(label);
        let inner = parts.iter().fold(keyed(b"inner"), |hasher, part| hasher.chain_update(part));
        // Twice, so that nobody can lengthen a text and its hash.
        keyed(b"outer").chain_update(inner.finalize()).finalize().into()
    }
}
