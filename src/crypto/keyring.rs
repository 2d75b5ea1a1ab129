//! The keys under the master key: the server's own and one for each stack. The only places that seal and open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::master::MasterKey;
use super::sealer::{self, NonceBytes, Sealer};
use super::{fill_random, random_bytes};
use crate::error::Error;
use crate::limits;

/// A key is renewed when it has sealed this many values. With random nonces of 96 bits, two of 2^32 values share
/// one with a chance of 1 in 2^33; at 2^28 it is 1 in 2^41.
pub const SEALS_TO_RENEW: u64 = 1 << 28;
/// A key that could not be renewed seals no more.
const SEALS_MAX: u64 = 1 << 31;
/// Generations of one stack's key.
const GENERATIONS_MAX: usize = 255;
const KEY_BYTES: usize = 32;
/// What a sealed blob has more than its text: form, nonce, tag.
const SEAL_BYTES: usize = 1 + 12 + 16;

/// Opens and seals with the keys of this server.
pub struct Keyring {
    masters: RwLock<Masters>,
    rotation: Mutex<()>,
    server: ServerKey,
    /// Keys of stacks in use, by the stack's row id. A row id is never used for another stack.
    stacks: RwLock<HashMap<i64, Arc<StackKey>>>,
    /// What keys had sealed that were forgotten since the counts were taken last.
    forgotten: Mutex<Vec<(i64, u64)>>,
}

/// While the database goes over from one to the other, a reader may still see what the old one sealed, or already
/// what the new one did.
struct Masters {
    present: Master,
    other: Option<Master>,
}

struct Master {
    sealer: Sealer,
    fingerprint: String,
}

/// The server's own key, for what belongs to no stack.
pub struct ServerKey {
    key: Zeroizing<[u8; KEY_BYTES]>,
}

/// The keys of one stack, oldest first, bound to its id: a renamed stack keeps them.
pub struct StackKey {
    generations: Vec<Sealer>,
    /// For keyed hashes; made from the first key, and of no use to find it.
    hash_key: Zeroizing<[u8; KEY_BYTES]>,
    stack_uid: String,
    secret_label: Vec<u8>,
    /// Values that the newest key has sealed since it was opened here.
    n_seals: AtomicU64,
}

impl Keyring {
    /// A keyring for a new database, and its server key, sealed.
    pub fn make(master: &MasterKey) -> Result<(Keyring, Vec<u8>), Error> {
        let key = Zeroizing::new(random_bytes::<KEY_BYTES>()?);
        let keyring = Keyring::new(master, ServerKey { key });
        let sealed = keyring.server_key_under(&Master::new(master))?;
        Ok((keyring, sealed))
    }

    /// The keyring of a database; nothing if its server key was not sealed with this master key.
    pub fn open(master: &MasterKey, server_key_sealed: &[u8]) -> Option<Keyring> {
        let key = Master::new(master).open(SERVER_KEY, server_key_sealed)?;
        let key: [u8; KEY_BYTES] = key.as_slice().try_into().ok()?;
        Some(Keyring::new(master, ServerKey { key: Zeroizing::new(key) }))
    }

    fn new(master: &MasterKey, server: ServerKey) -> Keyring {
        let masters = Masters { present: Master::new(master), other: None };
        Keyring {
            masters: RwLock::new(masters),
            rotation: Mutex::default(),
            server,
            stacks: RwLock::default(),
            forgotten: Mutex::default(),
        }
    }

    /// The master key's fingerprint.
    pub fn fingerprint(&self) -> String {
        self.masters.read().expect(NO_PANIC).present.fingerprint.clone()
    }

    /// The server's own key.
    pub fn server(&self) -> &ServerKey {
        &self.server
    }

    /// A new stack's key, the same sealed for the database, and the fingerprint of the master key that sealed it.
    pub fn make_stack_key(&self, stack_uid: &str) -> Result<(StackKey, Vec<u8>, String), Error> {
        let key = Zeroizing::new(random_bytes::<KEY_BYTES>()?.to_vec());
        let master = &self.masters.read().expect(NO_PANIC).present;
        let sealed = master.seal(&stack_key_label(stack_uid), &key)?;
        Ok((StackKey::new(&key, stack_uid), sealed, master.fingerprint.clone()))
    }

    /// The key of a stack, if it has been opened. It opens all that was sealed so far: a renewed key seals nothing
    /// before it has taken the old one's place here.
    pub fn opened_key(&self, stack_id: i64) -> Option<Arc<StackKey>> {
        self.stacks.read().expect(NO_PANIC).get(&stack_id).cloned()
    }

