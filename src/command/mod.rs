//! What the program does when it is called: for now, it serves.

pub mod serve;
mod signal;
