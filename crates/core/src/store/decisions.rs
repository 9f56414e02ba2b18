//! What people decide about operations: cancel, approve, reject, retry, give up; and what time decides.

use super::operations::{LogLine, log, state, wake_cancel, wake_workers};
use super::work::finished_text;
use crate::audit::AuditRecord;
use crate::events::{self, NewEvent};
use bagua_model::operation::{OperationId, OperationState, Plan};
use bagua_model::region::{Environment, RegionId, Scope};
use bagua_model::text::{Text, keys};
use bagua_model::verbs::Target;
use serde_json::json;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

/// An operation as a decision sees it; its row stays locked until the transaction ends.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) id: OperationId,
    pub(crate) kind: String,
    pub(crate) state: OperationState,
    pub(crate) needs: Option<String>,
    pub(crate) unwind_to: Option<String>,
    pub(crate) critical: bool,
    pub(crate) break_glass: bool,
    pub(crate) plan_hash: String,
    pub(crate) summary: Text,
    pub(crate) new_plan: Option<Plan>,
    pub(crate) new_plan_hash: Option<String>,
    pub(crate) target: Target,
    pub(crate) environment: Environment,
    pub(crate) person: Option<Uuid>,
    pub(crate) prepared_by: Vec<Uuid>,
    pub(crate) approval_expires_at: Option<OffsetDateTime>,
    pub(crate) not_before: Option<OffsetDateTime>,
    pub(crate) started: bool,
    pub(crate) failure: Option<Text>,
}

/// Reads and locks. The lock lets a running step's transaction go on: a cancel never waits for a long step.
pub(crate) async fn lock(db: &mut PgConnection, id: OperationId) -> Result<Option<Decided>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT kind, state, needs, unwind_to, risk = 'critical' AS "critical!", break_glass, plan_hash,
                  plan -> 'summary' AS "summary!: Json<Text>", new_plan AS "new_plan: Json<Plan>", new_plan_hash,
                  target_noun, target_id, environment, region, submitted_by_person, prepared_by,
                  approval_expires_at, not_before, started_at IS NOT NULL AS "started!",
                  failure AS "failure: Json<Text>"
           FROM operations WHERE id = $1 FOR NO KEY UPDATE"#,
        id.0
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        let environment = row
            .environment
            .parse()
            .map_err(|e: String| sqlx::Error::Decode(e.into()))?;
        Ok(Decided {
            id,
            kind: row.kind,
            state: state(&row.state)?,
            needs: row.needs,
            unwind_to: row.unwind_to,
            critical: row.critical,
            break_glass: row.break_glass,
            plan_hash: row.plan_hash,
            summary: row.summary.0,
            new_plan: row.new_plan.map(|plan| plan.0),
            new_plan_hash: row.new_plan_hash,
            target: Target {
                noun: row.target_noun,
                id: row.target_id,
                scope: Scope {
                    environment: Some(environment),
                    region: row.region.map(RegionId::new),
                },
            },
            environment,
            person: row.submitted_by_person,
            prepared_by: row.prepared_by,
            approval_expires_at: row.approval_expires_at,
            not_before: row.not_before,
            started: row.started,
            failure: row.failure.map(|failure| failure.0),
        })
    })
    .transpose()
}

/// Where an operation is: the scope that a decision about it needs.
pub(crate) async fn scope(db: impl PgExecutor<'_>, id: OperationId) -> Result<Option<Scope>, sqlx::Error> {
    let row = sqlx::query!("SELECT environment, region FROM operations WHERE id = $1", id.0)
        .fetch_optional(db)
        .await?;
    row.map(|row| {
        let environment = row
            .environment
            .parse()
            .map_err(|e: String| sqlx::Error::Decode(e.into()))?;
        Ok(Scope {
            environment: Some(environment),
            region: row.region.map(RegionId::new),
        })
    })
    .transpose()
}

