//! It should run, and the operation ends when it does.

use super::refuse;
use crate::Room;
use async_trait::async_trait;
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::bots::{BotCondition, BotDesired, BotOutcome, StartBot};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::text::keys;
use bagua_model::verbs::Operation;

#[async_trait]
impl Handles<StartBot> for Room {
    async fn plan(&self, _: &PlanContext, operation: &StartBot) -> Result<Plan, Failure> {
        let region = &operation.region;
        let row = self.row(region, operation.bot).await?;
        let left_to_a_person = matches!(row.condition(), BotCondition::Failed | BotCondition::Invalid);
        if row.desired() == BotDesired::Running && !left_to_a_person {
            return Err(refuse(keys::BOT_RUNS_ALREADY, &row));
        }
        Ok(self
            .wish_plan(
                StartBot::KIND,
                region,
                &row,
                keys::PLAN_BOT_START,
                keys::PLAN_BOT_STARTS,
            )
            .await)
    }

    async fn run(&self, cx: &mut RunContext, operation: &StartBot) -> Result<BotOutcome, StepFailure> {
        let region = &operation.region;
        let begun = |row: &crate::store::Row| {
            row.desired() == BotDesired::Running
                && !matches!(row.condition(), BotCondition::Failed | BotCondition::Invalid)
        };
        let generation = self.wish(cx, region, operation.bot, true, begun).await?;
        let outcome = self.wait_running(cx, region, operation.bot, generation).await?;
        self.tell(region);
        Ok(outcome)
    }
}
