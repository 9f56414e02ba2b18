//! Add, start, stop, restart, replace the token: what they share.

mod add;
mod change;
mod configure;
mod place;
mod replace_token;
mod restart;
mod rules;
mod start;
mod stop;
mod tune;

use crate::{Room, away, store, tokens};
use bagua_bots::BotId;
use bagua_bots::catalogue::{self, CatalogueError};
use bagua_core::{Actor, RunContext, StepFailure};
use bagua_model::bots::{BotCondition, BotOutcome};
use bagua_model::failure::Failure;
use bagua_model::operation::{ListOperations, OperationState, Plan};
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use store::Row;

/// Asks the server whose token it is.
const CHECK: &str = "check-token";
/// Writes the bot, or its token, into its region's data database.
const STORE: &str = "store-bot";
/// Writes down what is wanted.
const WISH: &str = "write-wish";
/// Waits until it is so.
const WAIT: &str = "wait-bot";

/// How long an owner may take: a lease that was not given back ends after 20 s, and a runner looks every 2 s.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the cell is asked meanwhile.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

pub(crate) fn about(key: &str, row: &Row) -> Text {
    Text::new(key).with("bot", format!("@{}", row.username))
}

fn refuse(key: &str, row: &Row) -> Failure {
    Failure::field("bot", Text::new(key).with("bot", row.username.as_str()))
}