/// Ends an operation that no worker holds.
pub(crate) async fn end(
    db: &mut PgConnection,
    decided: &Decided,
    to: OperationState,
    failure: Option<&Text>,
    record: AuditRecord,
) -> Result<(), sqlx::Error> {
    let now = record.at;
    sqlx::query!(
        "UPDATE operations
         SET state = $2, needs = NULL, failure = $3, finished_at = $4, current_step = NULL, progress = NULL,
             lease_owner = NULL, lease_expires_at = NULL
         WHERE id = $1",
        decided.id.0,
        to.as_str(),
        failure.map(Json) as _,
        now,
    )
    .execute(&mut *db)
    .await?;
    let text = failure.cloned().unwrap_or_else(|| finished_text(to));
    let name = format!("operation.{to}");
    tell(&mut *db, decided, &name, "finished", &text, now).await?;
    audit(&mut *db, decided, &record).await?;
    let finish = AuditRecord {
        action: "finish".to_owned(),
        result: to.as_str().to_owned(),
        ..record
    };
    audit(&mut *db, decided, &finish).await?;
    metrics::counter!("bagua_operations_finished_total", "kind" => decided.kind.clone(), "result" => to.as_str())
        .increment(1);
    Ok(())
}

/// Tells the worker that holds it, or that will claim it, to turn round.
pub(crate) async fn request_cancel(
    db: &mut PgConnection,
    decided: &Decided,
    text: &Text,
    record: AuditRecord,
) -> Result<(), sqlx::Error> {
    let now = record.at;
    sqlx::query!(
        "UPDATE operations SET cancel_requested_at = $2 WHERE id = $1",
        decided.id.0,
        now
    )
    .execute(&mut *db)
    .await?;
    tell(
        &mut *db,
        decided,
        "operation.cancel-requested",
        "cancel_requested",
        text,
        now,
    )
    .await?;
    audit(&mut *db, decided, &record).await?;
    wake_cancel(&mut *db, decided.id).await
}

/// What goes with an approval.
pub(crate) struct Approval<'a> {
    pub(crate) by: &'a str,
    pub(crate) person: Uuid,
    pub(crate) hash: &'a str,
}

/// Lets an operation go to the workers. Breaks `operations_one_per_target` when the target is held, and
/// `operations_second_person` when the approver is not a second person.
pub(crate) async fn approve(
    db: &mut PgConnection,
    decided: &Decided,
    approval: &Approval<'_>,
    text: &Text,
    record: AuditRecord,
) -> Result<(), sqlx::Error> {
    let now = record.at;
    sqlx::query!(
        "UPDATE operations
         SET state = 'queued', decision = 'approved', decided_by = $2, decided_at = $3, approved_by = $4,
             approved_hash = $5
         WHERE id = $1",
        decided.id.0,
        approval.by,
        now,
        approval.person,
        approval.hash,
    )
    .execute(&mut *db)
    .await?;
    tell(&mut *db, decided, "operation.approved", "approved", text, now).await?;
    audit(&mut *db, decided, &record).await?;
    wake_workers(&mut *db).await
}

/// Writes down who rejected it; [`end`] ends it.
pub(crate) async fn reject(
    db: &mut PgConnection,
    decided: &Decided,
    by: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE operations SET decision = 'rejected', decided_by = $2, decided_at = $3 WHERE id = $1",
        decided.id.0,
        by,
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What a person confirms when the plan had drifted.
pub(crate) struct NewPlan<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) hash: &'a str,
    pub(crate) person: Option<Uuid>,
    /// Whether a second person has to approve the new plan, and until when.
    pub(crate) approval: Option<OffsetDateTime>,
    pub(crate) approval_required: bool,
}

/// Puts the new plan in the place of the old one; earlier approvals were for the old one.
pub(crate) async fn confirm(
    db: &mut PgConnection,
    decided: &Decided,
    new: &NewPlan<'_>,
    text: &Text,
    record: AuditRecord,
) -> Result<OperationState, sqlx::Error> {
    let now = record.at;
    let to = if new.approval.is_some() {
        OperationState::AwaitingApproval
    } else {
        OperationState::Queued
    };
    sqlx::query!(
        "UPDATE operations
         SET state = $2, needs = NULL, failure = NULL, plan = $3, plan_hash = $4, new_plan = NULL, new_plan_hash = NULL,
             decision = NULL, decided_by = NULL, decided_at = NULL, approved_by = NULL, approved_hash = NULL,
             prepared_by = CASE WHEN $5::uuid IS NULL THEN prepared_by ELSE array_append(prepared_by, $5) END,
             approval_required = $6, approval_expires_at = $7, steps_total = $8
         WHERE id = $1",
        decided.id.0,
        to.as_str(),
        Json(new.plan) as _,
        new.hash,
        new.person,
        new.approval_required,
        new.approval,
        i32::try_from(new.plan.steps.len()).unwrap_or(i32::MAX),
    )
    .execute(&mut *db)
    .await?;
    tell(
        &mut *db,
        decided,
        "operation.plan-confirmed",
        "plan_confirmed",
        text,
        now,
    )
    .await?;
    audit(&mut *db, decided, &record).await?;
    wake_workers(&mut *db).await?;
    Ok(to)
}

