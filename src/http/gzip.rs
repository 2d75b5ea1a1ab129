//! The gzip frame (RFC 1952) around raw deflate: one member, bounded, checked to its last byte.

use std::ops::Range;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use crate::error::Error;
use crate::limits;

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// CRC-32 and length of the content.
const TRAILER_BYTES: usize = 8;
/// Deflate cannot do better, so a length that claims more is not reserved in advance.
const RATIO_MAX: usize = 1032;
const LEVEL_FAST: u8 = 1;

/// A gzip file of `content`, at the fastest level.
pub fn compress(content: &[u8]) -> Vec<u8> {
    frame(&compress_to_vec(content, LEVEL_FAST), crc32fast::hash(content), content.len())
}

/// A gzip file of what is deflated already; `crc32` and `n_bytes` are of the content.
pub fn frame(deflated: &[u8], crc32: u32, n_bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER.len() + deflated.len() + TRAILER_BYTES);
    out.extend_from_slice(&HEADER);
    out.extend_from_slice(deflated);
    out.extend_from_slice(&crc32.to_le_bytes());
    out.extend_from_slice(&(n_bytes as u32).to_le_bytes());
    out
}

/// The content of a gzip file, if it is sound, not larger than `bytes_max`, and no bomb.
pub fn decompress_whole(file: &[u8], bytes_max: usize) -> Result<Vec<u8>, Error> {
    let deflated = deflated(file)?;
    let trailer = file.last_chunk::<TRAILER_BYTES>().expect("it has a frame");
    let claimed = u32::from_le_bytes(trailer[4..].try_into().expect("four bytes")) as usize;
    let n_deflated = deflated.len();
    let hint = claimed.min(n_deflated.saturating_mul(RATIO_MAX));
    let fair_max = n_deflated.saturating_mul(limits::INFLATE_RATIO_MAX).max(limits::INFLATE_FREE_BYTES);
    let content = inflate(&file[deflated], hint, bytes_max.min(fair_max)).map_err(|error| match error {
        Error::TooLarge { .. } if fair_max < bytes_max => {
            bad(&format!("it inflates to more than {} times its size", limits::INFLATE_RATIO_MAX))
        }
        error => error,
    })?;
    let crc32 = u32::from_le_bytes(trailer[..4].try_into().expect("four bytes"));
    if content.len() as u32 as usize != claimed || crc32fast::hash(&content) != crc32 {
        return Err(bad("its checksum does not match; it was damaged or cut short on the way"));
    }
    Ok(content)
}

/// Where the deflate stream is in a gzip file.
pub fn deflated(file: &[u8]) -> Result<Range<usize>, Error> {
    let (stream, _) = split(file).ok_or_else(|| bad("it has no valid gzip frame"))?;
    let end = file.len() - TRAILER_BYTES;
    Ok(end - stream.len()..end)
}

fn bad(why: &str) -> Error {
    Error::invalid("body", format!("the gzip body cannot be read: {why}"))
}

/// The deflated part and the trailer; nothing if the frame is not one.
fn split(file: &[u8]) -> Option<(&[u8], &[u8; TRAILER_BYTES])> {
    let (head, mut rest) = file.split_at_checked(10)?;
    let [0x1f, 0x8b, 8, flags, ..] = *head else { return None };
    if flags & 0x04 != 0 {
        let (len, after) = rest.split_at_checked(2)?;
        rest = after.get(u16::from_le_bytes([len[0], len[1]]) as usize..)?;
    }
    for flag in [0x08, 0x10] {
        if flags & flag != 0 {
            let end = rest.iter().position(|&byte| byte == 0)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & 0x02 != 0 {
        rest = rest.get(2..)?;
    }
    rest.split_last_chunk()
}

/// Inflates all of `deflated` into one buffer, which starts at `bytes_hint` and may grow to `bytes_max`.
fn inflate(deflated: &[u8], bytes_hint: usize, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut out = vec![0; bytes_hint.clamp(64, bytes_max.max(64))];
    let mut inflater = Box::new(DecompressorOxide::new());
    let (mut n_in, mut n_out) = (0, 0);
    loop {
        let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, used, made) = decompress(&mut inflater, &deflated[n_in..], &mut out, n_out, flags);
        n_in += used;
        n_out += made;
        match status {
            TINFLStatus::Done if n_in < deflated.len() => return Err(bad("there is more after its end")),
            TINFLStatus::Done => break,
            TINFLStatus::HasMoreOutput if out.len() >= bytes_max => {
                return Err(Error::TooLarge { bytes_max });
            }
            TINFLStatus::HasMoreOutput => out.resize((out.len() * 2).min(bytes_max), 0),
            _ => return Err(bad("its compressed data is damaged")),
        }
    }
    if n_out > bytes_max {
        return Err(Error::TooLarge { bytes_max });
    }
    out.truncate(n_out);
    Ok(out)
}
