//! A claimed operation from its plan to its end: run, undo, wait for a person.

use super::Worker;
use crate::db;
use crate::plan;
use crate::registry::{OperationEntry, Verb};
use crate::run::{Moment, RunContext, Shared, StepFailure, Steps};
use crate::store::steps::{self, StepKind};
use crate::store::work::{self, Claimed, Needs};
use bagua_model::failure::FailureKind;
use bagua_model::operation::{OperationState, StepState};
use bagua_model::text::{Text, keys};
use futures::FutureExt;
use serde_json::Value;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

impl Worker {
    /// Everything between claim and end. An error means only that somebody else goes on from here.
    pub(super) async fn work(
        &self,
        claimed: &Claimed,
        cancel: CancellationToken,
        lost: CancellationToken,
    ) -> Result<(), StepFailure> {
        let console = &self.console;
        let entry = console.registry().operation_entry(&claimed.kind)?;
        if claimed.cancel_requested {
            cancel.cancel();
        }
        let shared = Arc::new(Shared {
            db: console.db.clone(),
            clock: console.clock.clone(),
            environment: claimed.environment,
            region: claimed.target.scope.region.clone(),
            kind: claimed.kind.clone(),
            fence: claimed.fence,
            submitted_by: claimed.submitter.label(),
            cancel,
            lost,
            retry: self.settings.retry,
            probe: self.settings.probe.clone(),
            steps: Steps::new(steps::load(&console.db, claimed.fence.operation).await?),
        });
        let mut cx = RunContext::new(shared.clone());
        if claimed.tries > self.settings.most_attempts {
            let why = Text::new(keys::CORE_TOO_MANY_ATTEMPTS).with("attempts", claimed.tries - 1);
            let needs = if claimed.state == OperationState::Unwinding {
                Needs::Undo
            } else {
                Needs::Run
            };
            return self.park(&cx, claimed, needs, &why).await;
        }
        if claimed.state == OperationState::Unwinding {
            return self
                .unwind(
                    entry,
                    claimed,
                    &shared,
                    claimed.unwind_to,
                    claimed.failure.clone(),
                )
                .await;
        }
        if !claimed.started && !claimed.cancel_requested && !self.plan_holds(entry, claimed, &cx).await? {
            return Ok(());
        }
        let ended = match entry.info.verb {
            Verb::Immediate => return self.apply(entry, claimed, &cx).await,
            _ => self.run_handler(entry, claimed, &mut cx).await,
        };
        let ended = match ended {
            Ok(outcome) => cx.point("", Moment::BeforeFinish).map(|()| outcome),
            Err(failure) => Err(failure),
        };
        let (to, why) = match ended {
            Ok(outcome) => {
                return self
                    .finish(&cx, claimed, OperationState::Succeeded, Some(&outcome), None)
                    .await;
            }
            Err(StepFailure::Lost) => return Err(StepFailure::Lost),
            Err(StepFailure::NeedsOperator(why)) => return self.park(&cx, claimed, Needs::Run, &why).await,
            Err(StepFailure::Cancelled) => (OperationState::Cancelled, None),
            Err(StepFailure::Failed(why) | StepFailure::Transient(why)) => {
                (OperationState::Failed, Some(why))
            }
        };
        let now = console.clock.now();
        cx.durable(|| Box::pin(work::unwind(&console.db, claimed, to, why.as_ref(), now)))
            .await?;
        self.unwind(entry, claimed, &shared, to, why).await
    }

    /// Runs the handler from the top, again when something outside its steps fails in passing.
    async fn run_handler(
        &self,
        entry: &OperationEntry,
        claimed: &Claimed,
        cx: &mut RunContext,
    ) -> Result<Value, StepFailure> {
        let mut tries = 0;
        loop {
            cx.checkpoint().await?;
            let run = AssertUnwindSafe(entry.handler.run(cx, &claimed.input)).catch_unwind();
            match run.await.unwrap_or_else(|_| Err(self.panicked(claimed))) {
                Err(StepFailure::Transient(why)) if tries < self.settings.retry.times => {
                    cx.pause("", tries, &why).await?;
                    tries += 1;
                }
                ended => return ended,
            }
        }
    }

