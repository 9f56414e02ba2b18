//! It should not run. What its owner has received is stored first.

use super::refuse;
use crate::Room;
use async_trait::async_trait;
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::bots::{BotDesired, BotOutcome, StopBot};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::text::{Text, keys};
use bagua_model::verbs::Operation;

#[async_trait]
impl Handles<StopBot> for Room {
    async fn plan(&self, _: &PlanContext, operation: &StopBot) -> Result<Plan, Failure> {
        let region = &operation.region;
        let row = self.row(region, operation.bot).await?;
        if row.desired() == BotDesired::Stopped {
            return Err(refuse(keys::BOT_STOPPED_ALREADY, &row));
        }
        let mut plan = self
            .wish_plan(
                StopBot::KIND,
                region,
                &row,
                keys::PLAN_BOT_STOP,
                keys::PLAN_BOT_STOPS,
            )
            .await;
        plan.warnings.push(Text::new(keys::PLAN_BOT_STOP_KEEPS));
        Ok(plan)
    }

    async fn run(&self, cx: &mut RunContext, operation: &StopBot) -> Result<BotOutcome, StepFailure> {
        let region = &operation.region;
        let begun = |row: &crate::store::Row| row.desired() == BotDesired::Stopped;
        self.wish(cx, region, operation.bot, false, begun).await?;
        let outcome = self.wait_stopped(cx, region, operation.bot).await?;
        self.tell(region);
        Ok(outcome)
    }
}
