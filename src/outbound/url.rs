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
        let name =
            host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map(|(name, _)| name);
        if is_plain && !is_this_machine(name.unwrap_or(host)) {
            return Err(wrong("is plain HTTP to another machine; anybody on the way could give other keys"));
        }
        let address = match name {
            Some(_) => host.to_string(),
            None => format!("{host}:{}", if is_plain { 80 } else { 443 }),
        };
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        Ok(Url { host: host.into(), address, path, is_plain })
    }
}

fn is_this_machine(name: &str) -> bool {
    let ip = name.trim_matches(['[', ']']).parse::<IpAddr>();
    name == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}
