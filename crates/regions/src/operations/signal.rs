//! The step with the outside effect: the wish to the supervisor, received once however often it is sent.

use super::{SIGNAL, about, supervisor_noun};
use crate::Room;
use crate::supervisor::{Supervisor, SupervisorError};
use bagua_core::{RunContext, StepFailure};
use bagua_model::regions::ComponentId;
use bagua_model::supervisor::{Action, ControlRequest, RefusalReason, RequestStatus};
use bagua_model::text::{Text, keys};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// What is remembered of the wish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Signalled {
    /// The supervisor's id of the wish.
    pub(super) request: Uuid,
    /// When the supervisor received it.
    #[serde(with = "time::serde::rfc3339")]
    pub(super) received: OffsetDateTime,
}

impl From<RequestStatus> for Signalled {
    fn from(status: RequestStatus) -> Signalled {
        Signalled {
            request: status.request,
            received: status.received,
        }
    }
}

impl Room {
    /// The supervisor, which was there when the operation was planned.
    pub(super) fn supervisor_for(&self, id: &ComponentId) -> Result<&Supervisor, StepFailure> {
        self.supervisor
            .as_ref()
            .ok_or_else(|| StepFailure::Failed(about(keys::COMPONENT_UNSUPERVISED, id)))
    }

    /// Sends the wish, unless the supervisor has it already. `name` tells the wish of a step from that of its undo.
    pub(super) async fn signal(
        &self,
        cx: &RunContext,
        name: &str,
        id: &ComponentId,
        action: Action,
    ) -> Result<Signalled, StepFailure> {
        let supervisor = self.supervisor_for(id)?;
        let request = cx.step_key(name);
        cx.effect(
            name,
            || async move {
                let status = supervisor
                    .request_status(request)
                    .await
                    .map_err(|e| step_failure(&e, id))?;
                Ok(status.map(Signalled::from))
            },
            || async move {
                // No generation is expected here: the engine has just compared the one that the plan is bound to.
                let wish = ControlRequest {
                    request,
                    expect_generation: None,
                    no_wait: true,
                };
                let status = supervisor
                    .control(id, action, &wish)
                    .await
                    .map_err(|e| step_failure(&e, id))?;
                Ok(Signalled::from(status))
            },
        )
        .await
    }

    /// Whether the supervisor would stop the component at all.
    pub(super) async fn stoppable(&self, id: &ComponentId) -> Result<bool, StepFailure> {
        let status = self
            .supervisor_for(id)?
            .component(id)
            .await
            .map_err(|e| step_failure(&e, id))?;
        Ok(status.is_some_and(|status| !status.critical))
    }

    /// Undoes a wish by sending the opposite one and waiting for it.
    pub(super) async fn signal_back(
        &self,
        cx: &RunContext,
        id: &ComponentId,
        action: Action,
    ) -> Result<(), StepFailure> {
        // Sent even when it is not known whether the wish arrived: what is asked for then holds already.
        let back = format!("{SIGNAL}-back");
        let signalled = self.signal(cx, &back, id, action).await?;
        self.settle(cx, id, &signalled).await
    }
}

/// What a step does about the supervisor's error.
pub(super) fn step_failure(error: &SupervisorError, id: &ComponentId) -> StepFailure {
    tracing::warn!(component = %id, error = error as &dyn std::error::Error, "the supervisor did not do as asked");
    match error {
        // Perhaps received, perhaps not: the next try asks first.
        SupervisorError::Away { .. } | SupervisorError::Unexpected { .. } => StepFailure::Transient(
            Text::new(keys::COMPONENT_SUPERVISOR_AWAY).with("supervisor", supervisor_noun()),
        ),
        SupervisorError::Refused(refusal) => match refusal.reason {
            RefusalReason::Busy => StepFailure::Transient(about(keys::COMPONENT_SUPERVISOR_BUSY, id)),
            RefusalReason::ShuttingDown => StepFailure::Transient(
                Text::new(keys::COMPONENT_SUPERVISOR_AWAY).with("supervisor", supervisor_noun()),
            ),
            _ => StepFailure::Failed(
                about(keys::COMPONENT_SUPERVISOR_REFUSED, id).with("reason", &refusal.message),
            ),
        },
    }
}
