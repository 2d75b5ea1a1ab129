//! TLS in a build without it: the same names, and nothing that could exist.

use std::io;
use std::path::Path;
use std::time::Instant;

use super::wire::Wire;
use crate::clock::Clock;
use crate::error::Error;

/// Cannot be made: this build has no TLS.
#[derive(Debug)]
pub enum Tls {}

impl Tls {
    /// Errors: always.
    pub fn from_files(_certificate: &Path, _key: &Path) -> Result<Tls, Error> {
        Err(Error::invalid("tls", "this build has no TLS (it was made without the feature `tls`)"))
    }

    /// Errors: always.
    pub fn from_local_ca(_directory: &Path, _names: &[String], _clock: Clock) -> Result<Tls, Error> {
        Tls::from_files(Path::new(""), Path::new(""))
    }

    /// Nothing ends.
    pub fn ends_before(_certificates: &Path, _unix: i64) -> Result<Option<String>, Error> {
        Ok(None)
    }

    /// Nothing to look at.
    pub fn reload(&self) {
        match *self {}
    }

    /// Nothing to trust.
    pub fn trust_line(&self) -> Option<String> {
        match *self {}
    }
}

pub(super) enum Session {}

pub(super) enum Handshake {
    #[allow(dead_code, reason = "the build with TLS says it")]
    Done(Session),
    #[allow(dead_code, reason = "the build with TLS says it")]
    PlainHttp,
}

impl Session {
    pub fn accept(tls: &Tls, _wire: &mut Wire, _until: Instant) -> io::Result<Handshake> {
        match *tls {}
    }

    pub fn read(&mut self, _wire: &mut Wire, _bytes: &mut [u8], _until: Instant) -> io::Result<usize> {
        match *self {}
    }

    pub fn write(&mut self, _wire: &mut Wire, _bytes: &[u8], _until: Instant) -> io::Result<usize> {
        match *self {}
    }

    pub fn flush(&mut self, _wire: &mut Wire, _until: Instant) -> io::Result<()> {
        match *self {}
    }

    pub fn wipe(&mut self) {
        match *self {}
    }

    pub fn end(&mut self, _wire: &mut Wire, _until: Instant) {
        match *self {}
    }
}
