//! Where the master key comes from, and whether it is the one of this database.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crossbeam_channel::bounded;
use zeroize::Zeroizing;

use super::key_file;
use crate::config::given::Origin;
use crate::config::given::secret_variables;
use crate::config::{Config, KeySource};
use crate::crypto::keyring::Keyring;
use crate::crypto::master::MasterKey;
use crate::error::Error;
use crate::limits;
use crate::store;
use crate::store::key::{FINGERPRINT, SERVER_KEY, SetServerKey};

/// The keys of a database.
pub struct Loaded {
    /// Opened.
    pub keyring: Keyring,
    /// The server's key for a database that has none yet.
    pub new_server_key: Option<Vec<u8>>,
    /// Whether this start made the key's file.
    pub is_file_made: bool,
}

impl Loaded {
    /// What a new database must remember; nothing for one that does already.
    pub fn first_keys(&self) -> Option<SetServerKey> {
        let server_key = self.new_server_key.clone()?;
        Some(SetServerKey { server_key, fingerprint: self.keyring.fingerprint() })
    }
}

/// The master key from its source; a new one if there is neither a key nor a database that needs one.
///
/// Nothing of the database is changed. Errors: a database without its key; a key of another database; a file that
/// others can read; a program that fails.
pub fn load(config: &Config) -> Result<Loaded, Error> {
    let [sealed, fingerprint] = store::peek_meta(&config.db, [SERVER_KEY, FINGERPRINT])?;
    let fingerprint = String::from_utf8_lossy(&fingerprint.unwrap_or_default()).into_owned();
    let expected = Expected { sealed, fingerprint };
    let (master, is_file_made) = match &config.key_source {
        KeySource::File(path) => read_file(config, path, &expected)?,
        other => (read(other)?, false),
    };
    let Some(sealed) = &expected.sealed else {
        let (keyring, server_key) = Keyring::make(&master)?;
        return Ok(Loaded { keyring, new_server_key: Some(server_key), is_file_made });
    };
    match Keyring::open(&master, sealed) {
        Some(keyring) => Ok(Loaded { keyring, new_server_key: None, is_file_made }),
        None => Err(expected.wrong(config, &master)),
    }
}

/// What the database says of its key.
struct Expected {
    sealed: Option<Vec<u8>>,
    fingerprint: String,
}

impl Expected {
    fn wrong(&self, config: &Config, given: &MasterKey) -> Error {
        let why = format!(
            "{} needs the master key with the fingerprint {}; the one {} has {}. Nothing was changed",
            config.db.display(),
            self.fingerprint,
            config.key_source,
            given.fingerprint(),
        );
        Error::invalid("master key", why)
    }
}

/// The key from a source that is not ours to write.
pub fn read(source: &KeySource) -> Result<MasterKey, Error> {
    match source {
        KeySource::Text { text, origin } => {
            if *origin == Origin::Flag {
                log::warn!(
                    "--master-key: everybody on this machine can read it in the list of processes; \
                     PULUMI_BACKEND_MASTER_KEY or --master-key-file keep it"
                );
            }
            MasterKey::parse(text).map_err(|cause| Error::invalid("master-key", cause.to_string()))
        }
        KeySource::File(path) => key_file::read(path),
        KeySource::Credential(path) => {
            let failed = |cause| Error::internal(format!("read {}", path.display()), cause);
            MasterKey::parse(&Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?))
        }
        KeySource::Command(command) => run(command),
    }
}

/// A key's file, or a new one; one that waits since a rotation that was cut short takes its place.
fn read_file(config: &Config, path: &Path, expected: &Expected) -> Result<(MasterKey, bool), Error> {
    if let Some(sealed) = &expected.sealed
        && let Some(key) = take_waiting(path, sealed)?
    {
        return Ok((key, false));
    }
    if path.exists() {
        return Ok((key_file::read(path)?, false));
    }
    if expected.sealed.is_some() {
        let why = format!(
            "{} is not there, and {} cannot be read without it (fingerprint {}); put the key back, or name its place",
            path.display(),
            config.db.display(),
            expected.fingerprint,
        );
        return Err(Error::invalid("master-key-file", why));
    }
    let key = MasterKey::random()?;
    key_file::make(path, &key)?;
    Ok((key, true))
}

/// After a crash between the commit of a rotation and the exchange of the files, the next key is the right one.
fn take_waiting(path: &Path, sealed: &[u8]) -> Result<Option<MasterKey>, Error> {
    let waiting = key_file::next_path(path);
    if !waiting.exists() || !path.exists() {
        return Ok(None);
    }
    let (present, next) = (key_file::read(path)?, key_file::read(&waiting)?);
    if Keyring::open(&present, sealed).is_some() || Keyring::open(&next, sealed).is_none() {
        return Ok(None);
    }
    let kept = key_file::take_next(path, &present.fingerprint())?;
    log::warn!(
        "finished a change of the master key that was cut short; the old key is kept as {}",
        kept.display()
    );
    Ok(Some(next))
}

/// Runs a program that prints the key.
pub fn run(command: &str) -> Result<MasterKey, Error> {
    let out = output_of("master-key-command", command)?;
    MasterKey::parse(&String::from_utf8_lossy(&out)).map_err(|_| {
        let why = "did not print a key: 32 bytes as 64 hexadecimal digits or in base64, and nothing else";
        Error::invalid("master-key-command", why)
    })
}

/// Runs the program of a setting, which prints a secret: its output is never shown; what it says on standard error
/// is, if it fails.
pub fn output_of(setting: &str, command: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |why: String| Error::invalid(setting, why);
    let mut sh = Command::new("sh");
    sh.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Whoever prints a secret has it from elsewhere.
    for variable in secret_variables() {
        sh.env_remove(variable);
    }
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut sh, 0);
    let mut child = sh.spawn().map_err(|cause| failed(format!("cannot run sh: {cause}")))?;
    let said = collect(&mut child);
    let patience = Duration::from_secs(limits::KEY_COMMAND_SECS);
    let Ok((out, err)) = said.recv_timeout(patience) else {
        kill(&mut child);
        return Err(failed(format!("did not end within {} seconds", limits::KEY_COMMAND_SECS)));
    };
    let status = child.wait().map_err(|cause| failed(cause.to_string()))?;
    if !status.success() {
        return Err(failed(format!("ended with {status}: {}", err.trim())));
    }
    Ok(out)
}

/// What a child prints, once it has closed both of its outputs.
fn collect(child: &mut Child) -> crossbeam_channel::Receiver<(Zeroizing<Vec<u8>>, String)> {
    let (done, said) = bounded(1);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::spawn(move || {
        let errors = std::thread::spawn(move || read_some(err));
        let out = Zeroizing::new(read_some(out));
        let err = errors.join().unwrap_or_default();
        // Nobody waits any more if it took too long.
        let _ = done.send((out, String::from_utf8_lossy(&err).into_owned()));
    });
    said
}

fn read_some(output: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(limits::KEY_COMMAND_OUTPUT_BYTES);
    if let Some(output) = output {
        // What cannot be read is missing, and then it is no key.
        let _ = output.take(limits::KEY_COMMAND_OUTPUT_BYTES as u64).read_to_end(&mut bytes);
    }
    bytes
}

/// Ends a program with all it started.
#[cfg(unix)]
#[allow(unsafe_code)] // std can only end the program itself; kill(2) reads nothing but its two numbers.
fn kill(child: &mut Child) {
    // SAFETY: a call with two numbers; the group is the child's own, made at its start.
    unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
    // It has been told to end; that it did is seen by its exit.
    let _ = child.wait();
}

#[cfg(not(unix))]
fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