    /// The key of a stack, opened once and then kept in memory.
    pub fn stack_key(&self, stack_id: i64, stack_uid: &str, sealed: &[u8]) -> Result<Arc<StackKey>, Error> {
        let n_generations = sealed.len().saturating_sub(SEAL_BYTES) / KEY_BYTES;
        if let Some(key) = self.stacks.read().expect(NO_PANIC).get(&stack_id)
            && key.generations.len() >= n_generations
        {
            return Ok(key.clone());
        }
        let key = Arc::new(StackKey::new(&self.open_stack_key(stack_uid, sealed)?, stack_uid));
        let mut stacks = self.stacks.write().expect(NO_PANIC);
        // Somebody may have opened a renewed key meanwhile; that one stays.
        let is_newest =
            stacks.get(&stack_id).is_none_or(|kept| kept.generations.len() < key.generations.len());
        if is_newest {
            stacks.insert(stack_id, key.clone());
        }
        if stacks.len() > limits::STACK_KEYS_MAX {
            self.forget_unused(&mut stacks);
        }
        Ok(key)
    }

    /// Stacks come and go for years; a key that is needed again is opened again.
    fn forget_unused(&self, stacks: &mut HashMap<i64, Arc<StackKey>>) {
        let mut forgotten = self.forgotten.lock().expect(NO_PANIC);
        stacks.retain(|stack_id, key| {
            let is_used = Arc::strong_count(key) > 1;
            let n_seals = key.n_seals.load(Ordering::Relaxed);
            if !is_used && n_seals > 0 {
                forgotten.push((*stack_id, n_seals));
            }
            is_used
        });
    }

    /// A stack's key with one more generation, sealed for the database; new values are sealed with that.
    pub fn renew_stack_key(&self, stack_uid: &str, sealed: &[u8]) -> Result<(Vec<u8>, String), Error> {
        let keys = self.open_stack_key(stack_uid, sealed)?;
        if keys.len() / KEY_BYTES >= GENERATIONS_MAX {
            return Err(Error::Conflict(format!(
                "the key of this stack was renewed {GENERATIONS_MAX} times"
            )));
        }
        let mut more = Zeroizing::new(Vec::with_capacity(keys.len() + KEY_BYTES));
        more.extend_from_slice(&keys);
        more.extend_from_slice(Zeroizing::new(random_bytes::<KEY_BYTES>()?).as_slice());
        let master = &self.masters.read().expect(NO_PANIC).present;
        Ok((master.seal(&stack_key_label(stack_uid), &more)?, master.fingerprint.clone()))
    }

    /// Whether a stack's key opens, without keeping it; its generations.
    pub fn check_stack_key(&self, stack_uid: &str, sealed: &[u8]) -> Result<usize, Error> {
        Ok(self.open_stack_key(stack_uid, sealed)?.len() / KEY_BYTES)
    }

    /// A stack's sealed key, sealed anew for another master key.
    pub fn reseal_stack_key(
        &self,
        new: &MasterKey,
        stack_uid: &str,
        sealed: &[u8],
    ) -> Result<Vec<u8>, Error> {
        Master::new(new).seal(&stack_key_label(stack_uid), &self.open_stack_key(stack_uid, sealed)?)
    }

    /// The server's key, sealed for another master key.
    pub fn reseal_server_key(&self, new: &MasterKey) -> Result<Vec<u8>, Error> {
        self.server_key_under(&Master::new(new))
    }

    /// Held while the master key is changed, for two changes at once would each undo the other's files.
    pub fn begin_rotation(&self) -> MutexGuard<'_, ()> {
        self.rotation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on opens what this master key sealed, too: the database is about to go over to it.
    pub fn expect(&self, new: &MasterKey) {
        self.masters.write().expect(NO_PANIC).other = Some(Master::new(new));
    }

    /// Goes over to another master key, under which everything in the database has been sealed anew.
    pub fn adopt(&self, new: &MasterKey) {
        let mut masters = self.masters.write().expect(NO_PANIC);
        let old = std::mem::replace(&mut masters.present, Master::new(new));
        masters.other = Some(old);
    }

    /// Seals per stack since they were taken last, of those that had `n_min`, at least one, and of forgotten keys.
    pub fn take_seal_counts(&self, n_min: u64) -> Vec<(i64, u64)> {
        let mut counts = std::mem::take(&mut *self.forgotten.lock().expect(NO_PANIC));
        let stacks = self.stacks.read().expect(NO_PANIC);
        let has_enough = |key: &StackKey| key.n_seals.load(Ordering::Relaxed) >= n_min.max(1);
        let counted = stacks.iter().filter(|(_, key)| has_enough(key));
        counts.extend(counted.map(|(id, key)| (*id, key.n_seals.swap(0, Ordering::Relaxed))));
        counts
    }

