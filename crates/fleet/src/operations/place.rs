//! Where a bot runs: its home and the regions that stand by.

use super::{WAIT, WISH, about, facts, not_stored, refuse};
use crate::store::Row;
use crate::{Room, away};
use async_trait::async_trait;
use bagua_bots::{BotId, catalogue, presence};
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::bots::tuning::MoveBot;
use bagua_model::bots::{BotCondition, BotDesired, BotMode, BotOutcome};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use bagua_model::verbs::Operation;
use serde_json::json;
use std::collections::BTreeSet;

/// Whether somebody will own it once it is written down where: what waits for a person waits there, too.
fn follows(row: &Row) -> bool {
    let left = matches!(row.condition(), BotCondition::Invalid | BotCondition::Failed);
    row.desired() == BotDesired::Running && !left
}

fn named(region: &RegionId) -> String {
    format!("@region.{region}")
}

impl Room {
    /// Home and standbys as one order, each a region of this platform and once. `fields` name them to whoever typed them.
    pub(crate) fn order(&self, home: &RegionId, standby: &[RegionId]) -> Result<Vec<RegionId>, Failure> {
        let mut seen = BTreeSet::new();
        let all = std::iter::once(("home", home)).chain(standby.iter().map(|region| ("standby", region)));
        for (field, region) in all {
            if !self.config.cells.iter().any(|cell| cell.region == *region) {
                let text = Text::new(keys::BOT_NO_CELL).with("region", region);
                return Err(Failure::field(field, text));
            }
            if !seen.insert(region) {
                let text = Text::new(keys::BOT_PLACE_TWICE).with("region", named(region));
                return Err(Failure::field(field, text));
            }
        }
        Ok(std::iter::once(home).chain(standby).cloned().collect())
    }

    /// As it is written down: a bot that runs where its data is has no order.
    pub(crate) fn written(region: &RegionId, order: &[RegionId]) -> Vec<String> {
        if order == [region.clone()] {
            return Vec::new();
        }
        order.iter().map(ToString::to_string).collect()
    }

    /// Those of `order` of which no process has said within a minute that it reaches the cell, and, for a bot with a webhook, those that
    /// cannot be pushed to.
    async fn absent(&self, region: &RegionId, order: &[RegionId]) -> Result<Vec<RegionId>, Failure> {
        let there = presence::list(self.cell(region)?)
            .await
            .map_err(|error| away(region, &error))?;
        let missing = |place: &&RegionId| !there.iter().any(|one| one.region == place.as_str());
        Ok(order.iter().filter(missing).cloned().collect())
    }

    /// What a plan says of those that stand by.
    pub(crate) fn standing_by(order: &[RegionId]) -> Text {
        match &order[1..] {
            [] => Text::new(keys::PLAN_BOT_NO_STANDBY),
            standby => {
                let names: Vec<&str> = standby.iter().map(RegionId::as_str).collect();
                Text::new(keys::PLAN_BOT_STANDBY).with("regions", names.join(", "))
            }
        }
    }
}

#[async_trait]
impl Handles<MoveBot> for Room {
    async fn plan(&self, _: &PlanContext, operation: &MoveBot) -> Result<Plan, Failure> {
        let region = &operation.region;
        let row = self.row(region, operation.bot).await?;
        let order = self.order(&operation.home, &operation.standby)?;
        let before = row.places(region);
        if order == before {
            return Err(refuse(keys::BOT_NOTHING_CHANGES, &row));
        }
        let home = &order[0];
        let absent = self.absent(region, &order).await?;
        if absent.contains(home) {
            let text = Text::new(keys::BOT_NOBODY_THERE)
                .with("region", named(home))
                .with("cell", named(region));
            return Err(Failure::field("home", text));
        }
        let deaf = |place: &&RegionId| {
            *place != region && row.mode() == BotMode::Webhook && self.push_url(place, row.bot_id).is_none()
        };
        if deaf(&home) {
            let text = Text::new(keys::BOT_NO_WEBHOOK_ADDRESS).with("region", named(home));
            return Err(Failure::field("home", text));
        }
        let mut changes = Vec::new();
        if before[0] != *home {
            changes.push(
                about(keys::PLAN_BOT_MOVES, &row)
                    .with("from", named(&before[0]))
                    .with("to", named(home)),
            );
        }
        changes.push(Self::standing_by(&order));
        let mut warnings = Vec::new();
        for place in order.iter().filter(|place| absent.contains(place) || deaf(place)) {
            warnings.push(Text::new(keys::PLAN_BOT_STANDBY_ABSENT).with("region", named(place)));
        }
        if order.iter().any(|place| place != region) {
            warnings.push(Text::new(keys::PLAN_BOT_DATA_STAYS).with("region", named(region)));
        }
        let steps = [Some(WISH), follows(&row).then_some(WAIT)];
        Ok(Plan {
            summary: match before[0] == *home {
                true => about(keys::PLAN_BOT_PLACE, &row),
                false => about(keys::PLAN_BOT_MOVE, &row).with("to", named(home)),
            },
            changes,
            facts: facts([
                ("bot", json!(row.bot_id)),
                ("before", json!(before)),
                ("after", json!(order)),
            ]),
            estimates: self.estimates(MoveBot::KIND, region, &row).await,
            warnings,
            steps: steps.into_iter().flatten().map(str::to_owned).collect(),
            approval: None,
        })
    }

    async fn run(&self, cx: &mut RunContext, operation: &MoveBot) -> Result<BotOutcome, StepFailure> {
        let (region, bot) = (&operation.region, operation.bot);
        let pool = self.cell(region)?;
        let order = self.order(&operation.home, &operation.standby)?;
        let written = Self::written(region, &order);
        let () = cx
            .effect(
                WISH,
                || async {
                    let row = self.row(region, bot).await?;
                    Ok((row.regions == written).then_some(()))
                },
                || async {
                    catalogue::place(pool, BotId(bot), &written)
                        .await
                        .map_err(|error| not_stored(region, bot, error))
                },
            )
            .await?;
        let row = self.row(region, bot).await?;
        let outcome = if follows(&row) {
            let there = |row: &Row| {
                if !follows(row) {
                    let class = row.class.as_deref().unwrap_or("none");
                    let text = about(keys::BOT_DOES_NOT_RUN, row).with("why", format!("@bot.error.{class}"));
                    return Err(StepFailure::Failed(text));
                }
                let home = row.runs_in.as_deref() == Some(operation.home.as_str());
                Ok(home && row.condition() == BotCondition::Running)
            };
            self.wait(cx, region, bot, there).await?
        } else {
            BotOutcome {
                condition: row.condition(),
                owner: row.owner,
                fence: row.fence,
            }
        };
        self.tell(region);
        Ok(outcome)
    }
}
