//! Operations as readers see them.

use super::operations::state;
use bagua_model::operation::{
    OperationEventView, OperationId, OperationState, OperationSummary, OperationView, Plan, StepView,
};
use bagua_model::region::{Environment, RegionId, Scope};
use bagua_model::text::Text;
use bagua_model::verbs::Target;
use sqlx::PgPool;
use sqlx::types::Json;
use uuid::Uuid;

/// Which operations, and what of them the reader may see.
pub(crate) struct Filter<'a> {
    pub(crate) environment: Environment,
    /// `None`: every region, and what is bound to none.
    pub(crate) regions: Option<&'a [String]>,
    /// One's own are always seen.
    pub(crate) own: Option<Uuid>,
    pub(crate) states: &'a [String],
    pub(crate) kind: Option<&'a str>,
    pub(crate) region: Option<&'a str>,
    pub(crate) target: Option<(&'a str, &'a str)>,
    /// In small letters.
    pub(crate) text: Option<&'a str>,
    pub(crate) after: Option<Uuid>,
    pub(crate) limit: i64,
}

/// A row of the list, with whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) person: Option<Uuid>,
    pub(crate) summary: OperationSummary,
}

/// How many operations there are in each of these states; a state without any is left out.
pub(crate) async fn count(
    db: &PgPool,
    environment: Environment,
    states: &[String],
) -> Result<Vec<(OperationState, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT state, count(*) AS "count!" FROM operations
           WHERE environment = $1 AND state = ANY ($2) GROUP BY state"#,
        environment.as_str(),
        states,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| Ok((state(&row.state)?, row.count)))
        .collect()
}

/// Newest first.
pub(crate) async fn list(db: &PgPool, filter: &Filter<'_>) -> Result<Vec<Listed>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT id, kind, plan -> 'summary' AS "summary!: Json<Text>", state, target_noun, target_id, environment,
                  region, submitted_by, submitted_by_person, submitted_at, started_at, finished_at, current_step,
                  steps_total,
                  (SELECT count(*) FROM operation_steps s
                   WHERE s.operation = o.id AND s.state = 'done' AND s.kind <> 'undo')::integer AS "steps_done!"
           FROM operations o
           WHERE environment = $1
             AND ($2::text[] IS NULL OR region = ANY ($2) OR submitted_by_person = $3)
             AND (cardinality($4::text[]) = 0 OR state = ANY ($4))
             AND ($5::text IS NULL OR kind = $5)
             AND ($6::text IS NULL OR region = $6)
             AND ($7::text IS NULL OR (target_noun = $7 AND target_id = $8))
             AND ($9::uuid IS NULL OR id < $9)
             AND ($11::text IS NULL OR strpos(lower(target_id), $11) > 0 OR strpos(kind, $11) > 0
                  OR strpos(lower(submitted_by), $11) > 0 OR starts_with(id::text, $11))
           ORDER BY id DESC LIMIT $10"#,
        filter.environment.as_str(),
        filter.regions as _,
        filter.own,
        filter.states,
        filter.kind,
        filter.region,
        filter.target.map(|(noun, _)| noun),
        filter.target.map(|(_, id)| id),
        filter.after,
        filter.limit,
        filter.text,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Listed {
                person: row.submitted_by_person,
                summary: OperationSummary {
                    operation: OperationId(row.id),
                    kind: row.kind,
                    summary: row.summary.0,
                    state: state(&row.state)?,
                    target: target(row.target_noun, row.target_id, &row.environment, row.region),
                    submitted_by: row.submitted_by,
                    submitted_at: row.submitted_at,
                    started_at: row.started_at,
                    finished_at: row.finished_at,
                    current_step: row.current_step,
                    steps_done: row.steps_done,
                    steps_total: row.steps_total,
                },
            })
        })
        .collect()
}

/// An operation's page, with what decides what its reader may do.
pub(crate) struct Full {
    pub(crate) view: OperationView,
    pub(crate) person: Option<Uuid>,
    pub(crate) prepared_by: Vec<Uuid>,
    pub(crate) needs: Option<String>,
}

