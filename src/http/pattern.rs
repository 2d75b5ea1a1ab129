//! `/api/stacks/{orgName}` against a path → parameters.

/// Splits a raw path into its decoded segments; a trailing slash does not count. Nothing for a bad `%` escape.
pub fn segments(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').map(|segment| decode(segment, false)).collect()
}

/// Undoes `%41` escapes, and in a query `+`. Nothing if an escape is cut short or the result is not UTF-8.
pub fn decode(text: &str, is_query: bool) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_string());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let digits = std::str::from_utf8(&digits).ok().filter(|d| !d.starts_with('+'))?;
                out.push(u8::from_str_radix(digits, 16).ok()?);
            }
            b'+' if is_query => out.push(b' '),
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

/// The values of the `{…}` parts, in order, if the path has the pattern's form.
pub fn matches(pattern: &str, segments: &[String]) -> Option<Vec<String>> {
    let mut parameters = Vec::new();
    let mut parts = pattern[1..].split('/');
    for segment in segments {
        let part = parts.next()?;
        if part.starts_with('{') {
            parameters.push(segment.clone());
        } else if part != segment {
            return None;
        }
    }
    parts.next().is_none().then_some(parameters)
}
