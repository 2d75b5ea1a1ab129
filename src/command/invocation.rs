//! One call of a command: its arguments, options and settings.

use serde_json::Value;

use super::client::Client;
use super::{Command, help, print};
use crate::config::Config;
use crate::config::given::Values;
use crate::error::Error;

/// What a command gets.
pub struct Invocation {
    arguments: Vec<String>,
    options: Vec<(String, String)>,
    /// The settings as texts, with their origins.
    pub values: Values,
}

impl Invocation {
    /// Errors: too many or too few arguments.
    pub fn new(
        command: &Command,
        arguments: Vec<String>,
        options: Vec<(String, String)>,
        values: Values,
    ) -> Result<Invocation, Error> {
        let (min, max) = command.n_arguments();
        if !(min..=max).contains(&arguments.len()) {
            let problem = if arguments.len() < min { "too few" } else { "too many" };
            let why = format!("{problem} arguments; usage: pulumi-backend {}", help::usage(command));
            return Err(Error::invalid("", why));
        }
        Ok(Invocation { arguments, options, values })
    }

    /// An argument; empty if it was left out.
    pub fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }

    /// All of them.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// Whether a switch was given.
    pub fn has(&self, name: &str) -> bool {
        self.option(name).is_some()
    }

    /// The value of an option, the last one if it was given twice.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(option, _)| option == name).map(|(_, value)| value.as_str())
    }

    /// Every value of an option that may be repeated.
    pub fn options<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.options.iter().filter(move |(option, _)| option == name).map(|(_, value)| value.as_str())
    }

    /// The settings, checked.
    pub fn config(&self) -> Result<Config, Error> {
        Config::from_values(&self.values)
    }

    /// The way to the data: through the running server, or opened for this command if none runs.
    ///
    /// Errors: there is no such database.
    pub fn client(&self) -> Result<Client, Error> {
        Client::open(self.config()?, false)
    }

    /// As `client`; a database that is not there yet is made.
    pub fn client_or_new(&self) -> Result<Client, Error> {
        Client::open(self.config()?, true)
    }

    /// Prints the result: as JSON if that was asked for, else as this text.
    pub fn show(&self, result: &Value, text: impl FnOnce() -> String) {
        match self.has("json") {
            true => print(&format!("{result:#}\n")),
            false => print(&text()),
        }
    }
}
