//! JSON as text: where a value ends, which members an object has, what a string token spells.
//! Never a tree, so that numbers, unknown fields, key order and whitespace survive. Knows nothing of deployments.
//!
//! An own scanner rather than `RawValue`: the places between the values are needed for editing, and strings with
//! half a surrogate pair, which the CLI reads, must not be refused.

use std::borrow::Cow;

use crate::domain::plain;
use crate::limits;

/// What may stand between values.
pub const WHITESPACE: [char; 4] = [' ', '\n', '\t', '\r'];

/// Where a text stops being the JSON that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaw {
    /// Byte offset in the text that was scanned.
    pub at: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the JSON is not valid at byte {}: expected {}", self.at, self.expected)
    }
}

/// Walks a text from left to right; strict about syntax, iterative, and bounded in depth.
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Where `text` starts in a longer one, if it is the rest of that.
    origin: usize,
    /// True between an opening bracket and its first member or element.
    just_opened: bool,
    /// The closing brackets that `value` waits for; kept to be reused.
    closers: Vec<u8>,
}

impl<'a> Scanner<'a> {
    /// A scanner at the start of `text`.
    pub fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: 0, origin: 0, just_opened: false, closers: Vec::new() }
    }

    /// A scanner behind the first byte of `rest`, which ends a value of a longer text; `origin` is its place there.
    pub fn behind_value(rest: &'a str, origin: usize) -> Scanner<'a> {
        Scanner { at: 1, origin, ..Scanner::new(rest) }
    }

    /// Byte offset of what comes next.
    pub fn position(&self) -> usize {
        self.origin + self.at
    }

    /// The text from byte offset `start` to here.
    pub fn text_since(&self, start: usize) -> &'a str {
        &self.text[start - self.origin..self.at]
    }

    /// The text from byte offset `start` to the end.
    pub fn text_from(&self, start: usize) -> &'a str {
        &self.text[start - self.origin..]
    }

    /// Steps over a value that is known, to the byte offset behind it.
    pub fn go_to(&mut self, position: usize) {
        self.at = position - self.origin;
    }

    /// The next byte that is not whitespace; 0 at the end. Skips the whitespace.
    pub fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied().unwrap_or(0)
    }

    /// Steps over the `{` of an object.
    pub fn open_object(&mut self) -> Result<(), Flaw> {
        self.expect(b'{', "an object")?;
        self.just_opened = true;
        Ok(())
    }

    /// Steps over the `[` of an array.
    pub fn open_array(&mut self) -> Result<(), Flaw> {
        self.expect(b'[', "an array")?;
        self.just_opened = true;
        Ok(())
    }

    /// Steps to the value of the next member and returns its key; `None` steps over the `}`.
    pub fn next_member(&mut self) -> Result<Option<Cow<'a, str>>, Flaw> {
        if !self.next(b'}', "`,` or `}`")? {
            return Ok(None);
        }
        self.peek();
        let key = unescape(self.string_token()?);
        self.expect(b':', "`:`")?;
        Ok(Some(key))
    }

    /// Steps to the next element; false steps over the `]`.
    pub fn next_element(&mut self) -> Result<bool, Flaw> {
        self.next(b']', "`,` or `]`")
    }

    /// Steps over one value and returns its text, without the whitespace around it.
    pub fn value(&mut self) -> Result<&'a str, Flaw> {
        self.peek();
        let start = self.position();
        self.closers.clear();
        loop {
            if self.scalar_or_open()? {
                continue;
            }
            loop {
                let Some(&closer) = self.closers.last() else { return Ok(self.text_since(start)) };
                let byte = self.peek();
                if byte == b',' {
                    self.at += 1;
                    if closer == b'}' {
                        self.key()?;
                    }
                    break;
                }
                if byte != closer {
                    return Err(self.flaw("`,` or a closing bracket"));
                }
                self.at += 1;
                self.closers.pop();
            }
        }
    }

    /// Steps over a string and returns its token, quotes and escapes included.
    pub fn string_token(&mut self) -> Result<&'a str, Flaw> {
        self.peek();
        let start = self.position();
        self.string()?;
        Ok(self.text_since(start))
    }

    /// Nothing but whitespace may be left.
    pub fn end(&mut self) -> Result<(), Flaw> {
        if self.peek() != 0 || self.at < self.text.len() {
            return Err(self.flaw("nothing more"));
        }
        Ok(())
    }

    fn flaw(&self, expected: &'static str) -> Flaw {
        Flaw { at: self.position(), expected }
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Flaw> {
        if self.peek() != byte {
            return Err(self.flaw(expected));
        }
        self.at += 1;
        Ok(())
    }

    /// Steps over the separator before a member or element, or over the closing bracket.
    fn next(&mut self, closer: u8, expected: &'static str) -> Result<bool, Flaw> {
        let byte = self.peek();
        let is_first = std::mem::take(&mut self.just_opened);
        if byte == closer {
            self.at += 1;
            return Ok(false);
        }
        if !is_first {
            self.expect(b',', expected)?;
        }
        Ok(true)
    }

    /// Steps over a scalar or an empty container, or into a container (true: a value comes next).
    fn scalar_or_open(&mut self) -> Result<bool, Flaw> {
        match self.peek() {
            b'"' => self.string()?,
            b'{' => return self.open(b'}'),
            b'[' => return self.open(b']'),
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            b'-' | b'0'..=b'9' => self.number()?,
            _ => return Err(self.flaw("a value")),
        }
        Ok(false)
    }

    fn open(&mut self, closer: u8) -> Result<bool, Flaw> {
        self.at += 1;
        if self.peek() == closer {
            self.at += 1;
            return Ok(false);
        }
        if self.closers.len() >= limits::JSON_DEPTH_MAX {
            return Err(self.flaw("less nesting"));
        }
        self.closers.push(closer);
        if closer == b'}' {
            self.key()?;
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<(), Flaw> {
        self.peek();
        self.string()?;
        self.expect(b':', "`:`")
    }

    fn word(&mut self, word: &'static str) -> Result<(), Flaw> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.flaw("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Flaw> {
        if self.byte() == b'-' {
            self.at += 1;
        }
        if self.byte() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if let b'e' | b'E' = self.byte() {
            self.at += 1;
            if let b'+' | b'-' = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        if !self.byte().is_ascii_digit() {
            return Err(self.flaw("a digit"));
        }
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn string(&mut self) -> Result<(), Flaw> {
        if self.byte() != b'"' {
            return Err(self.flaw("a string"));
        }
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        loop {
            at = plain::end(bytes, at);
            match bytes.get(at) {
                Some(b'"') => break,
                // Most escapes: JSON inside of a string has one every few bytes.
                Some(b'\\') if matches!(bytes.get(at + 1), Some(b'"' | b'\\' | b'n')) => at += 2,
                Some(b'\\') => {
                    self.at = at;
                    self.escape()?;
                    at = self.at;
                }
                _ => {
                    self.at = at;
                    return Err(self.flaw("the rest of a string"));
                }
            }
        }
        self.at = at + 1;
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Flaw> {
        self.at += 1;
        match self.byte() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                let digits = self.text.as_bytes().get(self.at + 1..self.at + 5);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.flaw("four hexadecimal digits"));
                }
                self.at += 5;
            }
            _ => return Err(self.flaw("an escape")),
        }
        Ok(())
    }
}

/// What a string token spells. Half of a surrogate pair becomes U+FFFD, as it does in the CLI.
///
/// `token` has its quotes and is valid, as `Scanner` returns it. Borrowed if there are no escapes.
pub fn unescape(token: &str) -> Cow<'_, str> {
    let inner = &token[1..token.len() - 1];
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut plain = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = unescape_one(&rest[at + 1..], &mut plain);
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// Takes one escape, without its backslash, off the front of `text`, which goes on to the end of its string at least;
/// returns what is behind it.
pub fn unescape_one<'t>(text: &'t str, plain: &mut String) -> &'t str {
    let simple = match text.as_bytes()[0] {
        b'u' => return unescape_utf16(&text[1..], plain),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        other => other as char,
    };
    plain.push(simple);
    &text[1..]
}

