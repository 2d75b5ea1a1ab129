//! The gate from outside: bytes in, bytes out, with a tiny_http engine behind it as in the server.

mod protocol;
mod strict;
mod support;
