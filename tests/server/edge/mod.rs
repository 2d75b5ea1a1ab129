//! The side that faces the network, as an administrator sets it: TLS, proxies, ceilings, fields of answers.

mod answers;
mod bodies;
mod proxies;
#[cfg(feature = "tls")]
mod tls;
