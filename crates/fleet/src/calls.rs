//! Calls and what is in quarantine, and a person's word on uncertain ones.

use crate::operations::{about, facts};
use crate::{Room, away};
use async_trait::async_trait;
use bagua_bots::outbox::{self, Entry, OutboxError};
use bagua_bots::{BotId, quarantine};
use bagua_core::{Answers, AskContext, Handles, PlanContext, RunContext, StepFailure};
use bagua_model::bots::calls::{
    CALLS_AT_ONCE, CALLS_MOST, CallState, CallView, CallsView, GiveUpCalls, ListCalls, QuarantinedView,
    ResendCalls,
};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::Plan;
use bagua_model::region::RegionId;
use bagua_model::text::{Text, keys};
use serde_json::json;

/// Writes the decision down.
const DECIDE: &str = "write-decision";

fn view(entry: Entry) -> CallView {
    CallView {
        call: entry.id,
        method: entry.method,
        state: entry.state,
        update: entry.update_id,
        rule: entry.rule_id,
        attempts: entry.attempts,
        message: entry.message_id,
        class: entry.class,
        detail: entry.detail,
        created_at: entry.created_at,
        changed_at: entry.changed_at,
    }
}

#[async_trait]
impl Answers<ListCalls> for Room {
    async fn answer(&self, cx: &AskContext, query: ListCalls) -> Result<CallsView, Failure> {
        let (region, row) = self.find(cx, query.bot).await?;
        let (pool, bot) = (self.cell(&region)?, BotId(query.bot));
        let most = i64::from(CALLS_MOST);
        let (calls, quarantined) = tokio::try_join!(
            outbox::list(pool, bot, query.state, most),
            quarantine::list(pool, bot, most)
        )
        .map_err(|error| away(&region, &error))?;
        Ok(CallsView {
            username: row.username,
            region,
            open: row.open_calls,
            uncertain: row.uncertain,
            calls: calls.into_iter().map(view).collect(),
            quarantined: quarantined
                .into_iter()
                .map(|row| QuarantinedView {
                    id: row.id,
                    received_at: row.received_at,
                    reason: row.reason,
                })
                .collect(),
        })
    }
}

/// What a person decides of calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    Resend,
    GiveUp,
}

impl Decision {
    /// Whether it can be decided of a call in this state.
    fn fits(self, state: CallState) -> bool {
        use CallState as C;
        match self {
            Decision::Resend => matches!(state, C::Uncertain | C::Failed),
            Decision::GiveUp => matches!(state, C::Uncertain | C::Pending),
        }
    }

    /// Whether a call in this state has been decided of, or is further than that.
    fn is_done(self, state: CallState) -> bool {
        use CallState as C;
        match self {
            Decision::Resend => matches!(state, C::Pending | C::Sending | C::Sent),
            Decision::GiveUp => state == C::Failed,
        }
    }
}

impl Room {
    async fn calls(&self, region: &RegionId, bot: i64, calls: &[i64]) -> Result<Vec<Entry>, Failure> {
        if calls.is_empty() || calls.len() > CALLS_AT_ONCE {
            let text = Text::new(keys::FIELD_CALLS).with("most", CALLS_AT_ONCE);
            return Err(Failure::field("calls", text));
        }
        let found = outbox::some(self.cell(region)?, BotId(bot), calls).await;
        found.map_err(|error| away(region, &error))
    }

    async fn decision_plan(
        &self,
        region: &RegionId,
        bot: i64,
        calls: &[i64],
        decision: Decision,
    ) -> Result<Plan, Failure> {
        let row = self.row(region, bot).await?;
        let found = self.calls(region, bot, calls).await?;
        if !found.iter().all(|call| decision.fits(call.state)) || found.len() != calls.len() {
            return Err(changed());
        }
        let uncertain = found
            .iter()
            .filter(|call| call.state == CallState::Uncertain)
            .count();
        let (summary, change) = match decision {
            Decision::Resend => (keys::PLAN_CALL_RESEND, keys::PLAN_CALL_RESENDS),
            Decision::GiveUp => (keys::PLAN_CALL_GIVE_UP, keys::PLAN_CALL_GIVES_UP),
        };
        let mut plan = Plan {
            summary: about(summary, &row).with("n", calls.len()),
            changes: found
                .iter()
                .map(|call| {
                    Text::new(change)
                        .with("call", call.id)
                        .with("method", &call.method)
                        .with("state", format!("@call.state.{}", call.state))
                })
                .collect(),
            facts: facts([("calls", json!(calls))]),
            estimates: Vec::new(),
            warnings: Vec::new(),
            steps: vec![DECIDE.to_owned()],
            approval: None,
        };
        if decision == Decision::Resend && uncertain > 0 {
            plan.warnings
                .push(Text::new(keys::PLAN_CALL_TWICE).with("n", uncertain));
        }
        Ok(plan)
    }

    async fn decide(
        &self,
        cx: &RunContext,
        (region, bot, calls): (&RegionId, i64, &[i64]),
        decision: Decision,
    ) -> Result<u64, StepFailure> {
        let pool = self.cell(region)?;
        let done = cx
            .effect(
                DECIDE,
                || async {
                    let found = self.calls(region, bot, calls).await?;
                    let done = found.iter().all(|call| decision.is_done(call.state));
                    Ok(done.then_some(found.len() as u64))
                },
                || async {
                    let mut decided = 0;
                    for call in self.calls(region, bot, calls).await? {
                        // Of a run that was broken off.
                        if decision.is_done(call.state) {
                            decided += 1;
                            continue;
                        }
                        let done = match decision {
                            Decision::Resend => outbox::resend(pool, BotId(bot), call.id).await,
                            Decision::GiveUp => outbox::give_up(pool, BotId(bot), call.id).await,
                        };
                        match done {
                            Ok(()) => decided += 1,
                            // Another person, or the owner, came first: nothing is forced.
                            Err(OutboxError::Changed) => {}
                            Err(OutboxError::Database(error)) => return Err(away(region, &error).into()),
                            Err(OutboxError::Keys(_)) => {
                                return Err(Failure::unavailable(format!("@{}", keys::NOUN_KEY_STORE)).into());
                            }
                        }
                    }
                    Ok(decided)
                },
            )
            .await?;
        self.tell(region);
        Ok(done)
    }
}

fn changed() -> Failure {
    Failure::new(FailureKind::Conflict, Text::new(keys::FAILURE_CALL_CHANGED))
}

macro_rules! handles {
    ($name:ident, $decision:expr) => {
        #[async_trait]
        impl Handles<$name> for Room {
            async fn plan(&self, _: &PlanContext, operation: &$name) -> Result<Plan, Failure> {
                self.decision_plan(
                    &operation.region,
                    operation.bot,
                    &operation.calls,
                    $decision,
                )
                .await
            }

            async fn run(&self, cx: &mut RunContext, operation: &$name) -> Result<u64, StepFailure> {
                let which = (&operation.region, operation.bot, operation.calls.as_slice());
                self.decide(cx, which, $decision).await
            }
        }
    };
}

handles!(ResendCalls, Decision::Resend);
handles!(GiveUpCalls, Decision::GiveUp);
