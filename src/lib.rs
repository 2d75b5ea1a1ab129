//! A self-hosted state backend for the unmodified Pulumi CLI.
//!
//! The modules in reading order are the way of a request; each may use only what stands below it here
//! (`tests/tidy.rs` checks the arrows).

pub mod domain;
pub mod error;
