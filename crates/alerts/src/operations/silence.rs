//! Makes a silence in Alertmanager, once, whatever becomes of the worker; undone by ending it.

use crate::Alerts;
use crate::alertmanager::NewSilence;
use crate::matching::Conditions;
use crate::silences::{made_by, marked, step_failure};
use async_trait::async_trait;
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::silences::{
    CreateSilence, LONGEST_COMMENT, LONGEST_SILENCE, SilenceOutcome, SilenceState, region_of, write_matchers,
};
use bagua_model::text::{Text, keys};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime};

const CREATE: &str = "create-silence";
const RECORD: &str = "record-silence";
/// What should be silent for longer is a rule that should be changed.
const LONGEST: Duration = Duration::minutes(LONGEST_SILENCE as i64);

#[async_trait]
impl Handles<CreateSilence> for Alerts {
    async fn plan(&self, cx: &PlanContext, operation: &CreateSilence) -> Result<Plan, Failure> {
        let conditions = Conditions::new(&operation.matchers)?;
        check_comment(&operation.comment)?;
        let ends_at = end(operation, cx.now)?;
        let snapshot = self.firing()?;
        let rows = snapshot.rows().iter().map(|e| &e.view);
        let held: Vec<_> = rows.filter(|v| conditions.hold(&v.labels)).collect();
        let matchers = write_matchers(&operation.matchers);
        let mut warnings = Vec::new();
        if held.is_empty() {
            warnings.push(Text::new(keys::SILENCE_PLAN_NOTHING));
        }
        if region_of(&operation.matchers).is_none() {
            warnings.push(Text::new(keys::SILENCE_PLAN_EVERYWHERE));
        }
        let change = match operation.minutes {
            Some(minutes) => Text::new(keys::SILENCE_PLAN_MINUTES).with("minutes", minutes),
            None => Text::new(keys::SILENCE_PLAN_UNTIL).with("until", written(ends_at)),
        };
        let names: Vec<_> = held.iter().take(3).map(|v| v.name.as_str()).collect();
        let estimates = (!held.is_empty()).then(|| {
            Text::new(keys::SILENCE_PLAN_HOLDS)
                .with("n", held.len())
                .with("names", names.join(", "))
        });
        Ok(Plan {
            summary: Text::new(keys::SILENCE_PLAN_CREATE).with("matchers", &matchers),
            changes: vec![change],
            facts: BTreeMap::from([
                ("matchers".to_owned(), json!(matchers)),
                ("minutes".to_owned(), json!(operation.minutes)),
            ]),
            estimates: estimates.into_iter().collect(),
            warnings,
            steps: vec![CREATE.to_owned(), RECORD.to_owned()],
            approval: None,
        })
    }

    async fn run(
        &self,
        cx: &mut RunContext,
        operation: &CreateSilence,
    ) -> Result<SilenceOutcome, StepFailure> {
        let cx = &*cx;
        let (id, owner) = (cx.operation(), cx.submitted_by().to_owned());
        let silence: String = cx
            .effect(
                CREATE,
                || async move {
                    let all = self.alertmanager.silences().await.map_err(|e| step_failure(&e))?;
                    Ok(all.into_iter().find(|s| made_by(s) == Some(id)).map(|s| s.id))
                },
                || {
                    let owner = owner.clone();
                    async move {
                        let now = cx.now();
                        let wish = NewSilence {
                            matchers: operation.matchers.iter().map(Into::into).collect(),
                            starts_at: now,
                            ends_at: end(operation, now)?,
                            created_by: owner,
                            comment: marked(operation.comment.trim(), id),
                        };
                        self.alertmanager
                            .create_silence(&wish)
                            .await
                            .map_err(|e| step_failure(&e))
                    }
                },
            )
            .await?;
        // The feed shows what is held with the next reading.
        self.reconcile_soon();
        let text = Text::new(keys::SILENCE_EVENT_CREATED)
            .with("by", owner_name(cx.submitted_by()))
            .with("matchers", write_matchers(&operation.matchers));
        let event = self.silence_event(
            cx,
            "silence.created",
            &silence,
            text,
            region_of(&operation.matchers),
        );
        self.record_step(cx, RECORD, event).await?;
        Ok(SilenceOutcome { silence })
    }

    async fn undo(
        &self,
        cx: &mut RunContext,
        _: &CreateSilence,
        step: &str,
        _: Option<Value>,
    ) -> Result<(), StepFailure> {
        if step != CREATE {
            return Ok(());
        }
        let all = self.alertmanager.silences().await.map_err(|e| step_failure(&e))?;
        let own = all
            .into_iter()
            .filter(|s| made_by(s) == Some(cx.operation()) && s.state() != SilenceState::Expired);
        for silence in own {
            self.alertmanager
                .expire_silence(&silence.id)
                .await
                .map_err(|e| step_failure(&e))?;
        }
        self.reconcile_soon();
        Ok(())
    }
}

/// The name without the address that operations keep beside it.
pub(crate) fn owner_name(submitted_by: &str) -> &str {
    submitted_by
        .split_once(" <")
        .map_or(submitted_by, |(name, _)| name)
}

fn check_comment(comment: &str) -> Result<(), Failure> {
    let length = comment.trim().chars().count();
    match length {
        0 => Err(Failure::field(
            "comment",
            Text::new(keys::SILENCE_FAILURE_COMMENT_MISSING),
        )),
        n if n > LONGEST_COMMENT => Err(Failure::field(
            "comment",
            Text::new(keys::ALERT_FAILURE_NOTE_TOO_LONG)
                .with("length", n)
                .with("most", LONGEST_COMMENT),
        )),
        _ => Ok(()),
    }
}

/// When it ends, counted from `now`.
fn end(operation: &CreateSilence, now: OffsetDateTime) -> Result<OffsetDateTime, Failure> {
    let (field, end) = match (operation.minutes, operation.ends_at) {
        // A number of minutes that leads out of the calendar has no end.
        (Some(minutes), None) => ("minutes", now.checked_add(Duration::minutes(i64::from(minutes)))),
        (None, Some(end)) => ("ends_at", Some(end)),
        (None, None) | (Some(_), Some(_)) => {
            return Err(Failure::field(
                "minutes",
                Text::new(keys::SILENCE_FAILURE_ONE_END),
            ));
        }
    };
    end.filter(|end| *end > now && *end - now <= LONGEST)
        .ok_or_else(|| {
            let text = Text::new(keys::SILENCE_FAILURE_END).with("most", LONGEST.whole_days());
            Failure::field(field, text)
        })
}

fn written(at: OffsetDateTime) -> String {
    at.format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_silence_ends_within_thirty_days_and_no_number_is_too_large_to_be_refused() {
        let now = datetime!(2026-11-22 10:00 UTC);
        let ends = |minutes: Option<u32>, ends_at: Option<OffsetDateTime>| {
            let operation = CreateSilence {
                matchers: Vec::new(),
                minutes,
                ends_at,
                comment: String::new(),
            };
            end(&operation, now).ok()
        };
        assert_eq!(ends(Some(30), None), Some(datetime!(2026-11-22 10:30 UTC)));
        assert_eq!(ends(Some(30 * 24 * 60), None), Some(now + LONGEST));
        assert_eq!(ends(Some(30 * 24 * 60 + 1), None), None);
        assert_eq!(ends(Some(u32::MAX), None), None);
        assert_eq!(ends(Some(0), None), None);
        assert_eq!(ends(None, Some(now)), None);
        assert_eq!(ends(None, None), None);
    }
}
