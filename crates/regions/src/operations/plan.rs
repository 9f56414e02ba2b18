//! Plans: what would happen to which process.

use super::{SIGNAL, WAIT_READY, WAIT_STOPPED, about, supervisor_failure};
use crate::Room;
use crate::config::ComponentConfig;
use crate::snapshot::components;
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::region::{KNOWN_REGIONS, RegionId};
use bagua_model::regions::{ComponentId, ComponentView};
use bagua_model::supervisor::{Action, ComponentStatus, ProcessState};
use bagua_model::text::{Text, keys};
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl Room {
    /// Plans `action` for a component; `kind` is the operation's kind, by which its history is found.
    pub(super) async fn plan_action(
        &self,
        id: &ComponentId,
        action: Action,
        kind: &'static str,
    ) -> Result<Plan, Failure> {
        let refuse = |key: &str| Failure::field("component", about(key, id));
        let component = self
            .config
            .component(id)
            .ok_or_else(|| refuse(keys::COMPONENT_UNKNOWN))?;
        let supervisor = self
            .supervisor
            .as_ref()
            .ok_or_else(|| refuse(keys::COMPONENT_UNSUPERVISED))?;
        let status = supervisor
            .component(id)
            .await
            .map_err(|error| supervisor_failure(&error))?
            .ok_or_else(|| refuse(keys::COMPONENT_UNSUPERVISED))?;
        if let Some(key) = refusal(action, &status) {
            return Err(refuse(key));
        }
        let world = self.world.load();
        let view = components(&world).find(|c| c.id == *id);
        let took = self.last_took(kind, id).await;
        Ok(assemble(component, action, &status, view, took))
    }
}

/// Why the supervisor's component cannot have `action` done to it, if so.
fn refusal(action: Action, status: &ComponentStatus) -> Option<&'static str> {
    use ProcessState as P;
    match (action, status.state) {
        (Action::Start, P::Running | P::Starting) => Some(keys::COMPONENT_ALREADY_RUNNING),
        // The supervisor keeps starting it by itself; what it may need is a restart.
        (Action::Start, P::BackingOff | P::CrashLooping) => Some(keys::COMPONENT_STARTED_AGAIN_AND_AGAIN),
        (Action::Stop, P::Stopped | P::Stopping) => Some(keys::COMPONENT_ALREADY_STOPPED),
        (Action::Stop, _) if status.critical => Some(keys::COMPONENT_NEEDED_BY_CONSOLE),
        (Action::Restart, P::Stopped | P::Stopping) => Some(keys::COMPONENT_STOPPED_START_IT),
        _ => None,
    }
}

/// The part of the supervisor's state that a plan is bound to. What comes and goes by itself (starting or running,
/// one crash more) leaves it as it is; a new process of a running component changes it.
fn binding_state(status: &ComponentStatus) -> (&'static str, Option<u64>) {
    match status.state {
        ProcessState::Starting | ProcessState::Running => ("running", Some(status.generation)),
        ProcessState::Stopping | ProcessState::Stopped => ("stopped", None),
        ProcessState::BackingOff | ProcessState::CrashLooping => ("failing", None),
    }
}

fn assemble(
    component: &ComponentConfig,
    action: Action,
    status: &ComponentStatus,
    view: Option<&ComponentView>,
    last_took: Option<time::Duration>,
) -> Plan {
    let id = &component.id;
    let (state, generation) = binding_state(status);
    let mut changes = Vec::new();
    if action != Action::Start {
        changes.push(match (state, status.pid) {
            ("running", Some(pid)) => about(keys::PLAN_COMPONENT_PROCESS_ENDS, id).with("pid", pid),
            _ => about(keys::PLAN_COMPONENT_ATTEMPTS_END, id),
        });
    }
    changes.push(match action {
        Action::Start | Action::Restart => about(keys::PLAN_COMPONENT_PROCESS_STARTS, id),
        Action::Stop => about(keys::PLAN_COMPONENT_STAYS_STOPPED, id),
    });

    let facts: BTreeMap<String, Value> = [
        ("component", json!(id)),
        ("action", json!(action.as_str())),
        ("state", json!(state)),
        ("generation", json!(generation)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();

    let mut estimates = vec![match last_took {
        Some(took) => {
            Text::new(keys::PLAN_COMPONENT_TOOK).with("seconds", format!("{:.1}", took.as_seconds_f64()))
        }
        None => Text::new(keys::PLAN_COMPONENT_TOOK_UNKNOWN),
    }];
    if action != Action::Start {
        estimates.push(match view.and_then(|v| v.figures.requests_per_second) {
            Some(rate) => about(keys::PLAN_COMPONENT_REQUESTS, id).with("rate", format!("{rate:.1}")),
            None => about(keys::PLAN_COMPONENT_REQUESTS_UNKNOWN, id),
        });
    }

    let stops = action == Action::Stop;
    Plan {
        summary: about(
            match action {
                Action::Start => keys::PLAN_COMPONENT_START,
                Action::Stop => keys::PLAN_COMPONENT_STOP,
                Action::Restart => keys::PLAN_COMPONENT_RESTART,
            },
            id,
        ),
        changes,
        facts,
        estimates,
        warnings: warnings(component, action, status, view),
        steps: vec![
            SIGNAL.to_owned(),
            if stops { WAIT_STOPPED } else { WAIT_READY }.to_owned(),
        ],
        approval: (stops && component.critical).then(|| about(keys::PLAN_COMPONENT_APPROVAL, id)),
    }
}

fn warnings(
    component: &ComponentConfig,
    action: Action,
    status: &ComponentStatus,
    view: Option<&ComponentView>,
) -> Vec<Text> {
    let id = &component.id;
    let mut warnings = Vec::new();
    let silent = view.and_then(|v| v.why.as_ref()).is_some_and(|why| {
        [keys::HEALTH_WHY_DOWN, keys::HEALTH_WHY_SCRAPE_FAILED].contains(&why.key.as_str())
    });
    if let (ProcessState::Running, Some(pid), true) = (status.state, status.pid, silent) {
        warnings.push(about(keys::PLAN_COMPONENT_FROZEN, id).with("pid", pid));
    }
    if action == Action::Start {
        return warnings;
    }
    if id.region.as_str() != RegionId::GLOBAL {
        // An id names one process, so it is always the only one of its kind in its region.
        let known = KNOWN_REGIONS.iter().find(|k| k.code == id.region.as_str());
        let region = known.map_or_else(|| id.region.to_string(), |k| format!("@{}", k.name_key));
        warnings.push(
            Text::new(keys::PLAN_COMPONENT_ONLY_ONE)
                .with("service", &id.service)
                .with("region", region),
        );
    }
    match (id.service.as_str(), action) {
        ("console", Action::Restart) => warnings.push(Text::new(keys::PLAN_COMPONENT_CONSOLE_RESTARTS)),
        ("postgres", Action::Restart) => warnings.push(Text::new(keys::PLAN_COMPONENT_DATABASE_RESTARTS)),
        _ if component.critical => warnings.push(about(keys::PLAN_COMPONENT_CRITICAL, id)),
        _ => {}
    }
    warnings
}
