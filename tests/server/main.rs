//! The server as a black box: the real binary, real HTTP, a database in a temporary folder.

mod access;
mod admin;
mod api;
mod archive;
mod backup_run;
mod bucket;
mod command;
mod crash;
mod damage;
mod disk;
mod drill;
mod edge;
mod fake;
mod guard;
#[cfg(feature = "tls")]
mod key_sets;
mod large;
mod lease;
mod limits;
mod memory;
mod model;
mod mutations;
mod replay;
mod retention;
mod retry;
mod salvage;
mod schedule;
mod sealed;
mod shared;
mod soak;
mod support;
mod systemd;
mod upgrade;
mod watch;
