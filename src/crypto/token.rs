//! Tokens: made here, shown once, kept as SHA-256, compared without leaking where they differ.

use sha2::{Digest, Sha256};

use super::{hex, random_bytes};
use crate::error::Error;

/// What a lease token begins with, so that it is never taken for an access token.
pub const LEASE_PREFIX: &str = "lease-";

/// A token's SHA-256: what is stored and compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenHash(pub [u8; 32]);

/// The right to write one update until a time.
pub struct LeaseToken(String);

impl LeaseToken {
    /// A new one, 160 random bits.
    pub fn random() -> Result<LeaseToken, Error> {
        Ok(LeaseToken(format!("{LEASE_PREFIX}{}", hex(&random_bytes::<20>()?))))
    }

    /// For the answer to the CLI; nowhere else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// For the database.
    pub fn hash(&self) -> TokenHash {
        hash(&self.0)
    }
}

/// What an access token begins with, as the vendor's do.
pub const ACCESS_PREFIX: &str = "pul-";

/// The right to call as a user or an organization. Shown once, when it is made.
pub struct AccessToken(String);

impl AccessToken {
    /// A new one, 160 random bits.
    pub fn random() -> Result<AccessToken, Error> {
        Ok(AccessToken(format!("{ACCESS_PREFIX}{}", hex(&random_bytes::<20>()?))))
    }

    /// For the answer to the one who asked for it; nowhere else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// For the database.
    pub fn hash(&self) -> TokenHash {
        hash(&self.0)
    }
}

/// The SHA-256 of a token's text.
pub fn hash(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token.as_bytes()).into())
}

impl TokenHash {
    /// Whether both are of the same token, in constant time.
    pub fn matches(&self, stored: &[u8]) -> bool {
        stored.len() == 32 && self.0.iter().zip(stored).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0
    }
}
