//! The crash harness: workers that vanish, steps that fail, cancels at every point. Rooms run their real kinds
//! through it; core runs probes that do everything that a kind may do.

use crate::{PATIENCE, operation_view};
use anyhow::{Context, bail, ensure};
use bagua_core::run::{Fate, Moment, Point, Probe};
use bagua_core::{Actor, Console, Worker};
use bagua_model::operation::{
    CancelOperation, ListAudit, OperationId, OperationState, OperationView, Submission,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What goes through the harness: a console, who submits, and a fresh wish for every round.
pub struct Rig<'a> {
    /// The console.
    pub console: &'a Arc<Console>,
    /// Who submits.
    pub actor: &'a Actor,
    /// The kind.
    pub kind: &'a str,
    /// The input of the round with this number; its target must be free (another one, or one that has been reset).
    pub input: &'a (dyn Fn(usize) -> Value + Sync),
}

impl Rig<'_> {
    /// Submits the round's wish.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn submit(&self, round: usize) -> anyhow::Result<OperationId> {
        let input = (self.input)(round);
        let submitted = self
            .console
            .submit_json(self.actor, self.kind, input, Submission::default())
            .await?;
        Ok(submitted.operation)
    }

    /// One round in which nothing is disturbed: the points that it passes, and how it ends.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn survey(&self, round: usize) -> anyhow::Result<(Vec<Point>, OperationView)> {
        let points = Arc::new(Mutex::new(Vec::new()));
        let seen = points.clone();
        let operation = self.submit(round).await?;
        let worker = self.worker(Arc::new(move |point: &Point| {
            seen.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(point.clone());
            Fate::GoOn
        }));
        let view = self.drive(&worker, operation).await?;
        let points = std::mem::take(&mut *points.lock().unwrap_or_else(PoisonError::into_inner));
        ensure!(!points.is_empty(), "`{}` passed no point at all", self.kind);
        Ok((points, view))
    }

    /// One round in which the worker vanishes the first time it comes to this point; another takes over.
    ///
    /// # Errors
    /// When the point was not reached, or the operation does not end.
    pub async fn vanish_at(&self, round: usize, step: &str, moment: Moment) -> anyhow::Result<OperationView> {
        let operation = self.submit(round).await?;
        self.vanish_in(operation, step, moment).await
    }

    /// [`Rig::vanish_at`] for an operation that has been submitted.
    ///
    /// # Errors
    /// When the point was not reached, or the operation does not end.
    pub async fn vanish_in(
        &self,
        operation: OperationId,
        step: &str,
        moment: Moment,
    ) -> anyhow::Result<OperationView> {
        self.disturb(operation, step, moment, Fate::Vanish).await
    }

    /// One round in which the step fails for good at this point.
    ///
    /// # Errors
    /// When the point was not reached, or the operation does not end.
    pub async fn fail_at(&self, round: usize, step: &str, moment: Moment) -> anyhow::Result<OperationView> {
        let operation = self.submit(round).await?;
        self.disturb(operation, step, moment, Fate::Fail).await
    }

    async fn disturb(
        &self,
        operation: OperationId,
        step: &str,
        moment: Moment,
        fate: Fate,
    ) -> anyhow::Result<OperationView> {
        let reached = Arc::new(Mutex::new(false));
        let (marked, wanted) = (reached.clone(), step.to_owned());
        let worker = self.worker(Arc::new(move |point: &Point| {
            let mut reached = marked.lock().unwrap_or_else(PoisonError::into_inner);
            if *reached || point.operation != operation || point.step != wanted || point.moment != moment {
                return Fate::GoOn;
            }
            *reached = true;
            fate.clone()
        }));
        let view = self.drive(&worker, operation).await?;
        let reached = *reached.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(
            reached,
            "the operation ended as {} without passing {moment:?} of `{step}`",
            view.summary.state
        );
        Ok(view)
    }

    /// One round in which a cancel is asked for when the worker comes to this point. The worker learns of it where
    /// every worker does: at its next checkpoint.
    ///
    /// # Errors
    /// When the point was not reached, or the operation does not end.
    pub async fn cancel_at(&self, round: usize, step: &str, moment: Moment) -> anyhow::Result<OperationView> {
        let operation = self.submit(round).await?;
        // The worker vanishes at the point, the cancel comes, the next worker finds it: the same rows as a cancel
        // that arrives while the first worker is there, without a race in the test.
        let reached = Arc::new(Mutex::new(false));
        let (marked, wanted) = (reached.clone(), step.to_owned());
        let worker = self.worker(Arc::new(move |point: &Point| {
            let mut reached = marked.lock().unwrap_or_else(PoisonError::into_inner);
            if *reached || point.step != wanted || point.moment != moment {
                return Fate::GoOn;
            }
            *reached = true;
            Fate::Vanish
        }));
        worker.run_once().await?;
        ensure!(
            *reached.lock().unwrap_or_else(PoisonError::into_inner),
            "`{}` did not pass {moment:?} of `{step}`",
            self.kind
        );
        let cancel = CancelOperation {
            operation,
            reason: Some("the harness".to_owned()),
        };
        self.console
            .submit(self.actor, cancel, Submission::default())
            .await?;
        self.drive(&worker, operation).await
    }

    /// Every point of a quiet round is a place to vanish. `check` looks at the outside after each.
    ///
    /// # Errors
    /// When a round does not end as the quiet one, or `check` finds the outside wrong.
    pub async fn vanish_everywhere<C, F>(&self, mut check: C) -> anyhow::Result<usize>
    where
        C: FnMut(OperationView) -> F,
        F: Future<Output = anyhow::Result<()>>,
    {
        let (points, quiet) = self.survey(0).await?;
        check(quiet.clone())
            .await
            .context("in the round without any disturbance")?;
        let places: BTreeSet<(String, Moment)> = points.into_iter().map(|p| (p.step, p.moment)).collect();
        for (n, (step, moment)) in places.iter().enumerate() {
            let context = || format!("vanished at {moment:?} of `{step}`");
            let view = self.vanish_at(n + 1, step, *moment).await.with_context(context)?;
            ensure!(
                view.summary.state == quiet.summary.state && view.outcome == quiet.outcome,
                "{}: ended as {} with {:?}, the quiet round as {} with {:?}",
                context(),
                view.summary.state,
                view.outcome,
                quiet.summary.state,
                quiet.outcome
            );
            ensure!(
                view.attempt > quiet.attempt,
                "{}: no other worker took over",
                context()
            );
            self.check_audit(&view).await.with_context(context)?;
            check(view).await.with_context(context)?;
        }
        Ok(places.len())
    }

    /// Every operation leaves one record of its submission and one of its end.
    ///
    /// # Errors
    /// When a record is missing or doubled.
    pub async fn check_audit(&self, view: &OperationView) -> anyhow::Result<()> {
        let operation = view.summary.operation;
        let query = ListAudit {
            operation: Some(operation),
            limit: 200,
            ..ListAudit::default()
        };
        let page = self.console.ask(&crate::people::system(), query).await?;
        let count = |action: &str| page.rows.iter().filter(|row| row.action == action).count();
        ensure!(
            count("submit") == 1,
            "{} records of the submission",
            count("submit")
        );
        ensure!(count("finish") == 1, "{} records of the end", count("finish"));
        let finish = page
            .rows
            .iter()
            .find(|row| row.action == "finish")
            .context("no end")?;
        ensure!(
            finish.result == view.summary.state.as_str(),
            "the audit log says {}",
            finish.result
        );
        Ok(())
    }

    fn worker(&self, probe: Probe) -> Arc<Worker> {
        let mut settings = self.console.worker_settings().clone();
        settings.probe = Some(probe);
        Worker::with_settings(self.console, settings, "harness".to_owned())
    }

    /// Has workers claim until the operation has ended or waits for a person. A lease that a vanished worker left
    /// behind is made to run out at once.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn drive(&self, worker: &Arc<Worker>, operation: OperationId) -> anyhow::Result<OperationView> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            worker.run_once().await?;
            let view = operation_view(self.console, operation).await?;
            if view.summary.state.is_final() || view.summary.state == OperationState::NeedsOperator {
                return Ok(view);
            }
            if Instant::now() > deadline {
                bail!(
                    "operation {operation} stays {}: {:?}",
                    view.summary.state,
                    view.failure
                );
            }
            expire_lease(self.console, operation).await?;
        }
    }
}

/// Lets the lease of a worker that has vanished run out now.
///
/// # Errors
/// Those of the database.
pub async fn expire_lease(console: &Arc<Console>, operation: OperationId) -> anyhow::Result<()> {
    sqlx::query("UPDATE operations SET lease_expires_at = now() - interval '1 second' WHERE id = $1")
        .bind(operation.0)
        .execute(&console.db)
        .await?;
    Ok(())
}
