//! What is in the catalogues and what is wrong with it: pure, so that screen, health and plans agree.

use crate::store::Row;
use bagua_model::localization::{CatalogueView, MessageView, REFERENCE, fallbacks, placeholders};
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use std::collections::{BTreeMap, BTreeSet};

/// Every text, by language, region and key.
pub struct Catalogues(BTreeMap<(String, String), BTreeMap<String, Row>>);

/// What `text` lacks or has too much beside the English one; nothing when they agree.
pub fn differing(text: &str, reference: &str) -> Option<Text> {
    let (Ok(own), Ok(wanted)) = (placeholders(text), placeholders(reference)) else {
        return Some(Text::new(keys::LOCALIZATION_MALFORMED));
    };
    if own == wanted {
        return None;
    }
    let list = |names: BTreeSet<&str>| {
        let names: Vec<_> = names.into_iter().map(|name| format!("{{{name}}}")).collect();
        if names.is_empty() {
            "–".to_owned()
        } else {
            names.join(", ")
        }
    };
    Some(
        Text::new(keys::LOCALIZATION_PLACEHOLDERS)
            .with("wanted", list(wanted))
            .with("found", list(own)),
    )
}

impl Catalogues {
    /// Of these rows.
    pub fn new(rows: Vec<Row>) -> Catalogues {
        let mut all = BTreeMap::<_, BTreeMap<_, _>>::new();
        for row in rows {
            all.entry((row.language.clone(), row.region.clone()))
                .or_default()
                .insert(row.key.clone(), row);
        }
        Catalogues(all)
    }

    /// A text that is written there, without anything that stands in.
    pub fn get(&self, language: &str, region: &str, key: &str) -> Option<&Row> {
        self.0.get(&(language.to_owned(), region.to_owned()))?.get(key)
    }

    /// What is said: the language's own before another's, the region's own before everybody's.
    pub fn served(&self, language: &str, region: &str, key: &str) -> Option<&Row> {
        fallbacks(language).into_iter().find_map(|language| {
            self.get(language, region, key)
                .or_else(|| self.get(language, "", key))
        })
    }

    fn faults(&self, row: &Row) -> Vec<Text> {
        match self.get(REFERENCE, "", &row.key) {
            _ if row.language == REFERENCE && row.region.is_empty() => Vec::new(),
            None => vec![Text::new(keys::LOCALIZATION_UNKNOWN_KEY)],
            Some(reference) => differing(&row.text, &reference.text).into_iter().collect(),
        }
    }

    /// Keys of the reference that have no text in a language, nor in a shorter form of it. That English stands in is what
    /// makes them missing.
    fn missing(&self, language: &str) -> usize {
        let own = |key: &&String| {
            fallbacks(language)
                .into_iter()
                .filter(|l| *l != REFERENCE || language.split('-').next() == Some(REFERENCE))
                .all(|l| self.get(l, "", key).is_none())
        };
        let reference = self.0.get(&(REFERENCE.to_owned(), String::new()));
        reference.map_or(0, |reference| reference.keys().filter(own).count())
    }

    /// The languages, the reference first, then by name; of each the one for every region first.
    pub fn list(&self) -> Vec<CatalogueView> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut list: Vec<_> = self
            .0
            .iter()
            .filter_map(|((language, region), rows)| {
                let missing = if region.is_empty() {
                    self.missing(language)
                } else {
                    0
                };
                Some(CatalogueView {
                    language: language.clone(),
                    region: some(region),
                    messages: count(rows.len()),
                    missing: count(missing),
                    faulty: count(rows.values().filter(|row| !self.faults(row).is_empty()).count()),
                    changed_at: rows.values().map(|row| row.changed_at).max()?,
                })
            })
            .collect();
        list.sort_by_key(|view| view.language != REFERENCE);
        list
    }

    /// Every key that the reference or the catalogue has.
    pub fn read(&self, language: &str, region: &str, wanting: bool) -> Vec<MessageView> {
        let of = |language: &str, region: &str| self.0.get(&(language.to_owned(), region.to_owned()));
        let known = [of(REFERENCE, ""), of(language, region), of(language, "")];
        let names: BTreeSet<&String> = known.into_iter().flatten().flat_map(BTreeMap::keys).collect();
        names
            .into_iter()
            .map(|key| {
                let own = self.get(language, region, key);
                let mut faults = own.map(|row| self.faults(row)).unwrap_or_default();
                let instead = match own {
                    Some(_) => None,
                    None => self.served(language, region, key),
                };
                // A region has texts of its own where it wants them; a language is to have all.
                let lacks = |other: &Row| {
                    region.is_empty()
                        && other.language == REFERENCE
                        && language.split('-').next() != Some(REFERENCE)
                };
                if instead.is_some_and(lacks) {
                    faults.push(Text::new(keys::LOCALIZATION_MISSING));
                }
                MessageView {
                    key: key.clone(),
                    reference: self.get(REFERENCE, "", key).map(|row| row.text.clone()),
                    text: own.map(|row| row.text.clone()),
                    instead: instead.map(|row| (row.language.clone(), row.text.clone())),
                    version: own.map_or(0, |row| row.version),
                    faults,
                }
            })
            .filter(|message| !wanting || !message.faults.is_empty())
            .collect()
    }

    /// The catalogues of other languages whose texts of this key have other placeholders than `text`.
    pub fn left_behind(&self, key: &str, text: &str) -> Vec<String> {
        let others = self.0.iter().filter(|((language, region), rows)| {
            (language.as_str(), region.as_str()) != (REFERENCE, "")
                && rows
                    .get(key)
                    .is_some_and(|row| differing(&row.text, text).is_some())
        });
        others
            .map(|((language, region), _)| match region.is_empty() {
                true => language.clone(),
                false => format!("{language} ({region})"),
            })
            .collect()
    }
}

