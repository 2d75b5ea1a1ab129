//! The real, unmodified `pulumi` CLI against the real server binary.
//!
//! `cargo test --test cli` uses the CLI that `PULUMI_CLI` names or that is on `PATH`; where there is none,
//! Go builds it once into `target/pulumi-cli/`. Without a CLI and without Go each
//! test says loudly that it did not run, and fails if `CI=true`.
//!
//! `PULUMI_CLI_VERSIONS=all cargo test --test cli version` builds older CLIs as well, and drives each of them.
//!
//! Each test has a server, a home folder and a world of its own. What is asserted is the state and the world,
//! not only exit codes. The programs are YAML; their resources are things of our own provider
//! (`tests/cli/provider`), which can be told to fail or to wait, and the CLI's built-in `Stash`.

#[path = "../server/support/command.rs"]
#[allow(dead_code)]
mod command;
#[cfg(feature = "tls")]
#[path = "../server/support/oidc.rs"]
#[allow(dead_code)]
mod oidc;
#[path = "../server/support/process.rs"]
#[allow(dead_code)] // Each target uses its own part of it.
mod process;
#[cfg(feature = "tls")]
#[path = "../server/support/published.rs"]
#[allow(dead_code)]
mod published;
mod support;

mod access;
mod automation;
mod backup;
mod config;
mod conflict;
mod crash;
mod edit;
mod exit;
mod history;
mod import;
mod login;
mod mode;
mod rename;
mod retry;
mod secret;
mod stack;
#[cfg(feature = "tls")]
mod tls;
mod update;
mod version;
