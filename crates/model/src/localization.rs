//! Catalogues: the sentences that bots and letters are written from, by language and region, edited on screen.
//!
//! English is the reference: it says which keys there are and which placeholders (`{name}`) a text has. A region may have
//! a text of its own; without one it has the one for every region.

use crate::access::Permission;
use crate::region::{RegionId, Scope};
use crate::text::Text;
use crate::verbs::{Operation, Query, Risk, Target};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

/// The language that says which keys and placeholders there are.
pub const REFERENCE: &str = "en";
/// Longest text, in characters: what fits into one message of Telegram.
pub const TEXT_LIMIT: usize = 4_096;
/// Longest key, in bytes.
pub const KEY_LIMIT: usize = 120;

/// Whether this is a language tag as catalogues use it: language, then perhaps script, then perhaps region (`en`,
/// `zh-CN`, `zh-Hant-TW`), in the spelling of RFC 5646 section 2.1.1.
pub fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-').peekable();
    let lower = |s: &str| s.bytes().all(|b| b.is_ascii_lowercase());
    let language = parts
        .next()
        .is_some_and(|s| (2..=3).contains(&s.len()) && lower(s));
    let script = |s: &&str| {
        s.len() == 4 && s.as_bytes()[0].is_ascii_uppercase() && s[1..].bytes().all(|b| b.is_ascii_lowercase())
    };
    let place = |s: &&str| {
        (s.len() == 2 && s.bytes().all(|b| b.is_ascii_uppercase()))
            || (s.len() == 3 && s.bytes().all(|b| b.is_ascii_digit()))
    };
    if !language || !tag.is_ascii() {
        return false;
    }
    let _ = parts.next_if(script);
    let _ = parts.next_if(place);
    parts.next().is_none()
}

/// Whether this is a key: words of small letters, digits and hyphens with dots between them (`order.shipped`).
pub fn is_key(key: &str) -> bool {
    let word = |w: &str| {
        !w.is_empty()
            && w.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    key.len() <= KEY_LIMIT && key.split('.').all(word)
}

/// The languages that stand in for a language, itself first: `zh-Hant-TW`, `zh-Hant`, `zh`, and at last the reference.
pub fn fallbacks(language: &str) -> Vec<&str> {
    let mut out = vec![language];
    let mut rest = language;
    while let Some((shorter, _)) = rest.rsplit_once('-') {
        out.push(shorter);
        rest = shorter;
    }
    if !out.contains(&REFERENCE) {
        out.push(REFERENCE);
    }
    out
}

/// A brace that opens nothing or is not closed, or what stands in braces and is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a placeholder is written {{name}}, a plain brace {{{{ or }}}}")]
pub struct Malformed;

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As it stands.
    Plain(&'a str),
    /// The value of that name.
    Named(&'a str),
}

/// Takes a text apart. `{{` and `}}` are plain braces.
///
/// # Errors
/// [`Malformed`].
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Malformed> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        if !before.is_empty() {
            out.push(Piece::Plain(before));
        }
        if from.starts_with("{{") || from.starts_with("}}") {
            out.push(Piece::Plain(&from[..1]));
            rest = &from[2..];
            continue;
        }
        let (name, after) = from
            .strip_prefix('{')
            .and_then(|inside| inside.split_once('}'))
            .ok_or(Malformed)?;
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if name.is_empty() || !name.bytes().all(fits) {
            return Err(Malformed);
        }
        out.push(Piece::Named(name));
        rest = after;
    }
    if !rest.is_empty() {
        out.push(Piece::Plain(rest));
    }
    Ok(out)
}

/// The names of a text's placeholders.
///
/// # Errors
/// [`Malformed`].
pub fn placeholders(text: &str) -> Result<BTreeSet<&str>, Malformed> {
    Ok(pieces(text)?
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Named(name) => Some(name),
            Piece::Plain(_) => None,
        })
        .collect())
}

/// A text with its values in place. A name without a value stays as it is written, so that it is seen.
///
/// # Errors
/// [`Malformed`].
pub fn filled(text: &str, values: &BTreeMap<String, String>) -> Result<String, Malformed> {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text)? {
        match piece {
            Piece::Plain(words) => out.push_str(words),
            Piece::Named(name) => match values.get(name) {
                Some(value) => out.push_str(value),
                None => {
                    out.push('{');
                    out.push_str(name);
                    out.push('}');
                }
            },
        }
    }
    Ok(out)
}

/// One language in one region, or everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CatalogueView {
    /// The language.
    pub language: String,
    /// The region, or every region that has no text of its own.
    pub region: Option<RegionId>,
    /// How many texts it has.
    pub messages: u32,
    /// How many keys of the reference have no text in this language. Counted where a language is for every region.
    pub missing: u32,
    /// How many of its texts have other placeholders than the reference, or a key that the reference does not have.
    pub faulty: u32,
    /// When one of its texts was last written.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub changed_at: OffsetDateTime,
}

/// `catalogues.list`: the languages, the reference first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListCatalogues {}

impl Query for ListCatalogues {
    const KIND: &'static str = "catalogues.list";
    const PERMISSION: Permission = Permission::LocalizationRead;
    type Answer = Vec<CatalogueView>;
}

/// One key of a catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MessageView {
    /// The key.
    pub key: String,
    /// The English text for every region.
    pub reference: Option<String>,
    /// The catalogue's own text.
    pub text: Option<String>,
    /// What is said instead when it has none, and in which language.
    pub instead: Option<(String, String)>,
    /// Counts the writings of this text; 0 when there is none.
    pub version: i64,
    /// What is wrong with it.
    pub faults: Vec<Text>,
}

