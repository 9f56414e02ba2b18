//! Ends silences. What has ended cannot be brought back: another one is made.

use super::silence::owner_name;
use crate::Alerts;
use crate::alertmanager::ApiSilence;
use crate::silences::{alertmanager_failure, step_failure};
use async_trait::async_trait;
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::Plan;
use bagua_model::silences::{ExpireSilences, MOST_SILENCES, SilenceState, region_of, write_matchers};
use bagua_model::text::{Text, keys};
use bagua_model::verbs::{Operation, Target};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const EXPIRE: &str = "expire-silence";
const RECORD: &str = "record-silence";

#[async_trait]
impl Handles<ExpireSilences> for Alerts {
    /// Whoever may not end silences in the region that they name is refused without a look at the silences; for
    /// whoever may, a silence that is not limited to that region does not exist.
    async fn locate(&self, cx: &PlanContext, operation: &ExpireSilences) -> Result<Target, Failure> {
        let target = operation.target();
        let granted = cx.actor.granted(ExpireSilences::PERMISSION);
        if granted.reaches(cx.environment, operation.region.as_ref()) {
            self.silences_of(operation).await?;
        }
        Ok(target)
    }

    async fn plan(&self, _: &PlanContext, operation: &ExpireSilences) -> Result<Plan, Failure> {
        let silences = self.silences_of(operation).await?;
        if let Some(ended) = silences.iter().find(|s| s.state() == SilenceState::Expired) {
            let text =
                Text::new(keys::SILENCE_FAILURE_ENDED).with("matchers", write_matchers(&ended.matchers()));
            return Err(Failure::new(FailureKind::Conflict, text));
        }
        let snapshot = self.firing()?;
        let told = snapshot.rows().iter().filter(|e| {
            let by = &e.view.suppressed_by;
            !by.is_empty() && by.iter().all(|id| operation.silences.contains(id))
        });
        Ok(Plan {
            summary: Text::new(keys::SILENCE_PLAN_EXPIRE).with("n", silences.len()),
            changes: silences
                .iter()
                .map(|s| {
                    Text::new(keys::SILENCE_PLAN_ENDS)
                        .with("matchers", write_matchers(&s.matchers()))
                        .with("by", owner_name(&s.created_by))
                })
                .collect(),
            facts: BTreeMap::from([("silences".to_owned(), json!(operation.silences))]),
            estimates: vec![Text::new(keys::SILENCE_PLAN_TOLD_AGAIN).with("n", told.count())],
            warnings: Vec::new(),
            steps: operation
                .silences
                .iter()
                .flat_map(|id| [format!("{EXPIRE}:{id}"), format!("{RECORD}:{id}")])
                .collect(),
            approval: None,
        })
    }

    async fn run(&self, cx: &mut RunContext, operation: &ExpireSilences) -> Result<(), StepFailure> {
        let cx = &*cx;
        for id in &operation.silences {
            let ended = || async move {
                let all = self.alertmanager.silences().await.map_err(|e| step_failure(&e))?;
                let open = |s: &ApiSilence| s.id == *id && s.state() != SilenceState::Expired;
                Ok::<_, StepFailure>((!all.iter().any(open)).then_some(()))
            };
            cx.effect(&format!("{EXPIRE}:{id}"), ended, || async move {
                // It may have ended by itself since the plan, and ending it twice is an error there.
                if ended().await?.is_some() {
                    return Ok(());
                }
                self.alertmanager
                    .expire_silence(id)
                    .await
                    .map_err(|e| step_failure(&e))
            })
            .await?;
            self.reconcile_soon();
            let all = self.alertmanager.silences().await.map_err(|e| step_failure(&e));
            let matchers = all
                .ok()
                .and_then(|all| all.into_iter().find(|s| s.id == *id))
                .map(|s| s.matchers())
                .unwrap_or_default();
            let text = Text::new(keys::SILENCE_EVENT_EXPIRED)
                .with("by", owner_name(cx.submitted_by()))
                .with("matchers", write_matchers(&matchers));
            let event = self.silence_event(cx, "silence.expired", id, text, region_of(&matchers));
            self.record_step(cx, &format!("{RECORD}:{id}"), event).await?;
        }
        Ok(())
    }
}

impl Alerts {
    /// The silences that an operation names, each of them known to Alertmanager.
    async fn silences_of(&self, operation: &ExpireSilences) -> Result<Vec<ApiSilence>, Failure> {
        let count = operation.silences.len();
        let distinct: BTreeSet<_> = operation.silences.iter().collect();
        if count == 0 || count > MOST_SILENCES || distinct.len() != count {
            let text = Text::new(keys::SILENCE_FAILURE_IDS).with("most", MOST_SILENCES);
            return Err(Failure::field("silences", text));
        }
        let mut all = self
            .alertmanager
            .silences()
            .await
            .map_err(|e| alertmanager_failure(&e))?;
        all.retain(|s| {
            distinct.contains(&s.id)
                && operation
                    .region
                    .as_ref()
                    .is_none_or(|region| region_of(&s.matchers()).as_ref() == Some(region))
        });
        if all.len() != count {
            return Err(Failure::not_found(format!("@{}", keys::SILENCE_NOUN)));
        }
        Ok(all)
    }
}
