//! The master key, the stack keys it wraps, and the only places that seal and open.
//!
//! A sealed value is `format (1 byte) · nonce (12 bytes) · AES-256-GCM ciphertext and tag`. Its associated
//! data says what it is and whose, so a value moved to another place does not open.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Key, Nonce, Tag};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{fill_random, hex, random_bytes, unhex};
use crate::error::Error;

/// The first byte of everything sealed by this version.
const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 12;
/// Format and nonce.
const HEAD_BYTES: usize = 1 + NONCE_BYTES;
const TAG_BYTES: usize = 16;
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
    secret_label: Vec<u8>,
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
        self.master.seal(b"canary", &[CANARY])
    }

    /// Whether the canary was sealed with this master key.
    pub fn opens_canary(&self, sealed: &[u8]) -> bool {
        self.master.open(b"canary", sealed).is_some_and(|text| text == CANARY)
    }

    /// A new stack's key, and the same sealed with the master key for the database.
    pub fn make_stack_key(&self, stack_uid: &str) -> Result<(StackKey, Vec<u8>), Error> {
        let key = Zeroizing::new(random_bytes::<32>()?);
        let sealed = self.master.seal(&stack_key_label(stack_uid), &[key.as_slice()])?;
        Ok((StackKey::new(&key, stack_uid), sealed))
    }

    /// The key of a stack, if it has been opened.
    pub fn opened_key(&self, stack_id: i64) -> Option<Arc<StackKey>> {
        self.stacks.read().expect("no panic under this lock").get(&stack_id).cloned()
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
        let secret_label = label("secret", stack_uid);
        StackKey { sealer: Sealer::new(key), hash_key, stack_uid: stack_uid.to_string(), secret_label }
    }

    /// Seals a value of this stack; `what` says what it is, and must be said again to open it.
    pub fn seal(&self, what: &str, plain: &[u8]) -> Result<Vec<u8>, Error> {
        self.seal_parts(what, &[plain])
    }

    /// As `seal`, for a value in pieces, which are copied once.
    pub fn seal_parts(&self, what: &str, parts: &[&[u8]]) -> Result<Vec<u8>, Error> {
        self.sealer.seal(&self.label(what), parts)
    }

    /// Opens a sealed value; nothing if it is another one, of another stack, or damaged.
    pub fn open(&self, what: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.sealer.open(&self.label(what), sealed)
    }

    /// A SHA-256 that nobody can reproduce without this key.
    pub fn keyed_hasher(&self, what: &str) -> Sha256 {
        Sha256::new_with_prefix(*self.hash_key).chain_update([what.len() as u8]).chain_update(what)
    }

    /// Encrypts secret values for the CLI, each by itself, in their order.
    pub fn encrypt(&self, plaintexts: &[impl AsRef<[u8]>]) -> Result<Vec<Vec<u8>>, Error> {
        let mut nonces = vec![[0; NONCE_BYTES]; plaintexts.len()];
        fill_random(nonces.as_flattened_mut())?;
        let sealed = plaintexts.iter().zip(nonces);
        sealed
            .map(|(plain, nonce)| self.sealer.seal_with(nonce, &self.secret_label, &[plain.as_ref()]))
            .collect()
    }

    /// The secret value, or nothing if this is no ciphertext of this stack.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        self.sealer.open(&self.secret_label, ciphertext)
    }

    fn label(&self, what: &str) -> Vec<u8> {
        label(what, &self.stack_uid)
    }
}

impl Sealer {
    fn new(key: &[u8; 32]) -> Sealer {
        Sealer(Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key)))
    }

    fn seal(&self, label: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, Error> {
        self.seal_with(random_bytes()?, label, parts)
    }

    /// `nonce` must be random, and used for nothing else.
    fn seal_with(&self, nonce: [u8; NONCE_BYTES], label: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, Error> {
        let n_plain: usize = parts.iter().map(|part| part.len()).sum();
        let mut out = Vec::with_capacity(HEAD_BYTES + n_plain + TAG_BYTES);
        out.push(FORMAT);
        out.extend_from_slice(&nonce);
        parts.iter().for_each(|part| out.extend_from_slice(part));
        let plain = InOutBuf::from(&mut out[HEAD_BYTES..]);
        let tag = self.0.encrypt_inout_detached(&Nonce::from(nonce), label, plain);
        let tag = tag.map_err(|_| Error::internal("seal a value", "it is too long"))?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    fn open(&self, label: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (head, rest) = sealed.split_first_chunk::<HEAD_BYTES>()?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        let [format, nonce @ ..] = *head;
        let mut plain = ciphertext.to_vec();
        let opened = self.0.decrypt_inout_detached(
            &Nonce::from(nonce),
            label,
            InOutBuf::from(plain.as_mut_slice()),
            &Tag::from(*tag),
        );
        (format == FORMAT && opened.is_ok()).then_some(plain)
    }
}

fn label(what: &str, stack_uid: &str) -> Vec<u8> {
    format!("{what} {stack_uid}").into_bytes()
}

fn stack_key_label(stack_uid: &str) -> Vec<u8> {
    format!("stack key {stack_uid}").into_bytes()
}

fn damaged(during: &str) -> Error {
    Error::internal(during, "it does not open with the master key of this server")
}
