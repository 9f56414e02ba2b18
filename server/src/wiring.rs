//! The one place where all rooms meet.

use crate::database;
use anyhow::Context as _;
use bagua_access::{Access, AccessParts, copy_key};
use bagua_alerts::{Alerts, AlertsConfig};
use bagua_core::{Actor, Clock, Console, ConsoleParts};
use bagua_fleet::{FleetConfig, Room as Fleet};
use bagua_localization::Localization;
use bagua_model::alerts::ListAlerts;
use bagua_model::region::{Environment, RegionId};
use bagua_model::regions::{GetWorld, Health};
use bagua_model::settings::Settings;
use bagua_regions::{RegionsConfig, Room as Regions};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The console and the rooms that have something to run beside it.
pub struct Parts {
    /// Texts of bots and letters.
    pub localization: Arc<Localization>,
    /// Ask and submit.
    pub console: Arc<Console>,
    /// People and sessions.
    pub access: Arc<Access>,
    /// The alert feed.
    pub alerts: Arc<Alerts>,
    /// The state of the world.
    pub regions: Arc<Regions>,
    /// The bots.
    pub fleet: Arc<Fleet>,
}

/// Builds the console; nothing runs yet, and nothing is connected.
pub fn build(settings: &Settings) -> anyhow::Result<Parts> {
    let environment: Environment = settings.environment.parse().map_err(anyhow::Error::msg)?;
    let clock = Clock::system();
    let host = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_default();
    let name = format!("{host}:{}", std::process::id());
    let mut parts = ConsoleParts::new(
        name,
        database::control_pool(settings)?,
        environment,
        clock.clone(),
    );

    let access = Access::new(AccessParts {
        db: parts.db.clone(),
        environment,
        clock,
        redis_url: Some(settings.redis.url.expose().to_owned()),
        copy_key: copy_key(settings.control.url.expose()),
        sources: parts.sources.clone(),
        live: parts.live.clone(),
    })
    .context("redis.url is not a Redis address")?;
    bagua_access::register(&mut parts.registry, Arc::clone(&access));

    let alerts_config = AlertsConfig {
        alertmanager_url: settings.alertmanager.url.expose().to_owned(),
        prometheus_url: settings.prometheus.url.expose().to_owned(),
        webhook_token: settings.alerts.webhook_token.expose().to_owned(),
    };
    let alerts = Alerts::new(&alerts_config, &parts)?;
    bagua_alerts::register(&mut parts.registry, Arc::clone(&alerts));

    let regions = Regions::new(RegionsConfig::from_settings(settings)?, &parts)?;
    bagua_regions::register(&mut parts.registry, Arc::clone(&regions));

    let fleet = Fleet::new(FleetConfig::from_settings(settings, &mut rand::rng())?, &parts)?;
    bagua_fleet::register(&mut parts.registry, Arc::clone(&fleet));
    let localization = Localization::new(settings.regions.iter().map(RegionId::new).collect(), &parts);
    bagua_localization::register(&mut parts.registry, Arc::clone(&localization));

    Ok(Parts {
        localization,
        console: Console::new(parts),
        access,
        alerts,
        regions,
        fleet,
    })
}

/// Looks at the world until the answers that a running console gives from memory are there (command line). Engines
/// that do not answer within three seconds stay away, and the answer says so.
pub async fn look(parts: &Parts) {
    let stop = CancellationToken::new();
    let _stops_with_us = stop.clone().drop_guard();
    let live = parts.console.live.clone();
    let looking = async {
        tokio::join!(
            Arc::clone(&parts.alerts).run(stop.clone()),
            Arc::clone(&parts.regions).run(stop.clone()),
            live.run(stop.clone())
        )
    };
    let seen = async {
        let system = Actor::system("cli");
        loop {
            let world = parts.console.ask(&system, GetWorld {}).await;
            let known = world.is_ok_and(|world| {
                world
                    .regions
                    .iter()
                    .all(|region| region.health != Health::Unknown)
            });
            if known && parts.console.ask(&system, ListAlerts::default()).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        _ = looking => {}
        () = seen => {}
        () = tokio::time::sleep(Duration::from_secs(3)) => {}
    }
}
