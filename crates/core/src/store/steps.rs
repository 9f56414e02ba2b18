//! Steps of running operations. Every function here is fenced: it acts only while the caller's attempt is the
//! operation's, and says `None` when it is not.

use super::operations::{LogLine, log};
use bagua_model::operation::{OperationId, StepState};
use bagua_model::region::{Environment, RegionId};
use bagua_model::text::{Text, keys};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

/// Which operation, under which claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    pub(crate) operation: OperationId,
    pub(crate) attempt: i32,
}

/// The fence, with where the operation is: what a line of its log needs.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) fence: &'a Fence,
    pub(crate) environment: Environment,
    pub(crate) region: Option<&'a RegionId>,
}

/// What a step's work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepKind {
    Transaction,
    Effect,
    Undo,
}

impl StepKind {
    fn as_str(self) -> &'static str {
        match self {
            StepKind::Transaction => "transaction",
            StepKind::Effect => "effect",
            StepKind::Undo => "undo",
        }
    }

    fn parse(text: &str) -> StepKind {
        match text {
            "transaction" => StepKind::Transaction,
            "undo" => StepKind::Undo,
            _ => StepKind::Effect,
        }
    }
}

/// A step as its row has it.
#[derive(Clone, Debug)]
pub(crate) struct StoredStep {
    pub(crate) name: String,
    pub(crate) kind: StepKind,
    pub(crate) state: StepState,
    pub(crate) memo: Option<Value>,
}

/// Holds the operation against a claim until the end of the transaction; says whether a cancel was asked for.
///
/// `FOR KEY SHARE` stands in the way of a claim (`FOR UPDATE`) but not of a heartbeat or a cancel (plain updates), so
/// a long step loses neither its lease nor the wish to cancel.
pub(crate) async fn hold(db: &mut PgConnection, fence: &Fence) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT cancel_requested_at IS NOT NULL AS "cancel!" FROM operations
           WHERE id = $1 AND attempt = $2 AND state IN ('running', 'unwinding')
           FOR KEY SHARE"#,
        fence.operation.0,
        fence.attempt,
    )
    .fetch_optional(db)
    .await
}

/// Whether the worker still holds the operation, and whether a cancel was asked for.
pub(crate) async fn check(db: &PgPool, fence: &Fence) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT cancel_requested_at IS NOT NULL AS "cancel!" FROM operations
           WHERE id = $1 AND attempt = $2 AND state IN ('running', 'unwinding')"#,
        fence.operation.0,
        fence.attempt,
    )
    .fetch_optional(db)
    .await
}

/// All steps, in order of first start.
pub(crate) async fn load(db: &PgPool, operation: OperationId) -> Result<Vec<StoredStep>, sqlx::Error> {
    let rows = sqlx::query!(
        "SELECT name, kind, state, memo FROM operation_steps WHERE operation = $1 ORDER BY seq",
        operation.0
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(StoredStep {
                kind: StepKind::parse(&row.kind),
                state: row
                    .state
                    .parse()
                    .map_err(|e: String| sqlx::Error::Decode(e.into()))?,
                name: row.name,
                memo: row.memo,
            })
        })
        .collect()
}

/// A step's memo, when it is done.
pub(crate) async fn memo(
    db: &mut PgConnection,
    operation: OperationId,
    name: &str,
) -> Result<Option<Value>, sqlx::Error> {
    let memo = sqlx::query_scalar!(
        "SELECT memo FROM operation_steps WHERE operation = $1 AND name = $2 AND state = 'done'",
        operation.0,
        name
    )
    .fetch_optional(db)
    .await?;
    Ok(memo.map(|memo| memo.unwrap_or(Value::Null)))
}

/// Writes a step down as started. Answers whether a cancel was asked for; then, when `checked`, nothing is written.
pub(crate) async fn start(
    db: &PgPool,
    at: &At<'_>,
    name: &str,
    kind: StepKind,
    checked: bool,
    now: OffsetDateTime,
) -> Result<Option<bool>, sqlx::Error> {
    let mut tx = db.begin().await?;
    let Some(cancel) = hold(&mut tx, at.fence).await? else {
        return Ok(None);
    };
    if cancel && checked {
        return Ok(Some(true));
    }
    sqlx::query!(
        "INSERT INTO operation_steps (operation, name, seq, kind, state, attempt, started_at)
         SELECT $1, $2, coalesce(max(seq), 0) + 1, $3, 'started', $4, $5 FROM operation_steps WHERE operation = $1
         ON CONFLICT (operation, name) DO UPDATE
         SET state = 'started', attempt = excluded.attempt, started_at = excluded.started_at, finished_at = NULL,
             memo = NULL, failure = NULL",
        at.fence.operation.0,
        name,
        kind.as_str(),
        at.fence.attempt,
        now,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE operations SET current_step = $2, progress = NULL WHERE id = $1",
        at.fence.operation.0,
        name
    )
    .execute(&mut *tx)
    .await?;
    let text = Text::new(keys::CORE_LOG_STEP_STARTED).with("step", crate::run::step_words(name));
    log(&mut tx, &line(at, "step_started", &text, None), now).await?;
    tx.commit().await?;
    Ok(Some(cancel))
}

