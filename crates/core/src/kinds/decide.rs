//! `operation.cancel`, `operation.approve`, `operation.reject`, `operation.retry`: what people decide about operations.
//!
//! Each reads the row of the operation it is about under a lock and decides on that, not on what its plan saw.

use super::{Core, simple_plan};
use crate::actor::Actor;
use crate::audit::AuditRecord;
use crate::console::Console;
use crate::db;
use crate::store::decisions::{self, Approval, Decided, NewPlan};
use crate::store::operations;
use crate::store::views;
use crate::submit::APPROVAL_LIFE;
use crate::verbs::{Applies, PlanContext};
use async_trait::async_trait;
use bagua_model::access::Permission;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{
    ApproveOperation, CancelOperation, OperationId, OperationState, Plan, RejectOperation, RetryDecision,
    RetryOperation,
};
use bagua_model::text::{Text, keys};
use bagua_model::verbs::{Operation, Target};
use serde_json::json;
use sqlx::PgConnection;

impl Core {
    /// The scope of a decision is that of the operation it is about.
    async fn locate_operation(&self, id: OperationId, target: Target) -> Result<Target, Failure> {
        let scope = decisions::scope(&self.db, id).await.map_err(db::failure)?;
        Ok(Target {
            scope: scope.ok_or_else(|| Failure::not_found(id))?,
            ..target
        })
    }

    async fn plan_decision(&self, id: OperationId, key: &str) -> Result<Plan, Failure> {
        let full = views::full(&self.db, id)
            .await
            .map_err(db::failure)?
            .ok_or_else(|| Failure::not_found(id))?;
        let mut plan = simple_plan(Text::new(key).with("operation", id));
        plan.changes.push(full.view.summary.summary);
        Ok(plan)
    }

    async fn locked(&self, db: &mut PgConnection, id: OperationId) -> Result<Decided, Failure> {
        decisions::lock(db, id)
            .await
            .map_err(db::failure)?
            .ok_or_else(|| Failure::not_found(id))
    }
}

fn record(cx: &PlanContext, action: &str, result: &str) -> AuditRecord {
    AuditRecord::new(&cx.actor, action, result, cx.now)
}

fn conflict(key: &str, decided: &Decided) -> Failure {
    Failure::new(
        FailureKind::Conflict,
        Text::new(key).with("state", format!("@core.state.{}", decided.state)),
    )
}

fn forbidden(permission: Permission, target: &Target) -> Failure {
    let text = Text::new(keys::FAILURE_FORBIDDEN)
        .with("permission", format!("@permission.{permission}"))
        .with("scope", &target.scope);
    Failure::new(FailureKind::Forbidden, text)
}

/// One's own may always be stopped; others' takes the permission.
fn check_stop(actor: &Actor, decided: &Decided) -> Result<(), Failure> {
    let own = actor.own().is_some_and(|person| decided.person == Some(person));
    if own
        || actor
            .granted(Permission::OperationsCancel)
            .covers(&decided.target.scope)
    {
        return Ok(());
    }
    Err(forbidden(Permission::OperationsCancel, &decided.target))
}

#[async_trait]
impl Applies<CancelOperation> for Core {
    async fn locate(&self, cx: &PlanContext, operation: &CancelOperation) -> Result<Target, Failure> {
        let target = self
            .locate_operation(operation.operation, operation.target())
            .await?;
        let full = views::full(&self.db, operation.operation)
            .await
            .map_err(db::failure)?;
        // One's own stays one's own after the grant for its place has gone: cancelling it needs no reach.
        if let (Some(me), Some(full)) = (cx.actor.own(), full)
            && full.person == Some(me)
            && !cx
                .actor
                .granted(CancelOperation::PERMISSION)
                .covers(&target.scope)
            && let Some(mine) = cx.actor.any_scope(CancelOperation::PERMISSION)
        {
            return Ok(Target {
                scope: mine,
                ..target
            });
        }
        Ok(target)
    }

    async fn plan(&self, _: &PlanContext, operation: &CancelOperation) -> Result<Plan, Failure> {
        self.plan_decision(operation.operation, keys::CORE_PLAN_CANCEL)
            .await
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &CancelOperation,
    ) -> Result<OperationState, Failure> {
        let decided = self.locked(db, operation.operation).await?;
        check_stop(&cx.actor, &decided)?;
        let reason = operation.reason.as_deref().unwrap_or_default().trim();
        let text = if reason.is_empty() {
            Text::new(keys::CORE_LOG_CANCEL_REQUESTED).with("who", cx.actor.label())
        } else {
            Text::new(keys::CORE_LOG_CANCEL_REQUESTED_WHY)
                .with("who", cx.actor.label())
                .with("reason", reason)
        };
        let record = record(cx, "cancel", "allowed").detail(json!({ "reason": reason }));
        let (done, state) = match (decided.state, decided.needs.as_deref()) {
            (OperationState::AwaitingApproval, _) | (OperationState::NeedsOperator, Some("drift")) => (
                decisions::end(db, &decided, OperationState::Cancelled, Some(&text), record).await,
                OperationState::Cancelled,
            ),
            (OperationState::Queued, _) if !decided.started => (
                decisions::end(db, &decided, OperationState::Cancelled, Some(&text), record).await,
                OperationState::Cancelled,
            ),
            (OperationState::Queued | OperationState::Running, _) => (
                decisions::request_cancel(db, &decided, &text, record).await,
                decided.state,
            ),
            (OperationState::NeedsOperator, Some("run")) => {
                let to = Some(OperationState::Cancelled);
                (
                    decisions::resume(db, &decided, to, &text, record)
                        .await
                        .map(|_| ()),
                    OperationState::Unwinding,
                )
            }
            _ => return Err(conflict(keys::CORE_NOT_CANCELLABLE, &decided)),
        };
        done.map_err(db::failure)?;
        Ok(state)
    }
}

