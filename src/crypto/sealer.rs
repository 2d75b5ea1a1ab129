//! AES-256-GCM with a random nonce for each value, and the form of a sealed value.
//!
//! `1 · nonce (12 bytes) · ciphertext and tag`, or, for a renewed key, `2 · generation (1 byte) · nonce · …`.
//! The associated data says what it is and whose, so a value moved to another place does not open.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};

use super::random_bytes;
use crate::error::Error;

const FIRST_GENERATION: u8 = 1;
const LATER_GENERATION: u8 = 2;
const NONCE_BYTES: usize = 12;

/// A key with its schedule worked out, ready for many values.
pub struct Sealer(Aes256Gcm);

impl Sealer {
    /// Works out the schedule.
    pub fn new(key: &[u8; 32]) -> Sealer {
        Sealer(Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key)))
    }

    /// Seals under the key of this generation.
    pub fn seal(&self, generation: u8, label: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let nonce = random_bytes::<NONCE_BYTES>()?;
        let payload = Payload { msg: plaintext, aad: label };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| Error::internal("seal a value", "it is too long"))?;
        let mut out = Vec::with_capacity(2 + NONCE_BYTES + sealed.len());
        match generation {
            0 => out.push(FIRST_GENERATION),
            generation => out.extend([LATER_GENERATION, generation]),
        }
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Opens what `parts` left of a sealed value; nothing if it is another one or damaged.
    pub fn open(&self, label: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        let payload = Payload { msg: ciphertext, aad: label };
        self.0.decrypt(&Nonce::from(nonce), payload).ok()
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