/// Sends an operation that waits for a person back to the workers: to run on, or (with `unwind_to`) to undo on.
pub(crate) async fn resume(
    db: &mut PgConnection,
    decided: &Decided,
    unwind_to: Option<OperationState>,
    text: &Text,
    record: AuditRecord,
) -> Result<OperationState, sqlx::Error> {
    let now = record.at;
    let to = if unwind_to.is_some() {
        OperationState::Unwinding
    } else {
        OperationState::Queued
    };
    sqlx::query!(
        "UPDATE operations
         SET state = $2, needs = NULL, unwind_to = $3, resumed_after = attempt,
             unwind_why = CASE WHEN $3 = 'failed' THEN coalesce(unwind_why, failure) END,
             failure = CASE WHEN $3 = 'failed' THEN coalesce(unwind_why, failure) END,
             lease_owner = NULL, lease_expires_at = NULL
         WHERE id = $1",
        decided.id.0,
        to.as_str(),
        unwind_to.map(OperationState::as_str),
    )
    .execute(&mut *db)
    .await?;
    tell(&mut *db, decided, "operation.resumed", "resumed", text, now).await?;
    audit(&mut *db, decided, &record).await?;
    wake_workers(&mut *db).await?;
    Ok(to)
}

/// Ends one operation whose approval has lapsed; `false` when there is none.
pub(crate) async fn expire_one(
    db: &PgPool,
    environment: Environment,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let mut tx = db.begin().await?;
    let id = sqlx::query_scalar!(
        "SELECT id FROM operations
         WHERE environment = $1 AND approval_expires_at < $2
           AND (state = 'awaiting_approval' OR (state = 'queued' AND approved_by IS NOT NULL AND started_at IS NULL))
         ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED",
        environment.as_str(),
        now
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(id) = id else { return Ok(false) };
    let Some(decided) = lock(&mut tx, OperationId(id)).await? else {
        return Ok(false);
    };
    let why = Text::new(keys::CORE_APPROVAL_EXPIRED);
    let actor = crate::actor::Actor::system("approvals");
    let record = AuditRecord::new(&actor, "expire", "cancelled", now);
    end(&mut tx, &decided, OperationState::Cancelled, Some(&why), record).await?;
    tx.commit().await?;
    Ok(true)
}

/// A line in the operation's own log and one in the event log.
async fn tell(
    db: &mut PgConnection,
    decided: &Decided,
    kind: &str,
    name: &str,
    text: &Text,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let line = LogLine {
        operation: decided.id,
        environment: decided.environment,
        region: decided.target.scope.region.as_ref(),
        name,
        text,
        progress: None,
        wake: false,
    };
    log(&mut *db, &line, now).await?;
    let event = NewEvent {
        at: now,
        kind: kind.to_owned(),
        topic: "operations".to_owned(),
        environment: Some(decided.environment),
        region: decided.target.scope.region.clone(),
        subject: format!("{}:{}", decided.target.noun, decided.target.id),
        text: decided.summary.clone(),
        operation: Some(decided.id),
    };
    events::record(db, &event).await
}

async fn audit(db: &mut PgConnection, decided: &Decided, record: &AuditRecord) -> Result<(), sqlx::Error> {
    let mut record = record
        .clone()
        .kind(&decided.kind)
        .target(&decided.target)
        .operation(decided.id);
    if record.detail.is_null() {
        record.detail = json!({});
    }
    super::audit::insert(db, &record).await
}