/// One operation with its steps and log; the `may_…` are left for the caller to fill in.
pub(crate) async fn full(db: &PgPool, id: OperationId) -> Result<Option<Full>, sqlx::Error> {
    let Some(row) = sqlx::query!(
        r#"SELECT kind, input, plan AS "plan: Json<Plan>", plan_hash, new_plan AS "new_plan: Json<Plan>",
                  new_plan_hash, state, needs, target_noun, target_id, environment, region, submitted_by,
                  submitted_by_person, prepared_by, reason, break_glass, submitted_at, approval_expires_at,
                  decided_by, attempt, started_at, finished_at, cancel_requested_at IS NOT NULL AS "cancel!",
                  current_step, steps_total, outcome, failure AS "failure: Json<Text>"
           FROM operations WHERE id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await?
    else {
        return Ok(None);
    };
    let steps = steps(db, id).await?;
    let events = events(db, id).await?;
    let steps_done = steps
        .iter()
        .filter(|(kind, step)| kind != "undo" && step.state.as_str() == "done")
        .count();
    let state = state(&row.state)?;
    let summary = OperationSummary {
        operation: id,
        kind: row.kind,
        summary: row.plan.summary.clone(),
        state,
        target: target(row.target_noun, row.target_id, &row.environment, row.region),
        submitted_by: row.submitted_by,
        submitted_at: row.submitted_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        current_step: row.current_step,
        steps_done: i32::try_from(steps_done).unwrap_or(i32::MAX),
        steps_total: row.steps_total,
    };
    let waits = state == OperationState::AwaitingApproval;
    Ok(Some(Full {
        person: row.submitted_by_person,
        prepared_by: row.prepared_by,
        needs: row.needs,
        view: OperationView {
            summary,
            input: row.input,
            plan: row.plan.0,
            plan_hash: row.plan_hash,
            reason: row.reason,
            break_glass: row.break_glass,
            attempt: row.attempt,
            steps: steps.into_iter().map(|(_, step)| step).collect(),
            events,
            outcome: row.outcome,
            failure: row.failure.map(|failure| failure.0),
            cancel_requested: row.cancel,
            approval_expires_at: row.approval_expires_at.filter(|_| waits),
            decided_by: row.decided_by,
            may_cancel: false,
            may_approve: false,
            may_retry: false,
            new_plan: row.new_plan.map(|plan| plan.0),
            new_plan_hash: row.new_plan_hash,
        },
    }))
}

async fn steps(db: &PgPool, id: OperationId) -> Result<Vec<(String, StepView)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT name, kind, state, attempt, started_at, finished_at, failure AS "failure: Json<Text>"
           FROM operation_steps WHERE operation = $1 ORDER BY seq"#,
        id.0
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let view = StepView {
                state: row
                    .state
                    .parse()
                    .map_err(|e: String| sqlx::Error::Decode(e.into()))?,
                name: row.name,
                attempt: row.attempt,
                started_at: row.started_at,
                finished_at: row.finished_at,
                failure: row.failure.map(|failure| failure.0),
            };
            Ok((row.kind, view))
        })
        .collect()
}

/// The last thousand lines of the log, oldest first: a page shows no more, and a chatty step must not fill memory.
async fn events(db: &PgPool, id: OperationId) -> Result<Vec<OperationEventView>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT seq, at, name, text AS "text: Json<Text>", progress FROM operation_events
           WHERE operation = $1 ORDER BY seq DESC LIMIT 1000"#,
        id.0
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .rev()
        .map(|row| OperationEventView {
            seq: row.seq,
            at: row.at,
            name: row.name,
            text: row.text.0,
            progress: row.progress,
        })
        .collect())
}

fn target(noun: String, id: String, environment: &str, region: Option<String>) -> Target {
    let scope = Scope {
        environment: environment.parse().ok(),
        region: region.map(RegionId::new),
    };
    Target { noun, id, scope }
}
