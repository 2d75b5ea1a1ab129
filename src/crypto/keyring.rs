//! The master key, the stack keys it wraps, and the only places that seal and open.
//!
//! A sealed value is `format (1 byte) · nonce (12 bytes) · AES-256-GCM ciphertext and tag`. Its associated
//! data says what it is and whose, so a value moved to another place does not open.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{hex, random_bytes, unhex};
use crate::error::Error;

/// The first byte of everything sealed by this version.
const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 12;
const CANARY: &[u8] = b"pulumi-backend";

/// 32 bytes that wrap the stack keys. Prints as `***`.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// A new one from the operating system.
    pub fn random() -> Result<MasterKey, Error> {
        Ok(MasterKey(Zeroizing::new(random_bytes()?)))
    }

    /// 64 hex digits, as in a key file.
    pub fn parse(text: &str) -> Result<MasterKey, Error> {
        let bytes = Zeroizing::new(unhex(text.trim()).unwrap_or_default());
        let key: [u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| Error::invalid("master key", "must be 32 bytes written as 64 hexadecimal digits"))?;
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
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Opens and seals with the keys of this server.
pub struct Keyring {
    master: Sealer,
    fingerprint: String,
    /// Keys of stacks in use, by the stack's row id. A row id is never used for another stack.
    stacks: RwLock<HashMap<i64, Arc<StackKey>>>,
}

/// The key of one stack, bound to its id: a renamed stack keeps it.
pub struct StackKey {
    sealer: Sealer,
    /// For keyed hashes; made from the key, and of no use to find it.
    hash_key: Zeroizing<[u8; 32]>,
    stack_uid: String,
}

/// A key with its schedule worked out, ready for many values.
struct Sealer(Aes256Gcm);

impl Keyring {
    /// A keyring under this master key.
    pub fn new(master: &MasterKey) -> Keyring {
        Keyring {
            master: Sealer::new(&master.0),
            fingerprint: master.fingerprint(),
            stacks: RwLock::default(),
        }
    }

    /// The master key's fingerprint.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A known text under the master key: opened at each start to see that it is still the same key.
    pub fn seal_canary(&self) -> Result<Vec<u8>, Error> {
        self.master.seal(b"canary", CANARY)
    }

    /// Whether the canary was sealed with this master key.
    pub fn opens_canary(&self, sealed: &[u8]) -> bool {
        self.master.open(b"canary", sealed).is_some_and(|text| text == CANARY)
    }

    /// A new stack's key, and the same sealed with the master key for the database.
    pub fn make_stack_key(&self, stack_uid: &str) -> Result<(StackKey, Vec<u8>), Error> {
        let key = Zeroizing::new(random_bytes::<32>()?);
        let sealed = self.master.seal(&stack_key_label(stack_uid), key.as_slice())?;
        Ok((StackKey::new(&key, stack_uid), sealed))
    }

    /// The key of a stack, opened once and then kept in memory.
    pub fn stack_key(&self, stack_id: i64, stack_uid: &str, sealed: &[u8]) -> Result<Arc<StackKey>, Error> {
        if let Some(key) = self.stacks.read().expect("no panic under this lock").get(&stack_id) {
            return Ok(key.clone());
        }
        let opened = self.master.open(&stack_key_label(stack_uid), sealed).map(Zeroizing::new);
        let key: Zeroizing<[u8; 32]> = opened
            .and_then(|key| key.as_slice().try_into().ok())
            .map(Zeroizing::new)
            .ok_or_else(|| damaged(&format!("open the key of stack {stack_uid}")))?;
        let key = Arc::new(StackKey::new(&key, stack_uid));
        self.stacks.write().expect("no panic under this lock").insert(stack_id, key.clone());
        Ok(key)
    }
}

impl StackKey {
    fn new(key: &[u8; 32], stack_uid: &str) -> StackKey {
        let hash_key = Sha256::new_with_prefix(b"pulumi-backend hash key").chain_update(key).finalize();
        let hash_key = Zeroizing::new(hash_key.into());
        StackKey { sealer: Sealer::new(key), hash_key, stack_uid: stack_uid.to_string() }
    }

    /// Seals a value of this stack; `what` says what it is, and must be said again to open it.
    pub fn seal(&self, what: &str, plain: &[u8]) -> Result<Vec<u8>, Error> {
        self.sealer.seal(&self.label(what), plain)
    }

    /// Opens a sealed value; nothing if it is another one, of another stack, or damaged.
    pub fn open(&self, what: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.sealer.open(&self.label(what), sealed)
    }

    /// A SHA-256 that nobody can reproduce without this key.
    pub fn keyed_hasher(&self, what: &str) -> Sha256 {
        Sha256::new_with_prefix(*self.hash_key).chain_update([what.len() as u8]).chain_update(what)
    }

    /// Encrypts a secret value for the CLI.
    pub fn encrypt(&self, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        self.sealer.seal(&self.label("secret"), plaintext)
    }

    /// The secret value, or nothing if this is no ciphertext of this stack.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        self.sealer.open(&self.label("secret"), ciphertext)
    }

    fn label(&self, what: &str) -> Vec<u8> {
        format!("{what} {}", self.stack_uid).into_bytes()
    }
}

impl Sealer {
    fn new(key: &[u8; 32]) -> Sealer {
        Sealer(Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key)))
    }

    fn seal(&self, label: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let nonce = random_bytes::<NONCE_BYTES>()?;
        let payload = Payload { msg: plaintext, aad: label };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| Error::internal("seal a value", "it is too long"))?;
        let mut out = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        out.push(FORMAT);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    fn open(&self, label: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (&format, rest) = sealed.split_first()?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        let payload = Payload { msg: ciphertext, aad: label };
        (format == FORMAT).then(|| self.0.decrypt(&Nonce::from(nonce), payload).ok())?
    }
}

fn stack_key_label(stack_uid: &str) -> Vec<u8> {
    format!("stack key {stack_uid}").into_bytes()
}

fn damaged(during: &str) -> Error {
    Error::internal(during, "it does not open with the master key of this server")
}
