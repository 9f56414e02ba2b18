//! Stops a component for good; undone by starting it again.

use super::{SIGNAL, WAIT_STOPPED};
use crate::Room;
use async_trait::async_trait;
use bagua_core::{Handles, PlanContext, RunContext, StepFailure};
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::regions::{ComponentOutcome, StopComponent};
use bagua_model::supervisor::Action;
use bagua_model::verbs::Operation;
use serde_json::Value;

#[async_trait]
impl Handles<StopComponent> for Room {
    async fn plan(&self, _: &PlanContext, operation: &StopComponent) -> Result<Plan, Failure> {
        self.plan_action(&operation.component, Action::Stop, StopComponent::KIND)
            .await
    }

    async fn run(
        &self,
        cx: &mut RunContext,
        operation: &StopComponent,
    ) -> Result<ComponentOutcome, StepFailure> {
        let signalled = self
            .signal(cx, SIGNAL, &operation.component, Action::Stop)
            .await?;
        self.wait_stopped(cx, WAIT_STOPPED, &operation.component, &signalled)
            .await
    }

    async fn undo(
        &self,
        cx: &mut RunContext,
        operation: &StopComponent,
        step: &str,
        _: Option<Value>,
    ) -> Result<(), StepFailure> {
        match step {
            SIGNAL => self.signal_back(cx, &operation.component, Action::Start).await,
            _ => Ok(()),
        }
    }
}
