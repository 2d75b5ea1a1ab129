//! What the tests of this target share.

pub mod canon;
pub mod rng;
pub mod vectors;