    /// A panic is our fault; the operation fails and is undone rather than panicking in every worker in turn.
    fn panicked(&self, claimed: &Claimed) -> StepFailure {
        tracing::error!(operation = %claimed.fence.operation, kind = claimed.kind, "a handler panicked");
        StepFailure::Failed(db::internal_text())
    }

    /// Plans again before the first step: what was confirmed must still be what would happen.
    async fn plan_holds(
        &self,
        entry: &OperationEntry,
        claimed: &Claimed,
        cx: &RunContext,
    ) -> Result<bool, StepFailure> {
        let console = &self.console;
        let context = console.plan_context(&claimed.submitter);
        let mut tries = 0;
        let planned = loop {
            match entry.handler.plan(&context, &claimed.input).await {
                Err(failure)
                    if failure.kind == FailureKind::Unavailable && tries < self.settings.retry.times =>
                {
                    match cx.pause("", tries, &failure.text).await {
                        Err(StepFailure::Cancelled) => return Ok(true), // The first checkpoint ends it.
                        other => other?,
                    }
                    tries += 1;
                }
                planned => break planned,
            }
        };
        let now = console.clock.now();
        match planned {
            Ok(plan) => {
                let hash = plan::hash(&claimed.kind, &claimed.input, &claimed.target, &plan);
                if hash == claimed.plan_hash {
                    cx.durable(|| Box::pin(work::started(&console.db, &claimed.fence, now)))
                        .await?;
                    return Ok(true);
                }
                let why = Text::new(keys::FAILURE_DRIFTED);
                cx.durable(|| {
                    Box::pin(work::park(
                        &console.db,
                        claimed,
                        Needs::Drift,
                        &why,
                        Some((&plan, &hash)),
                        now,
                    ))
                })
                .await?;
            }
            // What was to be done cannot be done any more; nothing has been.
            Err(failure) => {
                self.finish(cx, claimed, OperationState::Failed, None, Some(&failure.text))
                    .await?;
            }
        }
        Ok(false)
    }

    /// Applies an immediate operation that had to wait for a second person: rows and end in one transaction.
    async fn apply(
        &self,
        entry: &OperationEntry,
        claimed: &Claimed,
        cx: &RunContext,
    ) -> Result<(), StepFailure> {
        let console = &self.console;
        let applied = async {
            cx.checkpoint().await?;
            let now = console.clock.now();
            let mut tx = console.db.begin().await?;
            if steps::hold(&mut tx, &claimed.fence).await?.is_none() {
                return Err(StepFailure::Lost);
            }
            let context = console.plan_context(&claimed.submitter);
            let outcome = entry.handler.apply(&context, &mut tx, &claimed.input).await?;
            work::finish_in(
                &mut tx,
                claimed,
                OperationState::Succeeded,
                Some(&outcome),
                None,
                now,
            )
            .await?
            .ok_or(StepFailure::Lost)?;
            Ok(tx.commit().await?)
        };
        match applied.await {
            Ok(()) => Ok(()),
            Err(StepFailure::Lost) => Err(StepFailure::Lost),
            Err(StepFailure::Cancelled) => {
                self.finish(cx, claimed, OperationState::Cancelled, None, None)
                    .await
            }
            // Rolled back, so the lease may run out and the next worker applies it; the rest is a failure.
            Err(StepFailure::Transient(_)) => Err(StepFailure::Lost),
            Err(StepFailure::Failed(why) | StepFailure::NeedsOperator(why)) => {
                self.finish(cx, claimed, OperationState::Failed, None, Some(&why))
                    .await
            }
        }
    }

