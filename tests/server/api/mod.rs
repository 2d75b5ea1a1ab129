//! Every call of the protocol's core, one file for each noun.

mod capability;
mod checkpoint;
mod deployment;
mod event;
mod health;
mod history;
mod journal;
mod key;
mod secret;
mod stack;
mod update;
mod user;
