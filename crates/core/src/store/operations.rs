//! Operations as they are submitted, and their logs.

use crate::events::{self, NewEvent};
use bagua_model::operation::{OperationId, OperationState, Plan};
use bagua_model::region::{Environment, RegionId};
use bagua_model::text::Text;
use bagua_model::verbs::Target;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

/// The row of a new operation.
pub(crate) struct NewOperation<'a> {
    pub(crate) id: OperationId,
    pub(crate) kind: &'a str,
    pub(crate) input: &'a Value,
    pub(crate) risk: &'a str,
    pub(crate) plan: &'a Plan,
    pub(crate) plan_hash: &'a str,
    pub(crate) target: &'a Target,
    pub(crate) environment: Environment,
    pub(crate) concurrency_key: Option<&'a str>,
    pub(crate) token: Option<Uuid>,
    pub(crate) state: OperationState,
    pub(crate) submitted_by: &'a str,
    pub(crate) submitted_by_person: Option<Uuid>,
    pub(crate) prepared_by: &'a [Uuid],
    pub(crate) submitter: Value,
    pub(crate) reason: Option<&'a str>,
    pub(crate) break_glass: bool,
    pub(crate) approval_required: bool,
    pub(crate) approval_expires_at: Option<OffsetDateTime>,
    pub(crate) not_before: Option<OffsetDateTime>,
    pub(crate) now: OffsetDateTime,
}

/// Inserts an operation. A broken `operations_one_per_target` means busy, `operations_token_key` a repetition.
pub(crate) async fn insert(db: &mut PgConnection, new: &NewOperation<'_>) -> Result<(), sqlx::Error> {
    // An immediate operation runs and ends within this transaction; `started_at` says so.
    let started = (new.state == OperationState::Running).then_some(new.now);
    sqlx::query!(
        "INSERT INTO operations (id, kind, input, risk, plan, plan_hash, target_noun, target_id, environment, region,
             concurrency_key, token, state, submitted_by, submitted_by_person, prepared_by, submitter, reason,
             break_glass, submitted_at, approval_required, approval_expires_at, started_at, steps_total, not_before)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
             $23, $24, $25)",
        new.id.0,
        new.kind,
        new.input,
        new.risk,
        Json(new.plan) as _,
        new.plan_hash,
        new.target.noun,
        new.target.id,
        new.environment.as_str(),
        new.target.scope.region.as_ref().map(RegionId::as_str),
        new.concurrency_key,
        new.token,
        new.state.as_str(),
        new.submitted_by,
        new.submitted_by_person,
        new.prepared_by,
        new.submitter,
        new.reason,
        new.break_glass,
        new.now,
        new.approval_required,
        new.approval_expires_at,
        started,
        i32::try_from(new.plan.steps.len()).unwrap_or(i32::MAX),
        new.not_before,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends an immediate operation within the transaction that inserted it.
pub(crate) async fn end_immediate(
    db: &mut PgConnection,
    id: OperationId,
    outcome: &Value,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE operations SET state = 'succeeded', outcome = $2, finished_at = $3 WHERE id = $1",
        id.0,
        outcome,
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

/// An earlier submission with the same token.
pub(crate) struct Repeated {
    pub(crate) id: OperationId,
    pub(crate) state: OperationState,
    pub(crate) same: bool,
}

/// Finds an earlier submission with this token; `same` says whether it was the same wish of the same submitter.
pub(crate) async fn by_token(
    db: impl PgExecutor<'_>,
    token: Uuid,
    kind: &str,
    input: &Value,
    submitted_by: &str,
) -> Result<Option<Repeated>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT id, state, (kind = $2 AND input = $3 AND submitted_by = $4) AS "same!"
           FROM operations WHERE token = $1"#,
        token,
        kind,
        input,
        submitted_by,
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(Repeated {
            id: OperationId(row.id),
            state: state(&row.state)?,
            same: row.same,
        })
    })
    .transpose()
}

/// The operation that holds a concurrency key.
pub(crate) async fn holder(db: impl PgExecutor<'_>, key: &str) -> Result<Option<OperationId>, sqlx::Error> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM operations
         WHERE concurrency_key = $1 AND state IN ('queued', 'running', 'unwinding', 'needs_operator')",
        key
    )
    .fetch_optional(db)
    .await?;
    Ok(id.map(OperationId))
}

/// The concurrency key of an operation.
pub(crate) async fn concurrency_key(
    db: impl PgExecutor<'_>,
    id: OperationId,
) -> Result<Option<String>, sqlx::Error> {
    let key = sqlx::query_scalar!("SELECT concurrency_key FROM operations WHERE id = $1", id.0)
        .fetch_optional(db)
        .await?;
    Ok(key.flatten())
}

/// A line of an operation's log.
pub(crate) struct LogLine<'a> {
    pub(crate) operation: OperationId,
    pub(crate) environment: Environment,
    pub(crate) region: Option<&'a RegionId>,
    pub(crate) name: &'a str,
    pub(crate) text: &'a Text,
    pub(crate) progress: Option<f32>,
    /// Whether to wake the screens: not needed when the same transaction writes into the event log.
    pub(crate) wake: bool,
}

/// Appends to an operation's log. The row of the operation stays locked until the transaction ends, so lines become
/// visible in the order of their numbers; write them last.
pub(crate) async fn log(
    db: &mut PgConnection,
    line: &LogLine<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH next AS (UPDATE operations SET event_seq = event_seq + 1 WHERE id = $1 RETURNING event_seq)
         INSERT INTO operation_events (operation, seq, at, name, text, progress)
         SELECT $1, event_seq, $2, $3, $4, $5 FROM next",
        line.operation.0,
        now,
        line.name,
        Json(line.text) as _,
        line.progress,
    )
    .execute(&mut *db)
    .await?;
    if line.wake {
        let event = NewEvent {
            at: now,
            kind: format!("operation.{}", line.name.replace('_', "-")),
            topic: "operations".to_owned(),
            environment: Some(line.environment),
            region: line.region.cloned(),
            subject: format!("operation:{}", line.operation),
            text: line.text.clone(),
            operation: Some(line.operation),
        };
        events::record_quiet(db, &event).await?;
    }
    Ok(())
}

/// Wakes the workers of all consoles once the transaction has committed.
pub(crate) async fn wake_workers(db: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_notify('bagua_operations', '')")
        .fetch_one(db)
        .await?;
    Ok(())
}

/// Tells the worker that holds the operation that a cancel was asked for, once the transaction has committed.
pub(crate) async fn wake_cancel(db: &mut PgConnection, id: OperationId) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_notify('bagua_operations', $1)", format!("cancel:{id}"))
        .fetch_one(db)
        .await?;
    Ok(())
}

pub(crate) fn state(text: &str) -> Result<OperationState, sqlx::Error> {
    text.parse()
        .map_err(|error: String| sqlx::Error::Decode(error.into()))
}