pub(crate) fn facts(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> BTreeMap<String, Value> {
    let pairs = pairs.into_iter();
    pairs.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A failure of the catalogue within a step.
fn not_stored(region: &RegionId, bot: i64, error: CatalogueError) -> StepFailure {
    match error {
        CatalogueError::Database(error) => away(region, &error).into(),
        CatalogueError::Keys(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the key store gave no usable answer"
            );
            Failure::unavailable(format!("@{}", keys::NOUN_KEY_STORE)).into()
        }
        CatalogueError::There(_) => StepFailure::Failed(Text::new(keys::BOT_THERE).with("bot", bot)),
        CatalogueError::Unknown(_) => Failure::not_found(bot).into(),
    }
}

impl Room {
    /// A bot in its region.
    pub(crate) async fn row(&self, region: &RegionId, bot: i64) -> Result<Row, Failure> {
        let found = store::bot(self.cell(region)?, bot).await;
        found
            .map_err(|error| away(region, &error))?
            .ok_or_else(|| Failure::not_found(bot))
    }

    /// What waits at Telegram, and how long the same took last time.
    async fn estimates(&self, kind: &str, region: &RegionId, row: &Row) -> Vec<Text> {
        let asked = async {
            let client = self.client(region, row.bot_id, &row.base_url).await?;
            tokens::info(&client).await
        };
        let (waiting, took) = tokio::join!(asked, self.last_took(kind));
        vec![
            Text::new(keys::PLAN_BOT_IN_FLIGHT).with("n", row.open_calls),
            match waiting {
                Ok(waiting) => Text::new(keys::PLAN_BOT_PENDING).with("n", waiting.pending_update_count),
                Err(_) => Text::new(keys::PLAN_BOT_PENDING_UNKNOWN),
            },
            match took {
                Some(took) => {
                    Text::new(keys::PLAN_BOT_TOOK).with("seconds", format!("{:.1}", took.as_seconds_f64()))
                }
                None => Text::new(keys::PLAN_BOT_TOOK_UNKNOWN),
            },
        ]
    }

    /// How long the last operation of this kind took that succeeded, whatever bot it was about.
    async fn last_took(&self, kind: &str) -> Option<time::Duration> {
        let query = ListOperations {
            states: vec![OperationState::Succeeded],
            kind: Some(kind.to_owned()),
            limit: 1,
            ..ListOperations::default()
        };
        let console = self.console.get().ok()?;
        let page = console.ask(&Actor::system("bots"), query).await.ok()?;
        let last = page.rows.into_iter().next()?;
        Some(last.finished_at? - last.started_at?)
    }

    /// The plan of a wish about a bot that is there.
    async fn wish_plan(
        &self,
        kind: &'static str,
        region: &RegionId,
        row: &Row,
        summary: &str,
        change: &str,
    ) -> Plan {
        Plan {
            summary: about(summary, row),
            changes: vec![about(change, row)],
            facts: facts([
                ("bot", json!(row.bot_id)),
                ("generation", json!(row.generation)),
                ("desired", json!(row.desired)),
            ]),
            estimates: self.estimates(kind, region, row).await,
            warnings: Vec::new(),
            steps: vec![WISH.to_owned(), WAIT.to_owned()],
            approval: None,
        }
    }

    /// Writes down whether a bot should run. `already` says of a row whether that was done before.
    async fn wish(
        &self,
        cx: &RunContext,
        region: &RegionId,
        bot: i64,
        running: bool,
        already: fn(&Row) -> bool,
    ) -> Result<i64, StepFailure> {
        let pool = self.cell(region)?;
        cx.effect(
            WISH,
            || async {
                let row = self.row(region, bot).await?;
                Ok(already(&row).then_some(row.generation))
            },
            || async {
                catalogue::want(pool, BotId(bot), running)
                    .await
                    .map_err(|error| not_stored(region, bot, error))?;
                Ok(self.row(region, bot).await?.generation)
            },
        )
        .await
    }

    /// Waits until the bot runs with the settings of `generation`.
    async fn wait_running(
        &self,
        cx: &RunContext,
        region: &RegionId,
        bot: i64,
        generation: i64,
    ) -> Result<BotOutcome, StepFailure> {
        let look = |row: &Row| match row.condition() {
            _ if row.generation < generation => Ok(false),
            BotCondition::Running => Ok(true),
            BotCondition::Invalid | BotCondition::Failed => {
                let class = row.class.as_deref().unwrap_or("none");
                let why = format!("@bot.error.{class}");
                Err(StepFailure::Failed(
                    about(keys::BOT_DOES_NOT_RUN, row).with("why", why),
                ))
            }
            _ => Ok(false),
        };
        self.wait(cx, region, bot, look).await
    }

    /// Waits until nobody owns the bot any more.
    async fn wait_stopped(
        &self,
        cx: &RunContext,
        region: &RegionId,
        bot: i64,
    ) -> Result<BotOutcome, StepFailure> {
        let look = |row: &Row| Ok(row.condition() == BotCondition::Stopped);
        self.wait(cx, region, bot, look).await
    }

    async fn wait(
        &self,
        cx: &RunContext,
        region: &RegionId,
        bot: i64,
        look: impl Fn(&Row) -> Result<bool, StepFailure> + Send + Sync,
    ) -> Result<BotOutcome, StepFailure> {
        // Nothing is done here, only looked at, so there is nothing to ask about after a crash.
        cx.effect(
            WAIT,
            || async { Ok(None) },
            || self.look_until(cx, region, bot, &look),
        )
        .await
    }

    async fn look_until(
        &self,
        cx: &RunContext,
        region: &RegionId,
        bot: i64,
        look: &(impl Fn(&Row) -> Result<bool, StepFailure> + Sync),
    ) -> Result<BotOutcome, StepFailure> {
        let begun = Instant::now();
        let mut last = BotCondition::Unowned;
        while begun.elapsed() < PATIENCE {
            // The cell may be away for a moment; the patience is the same.
            if let Ok(row) = self.row(region, bot).await {
                last = row.condition();
                if look(&row)? {
                    return Ok(BotOutcome {
                        condition: last,
                        owner: row.owner,
                        fence: row.fence,
                    });
                }
                let text = about(keys::BOT_WAITS, &row).with("condition", format!("@bot.condition.{last}"));
                let part = begun.elapsed().as_secs_f32() / PATIENCE.as_secs_f32();
                cx.progress(part, text).await?;
            }
            cx.sleep(BETWEEN_LOOKS).await?;
        }
        Err(StepFailure::Failed(
            Text::new(keys::BOT_NOT_DONE)
                .with("seconds", PATIENCE.as_secs())
                .with("condition", format!("@bot.condition.{last}")),
        ))
    }

    /// Readers hear of it at once, not with the next look.
    pub(crate) fn tell(&self, region: &RegionId) {
        self.live.publish_volatile("bots", Some(region.as_str()));
    }
}
