//! AES-256-GCM with a random nonce for each value, and the form of a sealed value.
//!
//! `1 · nonce (12 bytes) · ciphertext · tag (16 bytes)`, or, for a renewed key, `2 · generation (1 byte) · nonce · …`.
//! The associated data says what it is and whose, so a value moved to another place does not open.

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Key, Nonce, Tag};

use super::random_bytes;
use crate::error::Error;

const FIRST_GENERATION: u8 = 1;
const LATER_GENERATION: u8 = 2;
const TAG_BYTES: usize = 16;

/// A random number that is used once.
pub type NonceBytes = [u8; 12];

/// A key with its schedule worked out, ready for many values.
pub struct Sealer(Aes256Gcm);

impl Sealer {
    /// Works out the schedule.
    pub fn new(key: &[u8; 32]) -> Sealer {
        Sealer(Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key)))
    }

    /// Seals, under the key of this generation, a value in pieces.
    pub fn seal(&self, generation: u8, label: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, Error> {
        self.seal_with(random_bytes()?, generation, label, parts)
    }

    /// `nonce` must be random, and used for nothing else.
    pub fn seal_with(
        &self,
        nonce: NonceBytes,
        generation: u8,
        label: &[u8],
        parts: &[&[u8]],
    ) -> Result<Vec<u8>, Error> {
        let n_plain: usize = parts.iter().map(|part| part.len()).sum();
        let mut out = Vec::with_capacity(2 + nonce.len() + n_plain + TAG_BYTES);
        match generation {
            0 => out.push(FIRST_GENERATION),
            generation => out.extend([LATER_GENERATION, generation]),
        }
        out.extend_from_slice(&nonce);
        let n_head = out.len();
        parts.iter().for_each(|part| out.extend_from_slice(part));
        let plain = InOutBuf::from(&mut out[n_head..]);
        let tag = self.0.encrypt_inout_detached(&Nonce::from(nonce), label, plain);
        let tag = tag.map_err(|_| Error::internal("seal a value", "it is too long"))?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Opens what `parts` left of a sealed value; nothing if it is another one or damaged.
    pub fn open(&self, label: &[u8], rest: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = rest.split_first_chunk()?;
        let nonce: NonceBytes = *nonce;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        let mut plain = ciphertext.to_vec();
        let text = InOutBuf::from(plain.as_mut_slice());
        self.0.decrypt_inout_detached(&Nonce::from(nonce), label, text, &Tag::from(*tag)).ok()?;
        Some(plain)
    }
}

/// The generation of the key that sealed a value, and what follows.
pub fn parts(sealed: &[u8]) -> Option<(u8, &[u8])> {
    match sealed {
        [FIRST_GENERATION, rest @ ..] => Some((0, rest)),
        // The first generation has one form only.
        [LATER_GENERATION, generation, rest @ ..] if *generation > 0 => Some((*generation, rest)),
        _ => None,
    }
}
