//! The vendor's protocol. A file for each group: its wire types, then its handlers.

pub mod admin;
pub mod capability;
pub mod checkpoint;
pub mod deployment;
pub mod event;
pub mod health;
pub mod history;
pub mod journal;
pub mod secret;
pub mod stack;
pub mod update;
pub mod user;
