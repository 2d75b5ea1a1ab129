//! The server under load: a release build of ours with new data, or another one that runs already.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::client::Client;
use super::gzip;
use super::process::ServerProcess;

/// A server, and how requests to it are made.
pub struct Target {
    /// `HOST:PORT`.
    pub address: String,
    /// Organization in which stacks are made.
    pub org: String,
    /// What stands before `/api` in each path.
    prefix: String,
    token: String,
    process: Option<Mutex<ServerProcess>>,
}

/// Who signs a request.
#[derive(Clone, Copy)]
pub enum Signed<'a> {
    /// The user, by an access token.
    ByUser,
    /// The update that holds this lease token.
    ByLease(&'a str),
}

/// The body of a request, ready for the wire.
#[derive(Clone)]
pub enum Body {
    /// None.
    Empty,
    /// JSON as it is.
    Json(String),
    /// JSON that is packed already.
    Gzip(Vec<u8>),
}

impl Body {
    /// As the CLI packs it.
    pub fn packed(text: &str) -> Body {
        Body::Gzip(gzip::pack(text, 6))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Body::Empty => &[],
            Body::Json(text) => text.as_bytes(),
            Body::Gzip(bytes) => bytes,
        }
    }

    /// Bytes on the wire.
    pub fn len(&self) -> usize {
        self.bytes().len()
    }
}

impl Target {
    /// Our release build on a free port, with new data on the disk of the build.
    pub fn ours() -> Target {
        let process = ServerProcess::start(&[]);
        let address = process.address().to_string();
        Target {
            address,
            org: "organization".into(),
            prefix: String::new(),
            token: "pul-bench".into(),
            process: Some(Mutex::new(process)),
        }
    }

    /// Another server at `http://HOST:PORT[/PREFIX]`.
    pub fn at(url: &str, token: &str) -> Target {
        let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url}: only http:// can be driven"));
        let (address, prefix) =
            rest.trim_end_matches('/').split_once('/').unwrap_or((rest.trim_end_matches('/'), ""));
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        let mut target = Target {
            address: address.into(),
            org: String::new(),
            prefix,
            token: token.into(),
            process: None,
        };
        let default = target.client().call(&target.get("/api/user/organizations/default")).json();
        target.org = default["gitHubLogin"].as_str().expect("a default organization").to_string();
        target
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(&self.address)
    }

    /// A name that no other stack has.
    pub fn new_name(&self) -> String {
        static N: AtomicU32 = AtomicU32::new(0);
        format!("s{}-{}", std::process::id(), N.fetch_add(1, Ordering::Relaxed))
    }

    /// The bytes of a request with the headers that the CLI sends.
    pub fn request(&self, method: &str, path: &str, signed: Signed, body: &Body) -> Vec<u8> {
        self.write(method, path, signed, body, "Accept-Encoding: gzip\r\n")
    }

    /// A GET by the user.
    pub fn get(&self, path: &str) -> Vec<u8> {
        self.request("GET", path, Signed::ByUser, &Body::Empty)
    }

    /// A GET by a client that does not take gzip.
    pub fn get_plain(&self, path: &str) -> Vec<u8> {
        self.write("GET", path, Signed::ByUser, &Body::Empty, "")
    }

    fn write(&self, method: &str, path: &str, signed: Signed, body: &Body, extra: &str) -> Vec<u8> {
        let (scheme, token) = match signed {
            Signed::ByUser => ("token", self.token.as_str()),
            Signed::ByLease(token) => ("update-token", token),
        };
        let encoding = if matches!(body, Body::Gzip(_)) { "Content-Encoding: gzip\r\n" } else { "" };
        let length = match method {
            "GET" | "HEAD" => String::new(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        let head = format!(
            "{method} {}{path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: pulumi-cli/1 (v3.259.0; linux; cmd=up)\r\n{length}\
             Accept: application/vnd.pulumi+9\r\n{extra}Authorization: {scheme} {token}\r\n{encoding}\
             Content-Type: application/json\r\n\r\n",
            self.prefix, self.address
        );
        let mut bytes = Vec::with_capacity(head.len() + body.len());
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(body.bytes());
        bytes
    }

    /// Stops and starts our server, so that nothing of it is warm; another server goes on as it is.
    pub fn restart(&self) {
        if let Some(process) = &self.process {
            let mut process = process.lock().expect("no panic under this lock");
            process.stop();
            process.restart();
        }
    }

    /// Stops our server in order, runs `measure`, and starts it again.
    pub fn while_stopped<T>(&self, measure: impl FnOnce() -> T) -> T {
        let mut process =
            self.process.as_ref().expect("only our own server can be stopped").lock().expect("lock");
        process.stop();
        let result = measure();
        process.restart();
        result
    }

    /// Whether it is ours: its process, its files and its stops are in our hands.
    pub fn is_ours(&self) -> bool {
        self.process.is_some()
    }

    /// Size of the database after a clean stop, when nothing is left in its log; none for another server.
    pub fn disk_bytes(&self) -> Option<u64> {
        let dir = self.process.as_ref()?.lock().expect("lock").dir().to_path_buf();
        Some(self.while_stopped(|| {
            let files = std::fs::read_dir(dir).expect("list the data folder");
            files.map(|file| file.expect("a file").metadata().expect("its size").len()).sum()
        }))
    }

    /// A line of `/proc/PID/FILE` as a number; none for another server or system.
    pub fn proc_number(&self, file: &str, key: &str) -> Option<u64> {
        let pid = self.process.as_ref()?.lock().expect("lock").pid();
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Processor time that our server has used, in steps of 10 ms; none for another server or system.
    pub fn cpu_time(&self) -> Option<Duration> {
        let pid = self.process.as_ref()?.lock().expect("lock").pid();
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold spaces; behind it `utime` and `stime` are the 12th and 13th field.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
        let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ticks * 10))
    }

    /// Lets the peak of the server's memory count from now on.
    pub fn reset_peak_memory(&self) {
        if let Some(process) = &self.process {
            let pid = process.lock().expect("lock").pid();
            // Without it the peak counts from the start of the process, which is more, not less.
            let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }
}
