//! A real S3-compatible server that checks signatures: `s3s-fs`, which keeps a bucket as a folder.
//!
//! It comes from `S3S_FS` or from `PATH`. Where there is none, cargo builds it once from its registry into
//! `target/s3s-fs/`; its dependencies are its own and in nothing of ours.

use super::http::connect;
use super::process::TempDir;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The newest that the compiler of this repository builds.
const VERSION: &str = "0.14.1";
pub const ACCESS_KEY: &str = "AKIDOFTHETESTS";
pub const SECRET_KEY: &str = "secret/of+the/tests";
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server with the bucket `backups`.
pub struct S3s {
    /// `127.0.0.1:PORT`.
    pub address: String,
    folder: TempDir,
    process: Child,
}

impl S3s {
    /// `None`, after a loud line that says why, where there is none and none can be built; with `CI=true` that fails.
    pub fn start() -> Option<S3s> {
        static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let binary = match BINARY.get_or_init(find_or_build) {
            Ok(binary) => binary,
            Err(why) => {
                let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
                assert!(!is_ci, "the test with a real S3 server cannot run: {why}");
                eprintln!("THE TEST WITH A REAL S3 SERVER DID NOT RUN: {why}");
                return None;
            }
        };
        let folder = TempDir::new("s3s");
        std::fs::create_dir(folder.path().join("backups")).expect("make the bucket");
        let deadline = Instant::now() + PATIENCE;
        loop {
            // The port is free now; if somebody else takes it meanwhile, the next one will do.
            let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
            let address = free.local_addr().expect("an address").to_string();
            drop(free);
            let port = address.rsplit_once(':').expect("a port").1.to_string();
            let mut process = Command::new(binary)
                .args(["--host", "127.0.0.1", "--port", &port])
                .args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY])
                .arg(folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("run s3s-fs");
            while process.try_wait().expect("its state").is_none() {
                assert!(Instant::now() < deadline, "s3s-fs does not answer");
                if connect(&address).is_ok() {
                    return Some(S3s { address, folder, process });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(Instant::now() < deadline, "s3s-fs does not start");
        }
    }

    /// `s3://backups/prefix?…` for this server.
    pub fn url(&self, path: &str) -> String {
        format!("s3://backups/{path}?endpoint={}&s3ForcePathStyle=true&disableSSL=true", self.address)
    }

    /// The names of the files in a folder of the bucket.
    pub fn names(&self, path: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("backups").join(path)) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

impl Drop for S3s {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn find_or_build() -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("S3S_FS") {
        return Ok(given.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path =
        std::env::split_paths(&path).map(|folder| folder.join("s3s-fs")).find(|file| file.is_file());
    if let Some(found) = on_path {
        return Ok(found);
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/s3s-fs");
    let binary = root.join("bin/s3s-fs");
    if binary.is_file() {
        return Ok(binary);
    }
    eprintln!("building s3s-fs {VERSION} (a few minutes), once, into {}", root.display());
    let cargo = std::env::var("CARGO").unwrap_or("cargo".into());
    let output = Command::new(cargo)
        .args(["install", "s3s-fs", "--version", VERSION, "--features", "binary", "--locked", "--debug"])
        .arg("--root")
        .arg(&root)
        .env("CARGO_TARGET_DIR", root.join("build"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    match output.status.success() && binary.is_file() {
        true => Ok(binary),
        false => Err(format!("s3s-fs cannot be built:\n{}", String::from_utf8_lossy(&output.stderr))),
    }
}
