//! What `--help` prints, and what the exit codes mean.

use super::{COMMANDS, Command};
use crate::config::table::{SETTINGS, Setting};
use crate::error::Error;

/// The exit code that tells a script why a command failed.
pub fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Invalid(_) => 2,
        Error::NotFound(_) => 3,
        Error::Unauthorized(_) | Error::Forbidden(_) => 4,
        Error::Conflict(_) => 5,
        Error::Busy | Error::OutOfSpace | Error::Unavailable(_) | Error::TooManyAttempts { .. } => 6,
        Error::TooLarge { .. } | Error::Damaged(_) | Error::Internal(_) => 1,
    }
}

/// For the help and the man page.
pub const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, or a check found something, 2 wrong arguments or settings, 3 not found,\n\
                          4 not allowed, 5 refused by the present state (as a running update), 6 busy or no space: try again\n";

/// The text of `--help`.
pub fn overview() -> String {
    let mut text = String::from(
        "pulumi-backend: a self-hosted state backend for the Pulumi CLI\n\n\
         Usage: pulumi-backend [COMMAND] [ARGUMENTS] [--SETTING VALUE]...\n\n\
         Commands (pulumi-backend COMMAND --help tells more):\n",
    );
    COMMANDS.iter().for_each(|command| text.push_str(&line(command)));
    text.push_str(
        "\nSettings. Each can be given as a flag, as an environment variable, or in the file that --config names;\n\
         the flag counts most, then the environment: --lease-duration 600 is PULUMI_BACKEND_LEASE_DURATION=600.\n\n",
    );
    for Setting { name, value, default, help } in SETTINGS {
        let flag = format!("--{name} {value}");
        let default = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        text.push_str(&format!("  {flag:<32} {help}{default}\n"));
    }
    text.push_str(
        "  -h, --help                       This text\n  -V, --version                    The version\n\n",
    );
    text.push_str(EXIT_CODES);
    text
}

/// The commands that begin with this word.
pub fn of_group(word: &str) -> String {
    let mut text = format!("Usage: pulumi-backend {word} COMMAND\n\n");
    let commands = COMMANDS.iter().filter(|command| command.name.split(' ').next() == Some(word));
    commands.for_each(|command| text.push_str(&line(command)));
    text
}

/// One command.
pub fn of(command: &Command) -> String {
    let mut text = format!("{}\n\nUsage: pulumi-backend {}\n", command.help, usage(command));
    if !command.flags.is_empty() {
        text.push('\n');
    }
    for (flag, help) in command.flags {
        text.push_str(&format!("  {flag:<32} {help}\n"));
    }
    text.push_str(
        "\nEvery setting of the server (pulumi-backend --help) can be given too: --db says which data.\n",
    );
    text.push_str(EXIT_CODES);
    text
}

/// The command with its arguments.
pub fn usage(command: &Command) -> String {
    format!("{} {}", command.name, command.arguments).trim_end().to_string()
}

fn line(command: &Command) -> String {
    format!("  {:<32} {}\n", usage(command), command.help)
}
