//! What the tests speak with: a running server, its stacks and updates, and the bytes between.

pub mod backup;
pub mod clocked;
pub mod command;
pub mod deployment;
pub mod golden;
pub mod gzip;
pub mod http;
pub mod json;
#[cfg(feature = "tls")]
pub mod oidc;
pub mod people;
// Other targets use more of it than this one.
#[allow(dead_code)]
pub mod process;
#[cfg(feature = "tls")]
pub mod published;
pub mod s3;
pub mod s3s;
pub mod schema;
pub mod seed;
pub mod server;
pub mod stack;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "tls")]
pub mod tls_front;
pub mod update;
