//! A reader of JSON bytes that borrows, allocates nothing and cannot fail as a whole.
//!
//! What arrives from Telegram must never be refused for one odd part of it. A deserializer answers "error" for the whole
//! text; this reader finds where values begin and end, and whoever asks for a value that is not there gets nothing.
//! It takes texts that are not quite JSON, too: what it finds in them is stored raw and judged later.

use std::borrow::Cow;

/// The members of a JSON object, in order; doubled keys come twice. Nothing when `text` is no object.
pub fn members(text: &[u8]) -> Members<'_> {
    Members(Cursor::inside(text, b'{'))
}

/// The items of a JSON array, each without white space around it. Nothing when `text` is no array.
pub fn items(text: &[u8]) -> Items<'_> {
    Items(Cursor::inside(text, b'['))
}

/// The first member of that name.
pub fn member<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    members(text)
        .find(|(key, _)| &**key == name.as_bytes())
        .map(|(_, value)| value)
}

/// A whole number in the range of `i64`; `1.0`, `1e3`, `"1"` and `null` are none.
pub fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text)
        .ok()?
        .parse()
        .ok()
        .filter(|_| text.first() != Some(&b'+'))
}

/// A text. Halves of surrogate pairs, which JSON can say and UTF-8 cannot, become the replacement character.
pub fn string(text: &[u8]) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if !inner.contains(&b'\\') {
        return Some(String::from_utf8_lossy(inner));
    }
    Some(Cow::Owned(unescape(inner)))
}

/// Whether it is the value `true`.
pub fn is_true(text: &[u8]) -> bool {
    text == b"true"
}

fn unescape(inner: &[u8]) -> String {
    let mut units = Vec::with_capacity(inner.len());
    let mut at = 0;
    // A high half that waits for its low half.
    let mut half: Option<u16> = None;
    let mut letter = [0; 4];
    while let Some(&byte) = inner.get(at) {
        at += 1;
        let mut code = None;
        let mut plain = byte;
        if byte == b'\\' {
            let escape = inner.get(at).copied().unwrap_or(b'\\');
            at += 1;
            plain = match escape {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'b' => 8,
                b'f' => 12,
                other => other,
            };
            if escape == b'u' {
                let digits = inner
                    .get(at..at + 4)
                    .and_then(|digits| std::str::from_utf8(digits).ok());
                code = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
                at += if code.is_some() { 4 } else { 0 };
            }
        }
        if let (Some(high), Some(low @ 0xdc00..=0xdfff)) = (half, code) {
            half = None;
            let pair = 0x1_0000 + ((u32::from(high) - 0xd800) << 10) + (u32::from(low) - 0xdc00);
            let whole = char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER);
            units.extend(whole.encode_utf8(&mut letter).bytes());
            continue;
        }
        if half.take().is_some() {
            units.extend(char::REPLACEMENT_CHARACTER.encode_utf8(&mut letter).bytes());
        }
        match code {
            None => units.push(plain),
            Some(high @ 0xd800..=0xdbff) => half = Some(high),
            Some(code) => {
                let whole = char::from_u32(code.into()).unwrap_or(char::REPLACEMENT_CHARACTER);
                units.extend(whole.encode_utf8(&mut letter).bytes());
            }
        }
    }
    if half.is_some() {
        units.extend(char::REPLACEMENT_CHARACTER.encode_utf8(&mut letter).bytes());
    }
    String::from_utf8(units).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// See [`members`].
pub struct Members<'a>(Cursor<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, [u8]>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.0.value()?;
        self.0.skip(b':')?;
        let value = self.0.value()?;
        self.0.skip(b',');
        let inner = key.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let key = if inner.contains(&b'\\') {
            Cow::Owned(unescape(inner).into_bytes())
        } else {
            Cow::Borrowed(inner)
        };
        Some((key, value))
    }
}

/// See [`items`].
pub struct Items<'a>(Cursor<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.0.value()?;
        self.0.skip(b',');
        Some(item)
    }
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn inside(text: &'a [u8], opening: u8) -> Self {
        let mut cursor = Self { text, at: 0 };
        if cursor.skip(opening).is_none() {
            cursor.text = &[];
        }
        cursor
    }

    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// The next value; nothing at the end of the object or array, or of the text.
    fn value(&mut self) -> Option<&'a [u8]> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => self.over_string()?,
            b'{' | b'[' => self.over_nest()?,
            b'}' | b']' | b',' | b':' => return None,
            _ => {
                let ends =
                    |byte: &u8| matches!(byte, b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r');
                self.at += self.text[start..]
                    .iter()
                    .position(ends)
                    .unwrap_or(self.text.len() - start);
            }
        }
        Some(&self.text[start..self.at])
    }

    fn over_string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..)?;
            self.at += rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            if self.text[self.at] == b'"' {
                self.at += 1;
                return Some(());
            }
            self.at += 2;
        }
    }

    fn over_nest(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            let rest = self.text.get(self.at..)?;
            self.at += rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']'))?;
            match self.text[self.at] {
                b'"' => {
                    self.over_string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                _ => depth -= 1,
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_members_and_items() {
        let text = br#" { "a" : 1 , "b\u0063":[ {"x":"]}"}, "\"," , null],"a":2 } "#;
        let found: Vec<(String, String)> = members(text)
            .map(|(key, value)| {
                (
                    String::from_utf8_lossy(&key).into_owned(),
                    String::from_utf8_lossy(value).into_owned(),
                )
            })
            .collect();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], ("a".into(), "1".into()));
        assert_eq!(found[1].0, "bc");
        let parts: Vec<&[u8]> = items(found[1].1.as_bytes()).collect();
        assert_eq!(parts, [&br#"{"x":"]}"}"#[..], br#""\",""#, b"null"]);
        assert_eq!(member(text, "a"), Some(&b"1"[..]));
    }

    #[test]
    fn broken_text_ends_early_and_calmly() {
        for text in [
            "", "{", "[", "{\"a", "{\"a\":", "{\"a\":[", "[1,", "[\"\\", "}", "nul", "[}", "{]",
        ] {
            assert!(members(text.as_bytes()).count() <= 1, "{text}");
            assert!(items(text.as_bytes()).count() <= 1, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(items(deep.as_bytes()).count(), 0);
    }

    #[test]
    fn numbers_and_texts() {
        assert_eq!(number(b"-4503599627370496"), Some(-(1 << 52)));
        for odd in ["", "null", "1.0", "1e3", "\"1\"", "+1", "99999999999999999999"] {
            assert_eq!(number(odd.as_bytes()), None, "{odd}");
        }
        assert_eq!(
            string(br#""a\u00e9\n\ud83d\ude00\/""#).as_deref(),
            Some("aé\n😀/")
        );
        assert_eq!(string(br#""\ud83d""#).as_deref(), Some("\u{fffd}"));
        assert_eq!(
            string(br#""\ud83dx\ude00""#).as_deref(),
            Some("\u{fffd}x\u{fffd}")
        );
        assert_eq!(string(b"\"\xff\"").as_deref(), Some("\u{fffd}"));
        assert_eq!(string(b"null"), None);
        assert_eq!(string(b"\""), None);
    }
}
