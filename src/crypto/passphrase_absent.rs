//! Stands in for `passphrase` in a build without TLS, which has no key derivation.

use crate::error::Error;

/// None can be had.
pub struct Passphrase;

impl Passphrase {
    /// Errors: always.
    pub fn new(_: &str) -> Result<Passphrase, Error> {
        Err(Error::invalid(
            "passphrase-file",
            "this build cannot derive keys from passphrases: it has no TLS",
        ))
    }

    /// Errors: always.
    pub fn seal(&self, _: &[u8]) -> Result<String, Error> {
        Passphrase::new("").map(|_| String::new())
    }

    /// Errors: always.
    pub fn state(&self) -> Result<String, Error> {
        Passphrase::new("").map(|_| String::new())
    }
}
