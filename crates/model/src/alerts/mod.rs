//! Alerts as the feed shows them, and acknowledging them.

mod cause;
mod delivery;
mod many;

pub use cause::Cause;
pub use delivery::{DeliveryLeg, DeliveryView, GetDelivery, Integration};
pub use many::{AcknowledgeAlerts, AcknowledgedMany, AlertGroup, AlertGroups, GroupAlerts, GroupBy};

use crate::access::{Permission, named};
use crate::operation::Page;
use crate::region::{Environment, RegionId, Scope};
use crate::verbs::{Operation, Query, Risk, Target};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

named! {
    /// How bad, worst first.
    Severity {
        /// Wakes somebody.
        Critical = "critical",
        /// Wants a look during the shift.
        Warning = "warning",
        /// Good to know.
        Info = "info",
    }
}

named! {
    /// Where an alert is in its life.
    AlertState {
        /// Alertmanager says it fires.
        Firing = "firing",
        /// It has ended.
        Resolved = "resolved",
    }
}

/// Who has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Acknowledgement {
    /// A person's name.
    pub by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub at: OffsetDateTime,
    /// What they said.
    pub note: String,
    /// Until when; `None` until the alert ends.
    #[serde(
        with = "time::serde::rfc3339::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub until: Option<OffsetDateTime>,
}

/// One firing episode of an alert: fingerprint and start make it one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlertView {
    /// Id of the episode.
    pub alert: Uuid,
    /// Alertmanager's fingerprint of the labels.
    pub fingerprint: String,
    /// Rule name, the label `alertname`.
    pub name: String,
    /// Severity.
    pub severity: Severity,
    /// State.
    pub state: AlertState,
    /// Environment label.
    pub environment: Option<Environment>,
    /// Region label.
    pub region: Option<RegionId>,
    /// `<region>/<service>` from the labels region and component.
    pub component: Option<String>,
    /// Annotation `summary`.
    pub summary: String,
    /// Annotation `description`.
    pub description: String,
    /// Since when it fires, by Prometheus.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub started_at: OffsetDateTime,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub ended_at: Option<OffsetDateTime>,
    /// When we were told first.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub received_at: OffsetDateTime,
    /// Suppressed in Alertmanager by a silence or an inhibition.
    pub suppressed: bool,
    /// Ids of the silences and fingerprints of the alerts that suppress it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressed_by: Vec<String>,
    /// Who has it.
    pub acknowledged: Option<Acknowledgement>,
    /// When the last acknowledgement ran out, with nobody having it since.
    #[serde(
        with = "time::serde::rfc3339::option",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub lapsed_at: Option<OffsetDateTime>,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// All annotations, `summary` and `description` among them (`runbook_url` is common too).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// `alerts.list`: what fires stands critical first, then the newest first; what has ended stands last ended first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ListAlerts {
    /// Firing when absent.
    pub state: Option<AlertState>,
    /// Only these severities.
    pub severities: Vec<Severity>,
    /// Only this region.
    pub region: Option<RegionId>,
    /// Only this component (`<region>/<service>`).
    pub component: Option<String>,
    /// Only this rule (the whole name).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only those that somebody has, or that nobody has.
    pub acknowledged: Option<bool>,
    /// Part of the name, summary or component, or of a region's name in either language.
    pub text: Option<String>,
    /// Keyset cursor.
    pub after: Option<String>,
    /// At most so many rows (1 to 200; 50 when 0).
    pub limit: u16,
}

/// The feed, with what the reader should know of its source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlertFeed {
    /// Rows.
    pub page: Page<AlertView>,
    /// How many fire in the reader's scope, by severity: critical, warning, info (before the other filters).
    pub firing: [u32; 3],
    /// How many rows the filter lets through on all pages; `None` for what has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<u32>,
    /// What holds the rows of this page that are suppressed, as far as the console knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When this was true.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub as_of: OffsetDateTime,
    /// Set while the rows come straight from Alertmanager or from memory because the database is away.
    pub degraded: bool,
}

impl Query for ListAlerts {
    const KIND: &'static str = "alerts.list";
    const EXAMPLE: &'static str = r#"{"severities":["critical"],"region":"ap-east-1","limit":20}"#;
    const PERMISSION: Permission = Permission::AlertsRead;
    type Answer = AlertFeed;
}

/// `alerts.get`: one episode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GetAlert {
    /// Which.
    pub alert: Uuid,
}

impl Query for GetAlert {
    const KIND: &'static str = "alerts.get";
    const EXAMPLE: &'static str = r#"{"alert":"0190f5f0-7e0c-7a31-9d52-3a8c7a1f6a10"}"#;
    const PERMISSION: Permission = Permission::AlertsRead;
    type Answer = AlertView;
}

