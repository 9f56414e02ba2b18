//! What the console itself is missing right now: the notice at the top of every page.

use crate::access::{Permission, named};
use crate::verbs::Query;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

named! {
    /// Something that the console reads from.
    Source {
        /// The control database.
        Database = "database",
        /// Redis: caches only.
        Redis = "redis",
        /// Metrics.
        Prometheus = "prometheus",
        /// Alerts.
        Alertmanager = "alertmanager",
        /// Processes.
        Supervisor = "supervisor",
    }
}

/// A source that is away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Notice {
    /// Which.
    pub source: Source,
    /// Since when there is no data.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub since: OffsetDateTime,
}

/// `console.notices`: the sources that are away, empty when all answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ListNotices {}

impl Query for ListNotices {
    const KIND: &'static str = "console.notices";
    const PERMISSION: Permission = Permission::RegionsRead;
    type Answer = Vec<Notice>;
}

/// One message on the live stream: a topic has news. The browser asks again for what it shows; it never trusts
/// the message itself for content, so a lost or doubled message costs one question, not a wrong screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LiveMessage {
    /// `alerts`, `operations`, `regions`, `notices`, `access`, `reset` (ask for everything).
    pub topic: String,
    /// `noun:id` of what changed, when one thing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The region, when bound to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}
