//! A text without what it shares with the resources of a base: a `same` step repeats a resource byte for byte, and
//! an update in which nothing changes repeats all of them.

/// A place in a text that holds a resource of the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Where it begins in the text.
    pub start: usize,
    /// How long it is.
    pub n_bytes: usize,
    /// Which resource of the base it is.
    pub index: usize,
}

/// What is left of `text` without the `shared` places, which stand in order and do not overlap.
pub fn fold(text: &str, shared: &[Shared]) -> Vec<u8> {
    let n_shared_bytes: usize = shared.iter().map(|place| place.n_bytes).sum();
    let mut out = Vec::with_capacity(text.len() - n_shared_bytes + 12 * shared.len() + 8);
    put(&mut out, shared.len());
    let mut at = 0;
    for place in shared {
        put(&mut out, place.start - at);
        put(&mut out, place.index);
        at = place.start + place.n_bytes;
    }
    at = 0;
    for place in shared {
        out.extend_from_slice(&text.as_bytes()[at..place.start]);
        at = place.start + place.n_bytes;
    }
    out.extend_from_slice(&text.as_bytes()[at..]);
    out
}

/// What stands in a text for a resource of the base that is not looked at.
pub const STAND_IN: &str = "{}";

/// A text that was folded, and the places in it that hold a resource of the base, or what stands in for it.
pub struct Unfolded {
    /// The text.
    pub text: Vec<u8>,
    /// In order.
    pub shared: Vec<Shared>,
}

/// The text again, with what `resource` gives for each of the base; nothing if that is nothing, or for bytes that
/// were not folded. About `n_bytes` are made.
pub fn unfold<'b>(
    folded: &[u8],
    resource: impl Fn(usize) -> Option<&'b str>,
    n_bytes: usize,
) -> Option<Unfolded> {
    let (n_shared, mut rest) = take(folded)?;
    let mut places = Vec::new();
    for _ in 0..n_shared {
        let (n_before, after) = take(rest)?;
        let (index, after) = take(after)?;
        places.push((n_before, index));
        rest = after;
    }
    let mut text = Vec::with_capacity(n_bytes);
    let mut shared = Vec::with_capacity(places.len());
    for (n_before, index) in places {
        let (before, after) = rest.split_at_checked(n_before)?;
        text.extend_from_slice(before);
        let resource = resource(index)?;
        shared.push(Shared { start: text.len(), n_bytes: resource.len(), index });
        text.extend_from_slice(resource.as_bytes());
        rest = after;
    }
    text.extend_from_slice(rest);
    Some(Unfolded { text, shared })
}

fn put(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u32).to_le_bytes());
}

fn take(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number) as usize, rest))
}
