//! What a person sees at a terminal who waits longer than a second, and a program does not.

use crate::support::command::run;
use crate::support::http::{read_exactly, read_line};
use crate::support::process::TempDir;
use crate::support::server::TestServer;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

/// What the end of a line on a terminal is: it is wiped.
const WIPED: &str = "\r\u{1b}[K";
const VERIFY: &str = "/api/admin/verify";
const SOUND: &str = r#"{"isSound":true,"checked":{"stacks":1},"problems":[]}"#;

/// A command on a terminal, and a server that answers when this test says so.
struct Call {
    command: Child,
    terminal: File,
    answer: Sender<&'static str>,
    meanwhile: Arc<Mutex<&'static str>>,
}

impl Call {
    /// Starts the command. Calls of `path` wait for `finish`; all others are answered with `meanwhile`.
    fn new(folder: &Path, arguments: &[&str], path: &'static str, meanwhile: &'static str) -> Call {
        let place = folder.join("pulumi-backend.db-control");
        let _ = std::fs::remove_file(&place);
        let listener = UnixListener::bind(&place).expect("bind");
        let (answer, answers) = mpsc::channel();
        let (answers, meanwhile) = (Arc::new(Mutex::new(answers)), Arc::new(Mutex::new(meanwhile)));
        let told = meanwhile.clone();
        std::thread::spawn(move || {
            for server in listener.incoming().flatten() {
                let (answers, told) = (answers.clone(), told.clone());
                std::thread::spawn(move || serve(server, path, &told, &answers));
            }
        });
        let (command, terminal) = on_terminal(folder, arguments);
        Call { command, terminal, answer, meanwhile }
    }

    /// What all other calls are answered with from now on.
    fn tell_from_now_on(&self, answer: &'static str) {
        *self.meanwhile.lock().expect("no panic under this lock") = answer;
    }

    /// Answers; gives all that is still drawn, and what was printed.
    fn finish(self, answer: &'static str) -> (String, String) {
        self.answer.send(answer).expect("somebody waits for it");
        end_of(self.command, self.terminal)
    }
}

