//! What a binary takes: its size, the time from its start until it serves, its memory when nothing happens. Of the
//! benchmark's own build, and of those in the release folder, if `.ci/release` has made it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::figures::{Figures, bytes, millis, percentile};
use crate::target::Target;

const STARTS: usize = 20;

/// One note for each binary.
pub fn run(target: &Target, figures: &mut Figures) {
    let request = target.get("/api/user");
    for binary in binaries() {
        let (mut new, mut existing) = (Vec::new(), Vec::new());
        let mut resident = 0;
        for _ in 0..STARTS {
            let folder = std::env::temp_dir().join(format!("footprint-{}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("make a folder");
            for times in [&mut new, &mut existing] {
                let (mut server, address, time) = start(&binary, &folder);
                times.push(time);
                Client::connect(&address).call(&request);
                resident = resident_bytes(server.id());
                let asked = Command::new("kill").args(["-TERM", &server.id().to_string()]).status();
                assert!(asked.expect("kill").success());
                server.wait().expect("wait");
            }
            std::fs::remove_dir_all(&folder).expect("remove the folder");
        }
        let middle = |mut times: Vec<Duration>| {
            times.sort();
            millis(percentile(&times, 0.5)).trim().to_string()
        };
        figures.notes.push(format!(
            "{}: {}, ready after {} (new data), {} (old), idle {}",
            binary.file_name().unwrap_or_default().to_string_lossy(),
            bytes(binary.metadata().expect("the binary").len()),
            middle(new),
            middle(existing),
            bytes(resident)
        ));
    }
}

/// The server, its address, and the time until it told that.
fn start(binary: &Path, folder: &Path) -> (Child, String, Duration) {
    let begun = Instant::now();
    let mut server = Command::new(binary)
        .args(["--addr", "127.0.0.1:0", "--db"])
        .arg(folder.join("data.db"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("start a binary");
    let mut lines = BufReader::new(server.stdout.take().expect("piped")).lines();
    let address = lines.find_map(|line| line.ok()?.strip_prefix("listening on http://").map(String::from));
    (server, address.expect("an address"), begun.elapsed())
}

fn binaries() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release-folder");
    let made = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let here = format!("{}-unknown-linux", std::env::consts::ARCH);
    let mut made: Vec<_> = made.filter(|path| path.to_string_lossy().contains(&here)).collect();
    made.sort();
    std::iter::once(PathBuf::from(env!("CARGO_BIN_EXE_pulumi-backend"))).chain(made).collect()
}

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
