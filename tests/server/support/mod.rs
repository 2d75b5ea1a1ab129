//! What the tests speak with: a running server, its stacks and updates, and the bytes between.

pub mod deployment;
pub mod gzip;
pub mod http;
pub mod json;
pub mod process;
pub mod seed;
pub mod server;
pub mod stack;
pub mod update;
