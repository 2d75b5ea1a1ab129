//! One run of the CLI: started, perhaps signalled, waited for, and judged.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long any run of the CLI may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often a wait looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A run that has ended.
pub struct Run {
    command: String,
    status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Run {
    /// It must have succeeded.
    #[track_caller]
    pub fn ok(self) -> Run {
        assert!(self.status.success(), "this was to succeed:\n{}", self.story());
        self
    }

    /// It must have failed by an exit code of its own.
    #[track_caller]
    pub fn fails(self) -> Run {
        assert!(self.status.code().is_some_and(|code| code != 0), "this was to fail:\n{}", self.story());
        self
    }

    /// `text` must be in what it printed.
    #[track_caller]
    pub fn says(self, text: &str) -> Run {
        assert!(self.has_said(text), "this was to say {text:?}:\n{}", self.story());
        self
    }

    /// `text` must not be in what it printed.
    #[track_caller]
    pub fn says_nothing_of(self, text: &str) -> Run {
        assert!(!self.has_said(text), "this was not to say {text:?}:\n{}", self.story());
        self
    }

    /// Whether it succeeded.
    pub fn is_ok(&self) -> bool {
        self.status.success()
    }

    /// Whether `text` is in what it printed.
    pub fn has_said(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }

    /// Its standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("this was to print JSON ({error}):\n{}", self.story()))
    }

    /// Its standard output without the white space around it.
    pub fn line(&self) -> &str {
        self.stdout.trim()
    }

    /// Command, status and output, as a failed test shows them.
    pub fn story(&self) -> String {
        format!(
            "$ {}\n{}\n--- stdout\n{}\n--- stderr\n{}\n---",
            self.command, self.status, self.stdout, self.stderr
        )
    }
}

/// A run that goes on in the background. Dropping it kills it.
pub struct Running {
    child: Child,
    command: String,
    stdout: Output,
    stderr: Output,
}

impl Running {
    /// Starts it; `input` is all that it finds on its standard input.
    pub fn start(command: &mut Command, input: &str) -> Running {
        let words = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
        let text = format!("pulumi {}", words.collect::<Vec<_>>().join(" "));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {text}: {error}"));
        // It may end without reading, and that is no fault.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        let stdout = Output::collect(child.stdout.take().expect("piped"));
        let stderr = Output::collect(child.stderr.take().expect("piped"));
        Running { child, command: text, stdout, stderr }
    }

    /// Sends a signal by its name, as `INT`. The CLI's plugins do not get it.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("run kill").success(), "kill -{name} failed");
    }

    /// SIGKILL: the CLI gets no chance to report anything more.
    pub fn kill(mut self) -> Run {
        self.child.kill().expect("kill the CLI");
        self.wait()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("ask for the CLI's status").is_none()
    }

    /// Waits until it has printed `text`.
    #[track_caller]
    pub fn wait_until_it_says(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.stdout.text().contains(text) && !self.stderr.text().contains(text) {
            let is_over = !self.is_running() || Instant::now() > deadline;
            assert!(!is_over, "this was to say {text:?}:\n{}", self.output());
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Run {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("ask for the CLI's status") {
                break status;
            }
            assert!(Instant::now() < deadline, "this did not end in time:\n{}", self.output());
            std::thread::sleep(LOOK_AGAIN);
        };
        let (stdout, stderr) = (self.stdout.finish(), self.stderr.finish());
        Run { command: self.command.clone(), status, stdout, stderr }
    }

    fn output(&self) -> String {
        format!(
            "$ {}\n--- stdout\n{}\n--- stderr\n{}\n---",
            self.command,
            self.stdout.text(),
            self.stderr.text()
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has usually ended already, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a pipe has brought so far; a thread keeps reading so that the pipe never fills.
struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    fn collect(mut pipe: impl Read + Send + 'static) -> Output {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = bytes.clone();
        let reader = std::thread::spawn(move || {
            let mut part = [0; 8192];
            while let Ok(n @ 1..) = pipe.read(&mut part) {
                sink.lock().expect("output").extend_from_slice(&part[..n]);
            }
        });
        Output { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("output")).into_owned()
    }

    /// Everything until the pipe closed.
    fn finish(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("read the CLI's output");
        }
        self.text()
    }
}
