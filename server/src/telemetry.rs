//! What every process measures about itself, and the `/metrics` that Prometheus reads.
//!
//! Labels `environment`, `region` and `component` are added by the scrape configuration: a process does not say who it
//! is, so that it cannot say it wrongly.

use anyhow::Context as _;
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderMap, Method, StatusCode, header};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq as _;

/// Upper bounds in seconds of every `*_duration_seconds` histogram: 1 ms to 10 s.
const BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Histograms keep raw samples until somebody asks; without this they would grow while no Prometheus does.
const UPKEEP: Duration = Duration::from_secs(5);

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
static INSTALLING: Mutex<()> = Mutex::new(());

/// Makes this process's metrics recorder; a second call changes nothing. Call it before anything is counted.
///
/// # Errors
/// When another recorder is installed already, or the system gives no thread.
pub fn install() -> anyhow::Result<()> {
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if HANDLE.get().is_some() {
        return Ok(());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".to_owned()), &BUCKETS)
        .context("the histogram's bounds are not usable")?
        .install_recorder()
        .context("another metrics recorder is installed in this process")?;
    let upkeep = handle.clone();
    std::thread::Builder::new()
        .name("metrics-upkeep".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(UPKEEP);
                upkeep.run_upkeep();
            }
        })
        .context("the system gives no thread for metrics")?;
    describe();
    gauge!("bagua_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
    let _ = HANDLE.set(handle);
    Ok(())
}

fn describe() {
    describe_gauge!("bagua_build_info", "Always 1; the label says which version runs.");
    describe_counter!(
        "http_requests_total",
        "Requests answered, by route pattern; status 499: the client left first."
    );
    describe_histogram!(
        "http_request_duration_seconds",
        Unit::Seconds,
        "From the request's head to the head of the answer."
    );
    describe_histogram!(
        "bagua_query_duration_seconds",
        Unit::Seconds,
        "Queries answered inside the console, by kind and result; from 500 ms on the log has them too."
    );
    describe_counter!(
        "bagua_token_calls_total",
        "Calls of the HTTP API with a token, by what became of the token."
    );
    describe_counter!(
        "bagua_api_limited_total",
        "Calls of the HTTP API that were refused because there were too many, by what was counted."
    );
    describe_gauge!("http_requests_in_flight", "Requests whose answer has not begun.");
    describe_gauge!("http_connections_open", "Client connections that are open.");
    describe_counter!(
        "network_io_bytes_total",
        Unit::Bytes,
        "Bytes on this process's own HTTP connections, headers included."
    );
    Collector::default().describe();
}

/// Counts and times every request of `router`, also those that match no route. Add routes before calling this.
pub fn track(router: Router) -> Router {
    router.layer(from_fn(measure))
}

async fn measure(request: Request, next: Next) -> Response {
    let mut measured = Measured {
        method: method_label(request.method()),
        route: request.extensions().get::<MatchedPath>().cloned(),
        started: Instant::now(),
        // Stays when the future is dropped because the client hung up.
        status: 499,
    };
    gauge!("http_requests_in_flight").increment(1);
    let response = next.run(request).await;
    measured.status = response.status().as_u16();
    response
}

/// Methods come from outside: an unknown one must not make a new series.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// A request being measured; counted when it is dropped, however it ended.
struct Measured {
    method: &'static str,
    route: Option<MatchedPath>,
    started: Instant,
    status: u16,
}

impl Drop for Measured {
    fn drop(&mut self) {
        // The pattern, never the path: paths are endless and may hold what must not be stored.
        let route = self
            .route
            .as_ref()
            .map_or("unmatched", MatchedPath::as_str)
            .to_owned();
        gauge!("http_requests_in_flight").decrement(1);
        histogram!("http_request_duration_seconds", "method" => self.method, "route" => route.clone())
            .record(self.started.elapsed());
        counter!(
            "http_requests_total",
            "method" => self.method, "route" => route, "status" => self.status.to_string()
        )
        .increment(1);
    }
}

/// `GET /metrics`. With a token, only whoever carries it as a bearer token may read. `sample` runs before each answer
/// and sets the gauges that are measured when somebody looks.
pub fn metrics_route(token: Option<String>, sample: impl Fn() + Clone + Send + Sync + 'static) -> Router {
    let process = Collector::default();
    Router::new().route(
        "/metrics",
        get(move |headers: HeaderMap| {
            let (token, sample, process) = (token.clone(), sample.clone(), process.clone());
            async move {
                if let Some(token) = &token
                    && !carries(&headers, token)
                {
                    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
                    let remedy = "Metrics are read with the bearer token of `metrics.token`.\n";
                    return (StatusCode::UNAUTHORIZED, challenge, remedy).into_response();
                }
                process.collect();
                sample();
                match render() {
                    Some(text) => (
                        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
                        text,
                    )
                        .into_response(),
                    None => (StatusCode::SERVICE_UNAVAILABLE, "No metrics are recorded.\n").into_response(),
                }
            }
        }),
    )
}

/// All metrics in Prometheus's text format; `None` before [`install`].
pub fn render() -> Option<String> {
    HANDLE.get().map(PrometheusHandle::render)
}

fn carries(headers: &HeaderMap, token: &str) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .is_some_and(|given| bool::from(given.trim().as_bytes().ct_eq(token.as_bytes())))
}
