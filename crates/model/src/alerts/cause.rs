//! Why Alertmanager holds an alert back, in short.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// What holds alerts back, known by the id that stands in their `suppressed_by`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// A silence.
    Silence {
        /// Alertmanager's id.
        id: String,
        /// Who made it.
        owner: String,
        /// Why.
        comment: String,
        /// Until when.
        #[serde(with = "time::serde::rfc3339")]
        #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
        ends_at: OffsetDateTime,
    },
    /// Another alert that fires.
    Alert {
        /// Its fingerprint.
        id: String,
        /// Its episode.
        alert: Uuid,
        /// Its rule.
        name: String,
    },
}

impl Cause {
    /// The id that stands in `suppressed_by`.
    pub fn id(&self) -> &str {
        match self {
            Cause::Silence { id, .. } | Cause::Alert { id, .. } => id,
        }
    }
}
