//! The domain's rules as pure functions: Pulumi's recorded journals, its live replayer, and tables for the rest.
//! And the cache, which is no rule, but as pure.

mod support;

mod cache;
mod delta;
mod deployment;
mod fuzz;
mod integrity;
mod leak;
mod ledger;
mod names;
mod oracle;
mod rename;
mod speed;
mod vectors;
