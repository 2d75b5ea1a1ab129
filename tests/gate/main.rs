//! The gate from outside: bytes in, bytes out, with a tiny_http engine behind it as in the server.

mod attacks;
mod limits;
mod mutations;
mod parking;
mod protocol;
mod proxies;
mod sockets;
mod strict;
mod support;
#[cfg(feature = "tls")]
mod tls;
