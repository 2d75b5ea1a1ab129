//! What systemd and proxies on the machine need: notifications, a socket that is handed over, a socket with a path.

use crate::support::http::{Request, read_response};
use crate::support::process::TempDir;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Starts the server by a shell that first carries out `before`.
fn spawn(folder: &TempDir, before: &str, arguments: &str, environment: &[(&str, &str)]) -> Child {
    let program = env!("CARGO_BIN_EXE_pulumi-backend");
    Command::new("bash")
        .args(["-c", &format!("{before} exec {program} --addr 127.0.0.1:0 {arguments}")])
        .current_dir(folder.path())
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the server")
}

fn terminate(child: &mut Child) {
    ask_to_end(child);
    assert!(child.wait().expect("wait").success());
}

fn ask_to_end(child: &Child) {
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(kill.expect("kill").success());
}

fn next(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 200];
    let n = socket.recv(&mut bytes).expect("a notification");
    String::from_utf8_lossy(&bytes[..n]).into_owned()
}

#[test]
fn systemd_is_told_of_start_life_and_end() {
    let folder = TempDir::new("notify");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bind");
    check(&folder, &socket, path.to_str().expect("UTF-8"));
    // A leading @ stands for a name that is in no file system.
    let name = format!("@pulumi-backend-test-{}", std::process::id());
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name[1..]).expect("a name");
    check(&folder, &UnixDatagram::bind_addr(&address).expect("bind"), &name);

    fn check(folder: &TempDir, socket: &UnixDatagram, name: &str) {
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a deadline");
        let mut child = spawn(folder, "", "", &[("NOTIFY_SOCKET", name), ("WATCHDOG_USEC", "20000")]);
        assert_eq!(next(socket), "READY=1");
        (0..3).for_each(|_| assert_eq!(next(socket), "WATCHDOG=1"));
        ask_to_end(&child);
        let last = std::iter::from_fn(|| Some(next(socket))).find(|state| state != "WATCHDOG=1");
        assert_eq!(last.as_deref(), Some("STOPPING=1"));
        assert!(child.wait().expect("wait").success());
    }
}

/// The system keeps a few messages for a reader; the next one would wait for it.
#[test]
fn a_supervisor_that_does_not_read_holds_nothing_up() {
    let folder = TempDir::new("notify-unread");
    let path = folder.path().join("notify");
    let _socket = UnixDatagram::bind(&path).expect("bind");
    let environment = [("NOTIFY_SOCKET", path.to_str().expect("UTF-8")), ("WATCHDOG_USEC", "2000")];
    let mut child = spawn(&folder, "", "2>&1", &environment);
    let mut log = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert!(log.any(|line| line.expect("a line").contains("could not tell systemd WATCHDOG=1")));
    std::thread::spawn(move || log.for_each(drop));
    terminate(&mut child);
}

/// The watchdog of another process is not ours.
#[test]
fn a_watchdog_for_another_process_is_left_alone() {
    let folder = TempDir::new("notify-other");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bind");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a deadline");
    let environment =
        [("NOTIFY_SOCKET", path.to_str().expect("UTF-8")), ("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")];
    let mut child = spawn(&folder, "", "", &environment);
    assert_eq!(next(&socket), "READY=1");
    terminate(&mut child);
    assert_eq!(next(&socket), "STOPPING=1");
}

/// systemd's runtime directory is in memory, the data is on a disk, and no file can be renamed from one to the other.
#[test]
fn the_runtime_directory_may_be_on_another_file_system() {
    let folder = TempDir::new("runtime");
    let runtime = Path::new("/dev/shm").join(format!("pulumi-backend-test-{}", std::process::id()));
    std::fs::create_dir(&runtime).expect("make a folder in memory");
    let socket = UnixDatagram::bind(folder.path().join("notify")).expect("bind");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a deadline");
    let environment = [("NOTIFY_SOCKET", "notify"), ("RUNTIME_DIRECTORY", runtime.to_str().expect("UTF-8"))];
    let mut child = spawn(&folder, "", "", &environment);
    assert_eq!(next(&socket), "READY=1");
    crate::support::command::run(folder.path(), &["health"]).ok();
    terminate(&mut child);
    // Nothing is left in either of them, but the data.
    assert_eq!(std::fs::read_dir(&runtime).expect("list").count(), 0);
    let left = std::fs::read_dir(folder.path()).expect("list").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    assert!(!left.iter().any(|name| name.contains("-control") || name.contains("-run")), "{left:?}");
    std::fs::remove_dir(&runtime).expect("remove");
}

#[test]
fn a_socket_that_was_handed_over_is_served() {
    let folder = TempDir::new("activation");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address").to_string();
    // The shell keeps its process id over exec, and passes on what it has as descriptor 3.
    let before = format!("exec 3<&{}; export LISTEN_FDS=1 LISTEN_PID=$$;", keep_over_exec(&listener));
    let mut child = spawn(&folder, &before, "", &[]);
    drop(listener);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = lines.find_map(|line| line.ok()?.strip_prefix("listening on http://").map(String::from));
    assert_eq!(line.as_deref(), Some(address.as_str()));
    let client = crate::support::http::Client::new(address);
    client.send(&Request::new("GET", "/healthz")).expect("an answer").ok();
    terminate(&mut child);
}

/// A copy of the descriptor that is not closed when another program starts.
#[allow(unsafe_code)] // std closes all of its own descriptors then.
fn keep_over_exec(listener: &TcpListener) -> i32 {
    // SAFETY: the descriptor is open; the copy is left to the end of this process.
    let copy = unsafe { libc::dup(listener.as_raw_fd()) };
    assert!(copy >= 0, "a copy of the descriptor");
    copy
}

#[test]
fn a_socket_in_the_file_system_is_served_and_replaced_after_a_crash() {
    let folder = TempDir::new("unix");
    let path = folder.path().join("server.sock");
    for _ in 0..2 {
        let mut child = spawn(&folder, "", "--addr unix:server.sock", &[]);
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = lines.find_map(|line| line.ok()?.strip_prefix("listening on ").map(String::from));
        assert_eq!(line.as_deref(), Some("unix:server.sock"));
        assert_eq!(path.metadata().expect("the socket").permissions().mode() & 0o777, 0o660);
        let mut stream = UnixStream::connect(&path).expect("connect");
        let request = Request::new("GET", "/api/user");
        stream.write_all(&request.to_bytes()).expect("send");
        let answer = read_response(&mut BufReader::new(stream), &request).expect("an answer").ok();
        assert_eq!(answer.json()["githubLogin"], "admin");
        child.kill().expect("kill");
        child.wait().expect("wait");
    }
}

#[test]
fn a_taken_socket_is_not_taken_over() {
    let folder = TempDir::new("unix-taken");
    let mut child = spawn(&folder, "", "--addr unix:server.sock", &[]);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.expect("a line").starts_with("listening on unix:")));
    let other = TempDir::new("unix-other");
    let path = folder.path().join("server.sock");
    let addr = format!("unix:{}", path.display());
    let refused = crate::support::command::run(other.path(), &["--addr", &addr]).fails(1);
    assert!(refused.contains("could not listen on unix:"), "{refused}");
    UnixStream::connect(&path).expect("the first one still listens");
    terminate(&mut child);
}
