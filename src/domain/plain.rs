//! Where a run of string bytes that stand for themselves ends: the innermost loop of all reading of JSON.

/// The place from `at` on of the first byte that does not stand for itself in a string (`"`, `\`, control), or the
/// end of `bytes`.
pub fn end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(sixteen) = bytes.get(at..at + 16) {
        let special = special_bytes(sixteen.try_into().expect("sixteen bytes"));
        if special != 0 {
            return at + special.trailing_zeros() as usize;
        }
        at += 16;
    }
    while bytes.get(at).is_some_and(|&byte| !is_special(byte)) {
        at += 1;
    }
    at
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// A bit for each byte that is special, the first byte's the lowest.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn special_bytes(sixteen: &[u8; 16]) -> u32 {
    // SAFETY: SSE2 is part of every x86-64; the function has no other condition.
    #[allow(unsafe_code)]
    // A quarter of all reading of JSON is this loop, and without it takes twice as long.
    unsafe {
        special_bytes_sse2(sixteen)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
fn special_bytes_sse2(sixteen: &[u8; 16]) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let (low, high) = sixteen.split_at(8);
    let word = |eight: &[u8]| i64::from_le_bytes(eight.try_into().expect("eight bytes"));
    let bytes = _mm_set_epi64x(word(high), word(low));
    let is_quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
    let is_backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
    let is_control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(is_quote, is_backslash), is_control)) as u32
}

#[cfg(not(target_arch = "x86_64"))]
fn special_bytes(sixteen: &[u8; 16]) -> u32 {
    sixteen.iter().rev().fold(0, |bits, &byte| bits << 1 | u32::from(is_special(byte)))
}
