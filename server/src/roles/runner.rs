//! `bagua runner`: a region's worker. It holds the region's data database and answers what its gateway forwards.

use super::bots;
use super::cache::{Cache, Read};
use super::cell::{CellDatabase, Condition, Identity};
use super::{DRAIN, VERSION, component, loopback, problem, rfc3339};
use crate::{listener, telemetry};
use anyhow::Context as _;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use bagua_model::settings::Settings;
use http::StatusCode;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// How long the cached identity of the cell may be used.
const IDENTITY_LIFETIME: Duration = Duration::from_secs(10);

struct Runner {
    region: String,
    name: String,
    since: OffsetDateTime,
    database: CellDatabase,
    cache: Cache,
    shared: Arc<bots::Shared>,
}

/// Runs the worker of `region` until `stop`. A database or Redis that is away delays nothing: the runner listens,
/// says what it lacks, and goes on trying.
///
/// # Errors
/// When the configuration lacks the region's runner or cell, or the port cannot be opened.
pub async fn runner(settings: &Settings, region: &str, stop: CancellationToken) -> anyhow::Result<()> {
    let component = component(settings, region, "runner")?;
    let cell = settings.cell(region).with_context(|| {
        format!(
            "The configuration has no data database for {region}. Add it under [[cells]] with region and url"
        )
    })?;
    telemetry::install()?;
    describe();
    let listener = listener::bind(loopback(component)).await?;
    let name = format!("{}:{}", host_name(), component.port);
    let shared = Arc::new(bots::Shared::default());
    let runner = Arc::new(Runner {
        region: region.to_owned(),
        since: OffsetDateTime::now_utc(),
        database: CellDatabase::new(cell.url.expose(), region, &name)?,
        cache: Cache::new(settings.redis.url.expose(), Arc::clone(&shared.redis))?,
        shared,
        name,
    });
    let beating = tokio::spawn({
        let (runner, stop) = (Arc::clone(&runner), stop.clone());
        async move { runner.database.keep_beating(stop).await }
    });
    let bots = bots::Bots::new(settings, region, Arc::clone(&runner.shared))?;
    let pushes = bots.as_ref().map(bots::Bots::pushes).unwrap_or_default();
    let runs_bots = tokio::spawn({
        let (runner, stop) = (Arc::clone(&runner), stop.clone());
        async move {
            if let Some(bots) = bots
                && runner.database.ready(&stop).await
            {
                bots.run(stop).await;
            }
        }
    });
    let sampled = Arc::clone(&runner);
    let router = Router::new()
        .route("/health", get(health))
        .route("/v1/ping", get(ping))
        .fallback(unknown)
        .with_state(runner)
        .merge(pushes)
        .merge(telemetry::metrics_route(None, move || sampled.database.sample()));
    listener::serve(listener, telemetry::track(router), stop, DRAIN).await?;
    // What was received is stored, and the leases are given back.
    if tokio::time::timeout(bots::DRAIN, runs_bots).await.is_err() {
        tracing::warn!("the bots did not come to an end in time; their leases lapse by themselves");
    }
    // Ended by the same token; a connection that hangs must not hold the process.
    let _ = tokio::time::timeout(DRAIN, beating).await;
    Ok(())
}

fn describe() {
    bots::describe();
    describe_counter!(
        "cache_requests_total",
        "Reads of the cache by result: hit, miss, error."
    );
    describe_histogram!(
        "cache_request_duration_seconds",
        Unit::Seconds,
        "Time of one read of the cache."
    );
    describe_histogram!(
        "database_query_duration_seconds",
        Unit::Seconds,
        "Time of a query, waiting for a connection included."
    );
    describe_counter!("database_errors_total", "Queries without success.");
    describe_gauge!(
        "database_connections_active",
        "Connections of the pool that are in use."
    );
    describe_gauge!(
        "database_connections_open",
        "Connections of the pool, in use or idle."
    );
    describe_gauge!("database_connections_max", "Connections that the pool may open.");
    describe_gauge!(
        "dependency_up",
        "1 while the dependency answered last time it was asked, else 0."
    );
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// The state of this process and of what it needs, asked now. Without the database there is nothing a runner can do,
/// hence 503; without Redis it is slower, hence 200 and `degraded`.
async fn health(State(runner): State<Arc<Runner>>) -> Response {
    let (database, redis) = tokio::join!(runner.database.heartbeat_age(), runner.cache.check());
    let (code, status) = match (&database, &redis) {
        (Err(_), _) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        (_, Err(_)) => (StatusCode::OK, "degraded"),
        _ => (StatusCode::OK, "ok"),
    };
    let database = match (database, runner.database.condition()) {
        (Ok(age), _) => json!({ "status": "ok", "heartbeat_age_seconds": age }),
        (Err(_), Condition::Away { since, reason }) => {
            json!({ "status": "unavailable", "since": rfc3339(since), "reason": reason })
        }
        (Err(reason), Condition::Ready) => json!({ "status": "unavailable", "reason": reason }),
    };
    let redis = match redis {
        Ok(()) => json!({ "status": "ok" }),
        Err(reason) => json!({ "status": "unavailable", "reason": reason }),
    };
    let body = json!({
        "status": status,
        "region": runner.region,
        "runner": runner.name,
        "since": rfc3339(runner.since),
        "version": VERSION,
        "dependencies": { "database": database, "redis": redis },
    });
    (code, Json(body)).into_response()
}

/// A real round trip: the heartbeat's age from the database, and the cell's identity through the cache.
async fn ping(State(runner): State<Arc<Runner>>) -> Response {
    let started = Instant::now();
    let age = match runner.database.heartbeat_age().await {
        Ok(age) => age,
        Err(reason) => return problem(StatusCode::SERVICE_UNAVAILABLE, &reason),
    };
    let database_seconds = started.elapsed().as_secs_f64();
    let (identity, cache) = match runner.identity().await {
        Ok(found) => found,
        Err(reason) => return problem(StatusCode::SERVICE_UNAVAILABLE, &reason),
    };
    let status = if cache["result"] == "error" {
        "degraded"
    } else {
        "ok"
    };
    let body = json!({
        "status": status,
        "region": identity.region,
        "runner": runner.name,
        "cell_created_at": rfc3339(identity.created_at),
        "database": { "seconds": database_seconds, "heartbeat_age_seconds": age },
        "cache": cache,
    });
    Json(body).into_response()
}

impl Runner {
    async fn identity(&self) -> Result<(Identity, Value), String> {
        let key = format!("bagua:cell:{}", self.region);
        let read = self.cache.get(&key).await;
        let label = read.label();
        let (stored, reason) = match read {
            // What another version stored and this one cannot read is as good as nothing stored.
            Read::Hit(text) => (serde_json::from_str::<Identity>(&text).ok(), None),
            Read::Miss => (None, None),
            Read::Away(reason) => (None, Some(reason)),
        };
        let identity = match stored {
            Some(identity) => identity,
            None => {
                let identity = self.database.identity().await?;
                if reason.is_none()
                    && let Ok(text) = serde_json::to_string(&identity)
                {
                    let set = self.shared.redis_seconds.load(Ordering::Relaxed);
                    let lifetime = match set {
                        0 => IDENTITY_LIFETIME,
                        seconds => Duration::from_secs(seconds),
                    };
                    self.cache.put(&key, &text, lifetime).await;
                }
                identity
            }
        };
        Ok((identity, json!({ "result": label, "reason": reason })))
    }
}

async fn unknown() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "A runner answers /health, /metrics, /v1/ping and what Telegram pushes to /v1/hooks/telegram/{bot}",
    )
}
