//! The server as a black box: the real binary, real HTTP, a database in a temporary folder.

mod api;
mod command;
mod crash;
mod fake;
mod large;
mod lease;
mod limits;
mod model;
mod replay;
mod retry;
mod support;
