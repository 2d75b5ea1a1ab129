//! Keys, seals and tokens. Everything random comes from the operating system; a failure there stops the call.

pub mod hash_key;
pub mod hmac;
pub mod jwt;
pub mod keyring;
pub mod master;
#[cfg(feature = "tls")]
pub mod passphrase;
#[cfg(not(feature = "tls"))]
#[path = "passphrase_absent.rs"]
pub mod passphrase;
mod sealer;
pub mod token;

use crate::error::Error;

/// `N` random bytes from the operating system.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

/// Fills `bytes` at random: a call of the operating system for all of them.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|cause| Error::internal("get random bytes", cause.to_string()))
}

/// A random id in the form of a UUID (version 4), safe in a path.
pub fn random_uuid() -> Result<String, Error> {
    let mut bytes = random_bytes::<16>()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

/// Lowercase hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|n| DIGITS[n as usize] as char).collect()
}

/// Bytes from hex of either case; nothing from anything else.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok());
    pairs.collect()
}
