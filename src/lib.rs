//! A self-hosted state backend for the unmodified Pulumi CLI.
//!
//! The modules in reading order, which is the way of a request. Each may use only what stands below it here, and
//! none of those beside it (`tests/tidy.rs` holds the order and checks the arrows).
//!
//! - `command`: what the program does when it is called. Knows no rule and no SQL; it starts things and stops them.
//! - `server`: starts store, workers, gate and housekeeper, and stops them in reverse. Knows no route.
//! - `gate`: the side that faces the network: strict parse, limits, deadlines. Has never heard of a route or a stack.
//! - `routes`: request → row of the table → access check → handler → response. Knows no SQL and no deployment.
//! - `api`: the vendor's protocol: wire types, then handlers. Must not check access, choose a status, or hold SQL.
//! - `ops`: what an administrator asks for, and where the master key comes from. Beside `api`, by the same rules.
//! - `state`: what a stack's state is at this moment, and how an update ends. Knows no HTTP.
//! - `app`: what every handler can reach: store, keyring, cache, clock, config. Must not know any call.
//! - `call`: what one handler gets: parameters, query, body, caller. Must not know which route it is.
//! - `program`: the create request of an update, as far as the server looks into it. It is stored as it came.
//! - `store`: SQLite, and the only SQL; one writer thread, many readers. Must not know HTTP.
//! - `outbound`: requests of ours to other servers, none of which is called unless a setting names it.
//! - `recent`: wrong tokens and denied calls of the last minute, counted. Must not decide what is right.
//! - `cache`: what was read or made before, so that it need not be again. A crash must not make it untrue.
//! - `crypto`: master key, stack keys, seals, tokens. Must not know what it seals, or where that is kept.
//! - `http`: bytes ⇄ values, on tiny_http. Has never heard of a stack.
//! - `config`: flags and environment → `Config`, checked once, at the start. Must not know what the settings do.
//! - `observe`: log lines. Must not know what is secret: whoever writes a line leaves that out.
//! - `clock`: the one source of the time of day. Tests bring their own.
//! - `domain`: the rules, as values and pure functions. No SQL, no HTTP, no clock, no dice.
//! - `limits`: every ceiling, with a unit and a line of why.
//! - `memory`: the allocator, which wipes what it gets back. Must not know what that was.
//! - `error`: why a call was not carried out. Must not know statuses: those are given in `routes`.

pub mod api;
pub mod app;
pub mod cache;
pub mod call;
pub mod clock;
pub mod command;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod error;
pub mod gate;
pub mod http;
pub mod limits;
pub mod memory;
pub mod observe;
pub mod ops;
pub mod outbound;
pub mod program;
pub mod recent;
pub mod routes;
pub mod server;
pub mod state;
pub mod store;
