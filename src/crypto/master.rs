//! The master key: 32 bytes that wrap every other key.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{hex, random_bytes, unhex};
use crate::error::Error;

/// 32 bytes that wrap the keys of the stacks and of the server. Prints as `***`.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// A new one from the operating system.
    pub fn random() -> Result<MasterKey, Error> {
        Ok(MasterKey(Zeroizing::new(random_bytes()?)))
    }

    /// 64 hex digits, or the same 32 bytes in base64; space around it does not count.
    pub fn parse(text: &str) -> Result<MasterKey, Error> {
        let text = text.trim();
        let bytes = unhex(text).filter(|bytes| bytes.len() == 32).or_else(|| STANDARD.decode(text).ok());
        let bytes = Zeroizing::new(bytes.unwrap_or_default());
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| {
            Error::invalid("master key", "must be 32 bytes, written as 64 hexadecimal digits or in base64")
        })?;
        Ok(MasterKey(Zeroizing::new(key)))
    }

    /// 64 hex digits, for the key file and for nothing else.
    pub fn reveal_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex(self.0.as_slice()))
    }

    /// Tells keys apart without telling the key: 16 hex digits of a hash.
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::new_with_prefix(b"pulumi-backend fingerprint").chain_update(*self.0).finalize();
        hex(&hash[..8])
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