/// Answers one call; a command that only looks whether anybody listens sends none.
fn serve(
    mut server: UnixStream,
    path: &str,
    meanwhile: &Mutex<&'static str>,
    answers: &Mutex<Receiver<&'static str>>,
) -> Option<()> {
    let mut reader = BufReader::new(server.try_clone().ok()?);
    let line = read_line(&mut reader).ok()?;
    let mut n_bytes = 0;
    // All of it: who still sends must not find the connection closed.
    loop {
        let field = read_line(&mut reader).ok()?;
        let Some((name, value)) = field.split_once(": ") else { break };
        if name == "Content-Length" {
            n_bytes = value.parse().ok()?;
        }
    }
    read_exactly(&mut reader, n_bytes).ok()?;
    let answer = match line.contains(path) {
        true => answers.lock().ok()?.recv().ok()?,
        false => *meanwhile.lock().ok()?,
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
    server.write_all(format!("{head}{answer}").as_bytes()).ok()
}

/// Starts a command whose standard error is a terminal.
fn on_terminal(folder: &Path, arguments: &[&str]) -> (Child, File) {
    let (terminal, its_end) = pseudo_terminal();
    let command = Command::new(env!("CARGO_BIN_EXE_pulumi-backend"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(its_end)
        .spawn()
        .expect("start the command");
    (command, terminal)
}

/// Reads the terminal until this was drawn.
fn read_until(terminal: &mut File, expected: &str) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(expected.as_bytes()) {
        let so_far = || format!("only {:?}", String::from_utf8_lossy(&read));
        terminal.read_exact(&mut byte).unwrap_or_else(|_| panic!("{}", so_far()));
        read.push(byte[0]);
    }
    String::from_utf8(read).expect("UTF-8")
}

/// Waits for the command; all that it has still drawn, and what it has printed.
fn end_of(command: Child, mut terminal: File) -> (String, String) {
    let done = command.wait_with_output().expect("wait");
    let mut drawn = Vec::new();
    // When nobody has the other end any more, reading ends with an error.
    let _ = terminal.read_to_end(&mut drawn);
    let drawn = String::from_utf8_lossy(&drawn).into_owned();
    assert!(done.status.success(), "{drawn}");
    (drawn, String::from_utf8(done.stdout).expect("UTF-8"))
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
    let (one, two) = (TempDir::new("progress"), TempDir::new("progress"));
    // It waits for longer than the other one, so it would have drawn something by then.
    let of_program = Call::new(one.path(), &["verify", "--json"], VERIFY, r#"{"works":[]}"#);
    let mut of_person = Call::new(two.path(), &["verify"], VERIFY, r#"{"works":[]}"#);
    let drawn = read_until(&mut of_person.terminal, "working: ");
    assert_eq!(drawn, "\r  working: ");
    read_until(&mut of_person.terminal, "working: ");
    let (drawn, printed) = of_person.finish(SOUND);
    assert!(drawn.ends_with(WIPED), "{drawn:?}");
    assert!(printed.ends_with("everything opens and is as it was written\n"), "{printed}");
    let (drawn, printed) = of_program.finish(SOUND);
    assert_eq!(drawn, "");
    assert!(serde_json::from_str::<serde_json::Value>(&printed).is_ok(), "{printed}");
}

#[test]
fn a_verification_shows_what_the_server_says_of_it() {
    let folder = TempDir::new("progress");
    let works = r#"{"works":[{"kind":"verify","part":"checking stacks","done":37,"all":99},
                             {"kind":"backup","part":"copying","done":1,"all":2}]}"#;
    let mut call = Call::new(folder.path(), &["verify"], VERIFY, works);
    let bar = format!("checking stacks [{}{}] 37 %, ", "#".repeat(11), ".".repeat(19));
    read_until(&mut call.terminal, &bar);
    let (drawn, _) = call.finish(SOUND);
    assert!(drawn.ends_with(WIPED), "{drawn:?}");
}

#[test]
fn a_backup_shows_how_far_it_is_until_it_has_ended() {
    const RUNNING: &str = r#"{"status":"running","isNew":true,"location":"/api/admin/backups/x",
                              "progress":{"part":"copying","done":420,"all":1000}}"#;
    const DONE: &str =
        r#"{"status":"done","name":"x","place":"/y","bytes":7,"problem":null,"verifiedAt":"2026"}"#;
    let arguments = |more: &'static str| ["backup", "--to", "y/", more];
    let (one, two) = (TempDir::new("progress"), TempDir::new("progress"));
    let is_never_asked_for = "nothing";
    let of_program = Call::new(one.path(), &arguments("--json"), is_never_asked_for, RUNNING);
    let mut of_person = Call::new(two.path(), &arguments("")[..3], is_never_asked_for, RUNNING);
    read_until(&mut of_person.terminal, &format!("copying [{}{}] 42 %, ", "#".repeat(12), ".".repeat(18)));
    for (call, has_drawn) in [(of_person, true), (of_program, false)] {
        call.tell_from_now_on(DONE);
        let (drawn, printed) = end_of(call.command, call.terminal);
        assert_eq!(drawn.ends_with(WIPED), has_drawn, "{drawn:?}");
        assert!(has_drawn || drawn.is_empty(), "{drawn:?}");
        assert!(printed.contains("restored for a check") == has_drawn, "{printed}");
    }
}

/// The key comes when this test says so: until then the command is where it was.
#[test]
fn a_restore_and_the_verification_of_a_file_show_how_far_they_are() {
    let server = TestServer::start();
    server.create_stack("web", "dev").update_to(&["a"]);
    let folder = server.folder();
    run(&folder, &["backup", "--to", "the.backup"]).ok();
    server.stop();
    for (n, arguments) in
        [&["verify", "the.backup"][..], &["restore", "--from", "the.backup"]].iter().enumerate()
    {
        let db = format!("other-{n}.db");
        let key = format!("while ! test -e go-{n}; do sleep 0.02; done; cat pulumi-backend.key");
        let settings = ["--db", &db, "--master-key-command", &key];
        let (command, mut terminal) = on_terminal(&folder, &[*arguments, &settings].concat());
        read_until(&mut terminal, &format!("unpacking [{}] 100 %, ", "#".repeat(30)));
        std::fs::write(folder.join(format!("go-{n}")), "").expect("write");
        let (drawn, _) = end_of(command, terminal);
        assert!(drawn.ends_with(WIPED), "{drawn:?}");
    }
}
