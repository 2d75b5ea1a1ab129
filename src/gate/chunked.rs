//! The chunked coding, decoded as it arrives. A body that stops early is never mistaken for one that ended.

use super::head::parse_field;
use super::limits::{CHUNK_LINE_BYTES_MAX, HEAD_FIELDS_MAX, TRAILER_BYTES_MAX};
use super::refusal::Refusal;

/// Where in the coding the next byte stands.
enum At {
    /// In a chunk-size line.
    Size,
    /// In a chunk, with so many bytes to come.
    Data(u64),
    /// At the line end after a chunk's bytes.
    DataEnd,
    /// In the trailer, having seen so many bytes and fields of it.
    Trailer { n_bytes: usize, n_fields: usize },
    /// Past the empty line that ends the body.
    End,
}

/// A decoder that is fed what has arrived and says how much of it was used.
pub(super) struct Chunked {
    at: At,
}

impl Chunked {
    pub fn new() -> Chunked {
        Chunked { at: At::Size }
    }

    pub fn is_at_end(&self) -> bool {
        matches!(self.at, At::End)
    }

    /// Decodes from `input` and appends to `body`, at most up to `body_bytes_max` bytes of it in all.
    ///
    /// Returns how much of `input` was used; the rest, an unfinished line, must be given again with more behind it.
    pub fn feed(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
        body_bytes_max: usize,
    ) -> Result<usize, Refusal> {
        let mut n_used = 0;
        loop {
            let rest = &input[n_used..];
            let n = match self.at {
                At::End => return Ok(n_used),
                At::Data(n_left) => self.take_data(rest, n_left, body, body_bytes_max)?,
                _ => self.take_line(rest)?,
            };
            if n == 0 {
                return Ok(n_used);
            }
            n_used += n;
        }
    }

    fn take_data(
        &mut self,
        rest: &[u8],
        n_left: u64,
        body: &mut Vec<u8>,
        body_bytes_max: usize,
    ) -> Result<usize, Refusal> {
        if n_left > (body_bytes_max - body.len()) as u64 {
            return Err(too_large(body_bytes_max));
        }
        let n = rest.len().min(n_left as usize);
        body.extend_from_slice(&rest[..n]);
        let n_left = n_left - n as u64;
        self.at = if n_left == 0 { At::DataEnd } else { At::Data(n_left) };
        Ok(n)
    }

    /// Uses up one whole line with its end, or nothing if there is none yet.
    fn take_line(&mut self, rest: &[u8]) -> Result<usize, Refusal> {
        let Some(n_line) = rest.iter().position(|byte| *byte == b'\n') else {
            return if rest.len() > self.line_bytes_max() { Err(malformed()) } else { Ok(0) };
        };
        let line = rest[..n_line].strip_suffix(b"\r").ok_or_else(malformed)?;
        if line.len() > self.line_bytes_max() || !line.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
        {
            return Err(malformed());
        }
        self.at = match self.at {
            At::Size => match parse_size(line)? {
                0 => At::Trailer { n_bytes: 0, n_fields: 0 },
                size => At::Data(size),
            },
            At::Trailer { n_bytes, n_fields } => next_in_trailer(line, n_bytes, n_fields)?,
            At::DataEnd if line.is_empty() => At::Size,
            At::DataEnd | At::Data(_) | At::End => return Err(malformed()),
        };
        Ok(n_line + 1)
    }

    fn line_bytes_max(&self) -> usize {
        match self.at {
            At::Trailer { n_bytes, .. } => TRAILER_BYTES_MAX - n_bytes,
            _ => CHUNK_LINE_BYTES_MAX,
        }
    }
}

/// Hexadecimal digits, then nothing or an extension, which has no meaning here.
fn parse_size(line: &[u8]) -> Result<u64, Refusal> {
    let n_digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let is_well_formed = (1..=15).contains(&n_digits) && matches!(line.get(n_digits), None | Some(b';'));
    if !is_well_formed {
        return Err(malformed());
    }
    let digit = |byte: &u8| u64::from((*byte as char).to_digit(16).unwrap_or(0));
    Ok(line[..n_digits].iter().fold(0, |size, byte| size * 16 + digit(byte)))
}

fn next_in_trailer(line: &[u8], n_bytes: usize, n_fields: usize) -> Result<At, Refusal> {
    if line.is_empty() {
        return Ok(At::End);
    }
    let text = std::str::from_utf8(line).map_err(|_| malformed())?;
    parse_field(text, 0..text.len())?;
    if n_fields == HEAD_FIELDS_MAX {
        return Err(malformed());
    }
    Ok(At::Trailer { n_bytes: n_bytes + line.len(), n_fields: n_fields + 1 })
}

fn malformed() -> Refusal {
    Refusal::malformed("the chunked body is not well formed")
}

pub(super) fn too_large(body_bytes_max: usize) -> Refusal {
    Refusal::new(413, format!("The request's body is larger than the {body_bytes_max} bytes allowed here"))
}
