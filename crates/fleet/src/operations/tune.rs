//! How the processes of a region work: written down once, and waited for until each of them works so.

use super::{BETWEEN_LOOKS, PATIENCE, WISH, facts};
use crate::{Room, away};
use async_trait::async_trait;
use bagua_bots::{presence, tuning};
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::bots::tuning::{TuneBots, TuneOutcome, Tuning};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::text::{Text, keys};
use serde_json::json;
use std::time::Instant;

/// Waits until all processes work so.
const APPLY: &str = "wait-runners";
/// Connections that a process needs beside its writers: leases, rules, calls, the search.
const BESIDE: u32 = 4;

/// Each value within its limits, and together possible.
fn check(tuning: &Tuning) -> Result<(), Failure> {
    let wrong = Tuning::KNOBS.iter().find_map(|knob| {
        let value = tuning.get(knob.name)?;
        (!(knob.least..=knob.most).contains(&value)).then_some(knob)
    });
    if let Some(knob) = wrong {
        let text = Text::new(keys::BOTS_KNOB_RANGE)
            .with("least", knob.least)
            .with("most", knob.most);
        return Err(Failure::field(knob.name, text));
    }
    if tuning.connections < tuning.writers + BESIDE {
        let text = Text::new(keys::BOTS_KNOB_TOO_FEW).with("least", tuning.writers + BESIDE);
        return Err(Failure::field("connections", text));
    }
    Ok(())
}

#[async_trait]
impl Handles<TuneBots> for Room {
    async fn plan(&self, _: &PlanContext, operation: &TuneBots) -> Result<Plan, Failure> {
        let region = &operation.region;
        check(&operation.tuning)?;
        let pool = self.cell(region)?;
        let (set, runners) = tokio::try_join!(tuning::read(pool), presence::list(pool))
            .map_err(|error| away(region, &error))?;
        let changes: Vec<Text> = Tuning::KNOBS
            .iter()
            .filter_map(|knob| {
                let (before, after) = (set.tuning.get(knob.name)?, operation.tuning.get(knob.name)?);
                (before != after).then(|| {
                    Text::new(keys::PLAN_BOTS_TUNE_VALUE)
                        .with("what", format!("@bots.knob.{}", knob.name))
                        .with("before", before)
                        .with("after", after)
                })
            })
            .collect();
        if changes.is_empty() {
            let text = Text::new(keys::BOTS_TUNE_NOTHING).with("region", format!("@region.{region}"));
            return Err(Failure::field("tuning", text));
        }
        let owned: u32 = runners.iter().map(|runner| runner.figures.bots).sum();
        let mut warnings = Vec::new();
        if runners.is_empty() {
            warnings.push(Text::new(keys::PLAN_BOTS_TUNE_NOBODY));
        } else if owned > 0 {
            warnings.push(Text::new(keys::PLAN_BOTS_TUNE_PAUSE).with("n", owned));
        }
        Ok(Plan {
            summary: Text::new(keys::PLAN_BOTS_TUNE).with("region", format!("@region.{region}")),
            changes,
            facts: facts([
                ("region", json!(region)),
                ("version", json!(set.version)),
                ("after", json!(operation.tuning)),
            ]),
            estimates: vec![Text::new(keys::PLAN_BOTS_TUNE_RUNNERS).with("n", runners.len())],
            warnings,
            steps: vec![WISH.to_owned(), APPLY.to_owned()],
            approval: None,
        })
    }

    async fn run(&self, cx: &mut RunContext, operation: &TuneBots) -> Result<TuneOutcome, StepFailure> {
        let region = &operation.region;
        let pool = self.cell(region)?;
        let cx: &RunContext = cx;
        let version: i64 = cx
            .effect(
                WISH,
                || async {
                    let set = tuning::read(pool).await.map_err(|error| away(region, &error))?;
                    Ok((set.tuning == operation.tuning && set.version > 0).then_some(set.version))
                },
                || async {
                    Ok(tuning::write(pool, &operation.tuning)
                        .await
                        .map_err(|error| away(region, &error))?)
                },
            )
            .await?;
        let runners: usize = cx
            .effect(
                APPLY,
                || async { Ok(None) },
                || async {
                    let begun = Instant::now();
                    loop {
                        let there = presence::list(pool).await.map_err(|error| away(region, &error))?;
                        // Whoever stands by without a bot reads it when it is wanted.
                        let there = there.iter().filter(|one| one.figures.open > 0);
                        let behind = there.clone().filter(|one| one.figures.tuning < version).count();
                        if behind == 0 {
                            return Ok(there.count());
                        }
                        if begun.elapsed() >= PATIENCE {
                            return Err(StepFailure::Failed(
                                Text::new(keys::BOTS_TUNE_NOT_DONE)
                                    .with("n", behind)
                                    .with("seconds", PATIENCE.as_secs()),
                            ));
                        }
                        let part = begun.elapsed().as_secs_f32() / PATIENCE.as_secs_f32();
                        let text = Text::new(keys::BOTS_TUNE_WAIT).with("n", behind);
                        cx.progress(part, text).await?;
                        cx.sleep(BETWEEN_LOOKS).await?;
                    }
                },
            )
            .await?;
        self.tell(region);
        Ok(TuneOutcome { version, runners })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_their_limits_and_too_few_connections_are_refused_at_their_field() {
        assert!(check(&Tuning::default()).is_ok());
        let field = |tuning: &Tuning| check(tuning).map_err(|failure| failure.fields[0].0.clone());
        for knob in Tuning::KNOBS {
            for value in [knob.least - 1, knob.most + 1] {
                let mut tuning = Tuning::default();
                tuning.set(knob.name, value);
                assert_eq!(field(&tuning), Err(knob.name.to_owned()));
            }
        }
        let many = Tuning {
            writers: 8,
            connections: 11,
            ..Tuning::default()
        };
        assert_eq!(field(&many), Err("connections".to_owned()));
        assert!(
            check(&Tuning {
                connections: 12,
                ..many
            })
            .is_ok()
        );
    }
}
