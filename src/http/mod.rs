//! Bytes ⇄ values. Knows HTTP; has never heard of a stack.

pub mod gzip;
pub mod pattern;
pub mod request;
pub mod response;
pub mod workers;

pub use request::{Deflated, Method, Request};
pub use response::{Body, Response};
