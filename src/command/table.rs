//! Every command, in one table: dispatch, `--help`, completion and the man page are made from it.

use std::process::ExitCode;

use super::{Invocation, health, key, serve, stack};
use crate::config::given::CommandOption;
use crate::error::Error;

/// A command.
pub struct Command {
    /// Its words, as `stack list`.
    pub name: &'static str,
    /// What stands for its arguments in the help, as `STACK [VERSION]`; brackets mean: may be left out,
    /// dots: may be repeated.
    pub arguments: &'static str,
    /// Its options, as `--json` or `--org NAME`, each with a sentence.
    pub flags: &'static [(&'static str, &'static str)],
    /// One sentence.
    pub help: &'static str,
    /// Carries it out.
    pub run: fn(&Invocation) -> Result<ExitCode, Error>,
}

impl Command {
    /// Its options by name.
    pub fn options(&self) -> impl Iterator<Item = (&'static str, CommandOption)> {
        self.flags.iter().map(|(flag, _)| {
            let flag = flag.trim_start_matches("--");
            match flag.split_once(' ') {
                Some((name, _)) => (name, CommandOption::Value),
                None => (flag, CommandOption::Switch),
            }
        })
    }

    /// How many arguments it must have and may have.
    pub fn n_arguments(&self) -> (usize, usize) {
        let words = self.arguments.split_whitespace();
        let n_required = words.clone().filter(|word| !word.starts_with('[')).count();
        let n_most = if self.arguments.contains("...") { usize::MAX } else { words.count() };
        (n_required, n_most)
    }
}

const JSON: (&str, &str) = ("--json", "Answer as JSON");

/// Every command there is.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    Command { name: "serve", arguments: "", flags: &[], help: "Run the server (what happens without a command)", run: serve::run },
    Command { name: "health", arguments: "", flags: &[JSON], help: "Ask the running server whether it can serve", run: health::run },
    Command { name: "key show", arguments: "", flags: &[JSON], help: "The master key's fingerprint and source, and the keys under it", run: key::show },
    Command { name: "key rotate", arguments: "", flags: &[("--new-key-file FILE", "The new master key; without it one is made, if the key is in a file"), JSON], help: "Put all keys under another master key, while the server runs", run: key::rotate },
    Command { name: "key renew", arguments: "STACK", flags: &[JSON], help: "Give a stack a new key for what is written from now on", run: key::renew },
    Command { name: "stack list", arguments: "", flags: &[JSON], help: "List the stacks", run: stack::list },
];
