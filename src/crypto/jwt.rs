//! Signed tokens of other issuers (JSON Web Tokens), and the key sets that they are checked with.
//!
//! Only RS256, ES256 and EdDSA; in particular not `none`, and nothing whose key is a shared secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Error;

/// A token that has been taken apart. Nothing of it is true before `is_signed_by` says so.
pub struct Jwt<'a> {
    header: Header,
    /// What it says.
    pub claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Names extensions that must be understood; there are none here.
    #[serde(default)]
    crit: Option<Value>,
}

/// Source: RFC 7517, section 4, and RFC 7518, section 6.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Key {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: String,
    n: String,
    e: String,
    x: String,
    y: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl Jwt<'_> {
    /// Takes a token apart; nothing if it is none.
    pub fn parse(text: &str) -> Option<Jwt<'_>> {
        let (signed, signature) = text.trim().rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = serde_json::from_str(std::str::from_utf8(&decode(header)?).ok()?).ok()?;
        let claims = serde_json::from_str(std::str::from_utf8(&decode(claims)?).ok()?).ok()?;
        Some(Jwt { header, claims, signed, signature: decode(signature)? })
    }

    /// A claim that is a text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    /// A claim that is a time.
    pub fn time(&self, claim: &str) -> Option<i64> {
        let value = self.claims.get(claim)?;
        value.as_i64().or_else(|| value.as_f64().map(|secs| secs as i64))
    }

    /// Whether a key of this set (RFC 7517) has signed it.
    pub fn is_signed_by(&self, key_set: &str) -> bool {
        let is_wanted = |key: &Key| match (&self.header.kid, &key.kid) {
            (Some(wanted), Some(kid)) => wanted == kid,
            _ => true,
        };
        let keys = parse_keys(key_set).unwrap_or_default();
        self.header.crit.is_none() && keys.iter().filter(|key| is_wanted(key)).any(|key| self.is_signed(key))
    }

    fn is_signed(&self, key: &Key) -> bool {
        let alg = self.header.alg.as_str();
        let is_for_this = key.alg.as_ref().is_none_or(|of_key| of_key == alg)
            && key.usage.as_ref().is_none_or(|usage| usage == "sig");
        is_for_this && algorithm(key) == Some(alg) && verify(key, self.signed.as_bytes(), &self.signature)
    }
}

/// Whether there is a key in the set that can check a token. Errors: `Invalid`, saying what is expected.
pub fn check_key_set(key_set: &str) -> Result<(), Error> {
    let keys = parse_keys(key_set)
        .ok_or_else(|| Error::invalid("keySet", "is not a JSON Web Key Set: {\"keys\": […]}"))?;
    match keys.iter().any(|key| algorithm(key).is_some()) {
        true => Ok(()),
        false => Err(Error::invalid("keySet", "has no public key for RS256, ES256 or EdDSA")),
    }
}

fn parse_keys(key_set: &str) -> Option<Vec<Key>> {
    let set: KeySet = serde_json::from_str(key_set).ok()?;
    // A key of a kind that is unknown here is no reason to refuse the others.
    Some(set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
}

/// The one algorithm that a key is for: a token cannot choose another.
fn algorithm(key: &Key) -> Option<&'static str> {
    match (key.kty.as_str(), key.crv.as_str()) {
        ("RSA", _) => Some("RS256"),
        ("EC", "P-256") => Some("ES256"),
        ("OKP", "Ed25519") => Some("EdDSA"),
        _ => None,
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

#[cfg(feature = "tls")]
fn verify(key: &Key, signed: &[u8], signature: &[u8]) -> bool {
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
        UnparsedPublicKey,
    };
    let verified = || {
        match key.kty.as_str() {
            "RSA" => RsaPublicKeyComponents { n: decode(&key.n)?, e: decode(&key.e)? }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                signed,
                signature,
            ),
            "EC" => {
                let point = [vec![4], decode(&key.x)?, decode(&key.y)?].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
            }
            _ => UnparsedPublicKey::new(&ED25519, decode(&key.x)?).verify(signed, signature),
        }
        .ok()
    };
    verified().is_some()
}

/// Signatures come with the library that TLS brings; without it no token is believed.
#[cfg(not(feature = "tls"))]
fn verify(_: &Key, _: &[u8], _: &[u8]) -> bool {
    false
}
