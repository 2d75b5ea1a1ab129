//! Every command, in one table: dispatch, `--help`, completion and the man page are made from it.

use std::process::ExitCode;

use super::{
    Invocation, audit, backup, completion, doctor, export, health, issuer, key, lock, org, output, papers,
    serve, settings, stack, token, user, verify,
};
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
const ROLE: (&str, &str) = ("--role ROLE", "read, decrypt, update, admin or auditor");
const STACKS: (&str, &str) = ("--stacks PATTERN", "On which stacks, as acme/web/*; may be repeated");
const VERSION: (&str, &str) = ("--version N", "The state at the end of this version");
const FILE: (&str, &str) = ("--file FILE", "Write it to a new file that only you can read");
const SHOW_SECRETS: (&str, &str) =
    ("--show-secrets", "Open what is secret; it is recorded as every decryption");
const YES: (&str, &str) = ("--yes", "Really");
const FORCE: (&str, &str) = ("--force", "Also with resources in it, which nothing will manage any more");
const SOCKET: (&str, &str) = ("--socket", "The unit of a socket that starts the server");
const CREDENTIAL: (&str, &str) =
    ("--credential FILE", "Hand the master key of this file to the service as a credential");
const COMPOSE: (&str, &str) = ("--compose", "A file for Docker Compose");

