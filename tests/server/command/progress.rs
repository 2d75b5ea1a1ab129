//! What a person sees at a terminal who waits longer than a second, and a program does not.

use crate::support::process::TempDir;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const ANSWER: &str = r#"{"isSound":true,"checked":{"stacks":1},"problems":[]}"#;

/// `verify` on a server that answers when this test says so.
struct Call {
    command: Child,
    terminal: File,
    server: UnixStream,
}

impl Call {
    fn new(folder: &Path, arguments: &[&str]) -> Call {
        let place = folder.join("pulumi-backend.db-control");
        let _ = std::fs::remove_file(&place);
        let listener = UnixListener::bind(&place).expect("bind");
        let (terminal, its_end) = pseudo_terminal();
        let command = Command::new(env!("CARGO_BIN_EXE_pulumi-backend"))
            .args([&["verify"], arguments].concat())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(its_end)
            .spawn()
            .expect("start the command");
        // The command looks first whether anybody listens, then it calls.
        let server = listener.incoming().flatten().find_map(|mut server| {
            let mut line = String::new();
            BufReader::new(&mut server).read_line(&mut line).expect("read");
            line.starts_with("POST /api/admin/verify ").then_some(server)
        });
        Call { command, terminal, server: server.expect("a call") }
    }

    /// Reads the terminal until the seconds were drawn so many times.
    fn read_drawings(&mut self, n: usize) -> String {
        let mut read = String::new();
        let mut byte = [0];
        while read.matches(" s").count() < n {
            self.terminal.read_exact(&mut byte).expect("the terminal");
            read.push(byte[0] as char);
        }
        read
    }

    /// Answers; gives all that is still drawn, and what was printed.
    fn finish(mut self) -> (String, String) {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", ANSWER.len());
        self.server.write_all(format!("{head}{ANSWER}").as_bytes()).expect("answer");
        let done = self.command.wait_with_output().expect("wait");
        assert!(done.status.success());
        let mut drawn = Vec::new();
        // When nobody has the other end any more, reading ends with an error.
        let _ = self.terminal.read_to_end(&mut drawn);
        (String::from_utf8_lossy(&drawn).into_owned(), String::from_utf8(done.stdout).expect("UTF-8"))
    }
}

/// Both ends of a terminal of its own.
#[allow(unsafe_code)] // std has no way to one.
fn pseudo_terminal() -> (File, File) {
    let (mut ours, mut its) = (-1, -1);
    let none = std::ptr::null_mut();
    // SAFETY: both places are valid, the rest may be absent; the descriptors are new, and nobody else has them.
    unsafe {
        assert_eq!(libc::openpty(&mut ours, &mut its, none, none.cast(), none.cast()), 0, "a terminal");
        (File::from_raw_fd(ours), File::from_raw_fd(its))
    }
}

#[test]
fn seconds_are_counted_on_a_terminal_and_not_for_a_program() {
    let folder = TempDir::new("progress");
    // It waits for longer than the other one, so it would have drawn something by then.
    let of_program = Call::new(folder.path(), &["--json"]);
    let mut of_person = Call::new(folder.path(), &[]);
    let drawn = of_person.read_drawings(2);
    assert!(drawn.starts_with("\r  working: "), "{drawn:?}");
    let (drawn, printed) = of_person.finish();
    assert!(drawn.ends_with("\r\u{1b}[K"), "wiped: {drawn:?}");
    assert!(printed.ends_with("everything opens and is as it was written\n"), "{printed}");
    let (drawn, printed) = of_program.finish();
    assert_eq!(drawn, "");
    assert!(serde_json::from_str::<serde_json::Value>(&printed).is_ok(), "{printed}");
}
