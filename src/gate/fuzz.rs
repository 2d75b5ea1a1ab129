//! The gate's two parsers as plain functions, for fuzzing.

use std::ops::Range;

use super::canonical::{begin_request, finish_request};
use super::chunked::Chunked;
use super::head::{Framing, Head, Parsed, Scan};
use super::listener::Peer;
use super::settings::Settings;

/// What a head, arriving in pieces of `n_piece` bytes, is to the engine if its body is empty: how long it was, and its
/// canonical form. None if it is refused or not all here.
pub fn canonical_head(bytes: &[u8], n_piece: usize) -> Option<(usize, Vec<u8>)> {
    let settings = Settings::default();
    let mut scan = Scan::default();
    let mut n_here = 0;
    let n_head = loop {
        n_here = (n_here + n_piece.max(1)).min(bytes.len());
        match scan.look(&bytes[..n_here.min(settings.head_bytes_max)]).ok()? {
            Some(n_head) => break n_head,
            None if n_here == bytes.len() || n_here >= settings.head_bytes_max => return None,
            None => {}
        }
    };
    let text = std::str::from_utf8(&bytes[..n_head]).ok()?;
    let mut parsed = Parsed::default();
    parsed.parse(text, &settings).ok()?;
    let part = |place: &Range<usize>| &text[place.clone()];
    let head = Head {
        method: part(&parsed.method),
        target: part(&parsed.target),
        peer: settings.trusted_proxies.origin(Peer::Local, text, &parsed),
        is_tls: settings.trusted_proxies.is_tls(Peer::Local, text, &parsed),
        text,
        fields: &parsed.fields,
    };
    let mut out = Vec::new();
    begin_request(&mut out, &head, &parsed);
    finish_request(&mut out, Framing::Empty, 0);
    Some((n_head, out))
}

/// A chunked body that arrives in pieces of `n_piece` bytes: how many bytes it took, and what it says. None if it is
/// refused, over `body_bytes_max`, or not all here.
pub fn dechunked(bytes: &[u8], n_piece: usize, body_bytes_max: usize) -> Option<(usize, Vec<u8>)> {
    let mut chunked = Chunked::new();
    let mut body = Vec::new();
    let (mut n_here, mut n_used) = (0, 0);
    while !chunked.is_at_end() {
        if n_here == bytes.len() {
            return None;
        }
        n_here = (n_here + n_piece.max(1)).min(bytes.len());
        n_used += chunked.feed(&bytes[n_used..n_here], &mut body, body_bytes_max).ok()?;
    }
    Some((n_used, body))
}
