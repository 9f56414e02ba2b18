//! What can be done to an alert.

mod acknowledge;
mod acknowledge_many;
mod expire_silences;
mod silence;
mod unacknowledge;

pub(crate) use silence::owner_name;

use crate::Alerts;
use crate::episode::Episode;
use crate::queries::no_such_alert;
use bagua_core::events::{self, NewEvent};
use bagua_core::{Actor, RunContext, StepFailure};
use bagua_model::alerts::AlertView;
use bagua_model::failure::Failure;
use bagua_model::operation::Plan;
use bagua_model::region::{RegionId, Scope};
use bagua_model::text::Text;
use bagua_model::verbs::Target;
use std::collections::BTreeMap;
use uuid::Uuid;

impl Alerts {
    /// The episode that an operation is about. A region that is not the alert's is answered as if there were none:
    /// otherwise a wrong guess would tell where it is.
    async fn target_of(&self, id: Uuid, region: Option<&RegionId>) -> Result<Episode, Failure> {
        let found = crate::store::get(&self.db, id)
            .await
            .map_err(bagua_core::db::failure)?;
        found
            .filter(|e| region.is_none_or(|r| e.view.region.as_ref() == Some(r)))
            .ok_or_else(no_such_alert)
    }
}

impl Alerts {
    fn silence_event(
        &self,
        cx: &RunContext,
        kind: &str,
        silence: &str,
        text: Text,
        region: Option<RegionId>,
    ) -> NewEvent {
        NewEvent {
            at: cx.now(),
            kind: kind.to_owned(),
            topic: crate::TOPIC.to_owned(),
            environment: Some(self.environment),
            region,
            subject: format!("silence:{silence}"),
            text,
            operation: Some(cx.operation()),
        }
    }

    /// A step that writes one line into the event log.
    async fn record_step(&self, cx: &RunContext, name: &str, event: NewEvent) -> Result<(), StepFailure> {
        cx.transaction(name, |mut db| {
            let event = event.clone();
            Box::pin(async move { Ok(events::record(&mut db, &event).await?) })
        })
        .await
    }
}

/// The target with the region that the row has: that is where the permission is checked.
fn located(episode: &Episode) -> Target {
    Target {
        noun: "alert".into(),
        id: episode.view.alert.to_string(),
        scope: Scope {
            environment: None,
            region: episode.view.region.clone(),
        },
    }
}

/// A plan about one alert; the facts bind it to the episode as it was seen.
fn plan(view: &AlertView, summary: &str, changes: Vec<Text>) -> Plan {
    Plan {
        summary: Text::new(summary)
            .with("name", &view.name)
            .with("where", crate::place_name(view)),
        changes,
        facts: BTreeMap::from([
            ("alert".to_owned(), serde_json::json!(view.alert)),
            (
                "acknowledged_by".to_owned(),
                serde_json::json!(view.acknowledged.as_ref().map(|a| &a.by)),
            ),
        ]),
        estimates: Vec::new(),
        warnings: Vec::new(),
        steps: Vec::new(),
        approval: None,
    }
}

/// The name under which somebody has an alert.
fn name_of(actor: &Actor) -> String {
    match actor {
        Actor::Person { name, .. } if !name.is_empty() => name.clone(),
        other => other.label(),
    }
}
