//! The real server binary as a child process on a free loopback port, with its data in a folder of its own.
//!
//! Used by every target that needs a running server. It can be stopped, killed and started again on the
//! same data and the same port, as a power cut and a restart would.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a start or a clean stop may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder that goes away with its owner, unless the test panicked: then it stays to be looked at.
pub struct TempDir(PathBuf);

impl TempDir {
    /// A new empty folder; `label` makes it recognizable.
    pub fn new(label: &str) -> TempDir {
        static N: AtomicU32 = AtomicU32::new(0);
        let n = N.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pulumi-backend-{label}-{}-{n}", std::process::id()));
        fs::create_dir_all(&path).expect("make a temporary folder");
        TempDir(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.0.display());
        } else {
            // The folder is ours and temporary; what cannot be removed now, the system removes later.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A server process. Dropping it kills it.
pub struct ServerProcess {
    child: Child,
    scheme: &'static str,
    address: String,
    dir: Arc<TempDir>,
    extra_args: Vec<String>,
    log: Arc<Mutex<String>>,
}

impl ServerProcess {
    /// Starts the server on a free port with new data. `extra_args` come after `--addr` and `--db`.
    pub fn start(extra_args: &[&str]) -> ServerProcess {
        let dir = Arc::new(TempDir::new("server"));
        let extra_args = extra_args.iter().map(|arg| arg.to_string()).collect();
        ServerProcess::launch(dir, "127.0.0.1:0", extra_args, Arc::default(), Instant::now() + PATIENCE)
    }

    fn launch(
        dir: Arc<TempDir>,
        addr: &str,
        extra_args: Vec<String>,
        log: Arc<Mutex<String>>,
        deadline: Instant,
    ) -> ServerProcess {
        let mut child = command(&dir, addr, &extra_args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the server binary");
        collect(child.stdout.take().expect("piped"), log.clone());
        collect(child.stderr.take().expect("piped"), log.clone());
        let mut server = ServerProcess { child, scheme: "", address: String::new(), dir, extra_args, log };
        if let Some(address) = server.wait_for_address() {
            server.address = address;
            return server;
        }
        // A connection of somebody else's may be using the port from its other end.
        assert!(Instant::now() < deadline, "the port stays in use; the log:\n{}", server.log());
        let (dir, extra_args, log) = (server.dir.clone(), server.extra_args.clone(), server.log.clone());
        log.lock().expect("log").clear();
        ServerProcess::launch(dir, addr, extra_args, log, deadline)
    }

    /// The start-up lines name the address; without them after `PATIENCE` the test fails with the log. `None`: its
    /// port is taken.
    fn wait_for_address(&mut self) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            let after = log.split_once("listening on http").map(|(_, after)| after);
            if let Some((url, _)) = after.and_then(|after| after.split_once(char::is_whitespace)) {
                self.scheme = if url.starts_with('s') { "https" } else { "http" };
                return url.split_once("://").map(|(_, address)| address.to_string());
            }
            if let Some(status) = self.child.try_wait().expect("ask for the server's status") {
                if self.has_logged("in use") {
                    return None;
                }
                panic!("the server ended with {status} before it listened; its log:\n{log}");
            }
            assert!(Instant::now() < deadline, "the server did not start in time; its log:\n{log}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `http://127.0.0.1:PORT`, or with `https`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The folder of the database and the key.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The process id, for signals and for a look into /proc.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything the server printed so far, over all its starts.
    pub fn log(&self) -> String {
        self.log.lock().expect("log").clone()
    }

    /// Whether a process that has ended said this: its last lines may come a moment after its end.
    fn has_logged(&self, text: &str) -> bool {
        let deadline = Instant::now() + Duration::from_secs(2);
        while !self.log().contains(text) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.log().contains(text)
    }

    /// SIGKILL, as a power cut would: nothing is flushed, nobody is asked.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill the server");
        self.child.wait().expect("reap the server");
    }

    /// SIGTERM, then waits; the exit must be clean.
    pub fn stop(&mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert!(status.success(), "a clean stop ended with {status}; log:\n{}", self.log());
    }

    /// Sends a signal by its name, as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.expect("run kill").success(), "kill -{name} failed");
    }

    /// Whether the process has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("ask for the server's status").is_none()
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("ask for the server's status") {
                return status;
            }
            assert!(Instant::now() < deadline, "the server did not stop in time; log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts it again on the same data and the same port, after `kill` or `stop`.
    pub fn restart(&mut self) {
        self.restart_with(&self.extra_args.clone());
    }

    /// As `restart`, with other arguments from now on.
    pub fn restart_with(&mut self, extra_args: &[String]) {
        self.log.lock().expect("log").clear();
        let (dir, log) = (self.dir.clone(), self.log.clone());
        let deadline = Instant::now() + PATIENCE;
        let next = ServerProcess::launch(dir, &self.address, extra_args.to_vec(), log, deadline);
        *self = next;
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- server log\n{}---", self.log());
        }
    }
}

fn command(dir: &TempDir, addr: &str, extra_args: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pulumi-backend"));
    command.args(["--addr", addr, "--db"]).arg(dir.path().join("pulumi-backend.db")).args(extra_args);
    command.env_clear().envs(std::env::vars().filter(|(name, _)| !name.starts_with("PULUMI_")));
    command.stdin(Stdio::null());
    command
}

/// Copies what the server prints into `log`, so that its pipe never fills and a failure can show it.
fn collect(output: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(output);
        let mut line = Vec::new();
        while matches!(lines.read_until(b'\n', &mut line), Ok(n) if n > 0) {
            log.lock().expect("log").push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
}
