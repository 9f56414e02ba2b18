//! What workers write: claims, leases, ends. Everything carries the attempt.

use super::operations::{LogLine, log, state, wake_workers};
use super::steps::{At, Fence};
use crate::actor::Actor;
use crate::audit::AuditRecord;
use crate::events::{self, NewEvent};
use bagua_model::operation::{OperationId, OperationState, Plan};
use bagua_model::region::{Environment, RegionId, Scope};
use bagua_model::text::{Text, keys};
use bagua_model::verbs::Target;
use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use std::time::Duration;
use time::OffsetDateTime;

/// An operation as its worker has it.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) fence: Fence,
    /// Claims since a person last looked at it.
    pub(crate) tries: i32,
    pub(crate) kind: String,
    pub(crate) input: Value,
    pub(crate) plan_hash: String,
    pub(crate) summary: Text,
    pub(crate) target: Target,
    pub(crate) environment: Environment,
    pub(crate) submitter: Actor,
    pub(crate) state: OperationState,
    pub(crate) started: bool,
    pub(crate) cancel_requested: bool,
    pub(crate) unwind_to: OperationState,
    /// Why it is being undone.
    pub(crate) failure: Option<Text>,
}

impl Claimed {
    pub(crate) fn at(&self) -> At<'_> {
        At {
            fence: &self.fence,
            environment: self.environment,
            region: self.target.scope.region.as_ref(),
        }
    }
}

/// Claims the oldest operation that waits for a worker or whose worker has let its lease run out. Kinds that this
/// binary does not know, and other environments, are left to others.
pub(crate) async fn claim(
    db: &PgPool,
    worker: &str,
    environment: Environment,
    kinds: &[String],
    lease: Duration,
    now: OffsetDateTime,
) -> Result<Option<Claimed>, sqlx::Error> {
    let mut tx = db.begin().await?;
    let row = sqlx::query!(
        r#"UPDATE operations
           SET state = CASE state WHEN 'queued' THEN 'running' ELSE state END,
               attempt = attempt + 1, lease_owner = $1,
               lease_expires_at = clock_timestamp() + make_interval(secs => $2)
           WHERE id = (
               SELECT id FROM operations
               WHERE state IN ('queued', 'running', 'unwinding')
                 AND (CASE state WHEN 'queued' THEN not_before IS NULL OR not_before <= $3
                      ELSE lease_expires_at IS NULL OR lease_expires_at < clock_timestamp() END)
                 AND kind = ANY ($4) AND environment = $5
               ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
           RETURNING id, attempt, attempt - resumed_after AS "tries!", kind, input, plan_hash, plan -> 'summary' AS "summary!: Json<Text>",
               target_noun, target_id, region, submitter AS "submitter: Json<Actor>", state,
               started_at IS NOT NULL AS "started!", cancel_requested_at IS NOT NULL AS "cancel!", unwind_to,
               unwind_why AS "failure: Json<Text>""#,
        worker,
        lease.as_secs_f64(),
        now,
        kinds,
        environment.as_str(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let claimed = Claimed {
        fence: Fence {
            operation: OperationId(row.id),
            attempt: row.attempt,
        },
        tries: row.tries,
        kind: row.kind,
        input: row.input,
        plan_hash: row.plan_hash,
        summary: row.summary.0,
        target: Target {
            noun: row.target_noun,
            id: row.target_id,
            scope: Scope {
                environment: Some(environment),
                region: row.region.map(RegionId::new),
            },
        },
        environment,
        submitter: row.submitter.0,
        state: state(&row.state)?,
        started: row.started,
        cancel_requested: row.cancel,
        unwind_to: row
            .unwind_to
            .as_deref()
            .map(state)
            .transpose()?
            .unwrap_or(OperationState::Failed),
        failure: row.failure.map(|failure| failure.0),
    };
    let text = Text::new(keys::CORE_LOG_CLAIMED)
        .with("attempt", row.attempt)
        .with("worker", worker);
    log(&mut tx, &line(&claimed, "claimed", &text, true), now).await?;
    tx.commit().await?;
    Ok(Some(claimed))
}

/// Renews the lease; says whether a cancel was asked for, `None` when another worker holds the operation.
pub(crate) async fn heartbeat(
    db: &PgPool,
    fence: &Fence,
    lease: Duration,
) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"UPDATE operations SET lease_expires_at = clock_timestamp() + make_interval(secs => $3)
           WHERE id = $1 AND attempt = $2 AND state IN ('running', 'unwinding')
           RETURNING cancel_requested_at IS NOT NULL AS "cancel!""#,
        fence.operation.0,
        fence.attempt,
        lease.as_secs_f64(),
    )
    .fetch_optional(db)
    .await
}

/// Gives the lease back, so that another worker takes over at once.
pub(crate) async fn release(db: &PgPool, fence: &Fence) -> Result<(), sqlx::Error> {
    let mut tx = db.begin().await?;
    sqlx::query!(
        "UPDATE operations SET lease_expires_at = clock_timestamp() - interval '1 second'
         WHERE id = $1 AND attempt = $2 AND state IN ('running', 'unwinding')",
        fence.operation.0,
        fence.attempt,
    )
    .execute(&mut *tx)
    .await?;
    wake_workers(&mut tx).await?;
    tx.commit().await
}

/// Writes down that the plan still holds and the steps begin.
pub(crate) async fn started(
    db: &PgPool,
    fence: &Fence,
    now: OffsetDateTime,
) -> Result<Option<()>, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE operations SET started_at = $3 WHERE id = $1 AND attempt = $2 AND state = 'running'",
        fence.operation.0,
        fence.attempt,
        now
    )
    .execute(db)
    .await?;
    Ok((done.rows_affected() == 1).then_some(()))
}

