//! Start, stop and restart: what they share.

mod plan;
mod restart;
mod signal;
mod start;
mod stop;
mod wait;

use bagua_model::failure::Failure;
use bagua_model::regions::ComponentId;
use bagua_model::text::{Text, keys};

use crate::supervisor::SupervisorError;

/// Sends the wish to the supervisor.
const SIGNAL: &str = "signal";
/// Waits until the component answers.
const WAIT_READY: &str = "wait-ready";
/// Waits until its process is gone.
const WAIT_STOPPED: &str = "wait-stopped";

/// The noun of the supervisor inside a sentence.
fn supervisor_noun() -> String {
    format!("@{}", keys::NOUN_SUPERVISOR)
}

/// What a planner is told when the supervisor gives no usable answer.
fn supervisor_failure(error: &SupervisorError) -> Failure {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "the supervisor gave no usable answer"
    );
    match error {
        SupervisorError::Away { .. } => Failure::unavailable(supervisor_noun()),
        SupervisorError::Refused(refusal) => Failure::field("component", Text::verbatim(&refusal.message)),
        SupervisorError::Unexpected { .. } => Failure::unavailable(supervisor_noun()),
    }
}

fn about(key: &str, component: &ComponentId) -> Text {
    Text::new(key).with("component", component)
}
