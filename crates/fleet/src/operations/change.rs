//! Several bots at once, in batches: each batch is a step, so a worker that comes after a crash goes on with the next one.

use super::facts;
use crate::{Room, away, store};
use async_trait::async_trait;
use bagua_bots::BotId;
use bagua_bots::catalogue;
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::bots::bulk::{AT_ONCE_MOST, BULK_MOST, BulkAction, ChangeBots, ChangedBots};
use bagua_model::bots::{BotCondition, BotDesired, RestartBot, StartBot, StopBot};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use bagua_model::verbs::Operation as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Instant;
use store::Row;

/// So many names stand in a plan; the others are counted.
const NAMED: usize = 20;

/// One bot that has to be changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Open {
    region: RegionId,
    bot: i64,
    username: String,
}

/// One bot of a batch, after it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct After {
    bot: i64,
    username: String,
    /// Nothing when it is as wanted.
    why: Option<BotCondition>,
}

/// Whether a bot has to be changed at all.
fn is_open(action: BulkAction, row: &Row) -> bool {
    let left_to_a_person = matches!(row.condition(), BotCondition::Failed | BotCondition::Invalid);
    match action {
        BulkAction::Start => row.desired() == BotDesired::Stopped || left_to_a_person,
        BulkAction::Stop => row.desired() == BotDesired::Running,
        BulkAction::Restart => row.desired() == BotDesired::Running,
    }
}

/// Whether it is as wanted, or never will be by itself; nothing while that is not known.
fn ended(action: BulkAction, row: &Row, generation: i64) -> Option<Result<(), BotCondition>> {
    match (action, row.condition()) {
        (BulkAction::Stop, BotCondition::Stopped) => Some(Ok(())),
        (BulkAction::Stop, _) => None,
        _ if row.generation < generation => None,
        (_, BotCondition::Running) => Some(Ok(())),
        (_, failed @ (BotCondition::Invalid | BotCondition::Failed)) => Some(Err(failed)),
        _ => None,
    }
}

fn kind_of_one(action: BulkAction) -> &'static str {
    match action {
        BulkAction::Start => StartBot::KIND,
        BulkAction::Stop => StopBot::KIND,
        BulkAction::Restart => RestartBot::KIND,
    }
}

fn names(rows: &[&Row]) -> String {
    let first: Vec<String> = rows
        .iter()
        .take(NAMED)
        .map(|row| format!("@{}", row.username))
        .collect();
    let mut text = first.join(", ");
    if rows.len() > NAMED {
        text.push_str(&format!(" + {}", rows.len() - NAMED));
    }
    text
}

impl Room {
    /// The chosen bots with their regions, in the order of their numbers.
    async fn chosen(&self, operation: &ChangeBots) -> Result<Vec<(RegionId, Row)>, Failure> {
        let wanted: BTreeSet<i64> = operation.bots.iter().copied().collect();
        if wanted.is_empty() || wanted.len() > BULK_MOST {
            return Err(Failure::field(
                "bots",
                Text::new(keys::FIELD_BOTS).with("most", BULK_MOST),
            ));
        }
        if !(1..=AT_ONCE_MOST).contains(&operation.at_once) {
            return Err(Failure::field(
                "at_once",
                Text::new(keys::FIELD_AT_ONCE).with("most", AT_ONCE_MOST),
            ));
        }
        let cells = self.config.cells.iter();
        let cells = cells.filter(|cell| {
            operation
                .region
                .as_ref()
                .is_none_or(|region| cell.region == *region)
        });
        let mut found = Vec::with_capacity(wanted.len());
        for cell in cells {
            let rows = store::bots(&cell.pool, None)
                .await
                .map_err(|error| away(&cell.region, &error))?;
            let mine = rows.into_iter().filter(|row| wanted.contains(&row.bot_id));
            found.extend(mine.map(|row| (cell.region.clone(), row)));
        }
        found.sort_by_key(|(_, row)| row.bot_id);
        if let Some(missing) = wanted
            .iter()
            .find(|bot| !found.iter().any(|(_, row)| row.bot_id == **bot))
        {
            return Err(Failure::field(
                "bots",
                Text::new(keys::FAILURE_BOTS_MISSING).with("bot", missing),
            ));
        }
        Ok(found)
    }

