//! The room's only table, `component_states`.

use crate::snapshot::StateChange;
use bagua_model::region::Environment;
use bagua_model::regions::Health;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

/// The recorded state of every component. A row that this version cannot read is left out.
pub(crate) async fn states(db: &PgPool, environment: Environment) -> Result<Vec<StateChange>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT component, health, since FROM component_states WHERE environment = $1",
        environment.as_str()
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(StateChange {
                component: row.component.parse().ok()?,
                health: row.health.parse().ok()?,
                why: None,
                since: row.since,
            })
        })
        .collect())
}

/// What recording a state found.
#[derive(Debug, PartialEq)]
pub(crate) enum Recorded {
    /// Another console was first, or knows something newer.
    AlreadyKnown,
    /// The component had no row yet.
    First,
    /// It was in this state before.
    Changed(Health),
}

/// Records that a component has entered a state. Of several consoles that saw the same change, one changes the row:
/// the condition is checked under the row's lock.
pub(crate) async fn record(
    db: &mut PgConnection,
    environment: Environment,
    change: &StateChange,
) -> Result<Recorded, sqlx::Error> {
    let row = sqlx::query!(
        r#"INSERT INTO component_states AS s (environment, component, region, health, since, why)
           VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (environment, component) DO UPDATE
           SET health = excluded.health, previous = s.health, since = excluded.since, why = excluded.why
           WHERE s.health <> excluded.health AND s.since < excluded.since
           RETURNING previous"#,
        environment.as_str(),
        change.component.to_string(),
        change.component.region.as_str(),
        change.health.as_str(),
        change.since,
        change.why.as_ref().map(Json) as _,
    )
    .fetch_optional(db)
    .await?;
    Ok(match row {
        None => Recorded::AlreadyKnown,
        Some(row) => match row.previous.and_then(|p| p.parse().ok()) {
            Some(previous) => Recorded::Changed(previous),
            None => Recorded::First,
        },
    })
}
