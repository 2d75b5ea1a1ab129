//! What the tests of this target share.

pub mod canon;
pub mod journals;
pub mod leaks;
pub mod rng;
pub mod vectors;
