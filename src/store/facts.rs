//! The facts of a run: a digest for each of its resources. Hashes hardly deflate, so each stands there once.

use std::collections::HashMap;

use super::packed::{damaged, read_number, write_number};
use crate::domain::digest::{Digest, Digests};
use crate::domain::resource::ResourceFlags;
use crate::error::Error;

/// A number of digests, then each.
pub fn encode<'d>(digests: impl ExactSizeIterator<Item = Digest<'d>>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut places = HashMap::new();
    write_number(&mut out, digests.len());
    for Digest { urn, n_bytes, text, flags, references } in digests {
        out.extend_from_slice(&urn.to_le_bytes());
        out.extend_from_slice(&text);
        write_number(&mut out, n_bytes);
        write_number(&mut out, flags.bits().into());
        write_number(&mut out, references.len());
        for reference in references {
            let next = places.len() + 1;
            let place = *places.entry(*reference).or_insert(next);
            write_number(&mut out, if place == next { 0 } else { place });
            if place == next {
                out.extend_from_slice(&reference.to_le_bytes());
            }
        }
    }
    out
}

/// Adds what was encoded to `digests`; how many they are.
pub fn decode(mut rest: &[u8], digests: &mut Digests) -> Result<usize, Error> {
    let mut known = Vec::new();
    let mut references = Vec::new();
    let n = read_number(&mut rest)?;
    for _ in 0..n {
        let urn = u64::from_le_bytes(read_hash(&mut rest)?);
        let text = read_hash(&mut rest)?;
        let n_bytes = read_number(&mut rest)?;
        let flags = ResourceFlags::from_bits(read_number(&mut rest)? as u16);
        let n_references = read_number(&mut rest)?;
        references.clear();
        for _ in 0..n_references {
            let place = read_number(&mut rest)?;
            if place == 0 {
                known.push(u64::from_le_bytes(read_hash(&mut rest)?));
            }
            let place = if place == 0 { known.len() } else { place };
            references.push(*known.get(place - 1).ok_or_else(|| damaged("has facts that point nowhere"))?);
        }
        check_references(flags, &references)?;
        digests.push(Digest { urn, n_bytes, text, flags, references: &references });
    }
    match rest {
        [] => Ok(n),
        _ => Err(damaged("has more facts than resources")),
    }
}

/// The flags say what the first references are.
fn check_references(flags: ResourceFlags, references: &[u64]) -> Result<(), Error> {
    let named = [ResourceFlags::IS_PROVIDER, ResourceFlags::HAS_PROVIDER];
    match named.into_iter().filter(|flag| flags.has(*flag)).count() <= references.len() {
        true => Ok(()),
        false => Err(damaged("has facts that lack a provider")),
    }
}

fn read_hash<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Error> {
    let (hash, after) = rest.split_first_chunk().ok_or_else(|| damaged("is too short"))?;
    *rest = after;
    Ok(*hash)
}