/// Turns round: from now on steps are undone.
pub(crate) async fn unwind(
    db: &PgPool,
    claimed: &Claimed,
    to: OperationState,
    failure: Option<&Text>,
    now: OffsetDateTime,
) -> Result<Option<()>, sqlx::Error> {
    let mut tx = db.begin().await?;
    let done = sqlx::query!(
        "UPDATE operations SET state = 'unwinding', unwind_to = $3, failure = $4, unwind_why = $4, current_step = NULL, progress = NULL
         WHERE id = $1 AND attempt = $2 AND state = 'running'",
        claimed.fence.operation.0,
        claimed.fence.attempt,
        to.as_str(),
        failure.map(Json) as _,
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    let text = failure
        .cloned()
        .unwrap_or_else(|| Text::new(keys::CORE_LOG_UNWINDING));
    log(&mut tx, &line(claimed, "unwinding", &text, true), now).await?;
    tx.commit().await?;
    Ok(Some(()))
}

/// Why an operation waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// The plan is not what was confirmed.
    Drift,
    /// A step cannot say how to go on.
    Run,
    /// An undo failed.
    Undo,
}

impl Needs {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Needs::Drift => "drift",
            Needs::Run => "run",
            Needs::Undo => "undo",
        }
    }
}

/// Lays the operation before a person, with the new plan when it has drifted.
pub(crate) async fn park(
    db: &PgPool,
    claimed: &Claimed,
    needs: Needs,
    why: &Text,
    new_plan: Option<(&Plan, &str)>,
    now: OffsetDateTime,
) -> Result<Option<()>, sqlx::Error> {
    let mut tx = db.begin().await?;
    let done = sqlx::query!(
        "UPDATE operations
         SET state = 'needs_operator', needs = $3, failure = $4, new_plan = $5, new_plan_hash = $6,
             lease_owner = NULL, lease_expires_at = NULL, progress = NULL
         WHERE id = $1 AND attempt = $2 AND state IN ('running', 'unwinding')",
        claimed.fence.operation.0,
        claimed.fence.attempt,
        needs.as_str(),
        Json(why) as _,
        new_plan.map(|(plan, _)| Json(plan)) as _,
        new_plan.map(|(_, hash)| hash),
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    log(&mut tx, &line(claimed, "needs_operator", why, false), now).await?;
    tell(&mut tx, claimed, "operation.needs-operator", why, now).await?;
    let record = record(claimed, "needs-operator", "waiting", now).detail(json!({ "why": needs.as_str() }));
    super::audit::insert(&mut *tx, &record).await?;
    tx.commit().await?;
    Ok(Some(()))
}

/// Ends the operation: state, result, log, event and audit record in one transaction.
pub(crate) async fn finish(
    db: &PgPool,
    claimed: &Claimed,
    to: OperationState,
    outcome: Option<&Value>,
    failure: Option<&Text>,
    now: OffsetDateTime,
) -> Result<Option<()>, sqlx::Error> {
    let mut tx = db.begin().await?;
    let done = finish_in(&mut tx, claimed, to, outcome, failure, now).await?;
    if done.is_some() {
        tx.commit().await?;
    }
    Ok(done)
}

/// [`finish`] within a transaction of the caller.
pub(crate) async fn finish_in(
    db: &mut PgConnection,
    claimed: &Claimed,
    to: OperationState,
    outcome: Option<&Value>,
    failure: Option<&Text>,
    now: OffsetDateTime,
) -> Result<Option<()>, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE operations
         SET state = $3, outcome = $4, failure = $5, finished_at = $6, current_step = NULL, progress = NULL,
             lease_owner = NULL, lease_expires_at = NULL
         WHERE id = $1 AND attempt = $2 AND state IN ('running', 'unwinding')",
        claimed.fence.operation.0,
        claimed.fence.attempt,
        to.as_str(),
        outcome,
        failure.map(Json) as _,
        now,
    )
    .execute(&mut *db)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    let text = failure.cloned().unwrap_or_else(|| finished_text(to));
    log(&mut *db, &line(claimed, "finished", &text, false), now).await?;
    tell(
        &mut *db,
        claimed,
        &format!("operation.{to}"),
        &claimed.summary,
        now,
    )
    .await?;
    let mut record = record(claimed, "finish", to.as_str(), now);
    if let Some(why) = failure {
        record.detail = json!({ "why": why.to_string() });
    }
    super::audit::insert(&mut *db, &record).await?;
    metrics::counter!("bagua_operations_finished_total", "kind" => claimed.kind.clone(), "result" => to.as_str())
        .increment(1);
    Ok(Some(()))
}

