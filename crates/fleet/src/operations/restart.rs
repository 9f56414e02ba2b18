//! Its owner begins anew with the settings of this moment. Doing so twice does no harm.

use super::refuse;
use crate::Room;
use async_trait::async_trait;
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::bots::{BotDesired, BotOutcome, RestartBot};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::text::keys;
use bagua_model::verbs::Operation;

#[async_trait]
impl Handles<RestartBot> for Room {
    async fn plan(&self, _: &PlanContext, operation: &RestartBot) -> Result<Plan, Failure> {
        let region = &operation.region;
        let row = self.row(region, operation.bot).await?;
        if row.desired() == BotDesired::Stopped {
            return Err(refuse(keys::BOT_STOPPED_START_IT, &row));
        }
        Ok(self
            .wish_plan(
                RestartBot::KIND,
                region,
                &row,
                keys::PLAN_BOT_RESTART,
                keys::PLAN_BOT_RESTARTS,
            )
            .await)
    }

    async fn run(&self, cx: &mut RunContext, operation: &RestartBot) -> Result<BotOutcome, StepFailure> {
        let region = &operation.region;
        let generation = self.wish(cx, region, operation.bot, true, |_| false).await?;
        let outcome = self.wait_running(cx, region, operation.bot, generation).await?;
        self.tell(region);
        Ok(outcome)
    }
}
