//! Which strings of a JSON text are worth a look, by their first bytes: one pass at about one instruction a byte.

/// Strings whose first four bytes it may hold. It never misses one that was put in, and lets few others through.
#[derive(Clone)]
pub struct Sieve {
    bits: Box<[u64; 1024]>,
}

/// `Q~` in the fifth and sixth place: the only known shape that does not begin alike.
const FIFTH_AND_SIXTH: u16 = u16::from_le_bytes(*b"Q~");

impl Default for Sieve {
    fn default() -> Sieve {
        Sieve { bits: Box::new([0; 1024]) }
    }
}

/// Where a head has its bit.
pub fn place(head: [u8; 4]) -> u16 {
    (u32::from_le_bytes(head).wrapping_mul(0x9e37_79b1) >> 16) as u16
}

impl Sieve {
    /// Lets strings through whose head has this place.
    pub fn add(&mut self, place: u16) {
        self.bits[usize::from(place >> 6)] |= 1 << (place & 63);
    }

    /// Whether it lets a string with these first bytes through.
    #[inline(always)]
    pub fn has(&self, head: [u8; 4]) -> bool {
        self.has_place(place(head))
    }

    /// Whether this place was added.
    #[inline(always)]
    pub fn has_place(&self, place: u16) -> bool {
        self.bits[usize::from(place >> 6)] >> (place & 63) & 1 == 1
    }

    /// Asks `look` of each string that is let through, by its place behind the quote, until it says true; whether it
    /// did. `text` is valid JSON. Strings that begin with an escape are let through.
    pub fn any(&self, text: &str, mut look: impl FnMut(usize) -> bool) -> bool {
        let bytes = text.as_bytes();
        let mut quotes = Quotes::default();
        for (block, start) in bytes.chunks(64).zip((0..).step_by(64)) {
            let mut openings = match block.try_into() {
                Ok(block) => quotes.of(block),
                Err(_) => quotes.of(&padded(block)),
            };
            while openings != 0 {
                let at = start + openings.trailing_zeros() as usize + 1;
                // This one, and the one that closes it.
                openings &= openings - 1;
                quotes.is_inside = openings == 0;
                openings &= openings.wrapping_sub(1);
                if self.lets_through(bytes, at) && look(at) {
                    return true;
                }
            }
        }
        false
    }

    #[inline(always)]
    fn lets_through(&self, bytes: &[u8], at: usize) -> bool {
        // What is shorter cannot be anything.
        let Some(eight) = bytes.get(at..at + 8) else { return false };
        let eight = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
        let head = (eight as u32).to_le_bytes();
        self.has(head) || has_backslash(eight as u32) || (eight >> 32) as u16 == FIFTH_AND_SIXTH
    }
}

fn has_backslash(four: u32) -> bool {
    let zero = four ^ 0x5c5c_5c5c;
    zero.wrapping_sub(0x0101_0101) & !zero & 0x8080_8080 != 0
}

fn padded(block: &[u8]) -> [u8; 64] {
    let mut padded = [0; 64];
    padded[..block.len()].copy_from_slice(block);
    padded
}

/// What the blocks before say of the next one.
#[derive(Default)]
struct Quotes {
    /// It begins inside of a string.
    is_inside: bool,
    /// Its first byte stands behind a backslash that escapes it.
    is_escaped: bool,
}

const EVEN: u64 = 0x5555_5555_5555_5555;

impl Quotes {
    /// The quotes of a block that open or close a string, the first of them an opening one.
    fn of(&mut self, block: &[u8; 64]) -> u64 {
        let (quotes, backslashes) = masks(block);
        let quotes = quotes & !self.escaped(backslashes);
        if !self.is_inside {
            return quotes;
        }
        // The first one closes what a block before has opened.
        self.is_inside = quotes == 0;
        quotes & quotes.wrapping_sub(1)
    }

    /// The bytes behind an odd number of backslashes.
    #[inline(always)]
    fn escaped(&mut self, backslashes: u64) -> u64 {
        let first = u64::from(std::mem::take(&mut self.is_escaped));
        if backslashes == 0 {
            return first;
        }
        // One that is escaped itself escapes nothing.
        let slashes = backslashes & !first;
        let starts = slashes & !(slashes << 1);
        // A start added to its run carries into the byte behind that.
        let (behind_even, _) = slashes.overflowing_add(starts & EVEN);
        let (behind_odd, is_open) = slashes.overflowing_add(starts & !EVEN);
        self.is_escaped = is_open;
        first | (behind_even & !slashes & !EVEN) | (behind_odd & !slashes & EVEN)
    }
}

/// A bit for each byte that is a quote, and for each that is a backslash.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn masks(block: &[u8; 64]) -> (u64, u64) {
    // SAFETY: SSE2 is part of every x86-64; the function has no other condition.
    #[allow(unsafe_code)]
    // Without it the pass costs five times as much, and it goes over all that is written.
    unsafe {
        masks_sse2(block)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
fn masks_sse2(block: &[u8; 64]) -> (u64, u64) {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    let (mut quotes, mut backslashes) = (0, 0);
    for (sixteen, shift) in block.as_chunks::<16>().0.iter().zip([0, 16, 32, 48]) {
        let word = u128::from_le_bytes(*sixteen);
        let bytes = _mm_set_epi64x((word >> 64) as i64, word as i64);
        let mask = |byte: u8| {
            let mask = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8)));
            u64::from(mask as u32) << shift
        };
        quotes |= mask(b'"');
        backslashes |= mask(b'\\');
    }
    (quotes, backslashes)
}

#[cfg(not(target_arch = "x86_64"))]
fn masks(block: &[u8; 64]) -> (u64, u64) {
    let mask = |wanted: u8| block.iter().rev().fold(0, |bits, byte| bits << 1 | u64::from(*byte == wanted));
    (mask(b'"'), mask(b'\\'))
}