/// The region as the model writes it.
pub fn some(region: &str) -> Option<RegionId> {
    Some(region).filter(|r| !r.is_empty()).map(RegionId::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    fn catalogues(rows: &[(&str, &str, &str, &str)]) -> Catalogues {
        let row = |&(language, region, key, text): &(&str, &str, &str, &str)| Row {
            language: language.to_owned(),
            region: region.to_owned(),
            key: key.to_owned(),
            text: text.to_owned(),
            version: 1,
            changed_at: OffsetDateTime::UNIX_EPOCH,
        };
        Catalogues::new(rows.iter().map(row).collect())
    }

    #[test]
    fn a_regions_own_text_comes_before_everybodys_and_a_language_before_another() {
        let all = catalogues(&[
            ("en", "", "hi", "Hello"),
            ("en", "eu-west-1", "hi", "Hello, Europe"),
            ("zh", "", "hi", "你好"),
            ("zh-CN", "ap-east-1", "hi", "您好"),
        ]);
        let said = |language, region| all.served(language, region, "hi").map(|row| row.text.as_str());
        assert_eq!(said("zh-CN", "ap-east-1"), Some("您好"));
        assert_eq!(
            said("zh-CN", "eu-west-1"),
            Some("你好"),
            "Chinese of another form before English of the place"
        );
        assert_eq!(said("de", "eu-west-1"), Some("Hello, Europe"));
        assert_eq!(said("de", "us-east-1"), Some("Hello"));
        assert!(all.served("de", "us-east-1", "no-such").is_none());
    }

    #[test]
    fn what_is_missing_and_what_differs_is_counted_and_named() {
        let all = catalogues(&[
            ("en", "", "a", "A {n}"),
            ("en", "", "b", "B"),
            ("en-GB", "", "a", "A {n}, please"),
            ("zh", "", "a", "甲 {n}"),
            ("zh-CN", "", "b", "乙 {n}"),
            ("zh-CN", "", "old", "旧"),
        ]);
        let list = all.list();
        let counts: Vec<_> = list
            .iter()
            .map(|c| (c.language.as_str(), c.messages, c.missing, c.faulty))
            .collect();
        // zh-CN has `a` by way of zh; English stands in for no one but English.
        assert_eq!(
            counts,
            [
                ("en", 2, 0, 0),
                ("en-GB", 1, 0, 0),
                ("zh", 1, 1, 0),
                ("zh-CN", 2, 0, 2)
            ]
        );
        let wanting = all.read("zh-CN", "", true);
        let named: Vec<_> = wanting
            .iter()
            .map(|m| (m.key.as_str(), m.faults[0].key.as_str()))
            .collect();
        assert_eq!(
            named,
            [
                ("b", keys::LOCALIZATION_PLACEHOLDERS),
                ("old", keys::LOCALIZATION_UNKNOWN_KEY)
            ]
        );
        assert_eq!(
            all.read("zh", "", true)[0].faults[0].key,
            keys::LOCALIZATION_MISSING
        );
        assert_eq!(
            all.read("zh", "ap-east-1", true),
            [],
            "a region wants nothing of its own"
        );
        assert_eq!(all.left_behind("a", "A {m}"), ["en-GB", "zh"]);
    }
}
