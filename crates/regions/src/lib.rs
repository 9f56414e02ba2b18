//! The room Regions: the state of the world, and starting, stopping and restarting components.
//!
//! One loop reads Prometheus, the supervisor and the alert counts every second into a snapshot; every page is
//! answered from it. The README beside this crate is the one-screen overview.

mod compare;
pub mod config;
pub mod health;
#[cfg(test)]
mod live_tests;
mod operations;
mod platform;
pub mod prometheus;
mod queries;
mod recorder;
mod snapshot;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod state_tests;
mod store;
pub mod supervisor;
mod trends;
mod watch;
#[cfg(test)]
mod watch_tests;

pub use config::{ComponentConfig, ConfigError, RegionsConfig};

use arc_swap::ArcSwap;
use bagua_core::{Actor, Clock, ConsoleHandle, ConsoleParts, LiveHub, Registry, Sources};
use bagua_model::compare::CompareRegions;
use bagua_model::operation::{ListOperations, OperationState};
use bagua_model::platform::{GetBusiness, GetPerformance};
use bagua_model::regions::{
    ComponentId, GetComponent, GetRegion, GetTrends, GetWorld, RestartComponent, StartComponent,
    StopComponent, WorldView,
};
use platform::Platform;
use prometheus::{Prometheus, PrometheusError};
use snapshot::{Reading, Watcher};
use sqlx::PgPool;
use std::sync::Arc;
use supervisor::{Supervisor, SupervisorError};
use trends::Trends;

/// Why the room cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RegionsError {
    /// A value of the configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Prometheus's address cannot be used.
    #[error(transparent)]
    Prometheus(#[from] PrometheusError),
    /// The supervisor's socket cannot be used.
    #[error(transparent)]
    Supervisor(#[from] SupervisorError),
    /// No HTTP client for health checks.
    #[error("the HTTP client for health checks cannot be made")]
    Http(#[source] reqwest::Error),
}

/// The room.
pub struct Room {
    config: Arc<RegionsConfig>,
    prometheus: Prometheus,
    supervisor: Option<Supervisor>,
    trends: Trends,
    platform: Platform,
    /// The newest snapshot; every page reads it and nothing else.
    world: ArcSwap<WorldView>,
    /// The way of the compared figures to where they are; refreshed every few seconds.
    paths: ArcSwap<compare::Paths>,
    /// For the health checks of components.
    http: reqwest::Client,
    db: PgPool,
    live: LiveHub,
    sources: Sources,
    clock: Clock,
    console: ConsoleHandle,
}

impl Room {
    /// The room, with every component `unknown` until [`Room::run`] has looked.
    ///
    /// # Errors
    /// When the configuration cannot be used. Nothing is connected yet.
    pub fn new(config: RegionsConfig, parts: &ConsoleParts) -> Result<Arc<Room>, RegionsError> {
        config.validate()?;
        let config = Arc::new(config);
        let prometheus = Prometheus::new(&config.prometheus_url)?;
        let supervisor = config
            .supervisor_socket
            .as_deref()
            .map(Supervisor::new)
            .transpose()?;
        let nothing = Reading {
            now: parts.clock.now(),
            prometheus: None,
            supervisor: None,
            alerts: None,
        };
        let world = Watcher::new(Arc::clone(&config)).observe(nothing);
        Ok(Arc::new(Room {
            trends: Trends::new(prometheus.clone()),
            platform: Platform::new(prometheus.clone()),
            prometheus,
            supervisor,
            world: ArcSwap::from_pointee(world),
            paths: ArcSwap::from_pointee(compare::Paths::default()),
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .map_err(RegionsError::Http)?,
            db: parts.db.clone(),
            live: parts.live.clone(),
            sources: parts.sources.clone(),
            clock: parts.clock.clone(),
            console: parts.handle.clone(),
            config,
        }))
    }

    /// How long the last operation of `kind` on a component took that succeeded.
    async fn last_took(&self, kind: &str, id: &ComponentId) -> Option<time::Duration> {
        let query = ListOperations {
            states: vec![OperationState::Succeeded],
            kind: Some(kind.to_owned()),
            target: Some(format!("component:{id}")),
            limit: 1,
            ..ListOperations::default()
        };
        let page = self
            .console
            .get()
            .ok()?
            .ask(&Actor::system("regions"), query)
            .await;
        // An estimate: without it the plan says that it is not known.
        let last = page.ok()?.rows.into_iter().next()?;
        Some(last.finished_at? - last.started_at?)
    }
}

/// Registers what the room answers and carries out.
pub fn register(registry: &mut Registry, room: Arc<Room>) {
    registry
        .query::<GetWorld>(Arc::clone(&room))
        .query::<GetRegion>(Arc::clone(&room))
        .query::<GetComponent>(Arc::clone(&room))
        .query::<GetTrends>(Arc::clone(&room))
        .query::<CompareRegions>(Arc::clone(&room))
        .query::<GetPerformance>(Arc::clone(&room))
        .query::<GetBusiness>(Arc::clone(&room))
        .operation::<StartComponent>(Arc::clone(&room))
        .operation::<StopComponent>(Arc::clone(&room))
        .operation::<RestartComponent>(room);
}
