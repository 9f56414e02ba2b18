//! Sentences for readers, in the reader's language.
//!
//! The server never sends a finished sentence to a screen: it sends a [`Text`], a message key with its
//! arguments, and the reader's side renders it. Messages live in `locales/{en,zh-CN}/*.toml`; `build.rs`
//! checks that both languages hold the same keys and placeholders.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

include!(concat!(env!("OUT_DIR"), "/messages.rs"));

/// An interface language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Locale {
    /// English, the first language of every screen.
    #[default]
    #[serde(rename = "en")]
    English,
    /// 简体中文, complete beside it.
    #[serde(rename = "zh-CN")]
    Chinese,
}

impl Locale {
    /// Both languages, in the order in which the switch lists them.
    pub const ALL: [Locale; 2] = [Locale::English, Locale::Chinese];

    /// The BCP 47 tag, as it stands in `<html lang>` and in the cookie.
    pub const fn tag(self) -> &'static str {
        match self {
            Locale::English => "en",
            Locale::Chinese => "zh-CN",
        }
    }

    /// The language's own name for itself.
    pub const fn name(self) -> &'static str {
        match self {
            Locale::English => "English",
            Locale::Chinese => "简体中文",
        }
    }

    /// Reads a BCP 47 tag; every `zh…` is Chinese, everything else unknown is `None`.
    pub fn from_tag(tag: &str) -> Option<Locale> {
        let tag = tag.trim().to_ascii_lowercase();
        match tag.split(['-', '_']).next() {
            Some("en") => Some(Locale::English),
            Some("zh") => Some(Locale::Chinese),
            _ => None,
        }
    }

    /// The first language of an `Accept-Language` header that we speak, else English.
    pub fn from_accept_language(header: &str) -> Locale {
        header
            .split(',')
            .filter_map(|part| part.split(';').next().and_then(Locale::from_tag))
            .next()
            .unwrap_or_default()
    }
}

/// The message behind `key`, or the key itself when it is unknown (a newer server's message in an older page).
pub fn message(locale: Locale, key: &str) -> &str {
    find(locale, key).unwrap_or(key)
}

#[cfg(not(target_arch = "wasm32"))]
fn find(locale: Locale, key: &str) -> Option<&'static str> {
    let found = MESSAGES.binary_search_by(|(k, _, _)| (*k).cmp(key)).ok()?;
    Some(match locale {
        Locale::English => MESSAGES[found].1,
        Locale::Chinese => MESSAGES[found].2,
    })
}

/// In the browser there is one language for as long as the page lives.
#[cfg(target_arch = "wasm32")]
fn find(_: Locale, key: &str) -> Option<&'static str> {
    let messages = LOADED.get()?;
    let found = messages.binary_search_by(|(k, _)| (*k).cmp(key)).ok()?;
    Some(messages[found].1)
}

#[cfg(target_arch = "wasm32")]
static LOADED: std::sync::OnceLock<Vec<(&str, &str)>> = std::sync::OnceLock::new();

/// Takes in the messages of the reader's language, as `cargo xtask build` writes them: a line each, sorted by key, a tab behind the key. Once,
/// before anything is drawn.
#[cfg(target_arch = "wasm32")]
pub fn load(messages: String) {
    // For as long as the page lives, which is what `message` promises.
    let messages: &'static str = messages.leak();
    let _ = LOADED.set(
        messages
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .collect(),
    );
}

/// A sentence for a reader: a message key and the values of its placeholders.
///
/// An argument that is itself a message key prefixed with `@` is rendered in the reader's language as well
/// (`@role.viewer`), so that nouns inside sentences are translated too.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Text {
    /// The message key, one of [`keys`].
    pub key: String,
    /// Placeholder names and values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<(String, String)>,
}

impl Text {
    /// A sentence without arguments. Use the constants in [`keys`].
    pub fn new(key: &str) -> Text {
        Text {
            key: key.to_owned(),
            args: Vec::new(),
        }
    }

    /// Adds the value of one placeholder.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Text {
        self.args.push((name.to_owned(), value.to_string()));
        self
    }

    /// Words that come from outside (an engine's own error text, a person's note) and have no translation.
    pub fn verbatim(words: impl fmt::Display) -> Text {
        Text::new(keys::VERBATIM).with("words", words)
    }

    /// The sentence in `locale`.
    pub fn render(&self, locale: Locale) -> String {
        let mut out = String::new();
        let mut rest = message(locale, &self.key);
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                out.push('{');
                rest = after;
                continue;
            };
            match self.args.iter().find(|(n, _)| n == name) {
                // `n` is how many there are.
                Some((_, value)) if name == "n" => out.push_str(&grouped(value)),
                Some((_, value)) => {
                    out.push_str(
                        value
                            .strip_prefix('@')
                            .and_then(|key| find(locale, key))
                            .unwrap_or(value),
                    );
                }
                None => {
                    out.push('{');
                    out.push_str(name);
                    out.push('}');
                }
            }
            rest = tail;
        }
        out.push_str(rest);
        out
    }
}

/// Digits in groups of three, as English and Chinese both write them (CLDR 48: `#,##0.###` in `en` and `zh`); what is no
/// whole number stays as it is.
pub fn grouped(digits: &str) -> Cow<'_, str> {
    let (sign, number) = match digits.strip_prefix('-') {
        Some(number) => ("-", number),
        None => ("", digits),
    };
    if number.len() < 4 || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Cow::Borrowed(digits);
    }
    let mut out = String::with_capacity(digits.len() + number.len() / 3);
    out.push_str(sign);
    for (at, digit) in number.char_indices() {
        if at > 0 && (number.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    Cow::Owned(out)
}

/// English, for logs and for error chains; screens call [`Text::render`].
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Locale::English))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_sorted_so_that_the_search_finds_them() {
        assert!(MESSAGES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn counts_are_grouped_and_nothing_else() {
        for (plain, shown) in [
            ("999", "999"),
            ("1000", "1,000"),
            ("20000", "20,000"),
            ("-1234567", "-1,234,567"),
        ] {
            assert_eq!(grouped(plain), shown);
        }
        for other in ["", "-", "12a45", "10.25", "1 000"] {
            assert_eq!(grouped(other), other);
        }
    }

    #[test]
    fn a_sentence_renders_in_both_languages_with_its_arguments() {
        let text = Text::new(keys::FAILURE_NOT_FOUND).with("what", "ap-east-1/gateway");
        assert!(text.render(Locale::English).contains("ap-east-1/gateway"));
        assert!(text.render(Locale::Chinese).contains("ap-east-1/gateway"));
        assert_ne!(text.render(Locale::English), text.render(Locale::Chinese));
    }

    #[test]
    fn a_noun_given_by_key_is_translated_inside_the_sentence() {
        let text = Text::new(keys::VERBATIM).with("words", "@role.viewer");
        assert_eq!(text.render(Locale::English), "Viewer");
        assert_eq!(text.render(Locale::Chinese), "查看者");
    }

    #[test]
    fn a_persons_words_are_left_as_they_are() {
        assert_eq!(Text::verbatim("a {b} @c").render(Locale::English), "a {b} @c");
        assert_eq!(
            Text::verbatim("@operator. Please look").render(Locale::English),
            "@operator. Please look"
        );
    }

    #[test]
    fn accept_language_picks_the_first_language_we_speak() {
        assert_eq!(
            Locale::from_accept_language("fr-FR, zh-Hans;q=0.9, en;q=0.8"),
            Locale::Chinese
        );
        assert_eq!(Locale::from_accept_language("fr"), Locale::English);
    }
}
