//! `completion`: what a shell offers while a command is typed, made from the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use super::{COMMANDS, Invocation, print};
use crate::config::table::SETTINGS;
use crate::error::Error;

/// Prints the script for a shell.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Error> {
    print(&match invocation.argument(0) {
        "bash" => bash(),
        "zsh" => format!("#compdef pulumi-backend\nautoload -U bashcompinit && bashcompinit\n{}", bash()),
        "fish" => fish(),
        other => return Err(Error::invalid("", format!("'{other}' is not bash, zsh or fish"))),
    });
    Ok(ExitCode::SUCCESS)
}

/// First words, each with the second words that may follow.
fn words() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut words: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for command in COMMANDS {
        let (first, second) = command.name.split_once(' ').unwrap_or((command.name, ""));
        words.entry(first).or_default().extend((!second.is_empty()).then_some(second));
    }
    words
}

fn bash() -> String {
    let list = |words: &mut dyn Iterator<Item = &str>| words.collect::<Vec<_>>().join(" ");
    let firsts = list(&mut words().into_keys());
    let settings = list(&mut SETTINGS.iter().map(|setting| setting.name)).replace(' ', " --");
    let mut groups = String::new();
    for (first, seconds) in words().into_iter().filter(|(_, seconds)| !seconds.is_empty()) {
        groups.push_str(&format!("      {first}) words=\"{}\" ;;\n", list(&mut seconds.into_iter())));
    }
    let mut flags = String::new();
    for command in COMMANDS.iter().filter(|command| !command.flags.is_empty()) {
        let names = command.options().map(|(name, _)| format!("--{name}")).collect::<Vec<_>>().join(" ");
        flags.push_str(&format!("      \"{}\"*) words=\"$words {names}\" ;;\n", command.name));
    }
    format!(
        "_pulumi_backend() {{
  local current=\"${{COMP_WORDS[COMP_CWORD]}}\" previous=\"${{COMP_WORDS[COMP_CWORD-1]}}\" words=\"\"
  if [[ $current == -* ]]; then
    words=\"--help --version --{settings}\"
    case \"${{COMP_WORDS[*]:1:COMP_CWORD-1}}\" in
{flags}    esac
  elif [[ $previous == --* ]]; then
    COMPREPLY=( $(compgen -f -- \"$current\") )
    return
  elif [[ $COMP_CWORD -eq 1 ]]; then
    words=\"{firsts}\"
  elif [[ $COMP_CWORD -eq 2 ]]; then
    case \"${{COMP_WORDS[1]}}\" in
{groups}      completion) words=\"bash zsh fish\" ;;
    esac
  fi
  COMPREPLY=( $(compgen -W \"$words\" -- \"$current\") )
}}
complete -F _pulumi_backend pulumi-backend
"
    )
}

fn fish() -> String {
    let mut text = String::from("complete -c pulumi-backend -f\n");
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    for command in COMMANDS {
        let (first, second) = command.name.split_once(' ').unwrap_or((command.name, ""));
        let help = quoted(command.help);
        text.push_str(&match second {
            "" => format!("complete -c pulumi-backend -n __fish_use_subcommand -a {first} -d '{help}'\n"),
            second => format!(
                "complete -c pulumi-backend -n __fish_use_subcommand -a {first}\n\
                 complete -c pulumi-backend -n '__fish_seen_subcommand_from {first}' -a {second} -d '{help}'\n"
            ),
        });
        for (name, _) in command.options() {
            text.push_str(&format!(
                "complete -c pulumi-backend -n '__fish_seen_subcommand_from {first}' -l {name}\n"
            ));
        }
    }
    for setting in SETTINGS {
        text.push_str(&format!(
            "complete -c pulumi-backend -l {} -r -F -d '{}'\n",
            setting.name,
            quoted(setting.help)
        ));
    }
    text
}
