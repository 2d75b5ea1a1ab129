//! Which handler, who may call it, how it fails.

pub mod access;
pub mod dispatch;
pub mod errors;
pub mod metrics;
pub mod openapi;
pub mod shape;
pub mod shapes;
pub mod table;