/// The second person: a person, neither submitter nor preparer, and in time.
fn check_second_person(cx: &PlanContext, decided: &Decided) -> Result<uuid::Uuid, Failure> {
    if decided.state != OperationState::AwaitingApproval {
        return Err(conflict(keys::CORE_NOT_AWAITING, decided));
    }
    let Some(me) = cx.actor.person() else {
        return Err(Failure::new(
            FailureKind::Forbidden,
            Text::new(keys::CORE_APPROVER_IS_A_PERSON),
        ));
    };
    if decided.person == Some(me) || decided.prepared_by.contains(&me) {
        return Err(Failure::new(
            FailureKind::Forbidden,
            Text::new(keys::CORE_OWN_APPROVAL),
        ));
    }
    if decided.approval_expires_at.is_some_and(|at| at < cx.now) {
        return Err(Failure::new(
            FailureKind::Conflict,
            Text::new(keys::CORE_APPROVAL_EXPIRED),
        ));
    }
    Ok(me)
}

#[async_trait]
impl Applies<ApproveOperation> for Core {
    async fn locate(&self, _: &PlanContext, operation: &ApproveOperation) -> Result<Target, Failure> {
        self.locate_operation(operation.operation, operation.target())
            .await
    }

    async fn plan(&self, _: &PlanContext, operation: &ApproveOperation) -> Result<Plan, Failure> {
        self.plan_decision(operation.operation, keys::CORE_PLAN_APPROVE)
            .await
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &ApproveOperation,
    ) -> Result<OperationState, Failure> {
        let decided = self.locked(db, operation.operation).await?;
        let person = check_second_person(cx, &decided)?;
        if operation.hash != decided.plan_hash {
            return Err(Failure::new(
                FailureKind::Drifted,
                Text::new(keys::FAILURE_DRIFTED),
            ));
        }
        let text = Text::new(keys::CORE_LOG_APPROVED).with("who", cx.actor.label());
        let approval = Approval {
            by: &cx.actor.label(),
            person,
            hash: &operation.hash,
        };
        let record = record(cx, "approve", "allowed").detail(json!({ "plan_hash": operation.hash }));
        match decisions::approve(db, &decided, &approval, &text, record).await {
            Ok(()) => Ok(OperationState::Queued),
            Err(error) => match db::broken_constraint(&error) {
                Some("operations_one_per_target") => Err(self.busy(&decided).await),
                Some("operations_second_person") => Err(Failure::new(
                    FailureKind::Forbidden,
                    Text::new(keys::CORE_OWN_APPROVAL),
                )),
                _ => Err(db::failure(error)),
            },
        }
    }
}

impl Core {
    /// Another operation took the target while this one waited. Asked on a connection of its own: the transaction
    /// has failed.
    async fn busy(&self, decided: &Decided) -> Failure {
        let mut failure = Failure::new(FailureKind::Busy, Text::new(keys::FAILURE_BUSY));
        if let Ok(Some(key)) = operations::concurrency_key(&self.db, decided.id).await
            && let Ok(holder) = operations::holder(&self.db, &key).await
        {
            failure.operation = holder;
        }
        failure
    }
}

#[async_trait]
impl Applies<RejectOperation> for Core {
    async fn locate(&self, _: &PlanContext, operation: &RejectOperation) -> Result<Target, Failure> {
        self.locate_operation(operation.operation, operation.target())
            .await
    }

    async fn plan(&self, _: &PlanContext, operation: &RejectOperation) -> Result<Plan, Failure> {
        if operation.reason.trim().is_empty() {
            return Err(Failure::field("reason", Text::new(keys::CORE_REASON_NEEDED)));
        }
        self.plan_decision(operation.operation, keys::CORE_PLAN_REJECT)
            .await
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &RejectOperation,
    ) -> Result<OperationState, Failure> {
        let decided = self.locked(db, operation.operation).await?;
        check_second_person(cx, &decided)?;
        let reason = operation.reason.trim();
        let text = Text::new(keys::CORE_LOG_REJECTED)
            .with("who", cx.actor.label())
            .with("reason", reason);
        let record = record(cx, "reject", "allowed").detail(json!({ "reason": reason }));
        decisions::reject(db, &decided, &cx.actor.label(), cx.now)
            .await
            .map_err(db::failure)?;
        decisions::end(db, &decided, OperationState::Cancelled, Some(&text), record)
            .await
            .map_err(db::failure)?;
        Ok(OperationState::Cancelled)
    }
}

