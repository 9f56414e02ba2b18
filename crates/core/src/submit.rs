//! Submission: one transaction holds the operation, its log, the event log and the audit record.

use crate::actor::Actor;
use crate::audit::AuditRecord;
use crate::console::{Console, Planned};
use crate::db;
use crate::events::{self, NewEvent};
use crate::registry::Verb;
use crate::store;
use crate::store::operations::{LogLine, NewOperation};
use bagua_model::access::Permission;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{OperationId, OperationState, Submission, Submitted};
use bagua_model::text::{Text, keys};
use bagua_model::verbs::{Operation, Risk};
use serde_json::{Value, json};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long an approval may take, and how long it holds, after the cooling-off.
pub(crate) const APPROVAL_LIFE: Duration = Duration::hours(72);

impl Console {
    /// Submits.
    ///
    /// # Errors
    /// `Forbidden`, `Drifted` when the plan is not the one that was confirmed, `Busy` with the operation that holds
    /// the target, or what the room answers. Nothing has changed then.
    pub async fn submit<O: Operation>(
        &self,
        actor: &Actor,
        operation: O,
        submission: Submission,
    ) -> Result<Submitted, Failure> {
        let input = serde_json::to_value(operation).map_err(|e| db::unreadable("an input", e))?;
        self.submit_json(actor, O::KIND, input, submission).await
    }

    /// Submits JSON from outside.
    ///
    /// # Errors
    /// Those of [`Console::submit`], and `Invalid` when the input does not fit the kind.
    pub async fn submit_json(
        &self,
        actor: &Actor,
        kind: &str,
        input: Value,
        submission: Submission,
    ) -> Result<Submitted, Failure> {
        self.submit_prepared(actor, &[], kind, input, submission).await
    }

    /// Submits what `prepared_by` wrote: none of them may be the second person.
    pub(crate) async fn submit_prepared(
        &self,
        actor: &Actor,
        prepared_by: &[Uuid],
        kind: &str,
        input: Value,
        submission: Submission,
    ) -> Result<Submitted, Failure> {
        self.refuse_read_only(actor, kind).await?;
        let admitted = self.admit(actor, kind, input).await?;
        if submission
            .reason
            .as_deref()
            .is_some_and(|reason| reason.contains('\0'))
        {
            let text = Text::new(keys::FAILURE_NUL).with("kind", kind);
            return Err(Failure::field("reason", text));
        }
        if let Some(submitted) = self
            .repeated(actor, kind, &admitted.prepared.input, &submission)
            .await?
        {
            return Ok(submitted);
        }
        let planned = self.plan_admitted(actor, admitted).await?;
        if submission
            .plan_hash
            .as_ref()
            .is_some_and(|hash| *hash != planned.hash)
        {
            return Err(Failure::new(
                FailureKind::Drifted,
                Text::new(keys::FAILURE_DRIFTED),
            ));
        }
        let second_person = planned.risk == Risk::Critical || planned.plan.approval.is_some();
        let break_glass = second_person && submission.break_glass;
        if break_glass {
            self.check_break_glass(actor, &planned, &submission).await?;
        }
        let wish = Wish {
            actor,
            prepared_by,
            submission: &submission,
            second_person,
            break_glass,
        };
        match self.write_submission(&planned, &wish).await {
            Ok(submitted) => {
                metrics::counter!("bagua_operations_submitted_total", "kind" => planned.entry.info.kind)
                    .increment(1);
                Ok(submitted)
            }
            Err(Refused::Failure(failure)) => {
                if failure.kind == FailureKind::Forbidden {
                    self.audit_refusal(actor, &planned).await;
                }
                Err(failure)
            }
            Err(Refused::Database(error)) => match db::broken_constraint(&error) {
                Some("operations_one_per_target") => Err(self.busy(&planned).await),
                // Somebody submitted with the same token at the same moment and was first.
                Some("operations_token_key") => self
                    .repeated(actor, kind, &planned.prepared.input, &submission)
                    .await?
                    .ok_or_else(Failure::internal),
                _ => Err(db::failure(error)),
            },
        }
    }

    /// A token that only reads may plan: a plan changes nothing.
    async fn refuse_read_only(&self, actor: &Actor, kind: &str) -> Result<(), Failure> {
        let Some(through) = actor.through().filter(|through| !through.limit.may_submit()) else {
            return Ok(());
        };
        let info = self.registry().operation_entry(kind)?.info;
        let _ = self.deny(actor, info.kind, info.permission, None, None).await;
        let text = Text::new(keys::FAILURE_TOKEN_READ_ONLY).with("name", &through.name);
        Err(Failure::new(FailureKind::Forbidden, text))
    }

