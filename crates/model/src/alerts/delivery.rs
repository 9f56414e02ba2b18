//! Who was told of an alert, or why nobody was.

use crate::access::Permission;
use crate::text::Text;
use crate::verbs::Query;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// `alerts.delivery`: the way of an alert through Alertmanager: route, group, what holds it back, and what is known of
/// the notifications.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GetDelivery {
    /// Which episode.
    pub alert: Uuid,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeliveryView {
    /// Whether somebody was told, as far as it can be known.
    pub told: bool,
    /// The first reason that holds why nobody was told, or who was told when.
    pub verdict: Text,
    /// The ways that the alert goes.
    pub legs: Vec<DeliveryLeg>,
    /// Since when it is kept which notifications were received.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub since: OffsetDateTime,
}

/// One way that an alert goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeliveryLeg {
    /// Name of the receiver.
    pub receiver: String,
    /// Its integrations (`webhook`, `email`); none tells nobody.
    pub integrations: Vec<Integration>,
    /// The labels that make the alert's group.
    pub group: BTreeMap<String, String>,
    /// Alertmanager's key of the group.
    pub key: String,
    /// How long a new group waits before it is told, as the configuration writes it.
    pub wait: String,
    /// After how long a group is told again.
    pub repeat: String,
    /// Names of time intervals during which, or outside of which, nobody is told.
    pub timed: Vec<String>,
    /// When a notification of the group last came to a console.
    #[serde(with = "time::serde::rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub received: Option<OffsetDateTime>,
}

/// A way of telling, with Alertmanager's count over all receivers in the last 15 minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Integration {
    /// `webhook`, `email` …
    pub kind: String,
    /// Notifications tried; `None` when Prometheus does not know.
    pub tried: Option<u32>,
    /// Of those, failed.
    pub failed: Option<u32>,
}

impl Query for GetDelivery {
    const KIND: &'static str = "alerts.delivery";
    const EXAMPLE: &'static str = r#"{"alert":"0190f5f0-7e0c-7a31-9d52-3a8c7a1f6a10"}"#;
    const PERMISSION: Permission = Permission::AlertsRead;
    type Answer = DeliveryView;
}
