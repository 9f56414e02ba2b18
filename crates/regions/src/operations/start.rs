//! Starts a stopped component and waits until it answers; undone by stopping it again.

use super::{SIGNAL, WAIT_READY};
use crate::Room;
use async_trait::async_trait;
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::regions::{ComponentOutcome, StartComponent};
use bagua_model::supervisor::Action;
use bagua_model::verbs::Operation;
use serde_json::Value;

#[async_trait]
impl Handles<StartComponent> for Room {
    async fn plan(&self, _: &PlanContext, operation: &StartComponent) -> Result<Plan, Failure> {
        self.plan_action(&operation.component, Action::Start, StartComponent::KIND)
            .await
    }

    async fn run(
        &self,
        cx: &mut RunContext,
        operation: &StartComponent,
    ) -> Result<ComponentOutcome, StepFailure> {
        let signalled = self
            .signal(cx, SIGNAL, &operation.component, Action::Start)
            .await?;
        self.wait_ready(cx, WAIT_READY, &operation.component, &signalled)
            .await
    }

    async fn undo(
        &self,
        cx: &mut RunContext,
        operation: &StartComponent,
        step: &str,
        _: Option<Value>,
    ) -> Result<(), StepFailure> {
        match step {
            // What the console itself needs is not stopped again, even when it was slow to answer.
            SIGNAL if self.stoppable(&operation.component).await? => {
                self.signal_back(cx, &operation.component, Action::Stop).await
            }
            _ => Ok(()),
        }
    }
}
