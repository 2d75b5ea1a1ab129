//! Stands in for `tls` in a build without it.

use std::io::{Error as IoError, ErrorKind, Result as IoResult};
use std::path::Path;

use crate::error::Error;

/// Nobody can be trusted.
pub struct Tls;

impl Tls {
    /// Errors: always.
    pub fn new(_: Option<&Path>, _: &str) -> Result<Tls, Error> {
        let why =
            "this build has no TLS: it reaches servers over plain HTTP only, as buckets with disableSSL=true";
        Err(Error::invalid("tls", why))
    }

    /// Nothing is refused.
    pub fn is_refusal(_: &IoError) -> bool {
        false
    }

    /// Errors: always.
    pub fn connect<S>(&self, _: S, _: &str) -> IoResult<S> {
        Err(ErrorKind::Unsupported.into())
    }
}
