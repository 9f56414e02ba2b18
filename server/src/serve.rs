//! `bagua serve`: the console's process.

use crate::wiring::{self, Parts};
use crate::{database, deliver, http, listener, telemetry};
use bagua_model::settings::Settings;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long open requests and running steps may take to come to a checkpoint when the process is asked to end.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves until `stop`.
pub async fn run(settings: Settings, stop: CancellationToken) -> anyhow::Result<()> {
    telemetry::install()?;
    // Leptos renders on this runtime. A second call in one process is no fault.
    let _ = any_spawner::Executor::init_tokio();
    // The port first: a taken one should be said before anything else is touched.
    let bound = listener::bind(settings.listen.address).await?;
    database::refuse_wrong_schema(&settings).await?;
    let parts = wiring::build(&settings)?;
    let state = http::AppState::new(&settings, &parts, stop.clone())?;
    let Parts {
        console,
        access,
        alerts,
        regions,
        fleet,
        localization,
        ..
    } = parts;

    let loops = TaskTracker::new();
    loops.spawn(access.run(stop.clone()));
    loops.spawn(alerts.run(stop.clone()));
    loops.spawn(regions.run(stop.clone()));
    loops.spawn(deliver::run(
        localization,
        std::sync::Arc::clone(&fleet),
        stop.clone(),
    ));
    loops.spawn(fleet.run(stop.clone()));
    // Workers, schedules, expiry of approvals, the live hub, the watch on the database.
    loops.spawn(console.run(stop.clone()));
    loops.close();

    let served = listener::serve(bound, http::router(state), stop.clone(), DRAIN).await;
    stop.cancel();
    if tokio::time::timeout(DRAIN, loops.wait()).await.is_err() {
        tracing::warn!("some loops did not end in time; their leases lapse by themselves");
    }
    served
}
