//! A self-hosted state backend for the unmodified Pulumi CLI.
//!
//! The modules in reading order are the way of a request; each may use only what stands below it here
//! (`tests/tidy.rs` checks the arrows).

pub mod api;
pub mod app;
pub mod cache;
pub mod call;
pub mod clock;
pub mod command;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod error;
pub mod gate;
pub mod http;
pub mod limits;
pub mod observe;
pub mod program;
pub mod routes;
pub mod server;
pub mod state;
pub mod store;
