//! Every call of the protocol's core, one file for each noun.

mod account;
mod admin;
mod audit;
mod backup;
mod capability;
mod checkpoint;
mod deployment;
mod event;
mod health;
mod history;
mod issuer;
mod journal;
mod key;
mod member;
mod metrics;
mod oauth;
mod openapi;
mod secret;
mod stack;
mod token;
mod update;
mod user;
mod verify;
