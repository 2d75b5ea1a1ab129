//! Addresses of other servers: `https://HOST[:PORT]/PATH`, and plain HTTP on this machine only.

use std::net::IpAddr;

use crate::error::Error;

/// An address that may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// As in the header: with the port, if the address has one.
    pub host: String,
    /// `HOST:PORT`.
    pub address: String,
    /// From the slash on.
    pub path: String,
    /// Whether it is plain HTTP.
    pub is_plain: bool,
}

impl Url {
    /// Errors: `Invalid` for anything else, and for plain HTTP to another machine, on the way to which anybody could
    /// write what is read.
    pub fn parse(field: &str, text: &str) -> Result<Url, Error> {
        let wrong = |why: &str| Error::invalid(field, format!("'{text}' {why}"));
        let (is_plain, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(wrong("does not begin with https://")),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let is_clean = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if host.is_empty() || host.contains('@') || !is_clean(host) || !is_clean(path) {
            return Err(wrong("is not an address like https://ci.example/keys"));
        }
        if is_plain && !is_this_machine(name_of(host)) {
            return Err(wrong("is plain HTTP to another machine; anybody on the way could give other keys"));
        }
        let address = socket_address(host, is_plain);
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        Ok(Url { host: host.into(), address, path, is_plain })
    }
}

/// The host without its port.
pub fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    }
}

/// `HOST:PORT`, with the usual port if the host has none.
pub fn socket_address(host: &str, is_plain: bool) -> String {
    match name_of(host).len() < host.len() {
        true => host.into(),
        false => format!("{host}:{}", if is_plain { 80 } else { 443 }),
    }
}

fn is_this_machine(name: &str) -> bool {
    let ip = name.trim_matches(['[', ']']).parse::<IpAddr>();
    name == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}
