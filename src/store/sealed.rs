//! Texts as they lie in a row: deflated, then sealed with their stack's key under a label that says what they are
//! and whose, so that one that was changed, or moved to another row, does not open.

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_slice_iter_to_slice;

use super::fold::{self, STAND_IN, Shared, Unfolded};
use crate::crypto::keyring::StackKey;
use crate::error::Error;

/// Level 1 is six times as fast as 6 and takes a quarter more space.
const DEFLATE_LEVEL: u8 = 1;
/// The first byte of what is sealed: the text, deflated.
const WHOLE: u8 = 1;
/// As above: the text without what it shares with the resources of a base, see `fold.rs`.
const FOLDED: u8 = 2;
/// A stream that came with the text is kept if it is this many times smaller.
const KEPT_RATIO_MIN: usize = 3;
/// Below this a text is so quickly deflated that its stream is not looked at.
const KEPT_BYTES_MIN: usize = 1024;

/// Deflates and seals a text. `deflated` is the deflate stream in which it came, if it did: whoever made that had
/// more time than we have.
pub fn seal_text(key: &StackKey, label: &str, text: &str, deflated: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    let is_worth_keeping = |deflated: &&[u8]| {
        text.len() >= KEPT_BYTES_MIN && deflated.len().saturating_mul(KEPT_RATIO_MIN) <= text.len()
    };
    match deflated.filter(is_worth_keeping) {
        Some(deflated) => seal(key, label, WHOLE, text, deflated),
        None => seal(key, label, WHOLE, text, &compress_to_vec(text.as_bytes(), DEFLATE_LEVEL)),
    }
}

/// Seals a text of which `folded` is what a base does not have, see `fold.rs`.
pub fn seal_folded(key: &StackKey, label: &str, text: &str, folded: &[u8]) -> Result<Vec<u8>, Error> {
    seal(key, label, FOLDED, text, &compress_to_vec(folded, DEFLATE_LEVEL))
}

/// The form, the length and the CRC-32 of the text, and then the stream.
fn seal(key: &StackKey, label: &str, form: u8, text: &str, deflated: &[u8]) -> Result<Vec<u8>, Error> {
    let n_bytes = u32::try_from(text.len()).map_err(|_| Error::internal("seal a text", "it is too long"))?;
    let crc32 = crc32fast::hash(text.as_bytes());
    let head = [&[form][..], &n_bytes.to_le_bytes(), &crc32.to_le_bytes()].concat();
    key.seal_parts(label, &[&head, deflated])
}

/// A sealed text that has been opened, and may need its base to be read.
pub struct Opened {
    form: u8,
    n_bytes: usize,
    crc32: u32,
    plain: Vec<u8>,
}

const HEAD_BYTES: usize = 9;

impl Opened {
    /// Opens; nothing for what was not sealed so, or is damaged.
    pub fn new(key: &StackKey, label: &str, sealed: &[u8]) -> Option<Opened> {
        let plain = key.open(label, sealed)?;
        let [form, rest @ ..] = plain.first_chunk::<HEAD_BYTES>()?;
        let [a, b, c, d, crc32 @ ..] = *rest;
        let n_bytes = u32::from_le_bytes([a, b, c, d]) as usize;
        Some(Opened { form: *form, n_bytes, crc32: u32::from_le_bytes(crc32), plain })
    }

    /// Whether `text` needs the resources of the base.
    pub fn is_folded(&self) -> bool {
        self.form == FOLDED
    }

    /// The text as it was sealed; nothing if it cannot be had again.
    pub fn text(&self, base: &[&str]) -> Option<String> {
        let bytes = match self.form {
            WHOLE => inflate(self.deflated(), self.n_bytes)?,
            FOLDED => self.unfold(|index| base.get(index).copied(), self.n_bytes)?.text,
            _ => return None,
        };
        let is_same = bytes.len() == self.n_bytes && crc32fast::hash(&bytes) == self.crc32;
        is_same.then(|| String::from_utf8(bytes).ok())?
    }

    /// The text with a `STAND_IN` for each resource of the base, and where those are.
    pub fn outline(&self) -> Option<(String, Vec<Shared>)> {
        if !self.is_folded() {
            return Some((self.text(&[])?, Vec::new()));
        }
        let Unfolded { text, shared } = self.unfold(|_| Some(STAND_IN), 0)?;
        Some((String::from_utf8(text).ok()?, shared))
    }

    fn deflated(&self) -> &[u8] {
        &self.plain[HEAD_BYTES..]
    }

    fn unfold<'b>(&self, resource: impl Fn(usize) -> Option<&'b str>, n_bytes: usize) -> Option<Unfolded> {
        let bytes_max = self.n_bytes * 2 + 64;
        let folded = miniz_oxide::inflate::decompress_to_vec_with_limit(self.deflated(), bytes_max).ok()?;
        fold::unfold(&folded, resource, n_bytes)
    }
}

fn inflate(deflated: &[u8], n_bytes: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; n_bytes];
    let n_made = decompress_slice_iter_to_slice(&mut bytes, std::iter::once(deflated), false, true).ok()?;
    (n_made == n_bytes).then_some(bytes)
}

/// Opens a text that needs no base. `what` says what it is, for the error.
pub fn open_text(key: &StackKey, label: &str, sealed: &[u8], what: &str) -> Result<String, Error> {
    Opened::new(key, label, sealed).and_then(|opened| opened.text(&[])).ok_or_else(|| damaged(what))
}

/// The error for what cannot be had any more; `what` names it, and the update that it belongs to.
pub fn damaged(what: &str) -> Error {
    Error::Damaged(format!("{what} is missing, or does not open with its stack's key"))
}
