//! The event log: what happened, where, when, caused by what.

use crate::store;
use bagua_model::operation::OperationId;
use bagua_model::region::{Environment, RegionId};
use bagua_model::text::Text;
use sqlx::PgConnection;
use time::OffsetDateTime;

/// A line for the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// When it happened.
    pub at: OffsetDateTime,
    /// `operation.submitted`, `alert.firing` …
    pub kind: String,
    /// The topic that screens listen to: `alerts`, `operations`, `access` …
    pub topic: String,
    /// The environment, when bound to one.
    pub environment: Option<Environment>,
    /// The region, when bound to one.
    pub region: Option<RegionId>,
    /// `noun:id` of what it is about.
    pub subject: String,
    /// What to show.
    pub text: Text,
    /// The operation that caused it.
    pub operation: Option<OperationId>,
}

/// Writes into the event log, inside the transaction that makes it true. Every console hears of it once that has
/// committed, in no other case.
///
/// # Errors
/// Those of the database.
pub async fn record(db: &mut PgConnection, event: &NewEvent) -> Result<(), sqlx::Error> {
    store::events::insert(db, event, false).await
}

/// Wakes the screens that show `subject` without telling a story: not listed in the event log, pruned after an hour.
///
/// # Errors
/// Those of the database.
pub async fn record_quiet(db: &mut PgConnection, event: &NewEvent) -> Result<(), sqlx::Error> {
    store::events::insert(db, event, true).await
}

/// [`record`] for many lines that one transaction makes true, in one statement.
///
/// # Errors
/// Those of the database.
pub async fn record_all(db: &mut PgConnection, events: &[NewEvent]) -> Result<(), sqlx::Error> {
    store::events::insert_all(db, events, false).await
}

/// [`record_quiet`] for many lines, in one statement.
///
/// # Errors
/// Those of the database.
pub async fn record_all_quiet(db: &mut PgConnection, events: &[NewEvent]) -> Result<(), sqlx::Error> {
    store::events::insert_all(db, events, true).await
}
