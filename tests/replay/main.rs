//! The domain's rules as pure functions: Pulumi's recorded journals, its live replayer, and tables for the rest.

mod support;

mod oracle;
mod vectors;
