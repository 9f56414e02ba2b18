//! Texts of the catalogues as a region has them, for rules that answer in the sender's language.

use bagua_model::localization::{REFERENCE, fallbacks};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A text of a language.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Tag of the language, as the catalogues spell it.
    pub language: String,
    /// Which text.
    pub key: String,
    /// What is said, with `{places}` to fill in.
    pub text: String,
}

/// All texts of a region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    digest: String,
    languages: BTreeMap<String, BTreeMap<String, String>>,
}

/// What was found for a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// What is said.
    pub text: &'a str,
    /// In which language.
    pub language: &'a str,
    /// Whether that is the wished one, or a shorter or neighbouring form of it.
    pub own: bool,
}

impl Texts {
    /// Of these entries.
    pub fn new(entries: &[Entry]) -> Texts {
        let mut languages: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for entry in entries {
            let of = languages.entry(entry.language.clone()).or_default();
            of.insert(entry.key.clone(), entry.text.clone());
        }
        Texts {
            digest: digest(entries),
            languages,
        }
    }

    /// The text of a key for whoever speaks `spoken` (as Telegram tells it, `pt-br`, `zh-hans`): in the language itself, its shorter forms, another
    /// form of the same language, and at last in English.
    pub fn say(&self, key: &str, spoken: Option<&str>) -> Option<Found<'_>> {
        let wished = spoken.map(spelled).unwrap_or_else(|| REFERENCE.to_owned());
        let primary = wished.split('-').next().unwrap_or_default().to_owned();
        let mut tags: Vec<&str> = fallbacks(&wished);
        tags.retain(|tag| *tag != REFERENCE || primary == REFERENCE);
        // Telegram tells the script of Chinese and catalogues are by place: the likely place of each (CLDR, likely subtags).
        tags.extend(match wished.as_str() {
            "zh-Hans" | "zh" => Some("zh-CN"),
            "zh-Hant" => Some("zh-TW"),
            _ => None,
        });
        let others = self.languages.keys().map(String::as_str);
        tags.extend(others.filter(|tag| tag.split('-').next() == Some(&primary)));
        let of = |tag: &str| {
            self.languages
                .get_key_value(tag)
                .and_then(|(tag, all)| Some((tag, all.get(key)?)))
        };
        let own = tags.into_iter().find_map(of).map(|found| (found, true));
        let ((language, text), own) = own.or_else(|| of(REFERENCE).map(|found| (found, false)))?;
        Some(Found { text, language, own })
    }

    /// The text that says which places there are to fill in.
    pub fn reference(&self, key: &str) -> Option<&str> {
        self.languages.get(REFERENCE)?.get(key).map(String::as_str)
    }

    /// The language of a wish as a label of a series: whoever invents languages must not invent series.
    pub fn label(&self, spoken: Option<&str>) -> &str {
        let wished = spoken.map(spelled).unwrap_or_else(|| REFERENCE.to_owned());
        let primary = wished.split('-').next().unwrap_or_default();
        let known = self.languages.keys();
        let mut known = known.filter(|tag| **tag == wished || tag.split('-').next() == Some(primary));
        known.next().map_or("other", String::as_str)
    }
}

/// A tag as RFC 5646, section 2.1.1, spells it: `pt-BR`, `zh-Hans`.
fn spelled(tag: &str) -> String {
    let mut out = String::with_capacity(tag.len());
    for (i, part) in tag.split(['-', '_']).enumerate() {
        let part = part.to_ascii_lowercase();
        match (i, part.len()) {
            (0, _) => out.push_str(&part),
            (_, 2) => out.extend(["-", &part.to_ascii_uppercase()]),
            (_, 4) => {
                let (first, rest) = part.split_at(part.chars().next().map_or(0, char::len_utf8));
                out.extend(["-", &first.to_ascii_uppercase(), rest]);
            }
            _ => out.extend(["-", &part]),
        }
    }
    out
}

