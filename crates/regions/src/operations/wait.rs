//! The step that waits until the component is as wished.

use super::about;
use super::signal::{Signalled, step_failure};
use crate::Room;
use bagua_core::{RunContext, StepFailure};
use bagua_model::regions::{ComponentId, ComponentOutcome};
use bagua_model::supervisor::{ComponentStatus, ProcessState, RequestOutcome};
use bagua_model::text::{Text, keys};
use std::time::{Duration, Instant};

/// How long a component may take to answer once the supervisor has done what was wished.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the supervisor may take. It gives up by itself long before, later for an engine that has to recover.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(150);
/// How often the supervisor is asked meanwhile.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
/// How long a component's health may take to answer.
const HEALTH_TIME_OUT: Duration = Duration::from_secs(2);

/// What one look found.
enum Look {
    /// As wished.
    There(ComponentStatus),
    /// Not yet; the key of what it waits for, a sentence without arguments.
    NotYet(&'static str),
}

impl Room {
    /// Waits until a new process runs and answers.
    pub(super) async fn wait_ready(
        &self,
        cx: &RunContext,
        name: &str,
        id: &ComponentId,
        signalled: &Signalled,
    ) -> Result<ComponentOutcome, StepFailure> {
        self.wait(cx, name, id, signalled, true).await
    }

    /// Waits until there is no process.
    pub(super) async fn wait_stopped(
        &self,
        cx: &RunContext,
        name: &str,
        id: &ComponentId,
        signalled: &Signalled,
    ) -> Result<ComponentOutcome, StepFailure> {
        self.wait(cx, name, id, signalled, false).await
    }

    /// Waits until the supervisor is done with a wish, whatever comes of it afterwards.
    pub(super) async fn settle(
        &self,
        cx: &RunContext,
        id: &ComponentId,
        signalled: &Signalled,
    ) -> Result<(), StepFailure> {
        let begun = Instant::now();
        loop {
            if self.request_done(id, signalled).await? {
                return Ok(());
            }
            if begun.elapsed() > SUPERVISOR_PATIENCE {
                return Err(StepFailure::Failed(
                    about(keys::COMPONENT_NOT_DONE, id)
                        .with("seconds", SUPERVISOR_PATIENCE.as_secs())
                        .with("last", format!("@{}", keys::COMPONENT_WAITS_FOR_SUPERVISOR)),
                ));
            }
            cx.sleep(BETWEEN_LOOKS).await?;
        }
    }

    async fn wait(
        &self,
        cx: &RunContext,
        name: &str,
        id: &ComponentId,
        signalled: &Signalled,
        ready: bool,
    ) -> Result<ComponentOutcome, StepFailure> {
        // Nothing is done here, only looked at, so there is nothing to ask about after a crash.
        cx.effect(
            name,
            || async { Ok(None) },
            || self.look_until(cx, id, signalled, ready),
        )
        .await
    }

    async fn look_until(
        &self,
        cx: &RunContext,
        id: &ComponentId,
        signalled: &Signalled,
        ready: bool,
    ) -> Result<ComponentOutcome, StepFailure> {
        let mut begun = Instant::now();
        let mut at_work = true;
        loop {
            let waits_for = match self.look(id, signalled, ready).await {
                Ok(Look::There(status)) => {
                    let took = cx.now() - signalled.received;
                    return Ok(ComponentOutcome {
                        state: status.state.as_str().to_owned(),
                        pid: status.pid.and_then(|pid| i32::try_from(pid).ok()),
                        took_ms: u64::try_from(took.whole_milliseconds()).unwrap_or(0),
                    });
                }
                Ok(Look::NotYet(key)) => {
                    if at_work && key != keys::COMPONENT_WAITS_FOR_SUPERVISOR {
                        (at_work, begun) = (false, Instant::now());
                    }
                    key
                }
                // The supervisor may be away for a moment; the patience is the same.
                Err(StepFailure::Transient(_)) => keys::COMPONENT_WAITS_FOR_SUPERVISOR_AWAY,
                Err(other) => return Err(other),
            };
            let patience = if at_work { SUPERVISOR_PATIENCE } else { PATIENCE };
            if begun.elapsed() > patience {
                let key = if ready {
                    keys::COMPONENT_NOT_READY
                } else {
                    keys::COMPONENT_NOT_DONE
                };
                return Err(StepFailure::Failed(
                    about(key, id)
                        .with("seconds", patience.as_secs())
                        .with("last", format!("@{waits_for}")),
                ));
            }
            let fraction = begun.elapsed().as_secs_f32() / patience.as_secs_f32();
            cx.progress(fraction.min(0.95), Text::new(waits_for)).await?;
            cx.sleep(BETWEEN_LOOKS).await?;
        }
    }

    async fn look(&self, id: &ComponentId, signalled: &Signalled, ready: bool) -> Result<Look, StepFailure> {
        if !self.request_done(id, signalled).await? {
            return Ok(Look::NotYet(keys::COMPONENT_WAITS_FOR_SUPERVISOR));
        }
        let status = self
            .supervisor_for(id)?
            .component(id)
            .await
            .map_err(|error| step_failure(&error, id))?
            .ok_or_else(|| StepFailure::Failed(about(keys::COMPONENT_UNSUPERVISED, id)))?;
        if !ready {
            return Ok(match status.state {
                ProcessState::Stopped => Look::There(status),
                _ => Look::NotYet(keys::COMPONENT_WAITS_FOR_END),
            });
        }
        match status.state {
            ProcessState::Running => {}
            ProcessState::CrashLooping => {
                return Err(StepFailure::Failed(
                    about(keys::COMPONENT_CRASHES, id).with("exit", last_exit(&status)),
                ));
            }
            _ => return Ok(Look::NotYet(keys::COMPONENT_WAITS_FOR_PROCESS)),
        }
        let Some(url) = self.config.component(id).and_then(|c| c.health_url.as_deref()) else {
            return Ok(Look::There(status));
        };
        let answer = self.http.get(url).timeout(HEALTH_TIME_OUT).send().await;
        if answer.is_ok_and(|response| response.status().is_success()) {
            return Ok(Look::There(status));
        }
        Ok(Look::NotYet(keys::COMPONENT_WAITS_FOR_HEALTH))
    }

    /// Whether the supervisor is done with the wish.
    async fn request_done(&self, id: &ComponentId, signalled: &Signalled) -> Result<bool, StepFailure> {
        let status = self
            .supervisor_for(id)?
            .request_status(signalled.request)
            .await
            .map_err(|error| step_failure(&error, id))?
            .ok_or_else(|| StepFailure::Failed(about(keys::COMPONENT_WISH_FORGOTTEN, id)))?;
        match status.outcome {
            RequestOutcome::Pending => Ok(false),
            RequestOutcome::Done => Ok(true),
            RequestOutcome::Failed => Err(StepFailure::Failed(
                about(keys::COMPONENT_SUPERVISOR_FAILED, id)
                    .with("reason", status.failure.unwrap_or_default()),
            )),
        }
    }
}

fn last_exit(status: &ComponentStatus) -> String {
    status
        .last_exit
        .as_ref()
        .map_or_else(|| "?".to_owned(), crate::snapshot::exit_words)
}
