//! Who a request is from when it comes through a proxy that is trusted to say so.

use std::net::{IpAddr, SocketAddr};

use super::head::Parsed;
use super::listener::Peer;
use crate::error::Error;

/// The proxies whose word about a client counts. None by default: anybody can write `X-Forwarded-For`.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    is_local_trusted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    n_bits: u32,
}

impl TrustedProxies {
    /// A list with commas: addresses (`10.0.0.7`), networks (`10.0.0.0/8`), and `unix` for whoever may connect to the
    /// gate's Unix socket.
    ///
    /// Errors: `Error::Invalid` naming the part that is neither.
    pub fn parse(list: &str) -> Result<TrustedProxies, Error> {
        let mut proxies = TrustedProxies::default();
        for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part {
                "unix" => proxies.is_local_trusted = true,
                _ => proxies.networks.push(parse_network(part)?),
            }
        }
        Ok(proxies)
    }

    /// Whether the other end of a connection is one of them.
    pub(super) fn has(&self, peer: Peer) -> bool {
        match peer {
            Peer::Local => self.is_local_trusted,
            Peer::Address(address) => self.networks.iter().any(|network| network.has(address)),
        }
    }

    /// Whom a request is from: the right-most address in `X-Forwarded-For` that is no trusted proxy.
    ///
    /// Each proxy adds on the right whom it heard from, so everything left of the first stranger is that stranger's
    /// own words. What is no address ends the search: then it is from the last proxy that could be made out.
    pub(super) fn origin(&self, peer: Peer, text: &str, parsed: &Parsed) -> Peer {
        let mut origin = peer;
        for word in forwarded(text, parsed, "X-Forwarded-For") {
            if !self.has(origin) {
                break;
            }
            let Some(address) = parse_address(word) else { break };
            origin = Peer::Address(address.to_canonical());
        }
        origin
    }

    /// Whether a trusted proxy was reached over HTTPS, as the last one says in `X-Forwarded-Proto`.
    pub(super) fn is_tls(&self, peer: Peer, text: &str, parsed: &Parsed) -> bool {
        let scheme = forwarded(text, parsed, "X-Forwarded-Proto").next();
        self.has(peer) && scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
    }
}

impl Network {
    fn has(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - self.n_bits;
                u32::from(network).checked_shr(shift) == u32::from(address).checked_shr(shift)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - self.n_bits;
                u128::from(network).checked_shr(shift) == u128::from(address).checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// The words of all fields called `name`, from the right.
fn forwarded<'a>(text: &'a str, parsed: &'a Parsed, name: &'a str) -> impl Iterator<Item = &'a str> {
    let is_it = move |field: &&super::head::Field| text[field.name.clone()].eq_ignore_ascii_case(name);
    let values = parsed.fields.iter().rev().filter(is_it).map(|field| &text[field.value.clone()]);
    values.flat_map(|value| value.rsplit(',')).map(|word| word.trim_matches([' ', '\t']))
}

/// An address as proxies write it: with or without a port, IPv6 with or without brackets.
fn parse_address(word: &str) -> Option<IpAddr> {
    let bare = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(word);
    let with_port = || word.parse().map(|address: SocketAddr| address.ip());
    bare.parse().or_else(|_| with_port()).ok()
}

fn parse_network(part: &str) -> Result<Network, Error> {
    let wrong = || {
        let why = format!("{part:?} is neither an IP address, nor a network as 10.0.0.0/8, nor \"unix\"");
        Error::invalid("trusted proxies", why)
    };
    let (address, n_bits) =
        part.split_once('/').map_or((part, None), |(address, n_bits)| (address, Some(n_bits)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let n_bits_max = if address.is_ipv4() { 32 } else { 128 };
    let n_bits = n_bits.map_or(Ok(n_bits_max), |n_bits| n_bits.parse().map_err(|_| wrong()))?;
    if n_bits > n_bits_max { Err(wrong()) } else { Ok(Network { address, n_bits }) }
}
