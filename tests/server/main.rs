//! The server as a black box: the real binary, real HTTP, a database in a temporary folder.

mod access;
mod admin;
mod api;
mod command;
mod crash;
mod damage;
mod disk;
mod edge;
mod fake;
mod large;
mod lease;
mod limits;
mod model;
mod mutations;
mod replay;
mod retention;
mod retry;
mod salvage;
mod sealed;
mod shared;
mod soak;
mod support;
mod systemd;
mod upgrade;
mod watch;
