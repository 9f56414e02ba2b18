//! Records changes of state: in `component_states`, and once in the event log however many consoles saw them.

use crate::snapshot::StateChange;
use crate::store::{self, Recorded};
use bagua_core::events::{self, NewEvent};
use bagua_model::region::{Environment, RegionId};
use bagua_model::regions::{ComponentId, Health};
use bagua_model::text::{Text, keys};
use sqlx::PgPool;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How often the recorded states are read, so that consoles agree about "since".
const READ_EVERY: Duration = Duration::from_secs(5);
/// How long the database may take before it is tried again later.
const TIME_OUT: Duration = Duration::from_secs(5);

/// Notices changes and keeps them until they are recorded: the database may be away meanwhile.
#[derive(Default)]
pub(crate) struct Changes {
    /// What this process saw last. Only its own changes are recorded: two consoles that see the world differently
    /// must not overwrite each other in turn.
    last: HashMap<ComponentId, Health>,
    pending: BTreeMap<ComponentId, StateChange>,
}

impl Changes {
    /// Starts from what is recorded: what has not changed since then is no change.
    pub(crate) fn start_from(&mut self, recorded: &[StateChange]) {
        for row in recorded {
            self.last.entry(row.component.clone()).or_insert(row.health);
        }
    }

    /// Takes in the present states.
    pub(crate) fn notice(&mut self, states: &[StateChange]) {
        for state in states {
            if self.last.insert(state.component.clone(), state.health) != Some(state.health) {
                self.pending.insert(state.component.clone(), state.clone());
            }
        }
    }

    /// Records what is pending; what cannot be recorded stays.
    pub(crate) async fn flush(&mut self, db: &PgPool, environment: Environment) -> Result<(), sqlx::Error> {
        while let Some((component, change)) = self.pending.first_key_value() {
            let mut tx = db.begin().await?;
            let recorded = store::record(&mut tx, environment, change).await?;
            if let Some(event) = event(environment, change, &recorded) {
                events::record(&mut tx, &event).await?;
            }
            tx.commit().await?;
            let component = component.clone();
            self.pending.remove(&component);
        }
        Ok(())
    }
}

fn event(environment: Environment, change: &StateChange, recorded: &Recorded) -> Option<NewEvent> {
    let noun = |health: Health| format!("@health.{health}");
    let text = match recorded {
        Recorded::AlreadyKnown => return None,
        // That something is healthy when it is seen for the first time is no news, nor that nothing is known of it.
        Recorded::First if matches!(change.health, Health::Healthy | Health::Unknown) => return None,
        Recorded::First => Text::new(keys::EVENT_COMPONENT_FIRST),
        Recorded::Changed(from) => Text::new(keys::EVENT_COMPONENT_STATE).with("from", noun(*from)),
    };
    let region = &change.component.region;
    Some(NewEvent {
        at: change.since,
        kind: "component.state".into(),
        topic: "regions".into(),
        environment: Some(environment),
        region: (region.as_str() != RegionId::GLOBAL).then(|| region.clone()),
        subject: format!("component:{}", change.component),
        text: text
            .with("component", &change.component)
            .with("to", noun(change.health)),
        operation: None,
    })
}

/// Runs until `stop`: takes in states from `seen`, records changes, and hands out what is recorded.
pub(crate) async fn run(
    db: PgPool,
    environment: Environment,
    mut seen: watch::Receiver<Vec<StateChange>>,
    recorded: mpsc::Sender<Vec<StateChange>>,
    stop: CancellationToken,
) {
    let mut changes = Changes::default();
    let mut read_at: Option<Instant> = None;
    let mut away = false;
    loop {
        let work = async {
            if read_at.is_none_or(|at| at.elapsed() >= READ_EVERY) {
                let rows = store::states(&db, environment).await?;
                changes.start_from(&rows);
                read_at = Some(Instant::now());
                // The loop takes it when it comes round; an older one that still lies there will do.
                let _ = recorded.try_send(rows);
            }
            let states = Arc::new(seen.borrow_and_update().clone());
            changes.notice(&states);
            changes.flush(&db, environment).await
        };
        let result = tokio::select! {
            () = stop.cancelled() => return,
            result = tokio::time::timeout(TIME_OUT, work) => result,
        };
        let failed = match result {
            Ok(Ok(())) => false,
            Ok(Err(error)) => {
                if !away {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "changes of state are not recorded yet"
                    );
                }
                true
            }
            Err(_) => {
                if !away {
                    tracing::warn!("changes of state are not recorded yet: the control database is too slow");
                }
                true
            }
        };
        away = failed;
        tokio::select! {
            () = stop.cancelled() => return,
            // After a failure not at once again; new states come every second anyway.
            () = tokio::time::sleep(Duration::from_secs(2)), if failed => {}
            changed = seen.changed(), if !failed => if changed.is_err() { return },
        }
    }
}