    /// Undoes what is done or may be done, last step first, then ends the operation.
    async fn unwind(
        &self,
        entry: &OperationEntry,
        claimed: &Claimed,
        shared: &Arc<Shared>,
        to: OperationState,
        why: Option<Text>,
    ) -> Result<(), StepFailure> {
        let db = &self.console.db;
        let operation = claimed.fence.operation;
        let outer = RunContext::new(shared.clone());
        let all = outer
            .durable(|| Box::pin(async { steps::load(db, operation).await.map(Some) }))
            .await?;
        for step in all.into_iter().rev() {
            let open = match (step.kind, step.state) {
                (StepKind::Undo, _) | (_, StepState::Undone) => false,
                (_, StepState::Done | StepState::UndoFailed) => true,
                // A transaction that is not done has been rolled back; an effect may have happened.
                (kind, StepState::Started | StepState::Failed) => kind == StepKind::Effect,
            };
            if !open {
                continue;
            }
            let name = step.name.as_str();
            match self.undo(entry, claimed, shared, &outer, name, step.memo).await {
                Ok(()) => {}
                Err(StepFailure::Lost) => return Err(StepFailure::Lost),
                Err(failure) => {
                    let why = match failure {
                        StepFailure::Failed(w)
                        | StepFailure::Transient(w)
                        | StepFailure::NeedsOperator(w) => w,
                        StepFailure::Cancelled | StepFailure::Lost => db::internal_text(),
                    };
                    let (now, at) = (self.console.clock.now(), claimed.at());
                    outer
                        .durable(|| Box::pin(steps::undo_failed(db, &at, name, &why, now)))
                        .await?;
                    return self.park(&outer, claimed, Needs::Undo, &why).await;
                }
            }
        }
        self.finish(&outer, claimed, to, None, why.as_ref()).await
    }

    async fn undo(
        &self,
        entry: &OperationEntry,
        claimed: &Claimed,
        shared: &Arc<Shared>,
        outer: &RunContext,
        step: &str,
        memo: Option<Value>,
    ) -> Result<(), StepFailure> {
        let (db, clock, at) = (&self.console.db, &self.console.clock, claimed.at());
        outer
            .durable(|| Box::pin(steps::undo_started(db, &at, step, clock.now())))
            .await?;
        outer.point(step, Moment::BeforeUndo)?;
        let mut tries = 0;
        loop {
            let mut cx = RunContext::undoing(shared.clone(), step);
            let undo = AssertUnwindSafe(entry.handler.undo(&mut cx, &claimed.input, step, memo.clone()));
            match undo
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(self.panicked(claimed)))
            {
                Ok(()) => break,
                Err(StepFailure::Transient(why)) if tries < self.settings.retry.times => {
                    cx.pause(step, tries, &why).await?;
                    tries += 1;
                }
                Err(failure) => return Err(failure),
            }
        }
        outer.point(step, Moment::UndoActed)?;
        outer
            .durable(|| Box::pin(steps::undone(db, &at, step, clock.now())))
            .await?;
        outer.point(step, Moment::Undone)
    }

    async fn park(
        &self,
        cx: &RunContext,
        claimed: &Claimed,
        needs: Needs,
        why: &Text,
    ) -> Result<(), StepFailure> {
        let (db, now) = (&self.console.db, self.console.clock.now());
        cx.durable(|| Box::pin(work::park(db, claimed, needs, why, None, now)))
            .await
    }

    async fn finish(
        &self,
        cx: &RunContext,
        claimed: &Claimed,
        to: OperationState,
        outcome: Option<&Value>,
        why: Option<&Text>,
    ) -> Result<(), StepFailure> {
        let (db, now) = (&self.console.db, self.console.clock.now());
        cx.durable(|| Box::pin(work::finish(db, claimed, to, outcome, why, now)))
            .await?;
        tracing::info!(operation = %claimed.fence.operation, kind = claimed.kind, state = %to,
            attempt = claimed.fence.attempt, "operation finished");
        Ok(())
    }
}
