use super::{located, name_of, plan};
use crate::Alerts;
use crate::queries::no_such_alert;
use crate::store;
use async_trait::async_trait;
use bagua_core::{Applies, PlanContext};
use bagua_model::alerts::{Acknowledgement, AlertState, AlertView, UnacknowledgeAlert};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::Plan;
use bagua_model::text::{Text, keys};
use bagua_model::verbs::Target;
use sqlx::PgConnection;

#[async_trait]
impl Applies<UnacknowledgeAlert> for Alerts {
    async fn locate(&self, _: &PlanContext, operation: &UnacknowledgeAlert) -> Result<Target, Failure> {
        Ok(located(
            &self.target_of(operation.alert, operation.region.as_ref()).await?,
        ))
    }

    async fn plan(&self, _: &PlanContext, operation: &UnacknowledgeAlert) -> Result<Plan, Failure> {
        let view = self
            .target_of(operation.alert, operation.region.as_ref())
            .await?
            .view;
        let previous = check(&view)?;
        let change = Text::new(keys::ALERT_CHANGE_GIVEN_BACK).with("previous", &previous.by);
        Ok(plan(&view, keys::ALERT_PLAN_UNACKNOWLEDGE, vec![change]))
    }

    async fn apply(
        &self,
        cx: &PlanContext,
        db: &mut PgConnection,
        operation: &UnacknowledgeAlert,
    ) -> Result<(), Failure> {
        let found = store::get_for_update(db, operation.alert)
            .await
            .map_err(bagua_core::db::failure)?;
        let view = found.ok_or_else(no_such_alert)?.view;
        check(&view)?;
        store::set_acknowledgement(db, &[view.alert], None)
            .await
            .map_err(bagua_core::db::failure)?;
        let text = crate::about(keys::ALERT_EVENT_UNACKNOWLEDGED, &view).with("by", name_of(&cx.actor));
        self.record(db, "alert.unacknowledged", &view, text, cx.now)
            .await
            .map_err(bagua_core::db::failure)
    }
}

fn check(view: &AlertView) -> Result<&Acknowledgement, Failure> {
    let refused = |key| Failure::new(FailureKind::Conflict, Text::new(key).with("name", &view.name));
    if view.state == AlertState::Resolved {
        return Err(refused(keys::ALERT_FAILURE_ENDED));
    }
    view.acknowledged
        .as_ref()
        .ok_or_else(|| refused(keys::ALERT_FAILURE_NOT_ACKNOWLEDGED))
}
