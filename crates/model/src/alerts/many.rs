//! Many alerts at once: counted by group, and acknowledged together.

use super::ListAlerts;
use crate::access::{Permission, named};
use crate::region::{RegionId, Scope};
use crate::verbs::{Operation, Query, Risk, Target};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

named! {
    /// What a storm of alerts is counted by.
    GroupBy {
        /// The rule that fires.
        Rule = "rule",
        /// The region.
        Region = "region",
        /// How bad.
        Severity = "severity",
    }
}

/// `alerts.groups`: how many alerts fire, by rule, region or severity; the worst first, then the largest. Answered
/// from memory, at most 200 groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GroupAlerts {
    /// By what.
    pub by: GroupBy,
    /// Of these only; its state, cursor and limit are passed over.
    #[serde(default)]
    pub filter: ListAlerts,
}

/// Alerts that have one thing in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlertGroup {
    /// Name of the rule, code of the region or severity; `None` for alerts without a region.
    pub key: Option<String>,
    /// How many fire: critical, warning, info.
    pub firing: [u32; 3],
    /// How many of them somebody has.
    pub acknowledged: u32,
    /// How many of them Alertmanager holds back.
    pub suppressed: u32,
    /// When the newest of them began.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub newest: OffsetDateTime,
}

/// The groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlertGroups {
    /// At most 200.
    pub groups: Vec<AlertGroup>,
    /// How many groups are left out.
    pub left_out: u32,
    /// How many alerts the filter lets through.
    pub matching: u32,
}

impl Query for GroupAlerts {
    const KIND: &'static str = "alerts.groups";
    const EXAMPLE: &'static str = r#"{"by":"region"}"#;
    const PERMISSION: Permission = Permission::AlertsRead;
    type Answer = AlertGroups;
}

/// `alerts.acknowledge`: says who has many alerts, in one operation: those that are listed, or all that a filter lets
/// through. What has ended meanwhile is skipped, and counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AcknowledgeAlerts {
    /// Which episodes, at most 5,000. Empty when `matching` says it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Uuid>,
    /// All that fire and that this lets through, in the regions where the submitter may acknowledge; its state, cursor
    /// and limit are passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching: Option<ListAlerts>,
    /// With `matching`: only those that the console was told of before this, so that nobody acknowledges what came
    /// after their look.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub received_before: Option<OffsetDateTime>,
    /// The region of all of them; others are refused. Without it the right is needed wherever they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// A note, at most 2,000 characters.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = super::LONGEST_NOTE)))]
    pub note: String,
    /// For how many minutes, at most 7 days; without it, until each alert ends.
    #[serde(
        default,
        deserialize_with = "crate::silences::minutes",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = super::LONGEST_ACKNOWLEDGEMENT)))]
    pub minutes: Option<u32>,
}

/// What acknowledging many came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AcknowledgedMany {
    /// So many have the submitter now.
    pub acknowledged: u32,
    /// So many had ended.
    pub ended: u32,
}

impl Operation for AcknowledgeAlerts {
    const KIND: &'static str = "alerts.acknowledge";
    const EXAMPLE: &'static str = r#"{"alerts":["0190f5f0-7e0c-7a31-9d52-3a8c7a1f6a10"],"region":"ap-east-1","note":"looking at them","minutes":60}"#;
    const PERMISSION: Permission = Permission::AlertsAcknowledge;
    const RISK: Risk = Risk::Moderate;
    type Outcome = AcknowledgedMany;

    fn target(&self) -> Target {
        let id = match self.matching {
            Some(_) => "matching".to_owned(),
            None => self.alerts.len().to_string(),
        };
        Target {
            noun: "alerts".into(),
            id,
            scope: Scope {
                environment: None,
                region: self.region.clone(),
            },
        }
    }

    /// It is applied at once, and each row is locked.
    fn concurrency_key(&self) -> Option<String> {
        None
    }
}
