//! The rules, as values and pure functions: no SQL, no HTTP, no clock, no dice.
//! Deployments and resources stay the JSON text that arrived; a rule reads facts off that text and edits it as text.

pub mod json;
pub mod name;
mod plain;
pub mod read;
pub mod update;
pub mod urn;

pub mod access;
pub mod calendar;
pub mod delta;
pub mod deployment;
pub mod digest;
pub mod event;
pub mod integrity;
pub mod journal;
pub mod leak;
pub mod rename;
pub mod resource;
pub mod schedule;
