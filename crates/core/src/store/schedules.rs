//! Schedules and their firings.

use bagua_model::operation::{OperationId, ScheduleView};
use bagua_model::region::{Environment, RegionId, Scope};
use bagua_model::text::Text;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// The row of a new schedule.
pub(crate) struct NewSchedule<'a> {
    pub(crate) id: Uuid,
    pub(crate) name: &'a str,
    pub(crate) cron: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) input: &'a Value,
    pub(crate) environment: Environment,
    pub(crate) region: Option<&'a str>,
    pub(crate) created_by: &'a str,
    pub(crate) created_by_person: Option<Uuid>,
    pub(crate) now: OffsetDateTime,
    pub(crate) next_at: Option<OffsetDateTime>,
}

/// Breaks `schedules_name_key` when the name is taken.
pub(crate) async fn insert(db: &mut PgConnection, new: &NewSchedule<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO schedules (id, name, cron, kind, input, environment, region, created_by, created_by_person,
             created_at, next_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        new.id,
        new.name,
        new.cron,
        new.kind,
        new.input,
        new.environment.as_str(),
        new.region,
        new.created_by,
        new.created_by_person,
        new.now,
        new.next_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A schedule by its name: where it acts, and its expression.
pub(crate) struct Named {
    pub(crate) id: Uuid,
    pub(crate) cron: String,
    pub(crate) paused: bool,
    pub(crate) scope: Scope,
}

pub(crate) async fn by_name(db: impl PgExecutor<'_>, name: &str) -> Result<Option<Named>, sqlx::Error> {
    let row = sqlx::query!(
        "SELECT id, cron, paused, environment, region FROM schedules WHERE name = $1",
        name
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Named {
        id: row.id,
        cron: row.cron,
        paused: row.paused,
        scope: Scope {
            environment: row.environment.parse().ok(),
            region: row.region.map(RegionId::new),
        },
    }))
}

pub(crate) async fn set_paused(
    db: &mut PgConnection,
    id: Uuid,
    paused: bool,
    next_at: Option<OffsetDateTime>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE schedules SET paused = $2, next_at = $3 WHERE id = $1",
        id,
        paused,
        next_at
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn delete(db: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!("DELETE FROM schedules WHERE id = $1", id)
        .execute(db)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// A schedule whose time has come.
pub(crate) struct Due {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) cron: String,
    pub(crate) kind: String,
    pub(crate) input: Value,
    pub(crate) created_by_person: Option<Uuid>,
    pub(crate) due_at: OffsetDateTime,
}

pub(crate) async fn due(
    db: &PgPool,
    environment: Environment,
    now: OffsetDateTime,
) -> Result<Vec<Due>, sqlx::Error> {
    sqlx::query_as!(
        Due,
        r#"SELECT id, name, cron, kind, input, created_by_person, next_at AS "due_at!"
           FROM schedules WHERE environment = $1 AND NOT paused AND next_at <= $2 ORDER BY next_at LIMIT 100"#,
        environment.as_str(),
        now
    )
    .fetch_all(db)
    .await
}

/// Takes a firing for this console; `false` when another has it, or had it.
pub(crate) async fn claim_firing(
    db: &PgPool,
    due: &Due,
    console: &str,
    lease: Duration,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "INSERT INTO schedule_firings AS f (schedule, due_at, claimed_by, lease_expires_at)
         VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4))
         ON CONFLICT (schedule, due_at) DO UPDATE
         SET claimed_by = excluded.claimed_by, lease_expires_at = excluded.lease_expires_at
         WHERE f.finished_at IS NULL AND f.lease_expires_at < clock_timestamp()",
        due.id,
        due.due_at,
        console,
        lease.as_secs_f64(),
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes down what came of a firing and when the next one is, in one transaction.
pub(crate) async fn finish_firing(
    db: &PgPool,
    due: &Due,
    operation: Option<OperationId>,
    failure: Option<&Text>,
    next_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let mut tx = db.begin().await?;
    sqlx::query!(
        "UPDATE schedule_firings SET finished_at = $3, operation = $4, failure = $5
         WHERE schedule = $1 AND due_at = $2",
        due.id,
        due.due_at,
        now,
        operation.map(|id| id.0),
        failure.map(Json) as _,
    )
    .execute(&mut *tx)
    .await?;
    // Unless somebody has paused or changed it meanwhile.
    sqlx::query!(
        "UPDATE schedules
         SET next_at = $3, last_operation = coalesce($4, last_operation), last_failure = $5
         WHERE id = $1 AND next_at = $2",
        due.id,
        due.due_at,
        next_at,
        operation.map(|id| id.0),
        failure.map(Json) as _,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// By name.
pub(crate) async fn list(
    db: &PgPool,
    environment: Environment,
    regions: Option<&[String]>,
) -> Result<Vec<ScheduleView>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT id, name, cron, kind, input, paused, next_at, last_operation, last_failure AS "failure: Json<Text>"
           FROM schedules WHERE environment = $1 AND ($2::text[] IS NULL OR region = ANY ($2)) ORDER BY name"#,
        environment.as_str(),
        regions as _,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ScheduleView {
            schedule: row.id,
            name: row.name,
            cron: row.cron,
            kind: row.kind,
            input: row.input,
            paused: row.paused,
            next_at: row.next_at,
            last_operation: row.last_operation.map(OperationId),
            last_failure: row.failure.map(|failure| failure.0),
        })
        .collect())
}