#[async_trait]
impl Applies<RetryOperation> for Core {
    async fn locate(&self, _: &PlanContext, operation: &RetryOperation) -> Result<Target, Failure> {
        self.locate_operation(operation.operation, operation.target())
            .await
    }

    async fn plan(&self, _: &PlanContext, operation: &RetryOperation) -> Result<Plan, Failure> {
        let key = match operation.decision {
            RetryDecision::Retry => keys::CORE_PLAN_RETRY,
            RetryDecision::GiveUp => keys::CORE_PLAN_GIVE_UP,
        };
        self.plan_decision(operation.operation, key).await
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &RetryOperation,
    ) -> Result<OperationState, Failure> {
        let console = self.handle.get()?;
        let decided = self.locked(db, operation.operation).await?;
        let (OperationState::NeedsOperator, Some(needs)) = (decided.state, decided.needs.as_deref()) else {
            return Err(conflict(keys::CORE_NOT_WAITING, &decided));
        };
        let who = cx.actor.label();
        match (operation.decision, needs) {
            (RetryDecision::Retry, needs) => {
                check_retry(&console, &cx.actor, &decided)?;
                let text = Text::new(keys::CORE_LOG_RETRIED).with("who", who);
                let record = record(cx, "retry", "allowed");
                if needs == "drift" {
                    return self.confirm(cx, db, &decided, operation, &text, record).await;
                }
                let to = match (needs, decided.unwind_to.as_deref()) {
                    ("undo", Some("cancelled")) => Some(OperationState::Cancelled),
                    ("undo", _) => Some(OperationState::Failed),
                    _ => None,
                };
                decisions::resume(db, &decided, to, &text, record)
                    .await
                    .map_err(db::failure)
            }
            (RetryDecision::GiveUp, needs) => {
                check_stop(&cx.actor, &decided)?;
                let text = Text::new(keys::CORE_LOG_GIVEN_UP).with("who", who);
                let record = record(cx, "give-up", "allowed");
                match needs {
                    "run" => {
                        let to = Some(OperationState::Failed);
                        decisions::resume(db, &decided, to, &text, record)
                            .await
                            .map_err(db::failure)
                    }
                    "undo" => {
                        let to = match decided.unwind_to.as_deref() {
                            Some("cancelled") => OperationState::Cancelled,
                            _ => OperationState::Failed,
                        };
                        // What could not be undone stays on the page.
                        let why = decided.failure.clone().unwrap_or(text);
                        decisions::end(db, &decided, to, Some(&why), record)
                            .await
                            .map_err(db::failure)?;
                        Ok(to)
                    }
                    _ => {
                        let to = OperationState::Cancelled;
                        decisions::end(db, &decided, to, Some(&text), record)
                            .await
                            .map_err(db::failure)?;
                        Ok(to)
                    }
                }
            }
        }
    }
}

/// To go on takes what it took to submit.
fn check_retry(console: &Console, actor: &Actor, decided: &Decided) -> Result<(), Failure> {
    let permission = console.registry().operation_entry(&decided.kind)?.info.permission;
    if actor.granted(permission).covers(&decided.target.scope) {
        return Ok(());
    }
    Err(forbidden(permission, &decided.target))
}

impl Core {
    /// The person confirms the plan as it is now; who confirms it has prepared it.
    async fn confirm(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        decided: &Decided,
        operation: &RetryOperation,
        text: &Text,
        record: AuditRecord,
    ) -> Result<OperationState, Failure> {
        let (Some(plan), Some(hash)) = (&decided.new_plan, &decided.new_plan_hash) else {
            return Err(Failure::internal());
        };
        if operation.hash.as_ref() != Some(hash) {
            return Err(Failure::new(
                FailureKind::Drifted,
                Text::new(keys::FAILURE_DRIFTED),
            ));
        }
        let approval_required = decided.critical || plan.approval.is_some();
        // Who went past the second person for the old plan goes past them for the new one, with the same right.
        if approval_required
            && decided.break_glass
            && !cx
                .actor
                .granted(Permission::OperationsBreakGlass)
                .covers(&decided.target.scope)
        {
            return Err(forbidden(Permission::OperationsBreakGlass, &decided.target));
        }
        let waits = approval_required && !decided.break_glass;
        let from = decided.not_before.unwrap_or(cx.now).max(cx.now);
        let new = NewPlan {
            plan,
            hash,
            person: cx.actor.person(),
            approval: waits.then(|| from + APPROVAL_LIFE),
            approval_required,
        };
        let record = record.detail(json!({ "plan_hash": hash }));
        decisions::confirm(db, decided, &new, text, record)
            .await
            .map_err(db::failure)
    }
}
