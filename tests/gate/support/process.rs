//! A gate in a process of its own, where memory, threads and descriptors can be counted and limited.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Instant;

use pulumi_backend::gate::Settings;

use super::client::Client;
use super::{PATIENCE, TestGate};

const ROLE: &str = "GATE_TEST_CHILD";
/// Before what the child says, among what the test harness prints.
const MARK: &str = "gate-child ";

pub struct GateProcess {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub address: SocketAddr,
}

/// What the process uses, as Linux tells it.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub resident_bytes: usize,
    pub n_threads: usize,
    pub n_descriptors: usize,
    pub n_requests: usize,
}

impl GateProcess {
    /// Starts a gate in a new process, which is this test binary running the same test: there, this function serves
    /// and gives `None`, and the test is to return.
    ///
    /// `limits` is for the shell that starts it, as `ulimit -n 64`.
    pub fn start(test: &str, limits: &str, settings: Settings) -> Option<GateProcess> {
        if std::env::var_os(ROLE).is_some() {
            serve_commands(&TestGate::start_with(settings));
            return None;
        }
        let command = format!("{limits}\nexec \"$0\" --exact \"$1\" --nocapture");
        let mut child = Command::new("sh")
            .args(["-c", &command])
            .arg(std::env::current_exe().unwrap())
            .arg(test)
            .env(ROLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (commands, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let address = "0.0.0.0:0".parse().unwrap();
        let mut process = GateProcess { child, commands, answers, address };
        process.address = process.answer().parse().unwrap();
        Some(process)
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn usage(&mut self) -> Usage {
        self.commands.write_all(b"usage\n").unwrap();
        let answer = self.answer();
        let numbers: Vec<usize> = answer.split(' ').map(|number| number.parse().unwrap()).collect();
        let [resident_bytes, n_threads, n_descriptors, n_requests] = numbers[..] else { panic!("{answer}") };
        Usage { resident_bytes, n_threads, n_descriptors, n_requests }
    }

    /// Waits until threads and descriptors are as many as `before`; memory may have grown by 8 MiB.
    #[track_caller]
    pub fn expect_back_at(&mut self, before: Usage) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.usage();
            let is_back = now.n_threads <= before.n_threads
                && now.n_descriptors <= before.n_descriptors
                && now.resident_bytes <= before.resident_bytes + (8 << 20);
            if is_back {
                return;
            }
            assert!(Instant::now() < deadline, "before {before:?}, now {now:?}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Sends a signal by its name, as `STOP`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.answers.read_line(&mut line).unwrap() > 0, "the gate's process has ended");
            if let Some(at) = line.find(MARK) {
                return line[at + MARK.len()..].trim().to_string();
            }
        }
    }
}

impl Drop for GateProcess {
    fn drop(&mut self) {
        // It ends with its standard input; a stopped or stuck one is killed. Both may have happened already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve_commands(gate: &TestGate) {
    println!("\n{MARK}{}", gate.address);
    for line in std::io::stdin().lines() {
        assert_eq!(line.unwrap(), "usage");
        let (resident, threads) = (status("VmRSS:") * 1024, status("Threads:"));
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
        let n_requests = gate.engine.counts.n_requests.load(Ordering::Relaxed);
        println!("\n{MARK}{resident} {threads} {descriptors} {n_requests}");
    }
}

fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