/// Every command there is.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    Command { name: "serve", arguments: "", flags: &[], help: "Run the server (what happens without a command)", run: serve::run },
    Command { name: "health", arguments: "", flags: &[JSON], help: "Ask the running server whether it can serve", run: health::run },
    Command { name: "doctor", arguments: "", flags: &[JSON], help: "Look for what is not as it should be, and say what mends it", run: doctor::run },
    Command { name: "backup list", arguments: "", flags: &[JSON], help: "The backups, and whether they were found whole", run: backup::list },
    Command { name: "backup", arguments: "", flags: &[("--to PLACE", "A folder, a file FILE.backup, or s3://bucket/prefix; without it, --backup-dir"), JSON], help: "Make a backup while the server works, and restore it at once for a check", run: backup::make },
    Command { name: "restore", arguments: "", flags: &[("--from PLACE", "A backup's file, a folder of them, or s3://bucket/prefix"), ("--at TIME", "Of several, the newest that is not younger, as 2026-11-21T17:50:00Z"), ("--force", "Put the database that is there aside; it is kept"), ("--damaged", "Take a backup in which something is damaged"), JSON], help: "Put a backup in the place of the database", run: backup::restore },
    Command { name: "export", arguments: "", flags: &[("--to DIR", "A new or empty folder"), ("--from PLACE", "A backup's file, a folder of them, or s3://bucket/prefix, instead of the present data"), ("--passphrase-file FILE", "What secrets are sealed with; without it PULUMI_CONFIG_PASSPHRASE"), JSON], help: "Write every stack's state as files that the CLI reads by itself (pulumi login file://DIR)", run: export::run },
    Command { name: "key show", arguments: "", flags: &[JSON], help: "The master key's fingerprint and source, and the keys under it", run: key::show },
    Command { name: "key rotate", arguments: "", flags: &[("--new-key-file FILE", "The new master key; without it one is made, if the key is in a file"), JSON], help: "Put all keys under another master key, while the server runs", run: key::rotate },
    Command { name: "verify", arguments: "[BACKUP]", flags: &[JSON], help: "Open and compare everything that is stored, or check a backup as a restore would", run: verify::run },
    Command { name: "key renew", arguments: "STACK", flags: &[JSON], help: "Give a stack a new key for what is written from now on", run: key::renew },
    Command { name: "stack list", arguments: "", flags: &[JSON], help: "List the stacks", run: stack::list },
    Command { name: "stack info", arguments: "STACK", flags: &[JSON], help: "What a stack is and takes, and who holds it", run: stack::info },
    Command { name: "stack output", arguments: "STACK [NAME]", flags: &[JSON, SHOW_SECRETS], help: "What its program exported", run: output::run },
    Command { name: "stack export", arguments: "STACK", flags: &[JSON, VERSION, FILE], help: "Its state, with secrets sealed", run: stack::export },
    Command { name: "stack versions", arguments: "STACK", flags: &[JSON], help: "The versions of its state, newest first", run: stack::versions },
    Command { name: "stack cancel", arguments: "STACK", flags: &[JSON], help: "End the update that runs on it", run: stack::cancel },
    Command { name: "stack delete", arguments: "STACK", flags: &[JSON, YES, FORCE], help: "Delete it with its history and its key", run: stack::delete },
    Command { name: "lock list", arguments: "", flags: &[JSON], help: "Who holds which stack", run: lock::list },
    Command { name: "lock show", arguments: "STACK", flags: &[JSON], help: "Who holds a stack, from where, since when", run: lock::show },
    Command { name: "lock release", arguments: "STACK", flags: &[JSON], help: "Take a stack from an update whose CLI is gone", run: lock::release },
    Command { name: "config show", arguments: "", flags: &[JSON], help: "Every setting, and where its value comes from", run: settings::show },
    Command { name: "config check", arguments: "", flags: &[JSON], help: "Whether the settings are good", run: settings::check },
    Command { name: "version", arguments: "", flags: &[JSON], help: "The version", run: papers::version },
    Command { name: "completion", arguments: "SHELL", flags: &[], help: "A script that completes commands in bash, zsh or fish", run: completion::run },
    Command { name: "man", arguments: "", flags: &[], help: "The man page", run: papers::man },
    Command { name: "systemd", arguments: "", flags: &[SOCKET, CREDENTIAL], help: "A hardened unit for systemd", run: papers::systemd },
    Command { name: "dockerfile", arguments: "", flags: &[COMPOSE], help: "A Dockerfile", run: papers::dockerfile },
    Command { name: "dashboard", arguments: "", flags: &[], help: "A dashboard for Grafana", run: papers::dashboard },
    Command { name: "user add", arguments: "NAME", flags: &[("--admin", "An administrator of the server; the first user must be one"), ("--org ORG", "Gives the user --role on this organization; may be repeated"), ("--role ROLE", "read, decrypt, update (the default), admin or auditor"), JSON], help: "Add a user and print a token; the first one ends the open mode", run: user::add },
    Command { name: "user list", arguments: "", flags: &[JSON], help: "List users and what they were granted", run: user::list },
    Command { name: "user disable", arguments: "NAME", flags: &[JSON], help: "Lock a user out", run: user::disable },
    Command { name: "user enable", arguments: "NAME", flags: &[JSON], help: "Let a user in again", run: user::enable },
    Command { name: "user remove", arguments: "NAME", flags: &[JSON], help: "Remove a user with all tokens and grants", run: user::remove },
    Command { name: "org add", arguments: "NAME", flags: &[JSON], help: "Add an organization", run: org::add },
    Command { name: "org list", arguments: "", flags: &[JSON], help: "List the organizations", run: org::list },
    Command { name: "grant", arguments: "ROLE USER PATTERN", flags: &[JSON], help: "Give a user a role on stacks, as: grant update alice 'acme/web/*'", run: org::grant },
    Command { name: "revoke", arguments: "ROLE USER PATTERN", flags: &[JSON], help: "Take a grant back", run: org::revoke },
    Command { name: "token create", arguments: "", flags: &[("--user NAME", "A token of this user"), ("--org NAME", "A machine token of this organization"), ("--name TEXT", "What it is for"), ROLE, STACKS, ("--expires TIME", "When it ends: 90d, 2027-01-31; without it never"), JSON], help: "Make a token and print it once", run: token::create },
    Command { name: "token list", arguments: "", flags: &[("--user NAME", "Only of this user"), ("--org NAME", "Only of this organization"), JSON], help: "List tokens, and when and from where they were last used", run: token::list },
    Command { name: "token revoke", arguments: "ID", flags: &[JSON], help: "End a token at once", run: token::revoke },
    Command { name: "issuer add", arguments: "URL", flags: &[("--org NAME", "The organization that tokens are given for"), ("--jwks FILE", "The issuer's public keys, a JSON Web Key Set"), ("--jwks-url URL", "Where the issuer publishes them; the server fetches them from there, now and when they are needed"), ("--discover", "As --jwks-url, at the address that the issuer itself names (OpenID Connect Discovery)"), ("--audience TEXT", "What the tokens are made out to; default: urn:pulumi:org:NAME"), ("--claim NAME=PATTERN", "Whose tokens are meant, as sub=repo:acme/web:*; may be repeated"), ROLE, STACKS, ("--lifetime TIME", "The most that a given token lives, as 2h; at most and by default 24h"), JSON], help: "Take tokens of this issuer in exchange for ours (OIDC)", run: issuer::add },
    Command { name: "issuer list", arguments: "", flags: &[JSON], help: "List trusted issuers", run: issuer::list },
    Command { name: "issuer remove", arguments: "ID", flags: &[JSON], help: "Trust an issuer no more", run: issuer::remove },
    Command { name: "audit verify", arguments: "[FILE]", flags: &[("--head NUMBER:HASH", "What `audit head` once printed: this record must still be there"), JSON], help: "Check that no record was changed, lost or moved; in FILE, which `audit --json` wrote: with --head anywhere, else by this database's key", run: audit::verify },
    Command { name: "audit head", arguments: "", flags: &[JSON], help: "Print number and hash of the last record, to be kept elsewhere", run: audit::head },
    Command { name: "audit", arguments: "", flags: &[("--since TIME", "As 24h, 2026-08-21 or 2026-08-21T10:00:00Z"), ("--until TIME", "As --since"), ("--user NAME", "Only by this user"), ("--stack STACK", "Only on this stack, as acme/web/dev"), ("--action NAME", "Only this, as stack.create, or all of stack"), JSON, ("--csv", "As CSV"), ("--cef", "In the Common Event Format")], help: "Show who did what", run: audit::list },
];
