//! Secrets as the CLI's own passphrase provider keeps them, for a way out of this server.
//!
//! Source: sdk/go/common/resource/config/crypt.go, `NewSymmetricCrypterFromPassphrase`;
//! pkg/secrets/passphrase/manager.go.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::pbkdf2::{PBKDF2_HMAC_SHA256, derive};
use zeroize::Zeroizing;

use super::random_bytes;
use super::sealer::Sealer;
use crate::error::Error;

/// As many as the CLI takes.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(1_000_000).expect("not zero");

/// A passphrase, with a salt of its own.
pub struct Passphrase {
    sealer: Sealer,
    salt: [u8; 8],
}

impl Passphrase {
    /// Takes about half a second: that is what keeps others from trying many.
    pub fn new(text: &str) -> Result<Passphrase, Error> {
        let salt = random_bytes()?;
        let mut key = Zeroizing::new([0; 32]);
        derive(PBKDF2_HMAC_SHA256, ITERATIONS, &salt, text.as_bytes(), key.as_mut_slice());
        Ok(Passphrase { sealer: Sealer::new(&key), salt })
    }

    /// `v1:NONCE:CIPHERTEXT`.
    pub fn seal(&self, plain: &[u8]) -> Result<String, Error> {
        let nonce = random_bytes()?;
        let sealed = self.sealer.seal_with(nonce, 0, b"", &[plain])?;
        // Our own form has a byte and the nonce before the ciphertext.
        Ok(format!("v1:{}:{}", STANDARD.encode(nonce), STANDARD.encode(&sealed[1 + nonce.len()..])))
    }

    /// What a deployment says of its provider: the salt, and something to try a passphrase on.
    pub fn state(&self) -> Result<String, Error> {
        Ok(format!("v1:{}:{}", STANDARD.encode(self.salt), self.seal(b"pulumi")?))
    }
}
