//! The create request of an update, as far as the server looks into it. It is kept as it came.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Error};
use serde_json::value::RawValue;

/// Source: apitype/updates.go, `UpdateProgramRequest`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Program {
    /// How the engine is to run.
    #[serde(deserialize_with = "object")]
    pub options: Options,
    /// `namespace:name` → value; secret ones hold ciphertext.
    #[serde(deserialize_with = "or_default")]
    pub config: BTreeMap<String, Box<RawValue>>,
    /// What is shown in the history.
    #[serde(deserialize_with = "object")]
    pub metadata: Metadata,
}

/// Source: apitype/updates.go, `UpdateOptions`.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct Options {
    /// A preview of this kind of update.
    pub dry_run: bool,
}

/// Source: apitype/updates.go, `UpdateMetadata`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Metadata {
    /// Often the title of a commit.
    #[serde(deserialize_with = "or_default")]
    pub message: String,
    /// As `git.head`, `ci.system`, `pulumi.version`.
    #[serde(deserialize_with = "or_default")]
    pub environment: BTreeMap<String, String>,
}

/// An object or `null`. A derived reader also takes an array, its elements for the fields; that is refused.
fn object<'de, D: serde::Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    let raw: Box<RawValue> = Deserialize::deserialize(from)?;
    match raw.get().as_bytes().first() {
        Some(b'{') => serde_json::from_str(raw.get()).map_err(D::Error::custom),
        Some(b'n') => Ok(T::default()),
        _ => Err(D::Error::custom("expected an object")),
    }
}

/// A Go client writes `null` for an empty map.
fn or_default<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
