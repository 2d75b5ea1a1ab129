//! What was typed, what the environment says, what the file says: words, options of a command, settings.

use std::collections::HashMap;
use std::path::Path;

use zeroize::Zeroizing;

use super::hint::nearest;
use super::table::{ALIASES, SETTINGS, Setting};
use crate::error::Error;

/// Before the names of settings in the environment.
const ENVIRONMENT_PREFIX: &str = "PULUMI_BACKEND_";

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Typed, as `--name`.
    Flag,
    /// From this environment variable.
    Environment(String),
    /// From this line of the file of settings.
    File(String),
    /// Nobody set it.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::File(place) => f.write_str(place),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// The settings as texts, each with its origin.
#[derive(Clone, Default)]
pub struct Values {
    by_name: HashMap<&'static str, (String, Origin)>,
    credentials_directory: Option<String>,
    aws: HashMap<String, Zeroizing<String>>,
}

impl Values {
    /// The value of a setting, its default if nobody set it.
    pub fn text(&self, name: &str) -> &str {
        self.by_name.get(name).map_or(setting(name).default, |(value, _)| value)
    }

    /// Where the value came from.
    pub fn origin(&self, name: &str) -> Origin {
        self.by_name.get(name).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Where systemd lays the credentials of a service, if it does.
    pub fn credentials_directory(&self) -> Option<&str> {
        self.credentials_directory.as_deref()
    }

    /// A variable of the environment that every client of S3 knows, as `AWS_REGION`; empty if it is not set.
    pub fn aws(&self, variable: &str) -> &str {
        self.aws.get(variable).map_or("", |value| value.as_str())
    }

    /// Sets a value; one that is set already, by a source that counts more, stays.
    fn set(&mut self, name: &'static str, value: String, origin: Origin) {
        self.by_name.entry(name).or_insert((value, origin));
    }
}

fn setting(name: &str) -> &'static Setting {
    SETTINGS.iter().find(|setting| setting.name == name).expect("in the table")
}

/// An option that belongs to a command, as `--json`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CommandOption {
    /// It stands alone.
    Switch,
    /// A value follows.
    Value,
}

/// What was given, settings resolved: a flag counts more than the environment, that more than the file.
pub struct Given {
    /// What is no flag: the command and its arguments.
    pub words: Vec<String>,
    /// Options of the command; a switch has an empty value.
    pub options: Vec<(String, String)>,
    /// The settings.
    pub values: Values,
}

/// Reads arguments (without the program's name), environment, and the file that one of them names.
///
/// `option_of` tells what the command that the words so far name has under a name that is no setting.
/// Errors: `Invalid` with a sentence for the person who typed it; an unknown name comes with the nearest one.
pub fn read(
    arguments: impl IntoIterator<Item = String>,
    environment: impl IntoIterator<Item = (String, String)>,
    option_of: impl Fn(&[String], &str) -> Option<CommandOption>,
) -> Result<Given, Error> {
    let mut given = Given { words: Vec::new(), options: Vec::new(), values: Values::default() };
    let mut parser = lexopt::Parser::from_args(arguments.into_iter().map(two_dashes));
    while let Some(argument) = parser.next().map_err(usage)? {
        let name = match argument {
            lexopt::Arg::Value(word) => {
                given
                    .words
                    .push(word.into_string().map_err(|_| Error::invalid("", "an argument is not UTF-8"))?);
                continue;
            }
            lexopt::Arg::Short('h') => "help".to_string(),
            lexopt::Arg::Short('V') => "version".to_string(),
            lexopt::Arg::Long(name) => name.to_string(),
            other => return Err(usage(other.unexpected())),
        };
        match option_of(&given.words, &name) {
            Some(CommandOption::Switch) => given.options.push((name, String::new())),
            Some(CommandOption::Value) => {
                let value = value_of(&mut parser, &name)?;
                given.options.push((name, value));
            }
            None => read_flag(&mut parser, &name, &mut given.values)?,
        }
    }
    read_environment(environment, &mut given.values)?;
    let file = given.values.text("config").to_string();
    if !file.is_empty() {
        read_file(Path::new(&file), &mut given.values)?;
    }
    Ok(given)
}

