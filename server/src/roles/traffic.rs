//! `bagua traffic`: a steady trickle of real requests through every gateway, so that a platform without users yet has
//! latencies and error rates that are measured.

use super::{DRAIN, VERSION, component, http_client, loopback, problem, rfc3339};
use crate::{listener, telemetry};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use bagua_model::region::RegionId;
use bagua_model::settings::Settings;
use http::StatusCode;
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use serde_json::{Map, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Mean pause between two requests to one gateway: two a second.
const PACE: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(3);

/// What became of the requests to one gateway.
#[derive(Default)]
struct Outcome {
    succeeded: u64,
    failed: u64,
    last_success: Option<OffsetDateTime>,
    /// Result and detail of the last request when it had no success.
    failing: Option<(&'static str, String)>,
}

struct Target {
    region: String,
    url: String,
    /// Position in the list, from 0 to below 1: gateways are not all asked in the same moment.
    phase: f64,
    outcome: Mutex<Outcome>,
}

struct Traffic {
    since: OffsetDateTime,
    targets: Vec<Arc<Target>>,
}

/// Sends requests until `stop`.
///
/// # Errors
/// When the configuration lacks `global/traffic` or a region's gateway, or the port cannot be opened.
pub async fn traffic(settings: &Settings, stop: CancellationToken) -> anyhow::Result<()> {
    let own = component(settings, RegionId::GLOBAL, "traffic")?;
    let count = settings.regions.len().max(1) as f64;
    let targets = settings
        .regions
        .iter()
        .enumerate()
        .map(|(index, region)| {
            Ok(Arc::new(Target {
                region: region.clone(),
                url: format!("{}/v1/ping", component(settings, region, "gateway")?.url),
                phase: index as f64 / count,
                outcome: Mutex::default(),
            }))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    telemetry::install()?;
    describe();
    let listener = listener::bind(loopback(own)).await?;
    let client = http_client(TIMEOUT)?;
    let mut senders = JoinSet::new();
    for target in &targets {
        senders.spawn(keep_sending(Arc::clone(target), client.clone(), stop.clone()));
    }
    let router = Router::new()
        .route("/health", get(health))
        .fallback(unknown)
        .with_state(Arc::new(Traffic {
            since: OffsetDateTime::now_utc(),
            targets,
        }))
        .merge(telemetry::metrics_route(None, || ()));
    listener::serve(listener, telemetry::track(router), stop, DRAIN).await?;
    let _ = tokio::time::timeout(DRAIN, async { while senders.join_next().await.is_some() {} }).await;
    Ok(())
}

fn describe() {
    describe_counter!(
        "traffic_requests_total",
        "Requests sent, by target_region and result: success, failure (another status), timeout, refused, broken."
    );
    describe_histogram!(
        "traffic_request_duration_seconds",
        Unit::Seconds,
        "From sending a request to the end of its answer, by target_region."
    );
    describe_counter!(
        "traffic_requests_skipped_total",
        "Requests whose moment passed while this process stood still."
    );
}

/// When request `n` is due after the start. Irregular enough to meet no other period on the machine, yet the same in
/// every run, and exactly [`PACE`] on average: the golden ratio's multiples spread evenly without repeating.
fn due(n: u64, phase: f64) -> Duration {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let jitter = (n as f64 * GOLDEN + phase).fract() * 0.5;
    PACE.mul_f64(n as f64 + phase + jitter)
}

async fn keep_sending(target: Arc<Target>, client: reqwest::Client, stop: CancellationToken) {
    let start = Instant::now();
    // Requests overlap when answers are slow, as those of real users do; the time-out bounds how many.
    let mut open = JoinSet::new();
    let mut n = 0_u64;
    loop {
        let next = start + due(n, target.phase);
        n += 1;
        if next.elapsed() > TIMEOUT {
            // After a suspended machine: no burst for what was missed.
            counter!("traffic_requests_skipped_total", "target_region" => target.region.clone()).increment(1);
            continue;
        }
        tokio::select! { () = stop.cancelled() => break, () = sleep_until(next) => {} }
        open.spawn(send(Arc::clone(&target), client.clone()));
        while open.try_join_next().is_some() {}
    }
    while open.join_next().await.is_some() {}
}

async fn send(target: Arc<Target>, client: reqwest::Client) {
    let started = Instant::now();
    // Read to the end: an answer that breaks off in the middle is no success.
    let outcome = async {
        let response = client.get(&target.url).timeout(TIMEOUT).send().await?;
        let status = response.status();
        Ok((status, response.bytes().await?))
    };
    let (result, detail) = match outcome.await {
        Ok((status, _)) if status.is_success() => ("success", String::new()),
        Ok((status, body)) => ("failure", format!("{status}: {}", String::from_utf8_lossy(&body))),
        Err(fault) => classify(&fault),
    };
    counter!("traffic_requests_total", "target_region" => target.region.clone(), "result" => result)
        .increment(1);
    histogram!("traffic_request_duration_seconds", "target_region" => target.region.clone())
        .record(started.elapsed());
    target.remember(result, detail);
}

fn classify(fault: &reqwest::Error) -> (&'static str, String) {
    let result = if fault.is_timeout() {
        "timeout"
    } else if fault.is_connect() {
        "refused"
    } else {
        "broken"
    };
    (result, fault.to_string())
}

impl Target {
    fn remember(&self, result: &'static str, detail: String) {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        if result == "success" {
            outcome.succeeded += 1;
            outcome.last_success = Some(OffsetDateTime::now_utc());
            if outcome.failing.take().is_some() {
                tracing::info!(region = self.region, "requests succeed again");
            }
            return;
        }
        outcome.failed += 1;
        // Once for each way of failing, not twice a second.
        if outcome
            .failing
            .as_ref()
            .is_none_or(|(before, _)| *before != result)
        {
            tracing::warn!(region = self.region, result, detail, "requests fail");
        }
        outcome.failing = Some((result, detail));
    }
}

/// 200 as long as this process sends; how the gateways answer stands in the body.
async fn health(State(traffic): State<Arc<Traffic>>) -> Response {
    let mut targets = Map::new();
    let mut failing = 0;
    for target in &traffic.targets {
        let outcome = target.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        failing += usize::from(outcome.failing.is_some());
        let entry = json!({
            "succeeded": outcome.succeeded,
            "failed": outcome.failed,
            "last_success": outcome.last_success.map(rfc3339),
            "failing": outcome.failing.as_ref().map(|(result, detail)| json!({ "result": result, "detail": detail })),
        });
        targets.insert(target.region.clone(), entry);
    }
    Json(json!({
        "status": if failing == 0 { "ok" } else { "degraded" },
        "since": rfc3339(traffic.since),
        "version": VERSION,
        "targets": targets,
    }))
    .into_response()
}

async fn unknown() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "The traffic generator answers /health and /metrics",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_is_two_a_second_and_never_backwards() {
        for phase in [0.0, 0.5, 5.0 / 6.0] {
            let mut before = Duration::ZERO;
            for n in 1..1_000 {
                let next = due(n, phase);
                let pause = next - before.min(next);
                assert!(
                    n == 1 || (pause >= PACE / 2 && pause <= PACE * 3 / 2),
                    "pause {pause:?} before request {n}"
                );
                before = next;
            }
            let rate = 999.0 / before.as_secs_f64();
            assert!((1.99..2.01).contains(&rate), "{rate} requests a second");
        }
    }
}