fn digest(entries: &[Entry]) -> String {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort();
    let mut hash = Sha256::new();
    for entry in sorted {
        for part in [&entry.language, &entry.key, &entry.text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads them, unless they are those of `before`.
///
/// # Errors
/// When the database is away.
pub async fn newer(pool: &PgPool, before: &Texts) -> sqlx::Result<Option<Texts>> {
    let now = sqlx::query_scalar!("SELECT digest FROM texts_state")
        .fetch_optional(pool)
        .await?;
    if now.as_deref().unwrap_or_default() == before.digest {
        return Ok(None);
    }
    load(pool).await.map(Some)
}

/// Reads them.
///
/// # Errors
/// When the database is away.
pub async fn load(pool: &PgPool) -> sqlx::Result<Texts> {
    let entries = sqlx::query_as!(Entry, "SELECT language, key, text FROM texts")
        .fetch_all(pool)
        .await?;
    Ok(if entries.is_empty() {
        Texts::default()
    } else {
        Texts::new(&entries)
    })
}

/// Puts these in the place of all that are there. Returns whether that changed anything.
///
/// # Errors
/// When the database is away.
pub async fn deliver(pool: &PgPool, entries: &[Entry]) -> sqlx::Result<bool> {
    let wanted = if entries.is_empty() {
        String::new()
    } else {
        digest(entries)
    };
    let now = sqlx::query_scalar!("SELECT digest FROM texts_state")
        .fetch_optional(pool)
        .await?;
    if now.unwrap_or_default() == wanted {
        return Ok(false);
    }
    let column = |of: fn(&Entry) -> &String| -> Vec<String> {
        entries.iter().map(|entry| of(entry).clone()).collect()
    };
    let mut transaction = pool.begin().await?;
    // Two consoles may bring the same at once.
    sqlx::query!(
        "INSERT INTO texts_state (digest) VALUES ($1) ON CONFLICT (only_row) DO UPDATE SET digest = excluded.digest, changed_at = now()",
        wanted
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!("DELETE FROM texts")
        .execute(&mut *transaction)
        .await?;
    sqlx::query!(
        "INSERT INTO texts (language, key, text) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])",
        &column(|entry| &entry.language),
        &column(|entry| &entry.key),
        &column(|entry| &entry.text)
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Texts {
        let entry = |language: &str, key: &str, text: &str| Entry {
            language: language.to_owned(),
            key: key.to_owned(),
            text: text.to_owned(),
        };
        Texts::new(&[
            entry("en", "hi", "Hello"),
            entry("en", "only", "English only"),
            entry("zh-CN", "hi", "你好"),
            entry("zh-TW", "hi", "您好"),
            entry("pt-BR", "hi", "Oi"),
            entry("de", "hi", "Hallo"),
        ])
    }

    #[test]
    fn a_text_is_said_in_the_senders_language_or_the_nearest() {
        let texts = texts();
        let said = |spoken: &str| texts.say("hi", Some(spoken)).map(|found| (found.text, found.own));
        for (spoken, text) in [
            ("zh-hans", "你好"),
            ("zh-hant", "您好"),
            ("zh", "你好"),
            ("pt-br", "Oi"),
            ("pt", "Oi"),
            ("de-at", "Hallo"),
            ("DE", "Hallo"),
            ("en-gb", "Hello"),
        ] {
            assert_eq!(said(spoken), Some((text, true)), "{spoken}");
        }
        for other in ["fr", "", "-", "x-klingon"] {
            assert_eq!(said(other), Some(("Hello", false)), "{other}");
        }
        assert_eq!(
            texts.say("hi", None).map(|found| (found.text, found.own)),
            Some(("Hello", true))
        );
        assert_eq!(
            texts
                .say("only", Some("de"))
                .map(|found| (found.language, found.own)),
            Some(("en", false))
        );
        assert_eq!(texts.say("nothing", Some("de")), None);
    }

    #[test]
    fn languages_that_nobody_writes_are_one_label() {
        let texts = texts();
        assert_eq!(
            (
                texts.label(Some("pt")),
                texts.label(Some("fr")),
                texts.label(None)
            ),
            ("pt-BR", "other", "en")
        );
    }

    #[test]
    fn what_is_the_same_in_another_order_has_the_same_digest() {
        let one = Entry {
            language: "en".to_owned(),
            key: "a".to_owned(),
            text: "b".to_owned(),
        };
        let two = Entry {
            text: "c".to_owned(),
            ..one.clone()
        };
        assert_eq!(
            digest(&[one.clone(), two.clone()]),
            digest(&[two.clone(), one.clone()])
        );
        assert_ne!(digest(&[one]), digest(&[two]));
    }
}