fn unescape_utf16<'t>(text: &'t str, plain: &mut String) -> &'t str {
    let unit = |digits: &str| u16::from_str_radix(digits, 16).unwrap_or(0xFFFD);
    let (first, rest) = (unit(&text[..4]), &text[4..]);
    let second = rest.strip_prefix("\\u").map(|rest| unit(&rest[..4]));
    if let Some(Ok(pair)) =
        second.map(|second| char::decode_utf16([first, second]).next().expect("two units"))
        && pair > '\u{FFFF}'
    {
        plain.push(pair);
        return &rest[6..];
    }
    plain.push(char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER));
    rest
}

/// Appends `text` as a string token, escaped as Go's encoder does it (`<`, `>` and `&` included).
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", char as u32));
            }
            _ => out.push(char),
        }
    }
    out.push('"');
}

/// `text` as a string token.
pub fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_string(text, &mut out);
    out
}

/// The string of a value that is a string or null (null is the empty one); `None` for any other.
pub fn as_string(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first()? {
        b'"' => Some(unescape(value)),
        b'n' => Some(Cow::Borrowed("")),
        _ => None,
    }
}

/// The elements of an array that is known to be valid, or of null.
pub fn elements(array: &str) -> Elements<'_> {
    let mut scanner = Scanner::new(array);
    let is_open = scanner.open_array().is_ok();
    Elements { scanner, is_open }
}