fn read_flag(parser: &mut lexopt::Parser, name: &str, values: &mut Values) -> Result<(), Error> {
    let name = known(name).map_err(|nearest| unknown(&format!("--{name}"), "--", nearest))?;
    let value = match setting(name).is_switch() {
        true => parser.optional_value().map_or(Ok("true".into()), |value| value.into_string()),
        false => Ok(value_of(parser, name)?),
    };
    let value = value.map_err(|_| Error::invalid(name, "is not UTF-8"))?;
    // The last of two flags counts, as everywhere.
    values.by_name.insert(name, (value, Origin::Flag));
    Ok(())
}

fn value_of(parser: &mut lexopt::Parser, name: &str) -> Result<String, Error> {
    let value = parser.value().map_err(usage)?;
    value.into_string().map_err(|_| Error::invalid(name, "is not UTF-8"))
}

/// `-addr` is taken for `--addr`.
fn two_dashes(argument: String) -> String {
    let name = argument.split('=').next().unwrap_or("");
    let is_word = name.len() > 2 && name.starts_with('-') && name.as_bytes()[1].is_ascii_alphabetic();
    if is_word { format!("-{argument}") } else { argument }
}

fn read_environment(
    environment: impl IntoIterator<Item = (String, String)>,
    values: &mut Values,
) -> Result<(), Error> {
    for (variable, value) in environment {
        if variable == "CREDENTIALS_DIRECTORY" {
            values.credentials_directory = Some(value);
            continue;
        }
        if variable.starts_with("AWS_") {
            values.aws.insert(variable, Zeroizing::new(value));
            continue;
        }
        let Some(name) = variable.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        // The CLI's own variable for the address of its backend, not one of ours.
        if name == "URL" {
            continue;
        }
        let name = known(&spelled(name)).map_err(|nearest| unknown_variable(&variable, nearest))?;
        values.set(name, value, Origin::Environment(variable));
    }
    Ok(())
}

/// The variables of the environment that hold a secret of this server's own.
pub fn secret_variables() -> impl Iterator<Item = String> {
    let secrets = SETTINGS.iter().filter(|setting| setting.is_secret());
    secrets
        .map(|setting| format!("{ENVIRONMENT_PREFIX}{}", setting.name.to_ascii_uppercase().replace('-', "_")))
}

/// Lines `NAME=value`, in the form of systemd's EnvironmentFile: `#` and `;` begin comments, quotes around a value
/// are taken off, and the prefix of the environment may be left out.
fn read_file(path: &Path, values: &mut Values) -> Result<(), Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| Error::invalid("config", format!("cannot read {}: {cause}", path.display())))?;
    let mut places: HashMap<&str, String> = HashMap::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let place = format!("{}:{}", path.display(), n + 1);
        let (variable, value) =
            line.split_once('=').ok_or_else(|| Error::invalid(&*place, "is not a line NAME=value"))?;
        let name = spelled(variable.trim());
        let name = name.strip_prefix(&spelled(ENVIRONMENT_PREFIX)).unwrap_or(&name);
        let name = known(name)
            .map_err(|nearest| unknown_variable(&format!("{place}: {}", variable.trim()), nearest))?;
        if name == "config" {
            return Err(Error::invalid(&*place, "a file of settings cannot name another"));
        }
        if let Some(first) = places.insert(name, place.clone()) {
            return Err(Error::invalid(&*place, format!("{name} has been set before, at {first}")));
        }
        values.set(name, unquoted(value.trim()).to_string(), Origin::File(place));
    }
    Ok(())
}

/// A name of the environment in the spelling of flags.
fn spelled(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

/// The setting's own spelling of its name, or the nearest known name.
fn known(name: &str) -> Result<&'static str, Option<&'static str>> {
    let name = ALIASES.iter().find(|(other, _)| *other == name).map_or(name, |(_, name)| name);
    let names = || SETTINGS.iter().map(|setting| setting.name);
    names().find(|known| *known == name).ok_or_else(|| nearest(name, names()))
}

fn unknown_variable(given: &str, nearest: Option<&str>) -> Error {
    let nearest = nearest.map(|name| name.to_ascii_uppercase().replace('-', "_"));
    unknown(given, ENVIRONMENT_PREFIX, nearest.as_deref())
}

fn unknown(given: &str, prefix: &str, nearest: Option<&str>) -> Error {
    let hint = nearest.map_or("see --help".to_string(), |name| format!("did you mean {prefix}{name}?"));
    Error::invalid(given, format!("is not a setting; {hint}"))
}

fn usage(cause: lexopt::Error) -> Error {
    Error::invalid("", format!("{cause}; see --help"))
}