/// `alerts.history`: episodes before this one of the same alert or of the same component, newest first, at most 20.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AlertHistory {
    /// The episode that is looked at.
    pub alert: Uuid,
    /// Also what happened to the same component under other names.
    #[serde(default)]
    pub component: bool,
}

impl Query for AlertHistory {
    const KIND: &'static str = "alerts.history";
    const EXAMPLE: &'static str = r#"{"alert":"0190f5f0-7e0c-7a31-9d52-3a8c7a1f6a10","component":true}"#;
    const PERMISSION: Permission = Permission::AlertsRead;
    type Answer = Vec<AlertView>;
}

/// How many alerts fire for one service in one region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlertCount {
    /// Region label; `None` for alerts without one.
    pub region: Option<RegionId>,
    /// Component label, the service's name (`gateway`); `None` for alerts about the region as a whole.
    pub service: Option<String>,
    /// Critical ones.
    pub critical: u32,
    /// Warnings.
    pub warning: u32,
}

/// `alerts.counts`: what fires, counted by region and service; suppressed alerts are left out. Answered from memory,
/// for the rooms that colour a component by its alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CountAlerts {}

impl Query for CountAlerts {
    const KIND: &'static str = "alerts.counts";
    const PERMISSION: Permission = Permission::AlertsRead;
    type Answer = Vec<AlertCount>;
}

/// How long the alert that always fires may be silent: Prometheus repeats it every minute or so.
pub const PIPELINE_PATIENCE: time::Duration = time::Duration::minutes(3);

/// The way from the rules to this console, as the alert that always fires shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PipelineView {
    /// When that alert was last passed on; `None` when it has not been since this console started, which says nothing
    /// of health.
    #[serde(with = "time::serde::rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub last_seen: Option<OffsetDateTime>,
}

/// `alerts.pipeline`: when the dead-man's switch was last heard. Older than three minutes: no alert would reach anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GetPipeline {}

impl Query for GetPipeline {
    const KIND: &'static str = "alerts.pipeline";
    const PERMISSION: Permission = Permission::AlertsRead;
    type Answer = PipelineView;
}

/// Characters of a note.
pub const LONGEST_NOTE: usize = 2_000;
/// Minutes for which somebody can have an alert: a week.
pub const LONGEST_ACKNOWLEDGEMENT: u32 = 7 * 24 * 60;

/// `alert.acknowledge`: says who has it. Acknowledging again changes the note, the person and the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AcknowledgeAlert {
    /// Which episode.
    pub alert: Uuid,
    /// The region label of the alert, so that the permission can be checked for it; the handler refuses a wrong one.
    #[serde(default)]
    pub region: Option<RegionId>,
    /// A note, at most 2,000 characters.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = LONGEST_NOTE)))]
    pub note: String,
    /// For how many minutes, at most 7 days; then nobody has it again. Without it, until the alert ends.
    #[serde(
        default,
        deserialize_with = "crate::silences::minutes",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = LONGEST_ACKNOWLEDGEMENT)))]
    pub minutes: Option<u32>,
}

impl Operation for AcknowledgeAlert {
    const KIND: &'static str = "alert.acknowledge";
    const EXAMPLE: &'static str = r#"{"alert":"0190f5f0-7e0c-7a31-9d52-3a8c7a1f6a10","region":"ap-east-1","note":"looking at it","minutes":60}"#;
    const PERMISSION: Permission = Permission::AlertsAcknowledge;
    const RISK: Risk = Risk::Trivial;
    type Outcome = ();

    fn target(&self) -> Target {
        Target {
            noun: "alert".into(),
            id: self.alert.to_string(),
            scope: Scope {
                environment: None,
                region: self.region.clone(),
            },
        }
    }
}

/// `alert.unacknowledge`: nobody has it any longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UnacknowledgeAlert {
    /// Which episode.
    pub alert: Uuid,
    /// The region label of the alert, as in [`AcknowledgeAlert::region`].
    #[serde(default)]
    pub region: Option<RegionId>,
}

impl Operation for UnacknowledgeAlert {
    const KIND: &'static str = "alert.unacknowledge";
    const EXAMPLE: &'static str = r#"{"alert":"0190f5f0-7e0c-7a31-9d52-3a8c7a1f6a10","region":"ap-east-1"}"#;
    const PERMISSION: Permission = Permission::AlertsAcknowledge;
    const RISK: Risk = Risk::Trivial;
    type Outcome = ();

    fn target(&self) -> Target {
        Target {
            noun: "alert".into(),
            id: self.alert.to_string(),
            scope: Scope {
                environment: None,
                region: self.region.clone(),
            },
        }
    }
}
