//! Numbers in few bytes: one after the other, as differences, and as the order of a list.

use crate::error::Error;

/// The error for stored bytes that are not what was stored.
pub fn damaged(why: &str) -> Error {
    Error::Damaged(format!("a stored deployment, or a part of it, {why}"))
}

/// Seven bits a byte, lowest first.
pub fn write_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The number at the start of `rest`, which then begins behind it.
pub fn read_number(rest: &mut &[u8]) -> Result<usize, Error> {
    let mut number = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or_else(|| damaged("is too short"))?;
        *rest = after;
        number |= ((byte & 0x7f) as usize).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(damaged("has a number that is too long"))
}

/// How many bytes `write_number` takes.
pub fn number_bytes(number: usize) -> usize {
    (usize::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize
}

/// A difference as a number that is small if the difference is.
pub fn zigzag(difference: i64) -> usize {
    ((difference << 1) ^ (difference >> 63)) as usize
}

/// What `zigzag` was given.
pub fn unzigzag(number: usize) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// A permutation's numbers, each with as many bits as the largest needs.
pub fn pack(places: &[u32]) -> Vec<u8> {
    let n_bits = bits_for(places.len());
    let mut out = Vec::with_capacity((places.len() * n_bits as usize).div_ceil(8));
    let (mut buffer, mut n_filled) = (0u64, 0);
    for &place in places {
        buffer |= u64::from(place) << n_filled;
        n_filled += n_bits;
        while n_filled >= 8 {
            out.push(buffer as u8);
            buffer >>= 8;
            n_filled -= 8;
        }
    }
    if n_filled > 0 {
        out.push(buffer as u8);
    }
    out
}

/// The permutation of `n` numbers that `pack` was given.
pub fn unpack(packed: &[u8], n: usize) -> Result<Vec<u32>, Error> {
    let n_bits = bits_for(n);
    if packed.len() != (n * n_bits as usize).div_ceil(8) {
        return Err(damaged("has an order of another length"));
    }
    let mut places = Vec::with_capacity(n);
    let (mut buffer, mut n_filled) = (0u64, 0);
    let mut bytes = packed.iter();
    while places.len() < n {
        while n_filled < n_bits {
            buffer |= u64::from(*bytes.next().expect("the length was checked")) << n_filled;
            n_filled += 8;
        }
        places.push((buffer & ((1u64 << n_bits) - 1)) as u32);
        buffer >>= n_bits;
        n_filled -= n_bits;
    }
    Ok(places)
}

/// Bits that the numbers below `n` need.
fn bits_for(n: usize) -> u32 {
    usize::BITS - n.saturating_sub(1).leading_zeros()
}