    /// Writes the wish of each bot of a batch, then waits until each is as wanted or its time is over.
    async fn change_batch(
        &self,
        cx: &RunContext,
        action: BulkAction,
        batch: &[Open],
    ) -> Result<Vec<After>, StepFailure> {
        let mut waiting = Vec::with_capacity(batch.len());
        for one in batch {
            let (region, bot) = (&one.region, one.bot);
            // After a crash the wish may have been written. A restart once more does no harm.
            let mut now = self.row(region, bot).await?;
            if is_open(action, &now) {
                catalogue::want(self.cell(region)?, BotId(bot), action != BulkAction::Stop)
                    .await
                    .map_err(|error| super::not_stored(region, bot, error))?;
                now = self.row(region, bot).await?;
            }
            waiting.push((one, now.generation, None::<Result<(), BotCondition>>));
        }
        let begun = Instant::now();
        loop {
            for (one, generation, end) in &mut waiting {
                if end.is_none()
                    && let Ok(now) = self.row(&one.region, one.bot).await
                {
                    *end = ended(action, &now, *generation);
                    if end.is_none() && begun.elapsed() >= super::PATIENCE {
                        *end = Some(Err(now.condition()));
                    }
                }
            }
            let open = waiting.iter().filter(|(_, _, end)| end.is_none()).count();
            if open == 0 || begun.elapsed() >= super::PATIENCE * 2 {
                break;
            }
            let part = (waiting.len() - open) as f32 / waiting.len() as f32;
            cx.progress(part, Text::new(keys::BOTS_WAIT).with("n", open))
                .await?;
            cx.sleep(super::BETWEEN_LOOKS).await?;
        }
        let after = waiting.into_iter().map(|(one, _, end)| After {
            bot: one.bot,
            username: one.username.clone(),
            // A cell that did not answer all the time says nothing good.
            why: end.unwrap_or(Err(BotCondition::Unowned)).err(),
        });
        Ok(after.collect())
    }
}

#[async_trait]
impl Handles<ChangeBots> for Room {
    async fn plan(&self, _: &PlanContext, operation: &ChangeBots) -> Result<Plan, Failure> {
        let action = operation.action;
        let chosen = self.chosen(operation).await?;
        let (open, left): (Vec<&Row>, Vec<&Row>) = chosen
            .iter()
            .map(|(_, row)| row)
            .partition(|row| is_open(action, row));
        if open.is_empty() {
            return Err(Failure::field("bots", Text::new(keys::FAILURE_BOTS_ALL_SO)));
        }
        let said = |key: &str, n: usize| Text::new(&format!("plan.bots.{action}{key}")).with("n", n);
        let mut changes = vec![said("s", open.len()).with("bots", names(&open))];
        if !left.is_empty() {
            changes.push(
                Text::new(keys::PLAN_BOTS_LEFT)
                    .with("n", left.len())
                    .with("bots", names(&left)),
            );
        }
        let batches = open.len().div_ceil(usize::from(operation.at_once));
        let mut estimates = vec![
            Text::new(keys::PLAN_BOTS_BATCHES)
                .with("n", batches)
                .with("at_once", operation.at_once)
                .with("may_fail", operation.may_fail),
        ];
        if let Some(took) = self.last_took(kind_of_one(action)).await {
            let seconds = took.as_seconds_f64() * batches as f64;
            estimates.push(Text::new(keys::PLAN_BOTS_TAKES).with("seconds", format!("{seconds:.0}")));
        }
        let mut warnings = vec![Text::new(keys::PLAN_BOTS_ABORT)];
        if action == BulkAction::Stop {
            warnings.push(Text::new(keys::PLAN_BOT_STOP_KEEPS));
        }
        Ok(Plan {
            summary: said("", open.len()),
            changes,
            facts: facts([(
                "bots",
                json!(open.iter().map(|row| row.bot_id).collect::<Vec<_>>()),
            )]),
            estimates,
            warnings,
            steps: (1..=batches).map(|n| format!("batch-{n}")).collect(),
            approval: None,
        })
    }

    async fn run(&self, cx: &mut RunContext, operation: &ChangeBots) -> Result<ChangedBots, StepFailure> {
        let action = operation.action;
        let cx: &RunContext = cx;
        // The batches must be the same after a crash, when some bots are changed already.
        let chosen: Vec<Open> = cx
            .effect(
                "choose-bots",
                || async { Ok(None) },
                || async {
                    let chosen = self.chosen(operation).await?.into_iter();
                    let open = chosen.filter(|(_, row)| is_open(action, row));
                    let open = open.map(|(region, row)| Open {
                        region,
                        bot: row.bot_id,
                        username: row.username,
                    });
                    Ok(open.collect())
                },
            )
            .await?;
        let (mut changed, mut failed) = (0, Vec::new());
        for (n, batch) in chosen.chunks(usize::from(operation.at_once)).enumerate() {
            let after: Vec<After> = cx
                .effect(
                    &format!("batch-{}", n + 1),
                    || async { Ok(None) },
                    || self.change_batch(cx, action, batch),
                )
                .await?;
            for region in batch.iter().map(|one| &one.region).collect::<BTreeSet<_>>() {
                self.tell(region);
            }
            changed += after.iter().filter(|one| one.why.is_none()).count();
            failed.extend(after.into_iter().filter(|one| one.why.is_some()));
            if failed.len() > usize::from(operation.may_fail) {
                let each: Vec<String> = failed.iter().map(|one| format!("@{}", one.username)).collect();
                let untouched = chosen.len() - changed - failed.len();
                return Err(StepFailure::Failed(
                    Text::new(keys::BOTS_ABORTED)
                        .with("n", changed)
                        .with("failed", each.join(", "))
                        .with("untouched", untouched),
                ));
            }
        }
        Ok(ChangedBots {
            changed,
            failed: failed.into_iter().map(|one| one.bot).collect(),
        })
    }
}
