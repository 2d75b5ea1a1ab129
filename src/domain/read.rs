//! JSON in bytes into a value: the one way from bytes, so that the program has one reader of each type and not two.

use serde::de::{DeserializeOwned, Error};

/// The value that `json` holds. Errors: not UTF-8, no JSON, not of that shape.
pub fn from_bytes<T: DeserializeOwned>(json: &[u8]) -> serde_json::Result<T> {
    serde_json::from_str(std::str::from_utf8(json).map_err(serde_json::Error::custom)?)
}
