//! Ends the process, a frozen one too, and waits until a new one answers. Nothing to undo: the old process is gone.

use super::{SIGNAL, WAIT_READY};
use crate::Room;
use async_trait::async_trait;
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::regions::{ComponentOutcome, RestartComponent};
use bagua_model::supervisor::Action;
use bagua_model::verbs::Operation;

#[async_trait]
impl Handles<RestartComponent> for Room {
    async fn plan(&self, _: &PlanContext, operation: &RestartComponent) -> Result<Plan, Failure> {
        self.plan_action(&operation.component, Action::Restart, RestartComponent::KIND)
            .await
    }

    async fn run(
        &self,
        cx: &mut RunContext,
        operation: &RestartComponent,
    ) -> Result<ComponentOutcome, StepFailure> {
        let signalled = self
            .signal(cx, SIGNAL, &operation.component, Action::Restart)
            .await?;
        self.wait_ready(cx, WAIT_READY, &operation.component, &signalled)
            .await
    }
}