    fn open_stack_key(&self, stack_uid: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let masters = self.masters.read().expect(NO_PANIC);
        let label = stack_key_label(stack_uid);
        let other = || masters.other.as_ref()?.open(&label, sealed);
        let keys = masters.present.open(&label, sealed).or_else(other);
        keys.filter(|keys| !keys.is_empty() && keys.len().is_multiple_of(KEY_BYTES)).ok_or_else(|| {
            Error::internal(
                format!("open the key of stack {stack_uid}"),
                format!(
                    "it was not sealed with this server's master key ({}), or is damaged",
                    masters.present.fingerprint
                ),
            )
        })
    }

    fn server_key_under(&self, master: &Master) -> Result<Vec<u8>, Error> {
        master.seal(SERVER_KEY, self.server.key.as_slice())
    }
}

const SERVER_KEY: &[u8] = b"server key";
const NO_PANIC: &str = "no panic under this lock";

impl Master {
    fn new(key: &MasterKey) -> Master {
        Master { sealer: Sealer::new(key.bytes()), fingerprint: key.fingerprint() }
    }

    fn seal(&self, label: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        self.sealer.seal(0, label, &[plain])
    }

    fn open(&self, label: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (generation, rest) = sealer::parts(sealed)?;
        (generation == 0).then(|| self.sealer.open(label, rest))?.map(Zeroizing::new)
    }
}

impl ServerKey {
    /// A SHA-256 that nobody can reproduce without this key.
    pub fn keyed_hasher(&self, what: &str) -> Sha256 {
        keyed_hasher(b"pulumi-backend server hash", &self.key, what)
    }
}

fn keyed_hasher(domain: &[u8], key: &[u8; KEY_BYTES], what: &str) -> Sha256 {
    Sha256::new_with_prefix(domain).chain_update(key).chain_update([what.len() as u8]).chain_update(what)
}

impl StackKey {
    /// `keys` has at least one.
    fn new(keys: &[u8], stack_uid: &str) -> StackKey {
        let (keys, _) = keys.as_chunks::<KEY_BYTES>();
        let hash_key = Sha256::new_with_prefix(b"pulumi-backend hash key").chain_update(keys[0]).finalize();
        StackKey {
            generations: keys.iter().map(Sealer::new).collect(),
            hash_key: Zeroizing::new(hash_key.into()),
            stack_uid: stack_uid.to_string(),
            secret_label: label("secret", stack_uid),
            n_seals: AtomicU64::new(0),
        }
    }

    /// Seals a value of this stack; `what` says what it is, and must be said again to open it.
    pub fn seal(&self, what: &str, plain: &[u8]) -> Result<Vec<u8>, Error> {
        self.seal_parts(what, &[plain])
    }

    /// As `seal`, for a value in pieces, which are copied once.
    pub fn seal_parts(&self, what: &str, parts: &[&[u8]]) -> Result<Vec<u8>, Error> {
        let (generation, sealer) = self.newest(1)?;
        sealer.seal(generation, &label(what, &self.stack_uid), parts)
    }

    /// Opens a sealed value; nothing if it is another one, of another stack, or damaged.
    pub fn open(&self, what: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.open_labelled(&label(what, &self.stack_uid), sealed)
    }

    /// A SHA-256 that nobody can reproduce without this key.
    pub fn keyed_hasher(&self, what: &str) -> Sha256 {
        Sha256::new_with_prefix(*self.hash_key).chain_update([what.len() as u8]).chain_update(what)
    }

    /// Encrypts secret values for the CLI, each by itself, in their order.
    pub fn encrypt(&self, plaintexts: &[impl AsRef<[u8]>]) -> Result<Vec<Vec<u8>>, Error> {
        let (generation, sealer) = self.newest(plaintexts.len())?;
        let mut nonces = vec![NonceBytes::default(); plaintexts.len()];
        fill_random(nonces.as_flattened_mut())?;
        let sealed = plaintexts
            .iter()
            .zip(nonces)
            .map(|(plain, nonce)| sealer.seal_with(nonce, generation, &self.secret_label, &[plain.as_ref()]));
        sealed.collect()
    }

    /// The secret value, or nothing if this is no ciphertext of this stack.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        self.open_labelled(&self.secret_label, ciphertext)
    }

    /// The key that seals, which will seal `n` values more.
    fn newest(&self, n: usize) -> Result<(u8, &Sealer), Error> {
        if self.n_seals.fetch_add(n as u64, Ordering::Relaxed) >= SEALS_MAX {
            let why = "the stack's key has sealed too many values, and was not renewed";
            return Err(Error::internal("seal a value", why));
        }
        let newest = self.generations.len() - 1;
        Ok((newest as u8, &self.generations[newest]))
    }

    fn open_labelled(&self, label: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (generation, rest) = sealer::parts(sealed)?;
        self.generations.get(generation as usize)?.open(label, rest)
    }
}

fn label(what: &str, stack_uid: &str) -> Vec<u8> {
    format!("{what} {stack_uid}").into_bytes()
}

fn stack_key_label(stack_uid: &str) -> Vec<u8> {
    format!("stack key {stack_uid}").into_bytes()
}
