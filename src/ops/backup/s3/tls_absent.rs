//! Stands in for `tls` in a build without it.

use std::io::{ErrorKind, Result as IoResult};
use std::net::TcpStream;
use std::path::Path;

use crate::error::Error;

/// Nobody can be trusted.
pub struct Tls;

impl Tls {
    /// Errors: always.
    pub fn new(_: Option<&Path>) -> Result<Tls, Error> {
        Err(Error::invalid("to", "this build has no TLS: only buckets with disableSSL=true can be reached"))
    }

    /// Errors: always.
    pub fn connect(&self, _: TcpStream, _: &str) -> IoResult<TcpStream> {
        Err(ErrorKind::Unsupported.into())
    }
}
