//! What the machine itself needs, measured in the same run: no server can be faster than these.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use aes_gcm::aead::Aead;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec;
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::deployment::Deployment;
use super::figures::{Figures, millis};

/// The floors, each the median of its samples.
pub struct Floors {
    fsync: Figures,
    commit: Figures,
    echo: Figures,
    inflate: Figures,
    deflate: Figures,
    sha256: Figures,
    aes_gcm: Figures,
}

/// What one call cannot do without.
#[derive(Default, Clone)]
pub struct Work {
    /// Answers over loopback.
    pub n_calls: f64,
    /// Commits that are on disk when the call answers.
    pub n_commits: f64,
    /// MB of text that arrive or are stored compressed and must be opened.
    pub inflate_mb: f64,
    /// MB of text that must be compressed.
    pub deflate_mb: f64,
    /// MB of which a hash is asked for.
    pub hash_mb: f64,
    /// MB that are sealed or opened.
    pub seal_mb: f64,
    /// Time that was measured for it without our server.
    pub measured: Duration,
}

impl Work {
    /// Calls that only answer.
    pub fn calls(n: usize) -> Work {
        Work { n_calls: n as f64, ..Work::default() }
    }

    /// Calls, and commits among them.
    pub fn commits(n_calls: usize, n_commits: usize) -> Work {
        Work { n_calls: n_calls as f64, n_commits: n_commits as f64, ..Work::default() }
    }
}

/// Bytes as MB.
pub fn mb(n_bytes: usize) -> f64 {
    n_bytes as f64 / 1e6
}

impl Floors {
    /// Measures all of them in `dir`, in about a second.
    pub fn measure(dir: &Path) -> Floors {
        let text = Deployment::new("floor", 1200, 1000).text();
        let text = &text.as_bytes()[..1_000_000];
        let deflated = compress_to_vec(text, 1);
        let cipher = Aes256Gcm::new(&[7; 32].into());
        Floors {
            fsync: fsync(dir),
            commit: commit(dir),
            echo: echo(),
            inflate: repeat(20, || decompress_to_vec(&deflated).expect("sound").len()),
            deflate: repeat(20, || compress_to_vec(text, 1).len()),
            sha256: repeat(20, || Sha256::digest(text)[0].into()),
            aes_gcm: repeat(20, || cipher.encrypt(&Nonce::from([7; 12]), text).expect("sealed").len()),
        }
    }

    /// The least time that this work takes; none if nothing was said about it.
    pub fn of(&self, work: &Work) -> Option<Duration> {
        let parts = [
            (&self.echo, work.n_calls),
            (&self.commit, work.n_commits),
            (&self.inflate, work.inflate_mb),
            (&self.deflate, work.deflate_mb),
            (&self.sha256, work.hash_mb),
            (&self.aes_gcm, work.seal_mb),
        ];
        let seconds: f64 = parts.iter().map(|(floor, n)| median(floor).as_secs_f64() * n).sum();
        Some(Duration::from_secs_f64(seconds) + work.measured).filter(|floor| !floor.is_zero())
    }

    /// The lines of the table that tell about the machine.
    pub fn lines(&self) -> String {
        let lines = [
            ("floor: fsync of 4 KB", &self.fsync),
            ("floor: commit of a row", &self.commit),
            ("floor: loopback echo", &self.echo),
            ("floor: inflate 1 MB", &self.inflate),
            ("floor: deflate 1 MB", &self.deflate),
            ("floor: SHA-256 1 MB", &self.sha256),
            ("floor: AES-GCM 1 MB", &self.aes_gcm),
        ];
        let lines = lines.map(|(name, figures)| {
            format!(
                "{name:<24} {:>10} {:>10}",
                millis(figures.percentile(0.5)),
                millis(figures.percentile(0.99))
            )
        });
        lines.join("\n")
    }
}

fn median(figures: &Figures) -> Duration {
    figures.percentile(0.5).expect("measured")
}

fn repeat(n: usize, mut work: impl FnMut() -> usize) -> Figures {
    let mut figures = Figures::default();
    for _ in 0..n {
        figures.time(|| std::hint::black_box(work()));
    }
    figures
}

fn fsync(dir: &Path) -> Figures {
    let path = dir.join("fsync");
    let mut file = File::create(&path).expect("create a file");
    let figures = repeat(200, || {
        file.write_all(&[7; 4096]).expect("append");
        file.sync_data().expect("fsync");
        0
    });
    std::fs::remove_file(path).expect("remove the file");
    figures
}

/// A commit of one row of 1 KB, as the server's writer does it: WAL, FULL, no automatic fold.
fn commit(dir: &Path) -> Figures {
    let folder = dir.join("commit");
    std::fs::create_dir_all(&folder).expect("make a folder");
    let conn = Connection::open(folder.join("floor.db")).expect("open a database");
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
         CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;",
    )
    .expect("set up a database");
    let row = [7u8; 1000];
    let figures = repeat(400, || {
        let mut statement = conn.prepare_cached("INSERT INTO rows (body) VALUES (?1)").expect("prepare");
        statement.execute([&row]).expect("insert")
    });
    drop(conn);
    std::fs::remove_dir_all(folder).expect("remove the database");
    figures
}

/// 200 bytes there and back between two threads.
fn echo() -> Figures {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let mut near = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    let (mut far, _) = listener.accept().expect("accept");
    near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).expect("set TCP_NODELAY");
    let echoing = std::thread::spawn(move || {
        let mut buffer = [0; 200];
        while far.read_exact(&mut buffer).is_ok() {
            far.write_all(&buffer).expect("echo");
        }
    });
    let mut buffer = [7; 200];
    let figures = repeat(2000, || {
        let started = Instant::now();
        near.write_all(&buffer).and_then(|()| near.read_exact(&mut buffer)).expect("an echo");
        started.elapsed().subsec_nanos() as usize
    });
    drop(near);
    echoing.join().expect("the echo");
    figures
}
