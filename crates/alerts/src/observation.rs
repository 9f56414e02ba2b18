//! An alert as an engine reports it, before it is compared with what is known.

use bagua_model::alerts::Severity;
use bagua_model::region::{Environment, RegionId};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// The alert that always fires, to show that the way from the rules to here is whole.
pub const WATCHDOG: &str = "Watchdog";

/// An alert that Alertmanager reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Alertmanager's fingerprint of the labels.
    pub fingerprint: String,
    /// Since when it fires, to the millisecond (see [`at_milliseconds`]).
    pub started_at: OffsetDateTime,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Silences and alerts that suppress it, sorted; `None` when the report does not say (a notification).
    pub suppressed_by: Option<Vec<String>>,
    /// When Prometheus last told Alertmanager of it; `None` when the report does not say.
    pub updated_at: Option<OffsetDateTime>,
}

/// Alertmanager's API cuts times to milliseconds while its notifications carry nanoseconds: both are cut alike, or the
/// same start would look like two.
pub fn at_milliseconds(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_millisecond(time.millisecond()).unwrap_or(time)
}

impl Observation {
    /// An observation of an alert that fires.
    pub fn new(
        fingerprint: String,
        started_at: OffsetDateTime,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
    ) -> Observation {
        Observation {
            fingerprint,
            started_at: at_milliseconds(started_at),
            labels: storable(labels),
            annotations: storable(annotations),
            suppressed_by: None,
            updated_at: None,
        }
    }

    /// Adds what suppresses it, as the API reports it.
    #[must_use]
    pub fn suppressed_by(mut self, by: Vec<String>) -> Observation {
        self.suppressed_by = Some(by);
        self
    }

    /// Adds when Prometheus last told of it.
    #[must_use]
    pub fn updated_at(mut self, at: OffsetDateTime) -> Observation {
        self.updated_at = Some(at);
        self
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    fn annotation(&self, name: &str) -> &str {
        self.annotations.get(name).map_or("", String::as_str)
    }

    /// Rule name.
    pub fn name(&self) -> &str {
        self.label("alertname").unwrap_or("(no name)")
    }

    /// Whether it is the dead-man's switch.
    pub fn is_watchdog(&self) -> bool {
        self.name() == WATCHDOG
    }

    /// Severity. A rule without one, or with one that we do not know, is a warning: it is not lost, and wakes nobody.
    pub fn severity(&self) -> Severity {
        self.label("severity")
            .and_then(|s| s.parse().ok())
            .unwrap_or(Severity::Warning)
    }

    /// Environment label, if it is one.
    pub fn environment(&self) -> Option<Environment> {
        self.label("environment").and_then(|e| e.parse().ok())
    }

    /// Region label.
    pub fn region(&self) -> Option<RegionId> {
        self.label("region").map(RegionId::new)
    }

    /// `<region>/<service>`, when both labels are there.
    pub fn component(&self) -> Option<String> {
        Some(format!("{}/{}", self.label("region")?, self.label("component")?))
    }

    /// Annotation `summary`.
    pub fn summary(&self) -> &str {
        self.annotation("summary")
    }

    /// Annotation `description`.
    pub fn description(&self) -> &str {
        self.annotation("description")
    }
}

/// PostgreSQL cannot store the character NUL.
fn storable(map: BTreeMap<String, String>) -> BTreeMap<String, String> {
    map.into_iter()
        .map(|(k, v)| (k.replace('\0', ""), v.replace('\0', "")))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use time::macros::datetime;

    pub(crate) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn labels_become_severity_region_and_component() {
        let o = Observation::new(
            "f".into(),
            datetime!(2026-11-22 21:03:56.123456789 UTC),
            labels(&[
                ("severity", "critical"),
                ("region", "eu-west-1"),
                ("component", "gateway"),
                ("environment", "dev"),
            ]),
            labels(&[("summary", "a\0b")]),
        );
        assert_eq!(o.severity(), Severity::Critical);
        assert_eq!(o.component().as_deref(), Some("eu-west-1/gateway"));
        assert_eq!(o.environment(), Some(Environment::Dev));
        assert_eq!(o.summary(), "ab");
        assert_eq!(o.started_at, datetime!(2026-11-22 21:03:56.123 UTC));
    }

    #[test]
    fn a_bare_alert_is_kept_as_a_warning_of_no_region() {
        let o = Observation::new(
            "f".into(),
            datetime!(2026-11-22 21:03 UTC),
            labels(&[("severity", "page")]),
            labels(&[]),
        );
        assert_eq!(
            (o.severity(), o.region(), o.component(), o.name()),
            (Severity::Warning, None, None, "(no name)")
        );
    }
}