pub(crate) fn finished_text(to: OperationState) -> Text {
    Text::new(match to {
        OperationState::Succeeded => keys::CORE_LOG_SUCCEEDED,
        OperationState::Failed => keys::CORE_LOG_FAILED,
        _ => keys::CORE_LOG_CANCELLED,
    })
}

async fn tell(
    db: &mut PgConnection,
    claimed: &Claimed,
    kind: &str,
    text: &Text,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let event = NewEvent {
        at: now,
        kind: kind.to_owned(),
        topic: "operations".to_owned(),
        environment: Some(claimed.environment),
        region: claimed.target.scope.region.clone(),
        subject: format!("{}:{}", claimed.target.noun, claimed.target.id),
        text: text.clone(),
        operation: Some(claimed.fence.operation),
    };
    events::record(db, &event).await
}

fn record(claimed: &Claimed, action: &str, result: &str, now: OffsetDateTime) -> AuditRecord {
    AuditRecord::new(&claimed.submitter, action, result, now)
        .kind(&claimed.kind)
        .target(&claimed.target)
        .operation(claimed.fence.operation)
}

fn line<'a>(claimed: &'a Claimed, name: &'a str, text: &'a Text, wake: bool) -> LogLine<'a> {
    LogLine {
        operation: claimed.fence.operation,
        environment: claimed.environment,
        region: claimed.target.scope.region.as_ref(),
        name,
        text,
        progress: None,
        wake,
    }
}
