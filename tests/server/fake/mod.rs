//! A CLI of our own that follows the protocol exactly, with an engine that makes up what happens from a seed.
//!
//! program → engine → script → cli → (proxy →) server. What must come out is known from `state`, which is told by the
//! engine what it did and knows nothing of journals.

pub mod cli;
pub mod engine;
pub mod life;
pub mod plan;
pub mod program;
pub mod proxy;
pub mod script;
pub mod state;
