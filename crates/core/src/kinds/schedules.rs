//! `schedule.create`, `schedule.pause`, `schedule.delete`.

use super::{Core, simple_plan};
use crate::db;
use crate::registry::Verb;
use crate::schedules::next_after;
use crate::store::schedules::{self, Named, NewSchedule};
use crate::submit::new_id;
use crate::verbs::{Applies, PlanContext};
use async_trait::async_trait;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{CreateSchedule, DeleteSchedule, LONGEST_NAME, PauseSchedule, Plan};
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use bagua_model::verbs::{Operation, Target};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

#[async_trait]
impl Applies<CreateSchedule> for Core {
    /// A schedule is where the operation is that it submits.
    async fn locate(&self, cx: &PlanContext, operation: &CreateSchedule) -> Result<Target, Failure> {
        let console = self.handle.get()?;
        self.schedulable(&operation.kind)?;
        let inner = console
            .admit(&cx.actor, &operation.kind, operation.input.clone())
            .await?;
        Ok(Target {
            scope: inner.target.scope,
            ..operation.target()
        })
    }

    async fn plan(&self, cx: &PlanContext, operation: &CreateSchedule) -> Result<Plan, Failure> {
        let console = self.handle.get()?;
        let name = operation.name.trim();
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name != operation.name {
            return Err(Failure::field("name", Text::new(keys::CORE_BAD_NAME)));
        }
        let next = next_after(&operation.cron, cx.now)?
            .ok_or_else(|| Failure::field("cron", Text::new(keys::CORE_CRON_NEVER)))?;
        if schedules::by_name(&cx.db, name)
            .await
            .map_err(db::failure)?
            .is_some()
        {
            return Err(name_taken());
        }
        // Planned as the creator: who may not submit it may not have it submitted.
        let inner = console
            .plan(&cx.actor, &operation.kind, operation.input.clone())
            .await?;
        let summary = Text::new(keys::CORE_PLAN_SCHEDULE_CREATE)
            .with("name", name)
            .with("cron", &operation.cron);
        let mut plan = simple_plan(summary);
        plan.changes.push(inner.plan.summary.clone());
        plan.estimates
            .push(Text::new(keys::CORE_PLAN_SCHEDULE_NEXT).with("at", rfc3339(next)));
        plan.warnings = inner.plan.warnings;
        plan.facts.insert("kind".to_owned(), json!(operation.kind));
        Ok(plan)
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &CreateSchedule,
    ) -> Result<Uuid, Failure> {
        let console = self.handle.get()?;
        let inner = console
            .admit(&cx.actor, &operation.kind, operation.input.clone())
            .await?;
        let new = NewSchedule {
            id: new_id(cx.now),
            name: &operation.name,
            cron: &operation.cron,
            kind: &operation.kind,
            input: &inner.prepared.input,
            environment: cx.environment,
            region: inner.target.scope.region.as_ref().map(RegionId::as_str),
            created_by: &cx.actor.label(),
            created_by_person: cx.actor.person(),
            now: cx.now,
            next_at: next_after(&operation.cron, cx.now)?,
        };
        match schedules::insert(db, &new).await {
            Ok(()) => Ok(new.id),
            Err(error) if db::broken_constraint(&error) == Some("schedules_name_key") => Err(name_taken()),
            Err(error) => Err(db::failure(error)),
        }
    }
}

impl Core {
    /// Decisions are people's: only what a worker carries out comes round by the clock.
    fn schedulable(&self, kind: &str) -> Result<(), Failure> {
        let console = self.handle.get()?;
        let secret = console
            .registry()
            .operation_entry(kind)
            .is_ok_and(|entry| entry.secret);
        match console.registry().info(kind).map(|info| info.verb) {
            Some(Verb::Operation) if !secret => Ok(()),
            Some(Verb::Operation) => Err(Failure::field(
                "kind",
                Text::new(keys::CORE_SECRET_NOT_SCHEDULABLE).with("kind", kind),
            )),
            Some(Verb::Query | Verb::Immediate) => Err(Failure::field(
                "kind",
                Text::new(keys::CORE_NOT_SCHEDULABLE).with("kind", kind),
            )),
            None => Err(Failure::field(
                "kind",
                Text::new(keys::FAILURE_UNKNOWN_KIND).with("kind", kind),
            )),
        }
    }

    async fn schedule(&self, name: &str) -> Result<Named, Failure> {
        let found = schedules::by_name(&self.db, name).await.map_err(db::failure)?;
        found.ok_or_else(|| Failure::not_found(name))
    }
}

#[async_trait]
impl Applies<PauseSchedule> for Core {
    async fn locate(&self, _: &PlanContext, operation: &PauseSchedule) -> Result<Target, Failure> {
        let schedule = self.schedule(&operation.name).await?;
        Ok(Target {
            scope: schedule.scope,
            ..operation.target()
        })
    }

    async fn plan(&self, _: &PlanContext, operation: &PauseSchedule) -> Result<Plan, Failure> {
        let schedule = self.schedule(&operation.name).await?;
        if schedule.paused == operation.paused {
            return Err(Failure::new(
                FailureKind::Conflict,
                Text::new(keys::CORE_SCHEDULE_UNCHANGED),
            ));
        }
        let key = if operation.paused {
            keys::CORE_PLAN_SCHEDULE_PAUSE
        } else {
            keys::CORE_PLAN_SCHEDULE_RESUME
        };
        Ok(simple_plan(Text::new(key).with("name", &operation.name)))
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &PauseSchedule,
    ) -> Result<(), Failure> {
        let found = schedules::by_name(&mut *db, &operation.name)
            .await
            .map_err(db::failure)?;
        let schedule = found.ok_or_else(|| Failure::not_found(&operation.name))?;
        // Times that came round while it was paused do not count.
        let next = if operation.paused {
            None
        } else {
            next_after(&schedule.cron, cx.now)?
        };
        schedules::set_paused(db, schedule.id, operation.paused, next)
            .await
            .map_err(db::failure)?;
        Ok(())
    }
}

#[async_trait]
impl Applies<DeleteSchedule> for Core {
    async fn locate(&self, _: &PlanContext, operation: &DeleteSchedule) -> Result<Target, Failure> {
        let schedule = self.schedule(&operation.name).await?;
        Ok(Target {
            scope: schedule.scope,
            ..operation.target()
        })
    }

    async fn plan(&self, _: &PlanContext, operation: &DeleteSchedule) -> Result<Plan, Failure> {
        self.schedule(&operation.name).await?;
        Ok(simple_plan(
            Text::new(keys::CORE_PLAN_SCHEDULE_DELETE).with("name", &operation.name),
        ))
    }

    async fn apply(
        &self,
        _: &PlanContext,
        db: &mut PgConnection,
        operation: &DeleteSchedule,
    ) -> Result<(), Failure> {
        let found = schedules::by_name(&mut *db, &operation.name)
            .await
            .map_err(db::failure)?;
        let schedule = found.ok_or_else(|| Failure::not_found(&operation.name))?;
        schedules::delete(db, schedule.id).await.map_err(db::failure)?;
        Ok(())
    }
}

fn name_taken() -> Failure {
    Failure::field("name", Text::new(keys::CORE_NAME_TAKEN))
}

fn rfc3339(at: time::OffsetDateTime) -> String {
    at.format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_else(|_| at.to_string())
}
