//! The noise of driving the CLI: finding it, running it, and looking at what it left behind.

pub mod http;
pub mod project;
pub mod proxy;
pub mod run;
pub mod site;
pub mod state;
pub mod tools;
pub mod world;
