//! TestServer: the real binary, and calls to it. In its open mode any token is the user `admin`, who has the
//! organization `organization`.

use super::http::{Client, Request, Response};
use super::process::ServerProcess;
use super::stack::TestStack;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Mutex;

/// The organization of the open mode.
pub const ORG: &str = "organization";

/// A server of its own for one test, with an empty database.
pub struct TestServer {
    process: Mutex<ServerProcess>,
    /// Calls to its address.
    pub client: Client,
}

/// What a server's process uses.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Memory, in KiB.
    pub resident_kib: usize,
    /// Threads.
    pub n_threads: usize,
    /// Open descriptors.
    pub n_descriptors: usize,
}

impl TestServer {
    /// A server without any configuration.
    pub fn start() -> TestServer {
        TestServer::start_with(&[])
    }

    /// A server with further arguments.
    pub fn start_with(extra_args: &[&str]) -> TestServer {
        let process = ServerProcess::start(extra_args);
        let client = Client::new(process.address());
        TestServer { process: Mutex::new(process), client }
    }

    /// SIGKILL, then the same server on the same data and the same port.
    pub fn crash_and_restart(&self) {
        let mut process = self.process.lock().expect("process");
        process.kill();
        process.restart();
    }

    /// SIGKILL.
    pub fn crash(&self) {
        self.process.lock().expect("process").kill();
    }

    /// Its database, beside the server that has it open; rows that are edited here keep their keyed hashes.
    pub fn database(&self) -> rusqlite::Connection {
        let path = self.folder().join("pulumi-backend.db");
        let conn = rusqlite::Connection::open(path).expect("open the server's database");
        conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)
            .expect("no triggers");
        conn.busy_timeout(std::time::Duration::from_secs(30)).expect("wait for the server");
        conn
    }

    /// What it has printed since its start.
    pub fn log(&self) -> String {
        self.process.lock().expect("process").log()
    }

    /// Whether nobody has stopped it.
    pub fn is_running(&self) -> bool {
        self.process.lock().expect("process").is_running()
    }

    /// Starts it again after `stop`, on the same data and the same port.
    pub fn restart(&self) {
        self.process.lock().expect("process").restart();
    }

    /// The folder of the database and the key.
    pub fn folder(&self) -> PathBuf {
        self.process.lock().expect("process").dir().to_path_buf()
    }

    /// The server on the same data with these further arguments instead, after a clean end.
    pub fn restart_with(self, extra_args: &[&str]) -> TestServer {
        let mut process = self.process.into_inner().expect("process");
        process.stop();
        process.restart_with(&extra_args.iter().map(|arg| arg.to_string()).collect::<Vec<_>>());
        let client = Client::new(process.address());
        TestServer { process: Mutex::new(process), client }
    }

    /// SIGTERM, and waits for the clean end.
    pub fn stop(&self) {
        self.process.lock().expect("process").stop();
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.client.address())
    }

    /// The process id, for a look into /proc.
    pub fn pid(&self) -> u32 {
        self.process.lock().expect("process").pid()
    }

    /// A number of /proc/PID/status, as `VmHWM:` in KiB or `Threads:`.
    #[track_caller]
    pub fn status(&self, name: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("alive");
        let line = status.lines().find(|line| line.starts_with(name)).expect("a known name");
        line.split_whitespace().nth(1).expect("a value").parse().expect("a number")
    }

    /// What the process uses now.
    #[track_caller]
    pub fn usage(&self) -> Usage {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("alive");
        Usage {
            resident_kib: self.status("VmRSS:"),
            n_threads: self.status("Threads:"),
            n_descriptors: descriptors.count(),
        }
    }

    /// Sends a request; a lost connection fails the test.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Response {
        let answer = self.client.send(request);
        answer.unwrap_or_else(|error| panic!("{} {}: no answer: {error}", request.method, request.target))
    }

    /// A call without a body.
    #[track_caller]
    pub fn call(&self, method: &str, target: &str) -> Response {
        self.send(&Request::new(method, target))
    }

    /// `GET target`.
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.call("GET", target)
    }

    /// `POST target` with a JSON body.
    #[track_caller]
    pub fn post(&self, target: &str, body: &Value) -> Response {
        self.send(&Request::new("POST", target).json(body))
    }

    /// A new stack of the organization of the open mode, without tags.
    #[track_caller]
    pub fn create_stack(&self, project: &str, name: &str) -> TestStack<'_> {
        let stack = self.stack(project, name);
        self.post(&format!("/api/stacks/{ORG}/{project}"), &json!({ "stackName": name })).ok().json();
        stack
    }

    /// A stack that may or may not exist.
    pub fn stack(&self, project: &str, name: &str) -> TestStack<'_> {
        TestStack::new(&self.client, project, name)
    }
}
