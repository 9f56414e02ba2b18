//! What came without a number: read again, or thrown away.

use crate::operations::{about, facts};
use crate::{Room, away};
use async_trait::async_trait;
use bagua_bots::BotId;
use bagua_bots::ingest::Now;
use bagua_bots::quarantine::{self, QuarantineError, Quarantined};
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_keys::KeyError;
use bagua_model::bots::calls::{CALLS_AT_ONCE, DiscardQuarantine, ReplayOutcome, ReplayQuarantine};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::Plan;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use serde_json::json;
use std::sync::Arc;

/// Reads it again.
const REPLAY: &str = "replay-quarantine";
/// Throws it away.
const DISCARD: &str = "discard-quarantine";

fn keys_away(error: &KeyError) -> Failure {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "what is in quarantine cannot be opened"
    );
    Failure::unavailable(format!("@{}", keys::NOUN_KEY_STORE))
}

impl Room {
    /// All of `rows`, which must be there.
    async fn quarantined(
        &self,
        region: &RegionId,
        bot: i64,
        rows: &[i64],
    ) -> Result<Vec<Quarantined>, Failure> {
        if rows.is_empty() || rows.len() > CALLS_AT_ONCE {
            let text = Text::new(keys::FIELD_QUARANTINE).with("most", CALLS_AT_ONCE);
            return Err(Failure::field("rows", text));
        }
        let found = quarantine::some(self.cell(region)?, BotId(bot), rows).await;
        let found = found.map_err(|error| away(region, &error))?;
        if found.len() != rows.len() {
            let text = Text::new(keys::FAILURE_QUARANTINE_CHANGED);
            return Err(Failure::new(FailureKind::Conflict, text));
        }
        Ok(found)
    }
}

fn plan(summary: Text, changes: Vec<Text>, rows: &[i64], step: &str) -> Plan {
    Plan {
        summary: summary.with("n", rows.len()),
        changes,
        facts: facts([("rows", json!(rows))]),
        estimates: Vec::new(),
        warnings: Vec::new(),
        steps: vec![step.to_owned()],
        approval: None,
    }
}

#[async_trait]
impl Handles<ReplayQuarantine> for Room {
    async fn plan(&self, _: &PlanContext, operation: &ReplayQuarantine) -> Result<Plan, Failure> {
        let (region, bot) = (&operation.region, operation.bot);
        let row = self.row(region, bot).await?;
        let mut readable = 0;
        for one in self.quarantined(region, bot, &operation.rows).await? {
            let readable_now = quarantine::is_readable(&one, self.keys()?, BotId(bot)).await;
            readable += usize::from(readable_now.map_err(|error| keys_away(&error))?);
        }
        if readable == 0 {
            return Err(Failure::field("rows", about(keys::QUARANTINE_UNREADABLE, &row)));
        }
        let left = operation.rows.len() - readable;
        let mut changes = vec![Text::new(keys::PLAN_QUARANTINE_REPLAYS).with("n", readable)];
        if left > 0 {
            changes.push(Text::new(keys::PLAN_QUARANTINE_STAY).with("n", left));
        }
        Ok(plan(
            about(keys::PLAN_QUARANTINE_REPLAY, &row),
            changes,
            &operation.rows,
            REPLAY,
        ))
    }

    async fn run(
        &self,
        cx: &mut RunContext,
        operation: &ReplayQuarantine,
    ) -> Result<ReplayOutcome, StepFailure> {
        let (region, bot) = (&operation.region, operation.bot);
        let pool = self.cell(region)?;
        let keys = self.config.keys.as_ref();
        let keys = keys.ok_or_else(|| Failure::unavailable(format!("@{}", keys::NOUN_KEY_STORE)))?;
        let clock = self.clock.clone();
        let now: Now = Arc::new(move || clock.now());
        let outcome = cx
            .effect(
                REPLAY,
                // Read again from where a run broke off: what was stored has left the quarantine, or is recognised by its number.
                || async { Ok(None) },
                || async {
                    match quarantine::replay(pool, keys, BotId(bot), &operation.rows, now.clone()).await {
                        Ok(done) => Ok(ReplayOutcome {
                            stored: done.stored,
                            repeats: done.repeats,
                            left: done.left,
                        }),
                        Err(QuarantineError::Database(error)) => Err(away(region, &error).into()),
                        Err(QuarantineError::Keys(error)) => Err(keys_away(&error).into()),
                        Err(QuarantineError::Ingest(error)) => {
                            tracing::warn!(bot, %error, "what was in quarantine was not stored");
                            Err(Failure::unavailable(format!("@{}", keys::NOUN_CELL)).into())
                        }
                    }
                },
            )
            .await?;
        self.tell(region);
        Ok(outcome)
    }
}

#[async_trait]
impl Handles<DiscardQuarantine> for Room {
    async fn plan(&self, _: &PlanContext, operation: &DiscardQuarantine) -> Result<Plan, Failure> {
        let row = self.row(&operation.region, operation.bot).await?;
        self.quarantined(&operation.region, operation.bot, &operation.rows)
            .await?;
        let changes = vec![Text::new(keys::PLAN_QUARANTINE_DISCARDS).with("n", operation.rows.len())];
        let summary = about(keys::PLAN_QUARANTINE_DISCARD, &row);
        Ok(plan(summary, changes, &operation.rows, DISCARD))
    }

    async fn run(&self, cx: &mut RunContext, operation: &DiscardQuarantine) -> Result<u64, StepFailure> {
        let region = &operation.region;
        let (pool, bot) = (self.cell(region)?, BotId(operation.bot));
        let done = cx
            .effect(
                DISCARD,
                || async {
                    let left = quarantine::some(pool, bot, &operation.rows).await;
                    let left = left.map_err(|error| away(region, &error))?;
                    Ok(left.is_empty().then_some(operation.rows.len() as u64))
                },
                || async {
                    let done = quarantine::discard(pool, bot, &operation.rows).await;
                    Ok(done.map_err(|error| away(region, &error))?)
                },
            )
            .await?;
        self.tell(region);
        Ok(done)
    }
}