/// `catalogues.read`: every key with its text in one language, by key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReadCatalogue {
    /// The language, `zh-CN`.
    pub language: String,
    /// The region's own texts; without it those for every region.
    #[serde(default)]
    pub region: Option<RegionId>,
    /// Only what is missing or faulty.
    #[serde(default)]
    pub wanting: bool,
}

impl Query for ReadCatalogue {
    const KIND: &'static str = "catalogues.read";
    const EXAMPLE: &'static str = r#"{"language":"zh-CN","wanting":true}"#;
    const PERMISSION: Permission = Permission::LocalizationRead;
    type Answer = Vec<MessageView>;
}

/// A text as it is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServedMessage {
    /// With its values in place.
    pub text: String,
    /// The language that it is in, which may be one that stands in for the wished one.
    pub language: String,
    /// The region whose own text it is.
    pub region: Option<RegionId>,
}

/// `catalogues.message`: one text as a bot or a letter says it. Counted in `localization_requests_total`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GetMessage {
    /// The wished language, `zh-CN`.
    pub language: String,
    /// Where it is said.
    #[serde(default)]
    pub region: Option<RegionId>,
    /// The key, `order.shipped`.
    pub key: String,
    /// Values of its placeholders.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

impl Query for GetMessage {
    const KIND: &'static str = "catalogues.message";
    const EXAMPLE: &'static str =
        r#"{"language":"zh-CN","region":"ap-east-1","key":"order.shipped","values":{"number":"7"}}"#;
    const PERMISSION: Permission = Permission::LocalizationRead;
    type Answer = ServedMessage;
}

fn target(language: &str, region: Option<&RegionId>, key: &str) -> Target {
    let place = region.map(|r| format!("@{r}")).unwrap_or_default();
    Target {
        noun: "message".to_owned(),
        id: format!("{language}{place}/{key}"),
        scope: Scope {
            environment: None,
            region: region.cloned(),
        },
    }
}

/// `catalogue.write`: writes a text. The one before is kept in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WriteMessage {
    /// The language, `zh-CN`.
    pub language: String,
    /// For this region only.
    #[serde(default)]
    pub region: Option<RegionId>,
    /// The key, `order.shipped`.
    pub key: String,
    /// The text, with the placeholders of the English one.
    pub text: String,
    /// The version that was read before, so that nobody's text is overwritten unseen; 0 for a new one.
    #[serde(default)]
    pub version: i64,
}

impl Operation for WriteMessage {
    const KIND: &'static str = "catalogue.write";
    const EXAMPLE: &'static str =
        r#"{"language":"en","key":"order.shipped","text":"Your order {number} is on its way.","version":0}"#;
    const PERMISSION: Permission = Permission::LocalizationManage;
    const RISK: Risk = Risk::Moderate;
    /// The new version.
    type Outcome = i64;

    fn target(&self) -> Target {
        target(&self.language, self.region.as_ref(), &self.key)
    }
}

/// `catalogue.remove`: takes a text away; what stands in for it is said from then on. It is kept in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RemoveMessage {
    /// The language, `zh-CN`.
    pub language: String,
    /// The region's own text.
    #[serde(default)]
    pub region: Option<RegionId>,
    /// The key, `order.shipped`.
    pub key: String,
}

impl Operation for RemoveMessage {
    const KIND: &'static str = "catalogue.remove";
    const EXAMPLE: &'static str = r#"{"language":"en","key":"order.shipped"}"#;
    const PERMISSION: Permission = Permission::LocalizationManage;
    const RISK: Risk = Risk::Moderate;
    /// Nothing but success.
    type Outcome = ();

    fn target(&self) -> Target {
        target(&self.language, self.region.as_ref(), &self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_tags_are_those_of_rfc_5646() {
        for good in ["en", "zh-CN", "zh-Hant-TW", "es-419", "yue", "sr-Latn"] {
            assert!(is_language(good), "{good}");
        }
        for bad in [
            "",
            "e",
            "EN",
            "zh_CN",
            "zh-cn",
            "zh-CN-x",
            "zh-Hant-TW-a",
            "english",
            "zh-",
            "中文",
            "zh-汉汉汉",
        ] {
            assert!(!is_language(bad), "{bad}");
        }
    }

    #[test]
    fn keys_are_dotted_words() {
        assert!(is_key("order.shipped-late.2"));
        for bad in ["", ".a", "a..b", "A", "a b", "a_b", &"a".repeat(KEY_LIMIT + 1)] {
            assert!(!is_key(bad), "{bad}");
        }
    }

    #[test]
    fn placeholders_are_found_and_plain_braces_are_doubled() {
        let text = "{{plain}} {first} and {second_2}, {first}";
        assert_eq!(placeholders(text), Ok(BTreeSet::from(["first", "second_2"])));
        let values = BTreeMap::from([("first".to_owned(), "{1}".to_owned())]);
        let said = filled(text, &values);
        assert_eq!(said.as_deref(), Ok("{plain} {1} and {second_2}, {1}"));
        for bad in ["{", "}", "{}", "{A}", "{a b}", "a } b", "{a{b}", "{名}"] {
            assert_eq!(pieces(bad), Err(Malformed), "{bad}");
        }
        assert_eq!(filled("", &values).as_deref(), Ok(""));
    }

    #[test]
    fn a_language_is_stood_in_for_by_shorter_ones_and_at_last_by_english() {
        assert_eq!(fallbacks("zh-Hant-TW"), ["zh-Hant-TW", "zh-Hant", "zh", "en"]);
        assert_eq!(fallbacks("en-GB"), ["en-GB", "en"]);
        assert_eq!(fallbacks("en"), ["en"]);
    }
}