    /// The operation that an earlier submission with the same token made.
    async fn repeated(
        &self,
        actor: &Actor,
        kind: &str,
        input: &Value,
        submission: &Submission,
    ) -> Result<Option<Submitted>, Failure> {
        let Some(token) = submission.token else {
            return Ok(None);
        };
        let found = store::operations::by_token(&self.db, token, kind, input, &actor.label())
            .await
            .map_err(db::failure)?;
        match found {
            None => Ok(None),
            Some(found) if found.same => Ok(Some(Submitted {
                operation: found.id,
                state: found.state,
            })),
            Some(_) => Err(Failure::new(
                FailureKind::Conflict,
                Text::new(keys::CORE_TOKEN_REUSED),
            )),
        }
    }

    async fn check_break_glass(
        &self,
        actor: &Actor,
        planned: &Planned<'_>,
        submission: &Submission,
    ) -> Result<(), Failure> {
        let permission = Permission::OperationsBreakGlass;
        let scope = &planned.target.scope;
        if !actor.granted(permission).covers(scope) {
            let kind = planned.entry.info.kind;
            return Err(self
                .deny(actor, kind, permission, Some(scope), Some(&planned.target))
                .await);
        }
        if submission
            .reason
            .as_deref()
            .is_none_or(|reason| reason.trim().is_empty())
        {
            return Err(Failure::field("reason", Text::new(keys::CORE_REASON_NEEDED)));
        }
        Ok(())
    }

    /// The refusal that names who holds the target.
    async fn busy(&self, planned: &Planned<'_>) -> Failure {
        let mut failure = Failure::new(FailureKind::Busy, Text::new(keys::FAILURE_BUSY));
        if let Some(key) = &planned.prepared.concurrency_key {
            match store::operations::holder(&self.db, key).await {
                Ok(holder) => failure.operation = holder,
                Err(error) => return db::failure(error),
            }
        }
        failure
    }

    async fn audit_refusal(&self, actor: &Actor, planned: &Planned<'_>) {
        let record = AuditRecord::new(actor, "deny", "denied", self.clock.now())
            .kind(planned.entry.info.kind)
            .target(&planned.target);
        self.try_audit(record).await;
    }

