//! An issuer of tokens with keys made in the test.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// A key pair that signs tokens.
pub enum Signer {
    /// EdDSA.
    Ed25519(Ed25519KeyPair),
    /// ES256.
    P256(EcdsaKeyPair),
}

impl Signer {
    /// A new Ed25519 key.
    pub fn ed25519() -> Signer {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Signer::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key"))
    }

    /// A new P-256 key.
    pub fn p256() -> Signer {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        Signer::P256(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("a key"))
    }

    /// The public key, as it stands in a key set.
    pub fn jwk(&self, kid: &str) -> Value {
        match self {
            Signer::Ed25519(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": encode(key.public_key().as_ref()) })
            }
            Signer::P256(key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = (encode(&point[..32]), encode(&point[32..]));
                json!({ "kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "use": "sig", "x": x, "y": y })
            }
        }
    }

    /// A token with these claims.
    pub fn sign(&self, kid: &str, claims: &Value) -> String {
        let alg = if matches!(self, Signer::P256(_)) { "ES256" } else { "EdDSA" };
        self.sign_as(&json!({ "alg": alg, "kid": kid, "typ": "JWT" }), claims)
    }

    /// A token with this header.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = match self {
            Signer::Ed25519(key) => key.sign(signed.as_bytes()).as_ref().to_vec(),
            Signer::P256(key) => {
                key.sign(&SystemRandom::new(), signed.as_bytes()).expect("a signature").as_ref().to_vec()
            }
        };
        format!("{signed}.{}", encode(signature))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Now, in seconds since 1970.
pub fn now_unix() -> i64 {
    std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() as i64
}
