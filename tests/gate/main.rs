//! The gate from outside: bytes in, bytes out, with a tiny_http engine behind it as in the server.

mod protocol;
mod proxies;
mod strict;
mod support;
#[cfg(feature = "tls")]
mod tls;
