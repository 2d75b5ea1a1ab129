//! The vendor's protocol. A file for each group: its wire types, then its handlers.

pub mod account;
pub mod admin;
pub mod audit;
pub mod capability;
pub mod checkpoint;
pub mod deployment;
pub mod event;
pub mod health;
pub mod history;
pub mod issuer;
pub mod journal;
pub mod member;
pub mod oauth;
pub mod secret;
pub mod stack;
pub mod token;
pub mod update;
pub mod user;
