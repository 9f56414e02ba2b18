use super::{located, name_of, plan};
use crate::Alerts;
use crate::queries::no_such_alert;
use crate::store;
use async_trait::async_trait;
use bagua_core::{Actor, Applies, PlanContext};
use bagua_model::alerts::{
    AcknowledgeAlert, Acknowledgement, AlertState, AlertView, LONGEST_ACKNOWLEDGEMENT, LONGEST_NOTE,
};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::Plan;
use bagua_model::text::{Text, keys};
use bagua_model::verbs::Target;
use sqlx::PgConnection;

#[async_trait]
impl Applies<AcknowledgeAlert> for Alerts {
    async fn locate(&self, _: &PlanContext, operation: &AcknowledgeAlert) -> Result<Target, Failure> {
        Ok(located(
            &self.target_of(operation.alert, operation.region.as_ref()).await?,
        ))
    }

    async fn plan(&self, cx: &PlanContext, operation: &AcknowledgeAlert) -> Result<Plan, Failure> {
        let view = self
            .target_of(operation.alert, operation.region.as_ref())
            .await?
            .view;
        check(&view, operation)?;
        Ok(plan(
            &view,
            keys::ALERT_PLAN_ACKNOWLEDGE,
            changes(&view, &cx.actor, operation.minutes),
        ))
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &AcknowledgeAlert,
    ) -> Result<(), Failure> {
        let found = store::get_for_update(db, operation.alert)
            .await
            .map_err(bagua_core::db::failure)?;
        let view = found.ok_or_else(no_such_alert)?.view;
        check(&view, operation)?;
        let by = Acknowledgement {
            by: name_of(&cx.actor),
            at: cx.now,
            note: operation.note.trim().replace('\0', ""),
            until: operation
                .minutes
                .map(|minutes| cx.now + time::Duration::minutes(i64::from(minutes))),
        };
        let written = store::set_acknowledgement(db, &[view.alert], Some((&by, cx.actor.person()))).await;
        written.map_err(bagua_core::db::failure)?;
        let text = crate::about(keys::ALERT_EVENT_ACKNOWLEDGED, &view).with("by", &by.by);
        self.record(db, "alert.acknowledged", &view, text, cx.now)
            .await
            .map_err(bagua_core::db::failure)
    }
}

fn check(view: &AlertView, operation: &AcknowledgeAlert) -> Result<(), Failure> {
    check_words(&operation.note, operation.minutes)?;
    if view.state == AlertState::Resolved {
        let text = Text::new(keys::ALERT_FAILURE_ENDED).with("name", &view.name);
        return Err(Failure::new(FailureKind::Conflict, text));
    }
    Ok(())
}

/// Refuses a note or a time that is too long.
pub(super) fn check_words(note: &str, minutes: Option<u32>) -> Result<(), Failure> {
    let length = note.trim().chars().count();
    if length > LONGEST_NOTE {
        let text = Text::new(keys::ALERT_FAILURE_NOTE_TOO_LONG)
            .with("length", length)
            .with("most", LONGEST_NOTE);
        return Err(Failure::field("note", text));
    }
    if minutes.is_some_and(|m| m == 0 || m > LONGEST_ACKNOWLEDGEMENT) {
        let text = Text::new(keys::ALERT_FAILURE_MINUTES).with("most", LONGEST_ACKNOWLEDGEMENT / (24 * 60));
        return Err(Failure::field("minutes", text));
    }
    Ok(())
}

fn changes(view: &AlertView, actor: &Actor, minutes: Option<u32>) -> Vec<Text> {
    let by = name_of(actor);
    let taken = match &view.acknowledged {
        Some(previous) if previous.by != by => Text::new(keys::ALERT_CHANGE_TAKEN_OVER)
            .with("by", by)
            .with("previous", &previous.by),
        _ => Text::new(keys::ALERT_CHANGE_TAKEN).with("by", by),
    };
    let lapses = minutes.map(|m| Text::new(keys::ALERT_CHANGE_LAPSES).with("minutes", m));
    std::iter::once(taken).chain(lapses).collect()
}