    async fn write_submission(&self, planned: &Planned<'_>, wish: &Wish<'_>) -> Result<Submitted, Refused> {
        let now = self.clock.now();
        let id = OperationId(new_id(now));
        let waits = wish.second_person && !wish.break_glass;
        let immediate = planned.entry.info.verb == Verb::Immediate;
        let cooling = Duration::seconds(i64::from(planned.entry.cooling_off));
        let state = match (waits, immediate && cooling.is_zero()) {
            (true, _) => OperationState::AwaitingApproval,
            (false, true) => OperationState::Running,
            (false, false) => OperationState::Queued,
        };
        let submitted_by = wish.actor.label();
        let new = NewOperation {
            id,
            kind: planned.entry.info.kind,
            input: &planned.prepared.input,
            risk: risk_name(planned.risk),
            plan: &planned.plan,
            plan_hash: &planned.hash,
            target: &planned.target,
            environment: self.environment,
            concurrency_key: planned.prepared.concurrency_key.as_deref(),
            token: wish.submission.token,
            state,
            submitted_by: &submitted_by,
            submitted_by_person: wish.actor.person(),
            prepared_by: wish.prepared_by,
            submitter: serde_json::to_value(wish.actor).map_err(|e| db::unreadable("an actor", e))?,
            reason: wish
                .submission
                .reason
                .as_deref()
                .map(str::trim)
                .filter(|reason| !reason.is_empty()),
            break_glass: wish.break_glass,
            approval_required: wish.second_person,
            approval_expires_at: waits.then(|| now + cooling + APPROVAL_LIFE),
            not_before: (!cooling.is_zero()).then(|| now + cooling),
            now,
        };
        let mut tx = self.db.begin().await?;
        let state = match self.write_rows(&mut tx, planned, wish, &new).await {
            Ok(state) => state,
            Err(refused) => {
                // Awaited: left to the drop, it would happen some time after the answer, and until then a worker
                // would pass by the rows that are locked here, such as the operation of a refused approval.
                if let Err(error) = tx.rollback().await {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "the rollback was not confirmed"
                    );
                }
                return Err(refused);
            }
        };
        tx.commit().await?;
        tracing::info!(operation = %id, kind = new.kind, actor = new.submitted_by, state = %state, "operation submitted");
        if state == OperationState::Succeeded {
            metrics::counter!("bagua_operations_finished_total", "kind" => planned.entry.info.kind, "result" => "succeeded")
                .increment(1);
        }
        Ok(Submitted { operation: id, state })
    }

    /// Everything that a submission writes; an immediate operation is applied among it.
    async fn write_rows(
        &self,
        db: &mut PgConnection,
        planned: &Planned<'_>,
        wish: &Wish<'_>,
        new: &NewOperation<'_>,
    ) -> Result<OperationState, Refused> {
        store::operations::insert(db, new).await?;
        let state = if new.state == OperationState::Running {
            let cx = self.plan_context(wish.actor);
            let outcome = planned
                .entry
                .handler
                .apply(&cx, db, &planned.prepared.input)
                .await?;
            store::operations::end_immediate(db, new.id, &outcome, new.now).await?;
            OperationState::Succeeded
        } else {
            new.state
        };
        self.tell_submission(db, planned, wish, new.id, state, new.now)
            .await?;
        if state == OperationState::Queued {
            store::operations::wake_workers(db).await?;
        }
        Ok(state)
    }

    /// The log, the event log and the audit log of a submission.
    async fn tell_submission(
        &self,
        db: &mut PgConnection,
        planned: &Planned<'_>,
        wish: &Wish<'_>,
        id: OperationId,
        state: OperationState,
        now: OffsetDateTime,
    ) -> Result<(), Refused> {
        let who = wish.actor.label();
        let reason = wish.submission.reason.as_deref().unwrap_or_default().trim();
        let text = if wish.break_glass {
            Text::new(keys::CORE_LOG_BREAK_GLASS)
                .with("who", &who)
                .with("reason", reason)
        } else {
            Text::new(keys::CORE_LOG_SUBMITTED).with("who", &who)
        };
        let line = LogLine {
            operation: id,
            environment: self.environment,
            region: planned.target.scope.region.as_ref(),
            name: if wish.break_glass {
                "break_glass"
            } else {
                "submitted"
            },
            text: &text,
            progress: None,
            wake: false,
        };
        store::operations::log(db, &line, now).await?;
        let name = match (wish.break_glass, state) {
            (true, _) => "operation.break-glass",
            (false, OperationState::Succeeded) => "operation.succeeded",
            (false, OperationState::AwaitingApproval) => "operation.awaiting-approval",
            (false, _) => "operation.submitted",
        };
        let event = NewEvent {
            at: now,
            kind: name.to_owned(),
            topic: "operations".to_owned(),
            environment: Some(self.environment),
            region: planned.target.scope.region.clone(),
            subject: format!("{}:{}", planned.target.noun, planned.target.id),
            text: planned.plan.summary.clone(),
            operation: Some(id),
        };
        events::record(db, &event).await?;
        let result = if state == OperationState::Succeeded {
            "succeeded"
        } else {
            "allowed"
        };
        let mut record = AuditRecord::new(wish.actor, "submit", result, now)
            .kind(planned.entry.info.kind)
            .target(&planned.target)
            .operation(id)
            .detail(json!({ "state": state, "plan_hash": planned.hash }));
        if !reason.is_empty() {
            record.detail["reason"] = json!(reason);
        }
        store::audit::insert(&mut *db, &record).await?;
        if wish.break_glass {
            record.action = "break-glass".to_owned();
            store::audit::insert(&mut *db, &record).await?;
        }
        Ok(())
    }
}

/// Who wishes, and how.
struct Wish<'a> {
    actor: &'a Actor,
    prepared_by: &'a [Uuid],
    submission: &'a Submission,
    second_person: bool,
    break_glass: bool,
}

/// Why the transaction was rolled back.
enum Refused {
    Failure(Failure),
    Database(sqlx::Error),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Refused::Failure(failure)
    }
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Refused {
        Refused::Database(error)
    }
}

/// A new id, ordered by time.
pub(crate) fn new_id(now: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
    Uuid::new_v7(uuid::Timestamp::from_unix(
        uuid::NoContext,
        seconds,
        now.nanosecond(),
    ))
}

pub(crate) fn risk_name(risk: Risk) -> &'static str {
    match risk {
        Risk::Trivial => "trivial",
        Risk::Moderate => "moderate",
        Risk::High => "high",
        Risk::Critical => "critical",
    }
}
