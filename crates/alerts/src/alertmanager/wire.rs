//! The shapes on the wire. Unknown fields are passed over: both come from engines that are updated on their own.

use crate::observation::{Observation, WATCHDOG, at_milliseconds};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use time::OffsetDateTime;

/// One alert of `GET /api/v2/alerts`, with its larger parts as they lie in the text.
#[derive(Debug, Deserialize)]
pub struct ListedAlert<'a> {
    /// Alertmanager's hash of the labels.
    #[serde(borrow)]
    pub fingerprint: Cow<'a, str>,
    #[serde(rename = "startsAt", borrow)]
    starts_at: &'a RawValue,
    #[serde(rename = "updatedAt", borrow)]
    updated_at: &'a RawValue,
    #[serde(borrow)]
    labels: &'a RawValue,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    status: &'a RawValue,
}

#[derive(Debug, Deserialize)]
struct ApiStatus {
    #[serde(rename = "silencedBy", default)]
    silenced_by: Vec<String>,
    #[serde(rename = "inhibitedBy", default)]
    inhibited_by: Vec<String>,
}

#[derive(Deserialize)]
struct Time(#[serde(with = "time::serde::rfc3339")] OffsetDateTime);

impl ListedAlert<'_> {
    /// Whether the text of the labels holds the name of the alert that always fires.
    pub fn may_be_watchdog(&self) -> bool {
        self.labels.get().contains(WATCHDOG)
    }

    /// The hash of what is said of it, apart from when it was last repeated. The fingerprint stands for the labels.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.starts_at.get().hash(&mut hasher);
        self.annotations.map(RawValue::get).hash(&mut hasher);
        self.status.get().hash(&mut hasher);
        hasher.finish()
    }

    /// Reads it whole.
    ///
    /// # Errors
    /// When a part has another shape.
    pub fn read(&self) -> serde_json::Result<Observation> {
        let status: ApiStatus = serde_json::from_str(self.status.get())?;
        let mut suppressed_by = status.silenced_by;
        suppressed_by.extend(status.inhibited_by);
        suppressed_by.sort();
        let annotations = self.annotations.map(|a| serde_json::from_str(a.get()));
        Ok(Observation::new(
            self.fingerprint.clone().into_owned(),
            serde_json::from_str::<Time>(self.starts_at.get())?.0,
            serde_json::from_str(self.labels.get())?,
            annotations.transpose()?.unwrap_or_default(),
        )
        .suppressed_by(suppressed_by)
        .updated_at(serde_json::from_str::<Time>(self.updated_at.get())?.0))
    }
}

/// What Alertmanager posts (webhook version 4), as far as it is used.
#[derive(Debug, Deserialize)]
pub struct Notification {
    /// Always `4` so far.
    version: String,
    /// Alertmanager's key of the group.
    #[serde(rename = "groupKey", default)]
    pub group: String,
    alerts: Vec<NotifiedAlert>,
    /// How many alerts Alertmanager left out of this notification.
    #[serde(rename = "truncatedAlerts", default)]
    pub truncated: u64,
}

#[derive(Debug, Deserialize)]
struct NotifiedAlert {
    status: NotifiedStatus,
    fingerprint: String,
    #[serde(rename = "startsAt", with = "time::serde::rfc3339")]
    starts_at: OffsetDateTime,
    /// Year 1 while the alert fires.
    #[serde(rename = "endsAt", with = "time::serde::rfc3339")]
    ends_at: OffsetDateTime,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NotifiedStatus {
    Firing,
    Resolved,
}

/// One alert of a notification.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// It fires.
    Firing(Observation),
    /// It ended, at that time.
    Ended(Observation, OffsetDateTime),
}

impl Told {
    /// The alert.
    pub fn observation(&self) -> &Observation {
        match self {
            Told::Firing(o) | Told::Ended(o, _) => o,
        }
    }
}

impl Notification {
    /// Reads a notification.
    ///
    /// # Errors
    /// Why it cannot be read, in one sentence for Alertmanager's log.
    pub fn parse(body: &[u8]) -> Result<Notification, String> {
        let notification: Notification = serde_json::from_slice(body)
            .map_err(|e| format!("this is no notification of Alertmanager's webhook version 4: {e}"))?;
        if notification.version != "4" {
            return Err(format!(
                "webhook version {:?} is not known; version 4 is",
                notification.version
            ));
        }
        if notification.alerts.iter().any(|a| a.fingerprint.is_empty()) {
            return Err("an alert carries no fingerprint; Alertmanager 0.25 or newer is needed".into());
        }
        Ok(notification)
    }

    /// The alerts in it.
    pub fn told(self) -> Vec<Told> {
        self.alerts
            .into_iter()
            .map(|alert| {
                let observation = Observation::new(
                    alert.fingerprint,
                    alert.starts_at,
                    alert.labels,
                    alert.annotations,
                );
                match alert.status {
                    NotifiedStatus::Firing => Told::Firing(observation),
                    NotifiedStatus::Resolved => Told::Ended(observation, at_milliseconds(alert.ends_at)),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    /// As Alertmanager 0.25 posts it, with a field that no version has yet.
    const POSTED: &str = r#"{"receiver":"hook","status":"resolved","alerts":[
        {"status":"firing","labels":{"alertname":"X","severity":"critical"},"annotations":{"summary":"s"},
         "startsAt":"2026-11-22T21:03:56.123956789Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"d5e08c84ef09a8b8","new":1},
        {"status":"resolved","labels":{"alertname":"Y"},"annotations":{},
         "startsAt":"2026-11-22T21:03:56.1Z","endsAt":"2026-11-22T21:03:57Z","generatorURL":"","fingerprint":"d5e08c84ef09a8b9"}],
        "groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://am:9093","version":"4","groupKey":"{}","truncatedAlerts":3}"#;

    #[test]
    fn a_notification_is_read_to_the_millisecond_that_the_api_gives_too() {
        let notification = Notification::parse(POSTED.as_bytes()).expect("it is as Alertmanager posts it");
        assert_eq!(notification.truncated, 3);
        let told = notification.told();
        match &told[0] {
            Told::Firing(o) => {
                assert_eq!(o.started_at, datetime!(2026-11-22 21:03:56.123 UTC));
                assert_eq!(o.name(), "X");
            }
            other => panic!("{other:?}"),
        }
        assert!(
            matches!(&told[1], Told::Ended(o, at) if o.name() == "Y" && *at == datetime!(2026-11-22 21:03:57 UTC))
        );
    }

    #[test]
    fn what_is_no_notification_is_refused_with_a_sentence() {
        assert!(Notification::parse(b"{}").is_err_and(|e| e.contains("version 4")));
        assert!(
            Notification::parse(
                POSTED
                    .replace("\"version\":\"4\"", "\"version\":\"5\"")
                    .as_bytes()
            )
            .is_err()
        );
        assert!(Notification::parse(POSTED.replace("d5e08c84ef09a8b9", "").as_bytes()).is_err());
        assert!(Notification::parse(&[0xff, 0xfe]).is_err());
    }
}
