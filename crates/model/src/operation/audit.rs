//! The audit log as readers see it.

use super::{OperationId, Page};
use crate::access::Permission;
use crate::region::{Environment, RegionId};
use crate::verbs::Query;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

/// A record of the audit log. Never changed, never deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditView {
    /// Running number.
    pub id: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub at: OffsetDateTime,
    /// Who: a person's name and e-mail, `system`, `schedule: …`.
    pub actor: String,
    /// The actor's person id.
    pub person: Option<Uuid>,
    /// `submit`, `approve`, `reject`, `cancel`, `finish`, `deny`, `read`, `sign-in`, `sign-in-failed`, `lock-out`, `sign-out` …
    pub action: String,
    /// The kind of query or operation, if any.
    pub kind: Option<String>,
    /// Environment.
    pub environment: Option<Environment>,
    /// Region.
    pub region: Option<RegionId>,
    /// `noun:id`.
    pub target: Option<String>,
    /// The operation.
    pub operation: Option<OperationId>,
    /// Allowed, denied, succeeded, failed …
    pub result: String,
    /// Further facts (no secrets).
    pub detail: Value,
}

/// `audit.list`: newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ListAudit {
    /// Part of the actor's name or e-mail.
    pub actor: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only this kind.
    pub kind: Option<String>,
    /// Only this region.
    pub region: Option<RegionId>,
    /// Only this result.
    pub result: Option<String>,
    /// Only this operation.
    pub operation: Option<OperationId>,
    /// From this time on.
    #[serde(with = "time::serde::rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub from: Option<OffsetDateTime>,
    /// Before this time.
    #[serde(with = "time::serde::rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub until: Option<OffsetDateTime>,
    /// Keyset cursor.
    pub after: Option<String>,
    /// At most so many rows (1 to 200; 50 when 0).
    pub limit: u16,
}

impl Query for ListAudit {
    const KIND: &'static str = "audit.list";
    const EXAMPLE: &'static str = r#"{"action":"deny","limit":20}"#;
    const PERMISSION: Permission = Permission::AuditRead;
    type Answer = Page<AuditView>;
}