/// Writes a step's memo inside the transaction that did its work.
pub(crate) async fn remember(
    db: &mut PgConnection,
    at: &At<'_>,
    name: &str,
    memo: &Value,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE operation_steps SET state = 'done', memo = $3, failure = NULL, finished_at = $4, attempt = $5
         WHERE operation = $1 AND name = $2",
        at.fence.operation.0,
        name,
        memo,
        now,
        at.fence.attempt,
    )
    .execute(&mut *db)
    .await?;
    let text = Text::new(keys::CORE_LOG_STEP_DONE).with("step", crate::run::step_words(name));
    log(db, &line(at, "step_done", &text, None), now).await
}

/// Writes the memo of an effect, in a fenced transaction of its own.
pub(crate) async fn remember_outside(
    db: &PgPool,
    at: &At<'_>,
    name: &str,
    memo: &Value,
    now: OffsetDateTime,
) -> Result<Option<()>, sqlx::Error> {
    let mut tx = db.begin().await?;
    if hold(&mut tx, at.fence).await?.is_none() {
        return Ok(None);
    }
    remember(&mut tx, at, name, memo, now).await?;
    tx.commit().await?;
    Ok(Some(()))
}

/// Writes down that a step has failed.
pub(crate) async fn fail(
    db: &PgPool,
    at: &At<'_>,
    name: &str,
    why: &Text,
    now: OffsetDateTime,
) -> Result<Option<()>, sqlx::Error> {
    end(
        db,
        at,
        name,
        StepState::Failed,
        Some(why),
        "step_failed",
        why,
        now,
    )
    .await
}

/// Writes down that a step has been undone.
pub(crate) async fn undone(
    db: &PgPool,
    at: &At<'_>,
    name: &str,
    now: OffsetDateTime,
) -> Result<Option<()>, sqlx::Error> {
    let text = Text::new(keys::CORE_LOG_UNDONE).with("step", crate::run::step_words(name));
    end(db, at, name, StepState::Undone, None, "undone", &text, now).await
}

/// Writes down that the undo of a step has failed.
pub(crate) async fn undo_failed(
    db: &PgPool,
    at: &At<'_>,
    name: &str,
    why: &Text,
    now: OffsetDateTime,
) -> Result<Option<()>, sqlx::Error> {
    end(
        db,
        at,
        name,
        StepState::UndoFailed,
        Some(why),
        "undo_failed",
        why,
        now,
    )
    .await
}

#[expect(
    clippy::too_many_arguments,
    reason = "one row, one line of the log; a struct would only rename them"
)]
async fn end(
    db: &PgPool,
    at: &At<'_>,
    name: &str,
    state: StepState,
    failure: Option<&Text>,
    event: &str,
    text: &Text,
    now: OffsetDateTime,
) -> Result<Option<()>, sqlx::Error> {
    let mut tx = db.begin().await?;
    if hold(&mut tx, at.fence).await?.is_none() {
        return Ok(None);
    }
    sqlx::query!(
        "UPDATE operation_steps
         SET state = $3, failure = coalesce($4, failure), finished_at = $5, attempt = $6
         WHERE operation = $1 AND name = $2",
        at.fence.operation.0,
        name,
        state.as_str(),
        failure.map(Json) as _,
        now,
        at.fence.attempt,
    )
    .execute(&mut *tx)
    .await?;
    log(&mut tx, &line(at, event, text, None), now).await?;
    tx.commit().await?;
    Ok(Some(()))
}

/// Writes down that an undo begins.
pub(crate) async fn undo_started(
    db: &PgPool,
    at: &At<'_>,
    name: &str,
    now: OffsetDateTime,
) -> Result<Option<()>, sqlx::Error> {
    let mut tx = db.begin().await?;
    if hold(&mut tx, at.fence).await?.is_none() {
        return Ok(None);
    }
    sqlx::query!(
        "UPDATE operations SET current_step = $2, progress = NULL WHERE id = $1",
        at.fence.operation.0,
        name
    )
    .execute(&mut *tx)
    .await?;
    let text = Text::new(keys::CORE_LOG_UNDO_STARTED).with("step", crate::run::step_words(name));
    log(&mut tx, &line(at, "undo_started", &text, None), now).await?;
    tx.commit().await?;
    Ok(Some(()))
}

/// Writes a line of progress; `false` when the lease is lost.
pub(crate) async fn progress(
    db: &PgPool,
    at: &At<'_>,
    fraction: f32,
    text: &Text,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let mut tx = db.begin().await?;
    if hold(&mut tx, at.fence).await?.is_none() {
        return Ok(false);
    }
    sqlx::query!(
        "UPDATE operations SET progress = $2 WHERE id = $1",
        at.fence.operation.0,
        fraction
    )
    .execute(&mut *tx)
    .await?;
    log(&mut tx, &line(at, "progress", text, Some(fraction)), now).await?;
    tx.commit().await?;
    Ok(true)
}

fn line<'a>(at: &At<'a>, name: &'a str, text: &'a Text, progress: Option<f32>) -> LogLine<'a> {
    LogLine {
        operation: at.fence.operation,
        environment: at.environment,
        region: at.region,
        name,
        text,
        progress,
        wake: true,
    }
}