/// See [`elements`]. Ends at the first flaw.
pub struct Elements<'a> {
    scanner: Scanner<'a>,
    is_open: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.is_open = self.is_open && self.scanner.next_element().unwrap_or(false);
        if !self.is_open {
            return None;
        }
        self.scanner.value().ok()
    }
}

/// An object cut at its members, to take some out or put other values in; what is not touched is kept byte for byte.
pub struct Object<'a> {
    members: Vec<Member<'a>>,
}

/// One member of an [`Object`].
pub struct Member<'a> {
    /// What its key spells.
    pub key: Cow<'a, str>,
    /// From the separator to the value: whitespace, key token, colon.
    before: Cow<'a, str>,
    /// The value's text.
    pub value: Cow<'a, str>,
    /// Whitespace up to the next separator.
    after: &'a str,
}

impl<'a> Object<'a> {
    /// Cuts an object's text. `text` may have whitespace around it, which is dropped.
    pub fn parse(text: &'a str) -> Result<Object<'a>, Flaw> {
        let mut scanner = Scanner::new(text);
        scanner.open_object()?;
        let mut members = Vec::new();
        let mut start = scanner.position();
        while let Some(key) = scanner.next_member()? {
            // The separator is the first byte of every member but the first.
            start += usize::from(!members.is_empty());
            scanner.peek();
            let before = Cow::Borrowed(scanner.text_since(start));
            let value = Cow::Borrowed(scanner.value()?);
            let value_end = scanner.position();
            scanner.peek();
            members.push(Member { key, before, value, after: scanner.text_since(value_end) });
            start = scanner.position();
        }
        scanner.end()?;
        Ok(Object { members })
    }

    /// The members in their order.
    pub fn members(&mut self) -> impl Iterator<Item = &mut Member<'a>> {
        self.members.iter_mut()
    }

    /// The value of `key`; the last one if it is there more than once.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.members.iter().rev().find(|member| member.key == key).map(|member| &*member.value)
    }

    /// Puts `value` in the place of the old one, or behind the last member.
    pub fn set(&mut self, key: &str, value: impl Into<Cow<'a, str>>) {
        let value = value.into();
        match self.members.iter_mut().rev().find(|member| member.key == key) {
            Some(member) => member.value = value,
            None => {
                let before = Cow::Owned(format!("{}:", string(key)));
                self.members.push(Member { key: Cow::Owned(key.to_owned()), before, value, after: "" });
            }
        }
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) {
        self.members.retain(|member| member.key != key);
    }

    /// Keeps the members of which `is_kept` is true.
    pub fn retain(&mut self, is_kept: impl FnMut(&Member<'a>) -> bool) {
        self.members.retain(is_kept);
    }

    /// True if there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The object's text.
    pub fn to_text(&self) -> String {
        let n_bytes = |member: &Member| member.before.len() + member.value.len() + member.after.len() + 1;
        let mut out = String::with_capacity(2 + self.members.iter().map(n_bytes).sum::<usize>());
        out.push('{');
        for (i, member) in self.members.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            out.push_str(&member.before);
            out.push_str(&member.value);
            out.push_str(member.after);
        }
        out.push('}');
        out
    }
}

/// An array of `elements`, which are the texts of values.
pub fn array<S: AsRef<str>>(elements: impl IntoIterator<Item = S>) -> String {
    let mut out = String::from("[");
    for (i, element) in elements.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(element.as_ref());
    }
    out.push(']');
    out
}
