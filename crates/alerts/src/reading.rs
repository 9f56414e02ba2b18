//! One reading of Alertmanager's list, which has no way to ask for what is new.
//!
//! Most of the list is what it was three seconds ago. So the text is only walked over: each alert's parts that matter
//! are hashed where they lie, and read into values only when the hash is another one than before.

use crate::alertmanager::ListedAlert;
use crate::observation::Observation;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserializer as _, de};
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use time::OffsetDateTime;

/// What a reading found, without the alert that always fires.
#[derive(Debug, Default)]
pub struct Reading {
    /// Fingerprints of everything listed, each with the hash of what is said of it.
    pub listed: HashMap<String, u64>,
    /// The alerts that were asked for.
    pub wanted: Vec<Observation>,
    /// When Prometheus last repeated the alert that always fires.
    pub watchdog: Option<OffsetDateTime>,
}

/// The hash of the whole text: the same text says the same.
pub fn digest(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl Reading {
    /// Walks over the answer to `GET /api/v2/alerts`; `want` is asked with fingerprint and hash whether an alert is to
    /// be read.
    ///
    /// # Errors
    /// When it is no such list.
    pub fn of(text: &[u8], want: impl FnMut(&str, u64) -> bool) -> serde_json::Result<Reading> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let reading = deserializer.deserialize_seq(Walk(want))?;
        deserializer.end()?;
        Ok(reading)
    }
}

struct Walk<W>(W);

impl<'de, W: FnMut(&str, u64) -> bool> Visitor<'de> for Walk<W> {
    type Value = Reading;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of alerts")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut alerts: A) -> Result<Reading, A::Error> {
        let mut reading = Reading::default();
        while let Some(alert) = alerts.next_element::<ListedAlert<'_>>()? {
            if alert.may_be_watchdog() {
                let watchdog = alert.read().map_err(de::Error::custom)?;
                if watchdog.is_watchdog() {
                    reading.watchdog = watchdog.updated_at;
                    continue;
                }
            }
            let hash = alert.digest();
            if (self.0)(&alert.fingerprint, hash) {
                reading.wanted.push(alert.read().map_err(de::Error::custom)?);
            }
            reading.listed.insert(alert.fingerprint.into_owned(), hash);
        }
        Ok(reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(fingerprint: &str, name: &str, summary: &str, updated: &str, silenced: &str) -> String {
        format!(
            r#"{{"annotations":{{"summary":"{summary}"}},"endsAt":"2026-11-22T21:07:56.123Z","fingerprint":"{fingerprint}",
            "receivers":[{{"name":"console"}}],"startsAt":"2026-11-22T21:03:56.123Z",
            "status":{{"inhibitedBy":[],"silencedBy":[{silenced}],"state":"active"}},
            "updatedAt":"{updated}","labels":{{"alertname":"{name}"}}}}"#
        )
    }

    fn read(alerts: &[String], known: &HashMap<String, u64>) -> Reading {
        let text = format!("[{}]", alerts.join(","));
        Reading::of(text.as_bytes(), |f, hash| known.get(f) != Some(&hash)).expect("it is a list")
    }

    const ONE: &str = "2026-11-22T21:04:00.000Z";
    const LATER: &str = "2026-11-22T21:05:00.000Z";

    #[test]
    fn what_is_only_repeated_is_not_read_again() {
        let first = read(
            &[listed("a", "A", "s", ONE, ""), listed("b", "B", "s", ONE, "")],
            &HashMap::new(),
        );
        assert_eq!((first.listed.len(), first.wanted.len()), (2, 2));
        let repeated = [listed("a", "A", "s", LATER, ""), listed("b", "B", "s", LATER, "")];
        let second = read(&repeated, &first.listed);
        assert_eq!((second.listed.len(), second.wanted.len()), (2, 0));
    }

    #[test]
    fn another_summary_and_another_silence_are_read() {
        let before = [listed("a", "A", "s", ONE, ""), listed("b", "B", "s", ONE, "")];
        let known = read(&before, &HashMap::new()).listed;
        let after = [
            listed("a", "A", "t", ONE, ""),
            listed("b", "B", "s", ONE, "\"q\""),
        ];
        let read = read(&after, &known);
        assert_eq!(read.wanted.len(), 2);
        assert_eq!(read.wanted[0].summary(), "t");
        assert_eq!(
            read.wanted[1].suppressed_by.as_deref(),
            Some(&["q".to_owned()][..])
        );
    }

    #[test]
    fn the_alert_that_always_fires_is_told_apart() {
        let list = [
            listed("w", "Watchdog", "s", LATER, ""),
            listed("a", "A", "after \\\"Watchdog\\\"", ONE, ""),
        ];
        let reading = read(&list, &HashMap::new());
        assert_eq!(reading.listed.keys().collect::<Vec<_>>(), ["a"]);
        assert!(reading.watchdog.is_some());
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for text in ["{}", "[{}]", "[", "[]x"] {
            assert!(Reading::of(text.as_bytes(), |_, _| true).is_err(), "{text}");
        }
    }
}
