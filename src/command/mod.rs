//! The program's commands: each a thin client of the control socket, but for `serve`, which makes the server.

mod audit;
mod backup;
mod client;
mod completion;
mod core_dump;
mod doctor;
mod export;
mod health;
mod help;
mod invocation;
mod issuer;
mod key;
mod lock;
mod notify;
mod org;
mod output;
mod papers;
mod progress;
mod serve;
mod settings;
mod signal;
mod stack;
mod table;
mod target;
mod time;
mod token;
mod user;
mod verify;

use std::io::Write;
use std::process::ExitCode;

pub use self::invocation::Invocation;
pub use self::table::{COMMANDS, Command};
use crate::config::given::{self, CommandOption, Given};
use crate::config::hint::nearest;
use crate::error::Error;

/// Carries out what the arguments and the environment say, and tells how it went by an exit code (see `help`).
pub fn main() -> ExitCode {
    let done = given::read(std::env::args().skip(1), std::env::vars(), option_of).and_then(run);
    done.unwrap_or_else(|error| {
        // With standard error closed there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "pulumi-backend: {error}");
        ExitCode::from(help::exit_code(&error))
    })
}

/// What a command has under this name; `--help` and `--version` are everywhere.
fn option_of(words: &[String], name: &str) -> Option<CommandOption> {
    let of_command =
        find(words).and_then(|(command, _)| command.options().find(|(option, _)| *option == name));
    let everywhere = matches!(name, "help" | "version").then_some(CommandOption::Switch);
    of_command.map(|(_, option)| option).or(everywhere)
}

fn run(given: Given) -> Result<ExitCode, Error> {
    // A command may have an option of its own by the name `version`, with a value.
    let asks = |name: &str| given.options.iter().any(|(option, value)| option == name && value.is_empty());
    if asks("version") {
        print(&format!("pulumi-backend {}\n", env!("CARGO_PKG_VERSION")));
        return Ok(ExitCode::SUCCESS);
    }
    let words = match given.words.first() {
        Some(first) if first == "help" => &given.words[1..],
        _ => &given.words[..],
    };
    let wants_help = asks("help") || words.len() < given.words.len();
    if wants_help && words.is_empty() {
        print(&help::overview());
        return Ok(ExitCode::SUCCESS);
    }
    let (command, arguments) = match find(words) {
        Some(found) => found,
        None if wants_help && has_group(words) => {
            print(&help::of_group(&words[0]));
            return Ok(ExitCode::SUCCESS);
        }
        None => return Err(unknown(words)),
    };
    if wants_help {
        print(&help::of(command));
        return Ok(ExitCode::SUCCESS);
    }
    let invocation = Invocation::new(command, arguments, given.options, given.values)?;
    if invocation.has("json") {
        progress::silence();
    }
    (command.run)(&invocation)
}

/// The command that the words begin with, and the words after its name; no word at all is `serve`.
fn find(words: &[String]) -> Option<(&'static Command, Vec<String>)> {
    let words = if words.is_empty() { &["serve".to_string()] } else { words };
    COMMANDS.iter().find_map(|command| {
        let n = command.name.split(' ').count();
        let is_it = words.len() >= n && command.name.split(' ').eq(words[..n].iter().map(String::as_str));
        is_it.then(|| (command, words[n..].to_vec()))
    })
}

fn has_group(words: &[String]) -> bool {
    COMMANDS.iter().any(|command| command.name.split(' ').next() == words.first().map(String::as_str))
}

fn unknown(words: &[String]) -> Error {
    let given = words.iter().take(2).cloned().collect::<Vec<_>>().join(" ");
    if has_group(words) {
        return Error::invalid(
            "",
            format!("'{given}' is not a command\n\n{}", help::of_group(&words[0]).trim_end()),
        );
    }
    let first = words[0].as_str();
    let names =
        COMMANDS.iter().flat_map(|command| [command.name, command.name.split(' ').next().unwrap_or("")]);
    let hint = nearest(&given, names.clone()).or_else(|| nearest(first, names));
    let hint = hint.map_or("see --help".to_string(), |name| format!("did you mean '{name}'?"));
    Error::invalid("", format!("'{given}' is not a command; {hint}"))
}

/// Writes to standard output.
pub fn print(text: &str) {
    let mut out = std::io::stdout();
    // A closed pipe is no reason to fail: what is printed here is for somebody who has left.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Says something beside the result, on standard error.
pub fn remark(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
