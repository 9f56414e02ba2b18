//! Writing, removing and ordering a bot's rules.

use super::{about, facts};
use crate::Room;
use crate::rules::{changed, not_kept, written};
use async_trait::async_trait;
use bagua_bots::BotId;
use bagua_bots::rules;
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::bots::rules::{OrderRules, RemoveRule, RuleAction, RuleOutcome, RuleView, WriteRule};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use serde_json::json;

/// Writes it into the region's data database.
const WRITE: &str = "write-rule";

impl Room {
    /// A rule in the version that was looked at.
    async fn rule_at(
        &self,
        region: &RegionId,
        bot: i64,
        rule: i64,
        version: i32,
    ) -> Result<RuleView, Failure> {
        let mut rules = self.rules(region, bot).await?.into_iter();
        let found = rules.find(|there| there.rule == rule && there.version == version);
        found.ok_or_else(changed)
    }
}

fn plan(summary: Text, changes: Vec<Text>, pairs: [(&'static str, serde_json::Value); 2]) -> Plan {
    Plan {
        summary,
        changes,
        facts: facts(pairs),
        estimates: Vec::new(),
        warnings: Vec::new(),
        steps: vec![WRITE.to_owned()],
        approval: None,
    }
}

#[async_trait]
impl Handles<WriteRule> for Room {
    async fn plan(&self, _: &PlanContext, operation: &WriteRule) -> Result<Plan, Failure> {
        let WriteRule {
            bot,
            region,
            rule,
            version,
            says,
        } = operation;
        written(says, *rule, *version, 0)?;
        self.has_texts(region, says).await?;
        self.has_routes(region, *bot, says).await?;
        let row = self.row(region, *bot).await?;
        let mut changes = Vec::new();
        let summary = if *rule == 0 {
            keys::PLAN_RULE_ADD
        } else {
            let before = self.rule_at(region, *bot, *rule, *version).await?;
            if before.says == *says {
                return Err(Failure::field("title", Text::new(keys::FIELD_RULE_SAME)));
            }
            changes.push(Text::new(keys::PLAN_RULE_BEFORE).with("version", version));
            changes.extend(before.says.lines());
            changes.push(Text::new(keys::PLAN_RULE_AFTER));
            keys::PLAN_RULE_CHANGE
        };
        changes.extend(says.lines());
        let mut plan = plan(
            about(summary, &row).with("title", &says.title),
            changes,
            [("rule", json!(rule)), ("version", json!(version))],
        );
        for action in &says.actions {
            if let RuleAction::Deliver { to } = action {
                plan.warnings
                    .push(Text::new(keys::PLAN_RULE_DELIVER).with("to", to));
            }
        }
        // How many stored updates it matches is no part of the plan: that says what messages hold, and only `rules.try` is audited as reading.
        Ok(plan)
    }

    async fn run(&self, cx: &mut RunContext, operation: &WriteRule) -> Result<RuleOutcome, StepFailure> {
        let (region, bot) = (&operation.region, BotId(operation.bot));
        let pool = self.cell(region)?;
        let by = cx.operation().to_string();
        let outcome = cx
            .effect(
                WRITE,
                || async {
                    let done = rules::written_by(pool, bot, &by).await;
                    let done = done.map_err(|error| crate::away(region, &error))?;
                    Ok(done.map(|(rule, version)| RuleOutcome { rule, version }))
                },
                || async {
                    // Removing leaves holes in the positions: how many rules there are says nothing about where one stands.
                    let there = rules::list(pool, bot).await;
                    let there = there.map_err(|error| crate::away(region, &error))?;
                    let place = if operation.rule == 0 {
                        let last = there.iter().map(|rule| rule.position).max();
                        last.map_or(0, |last| last.saturating_add(1))
                    } else {
                        there
                            .iter()
                            .find(|rule| rule.id == operation.rule && rule.version == operation.version)
                            .ok_or_else(changed)?
                            .position
                    };
                    let rule = written(&operation.says, operation.rule, operation.version, place)?;
                    let saved = rules::save_for(pool, bot, &rule, Some(&by)).await;
                    let saved = saved.map_err(|error| not_kept(region, error))?;
                    Ok(RuleOutcome {
                        rule: saved.id,
                        version: saved.version,
                    })
                },
            )
            .await?;
        self.tell(region);
        Ok(outcome)
    }
}

#[async_trait]
impl Handles<RemoveRule> for Room {
    async fn plan(&self, _: &PlanContext, operation: &RemoveRule) -> Result<Plan, Failure> {
        let row = self.row(&operation.region, operation.bot).await?;
        let before = self
            .rule_at(
                &operation.region,
                operation.bot,
                operation.rule,
                operation.version,
            )
            .await?;
        Ok(plan(
            about(keys::PLAN_RULE_REMOVE, &row).with("title", &before.says.title),
            before.says.lines(),
            [
                ("rule", json!(operation.rule)),
                ("version", json!(operation.version)),
            ],
        ))
    }

    async fn run(&self, cx: &mut RunContext, operation: &RemoveRule) -> Result<(), StepFailure> {
        let region = &operation.region;
        let pool = self.cell(region)?;
        cx.effect(
            WRITE,
            || async {
                // Numbers are not used again, so what is not there was removed.
                let there = self.rules(region, operation.bot).await?;
                Ok((!there.iter().any(|rule| rule.rule == operation.rule)).then_some(()))
            },
            || async {
                let done = rules::remove(pool, BotId(operation.bot), operation.rule, operation.version).await;
                Ok(done.map_err(|error| not_kept(region, error))?)
            },
        )
        .await?;
        self.tell(region);
        Ok(())
    }
}

#[async_trait]
impl Handles<OrderRules> for Room {
    async fn plan(&self, _: &PlanContext, operation: &OrderRules) -> Result<Plan, Failure> {
        let row = self.row(&operation.region, operation.bot).await?;
        let there = self.rules(&operation.region, operation.bot).await?;
        let mut named = Vec::new();
        for wanted in &operation.rules {
            let rule = there
                .iter()
                .find(|rule| rule.rule == *wanted)
                .ok_or_else(changed)?;
            named.push(
                Text::new(keys::PLAN_RULE_PLACE)
                    .with("n", named.len() + 1)
                    .with("title", &rule.says.title),
            );
        }
        let mut unique = operation.rules.clone();
        unique.sort_unstable();
        unique.dedup();
        if unique.len() != there.len() || operation.rules.len() != there.len() {
            return Err(changed());
        }
        Ok(plan(
            about(keys::PLAN_RULE_ORDER, &row),
            named,
            [
                ("rules", json!(operation.rules)),
                (
                    "before",
                    json!(there.iter().map(|rule| rule.rule).collect::<Vec<_>>()),
                ),
            ],
        ))
    }

    async fn run(&self, cx: &mut RunContext, operation: &OrderRules) -> Result<(), StepFailure> {
        let region = &operation.region;
        let pool = self.cell(region)?;
        cx.effect(
            WRITE,
            || async {
                let there = self.rules(region, operation.bot).await?;
                let now: Vec<i64> = there.iter().map(|rule| rule.rule).collect();
                Ok((now == operation.rules).then_some(()))
            },
            || async {
                let done = rules::order(pool, BotId(operation.bot), &operation.rules).await;
                Ok(done.map_err(|error| not_kept(region, error))?)
            },
        )
        .await?;
        self.tell(region);
        Ok(())
    }
}
