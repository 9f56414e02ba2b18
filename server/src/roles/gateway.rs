//! `bagua gateway`: a region's door. It forwards `/v1/*` to the runner of its own region and to nothing else.

use super::{DRAIN, VERSION, component, http_client, loopback, problem, rfc3339};
use crate::{listener, telemetry};
use anyhow::Context as _;
use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use bagua_model::settings::Settings;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use reqwest::Url;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::time::{timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Until the runner's answer begins, and between two pieces of it (P-6).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A runner that is being restarted is often back within this.
const PROBE_RETRY_AFTER: Duration = Duration::from_millis(200);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Headers that concern one connection only (RFC 9110, 7.6.1), and what the client library sets itself.
const OF_THE_CONNECTION: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

struct Gateway {
    region: String,
    since: OffsetDateTime,
    runner: Url,
    client: reqwest::Client,
}

/// Runs the gateway of `region` until `stop`.
///
/// # Errors
/// When the configuration lacks the region's gateway or runner, or the port cannot be opened.
pub async fn gateway(settings: &Settings, region: &str, stop: CancellationToken) -> anyhow::Result<()> {
    let own = component(settings, region, "gateway")?;
    let runner = component(settings, region, "runner")?;
    telemetry::install()?;
    describe();
    let listener = listener::bind(loopback(own)).await?;
    let gateway = Arc::new(Gateway {
        region: region.to_owned(),
        since: OffsetDateTime::now_utc(),
        runner: Url::parse(&runner.url)
            .ok()
            .filter(|url| url.scheme() == "http" && url.has_host())
            .with_context(|| {
                format!(
                    "The url of {} has to be http://host:port, not {}",
                    runner.id, runner.url
                )
            })?,
        client: http_client(CONNECT_TIMEOUT)?,
    });
    let router = Router::new()
        .route("/health", get(health))
        .route("/probe", get(probe))
        .route("/v1/{*path}", any(forward))
        .fallback(unknown)
        .with_state(gateway)
        .merge(telemetry::metrics_route(None, || ()));
    listener::serve(listener, telemetry::track(router), stop, DRAIN).await
}

fn describe() {
    describe_counter!(
        "gateway_upstream_requests_total",
        "Requests sent to the runner by result: answered, refused (no connection), timeout, broken, abandoned (the client left)."
    );
    describe_histogram!(
        "gateway_upstream_duration_seconds",
        Unit::Seconds,
        "From sending a request to the runner to the head of its answer."
    );
}

/// Whether this process serves; whether the way behind it is open is what `/probe` says.
async fn health(State(gateway): State<Arc<Gateway>>) -> Response {
    Json(json!({
        "status": "ok",
        "region": gateway.region,
        "since": rfc3339(gateway.since),
        "version": VERSION,
    }))
    .into_response()
}

/// The whole way to the database and back, for watchers.
async fn probe(State(gateway): State<Arc<Gateway>>) -> Response {
    let url = match gateway.upstream("/v1/ping", None) {
        Ok(url) => url,
        Err(fault) => return gateway.failed(&fault),
    };
    let limit = Limit::of(PROBE_TIMEOUT);
    let outcome = match gateway.send(gateway.client.get(url.clone()), limit).await {
        Err(Upstream::Refused(_)) => {
            tokio::time::sleep(PROBE_RETRY_AFTER).await;
            gateway.send(gateway.client.get(url), limit).await
        }
        other => other,
    };
    match outcome {
        Ok(answer) => relay(answer),
        Err(fault) => gateway.failed(&fault),
    }
}

/// Passes a request on and streams the answer back.
async fn forward(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let url = match gateway.upstream(parts.uri.path(), parts.uri.query()) {
        Ok(url) => url,
        Err(fault) => return gateway.failed(&fault),
    };
    let mut headers = end_to_end(&parts.headers);
    headers.remove(header::HOST);
    let id = request_id(&headers);
    headers.insert(REQUEST_ID, id.clone());
    append_peer(&mut headers, peer);
    let mut outgoing = gateway.client.request(parts.method, url).headers(headers);
    // An empty body sent as a stream would arrive as an empty chunked one.
    if !body.is_end_stream() {
        outgoing = outgoing.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    let mut response = match gateway.send(outgoing, Limit::of(REQUEST_TIMEOUT)).await {
        Ok(answer) => relay(answer),
        Err(fault) => gateway.failed(&fault),
    };
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

async fn unknown() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "A gateway answers /health, /probe, /metrics and forwards /v1/*",
    )
}

/// Why the runner gave no answer.
#[derive(Debug)]
enum Upstream {
    /// The path leaves `/v1/` once it is normalised.
    Outside,
    Refused(String),
    Timeout(Duration),
    Broken(String),
}

impl Gateway {
    /// The runner's address for a path. Dot segments are resolved here, so `/v1/../metrics` reaches nothing.
    fn upstream(&self, path: &str, query: Option<&str>) -> Result<Url, Upstream> {
        let mut url = self.runner.clone();
        url.set_path(path);
        url.set_query(query);
        if url.path().starts_with("/v1/") {
            Ok(url)
        } else {
            Err(Upstream::Outside)
        }
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        limit: Limit,
    ) -> Result<reqwest::Response, Upstream> {
        let mut counted = Counted {
            started: Instant::now(),
            result: "abandoned",
        };
        let outcome = match timeout_at(limit.until.into(), request.send()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(fault)) if fault.is_timeout() => Err(Upstream::Timeout(CONNECT_TIMEOUT)),
            Ok(Err(fault)) if fault.is_connect() => Err(Upstream::Refused(innermost(&fault))),
            Ok(Err(fault)) => Err(Upstream::Broken(innermost(&fault))),
            Err(_) => Err(Upstream::Timeout(limit.whole)),
        };
        counted.result = match &outcome {
            Ok(_) => "answered",
            Err(Upstream::Refused(_)) => "refused",
            Err(Upstream::Timeout(_)) => "timeout",
            Err(Upstream::Broken(_) | Upstream::Outside) => "broken",
        };
        outcome
    }

    fn failed(&self, fault: &Upstream) -> Response {
        let region = &self.region;
        let (status, detail) = match fault {
            Upstream::Outside => (
                StatusCode::NOT_FOUND,
                "Only paths below /v1/ are forwarded".to_owned(),
            ),
            Upstream::Refused(cause) => (
                StatusCode::BAD_GATEWAY,
                format!("The runner of {region} takes no connection ({cause}). Start {region}/runner"),
            ),
            Upstream::Timeout(limit) => (
                StatusCode::GATEWAY_TIMEOUT,
                format!(
                    "The runner of {region} did not answer within {} s. See its /health",
                    limit.as_secs()
                ),
            ),
            Upstream::Broken(cause) => (
                StatusCode::BAD_GATEWAY,
                format!(
                    "The runner of {region} ended the connection without an answer ({cause}). See its log"
                ),
            ),
        };
        if status != StatusCode::NOT_FOUND {
            tracing::warn!(
                region,
                status = status.as_u16(),
                detail,
                "a request was not forwarded"
            );
        }
        problem(status, &detail)
    }
}

/// Until when all attempts together may take, and how long that was in all.
#[derive(Clone, Copy)]
struct Limit {
    until: Instant,
    whole: Duration,
}

impl Limit {
    fn of(whole: Duration) -> Limit {
        Limit {
            until: Instant::now() + whole,
            whole,
        }
    }
}

/// Counts one request to the runner when it ends, also when the client left before.
struct Counted {
    started: Instant,
    result: &'static str,
}

impl Drop for Counted {
    fn drop(&mut self) {
        counter!("gateway_upstream_requests_total", "result" => self.result).increment(1);
        histogram!("gateway_upstream_duration_seconds").record(self.started.elapsed());
    }
}

/// `reqwest` says "error sending request"; what happened stands at the end of the chain.
fn innermost(fault: &dyn std::error::Error) -> String {
    let mut cause = fault;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn relay(answer: reqwest::Response) -> Response {
    let (status, headers) = (answer.status(), end_to_end(answer.headers()));
    // Between two pieces the same limit holds as for the head; a runner that stops in the middle ends the answer.
    let pieces = futures::stream::unfold(answer, |mut answer| async move {
        match timeout(REQUEST_TIMEOUT, answer.chunk()).await {
            Ok(Ok(Some(piece))) => Some((Ok(piece), answer)),
            Ok(Ok(None)) => None,
            Ok(Err(fault)) => Some((Err(std::io::Error::other(fault)), answer)),
            Err(_) => Some((Err(std::io::ErrorKind::TimedOut.into()), answer)),
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The headers that are meant for the other end.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<&str> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    headers
        .iter()
        .filter(|(name, _)| !OF_THE_CONNECTION.contains(name))
        .filter(|(name, _)| {
            !named
                .iter()
                .any(|other| name.as_str().eq_ignore_ascii_case(other))
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The caller's id if it is usable, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    headers
        .get(REQUEST_ID)
        .filter(|id| !id.is_empty() && id.len() <= 128)
        .cloned()
        .or_else(|| HeaderValue::from_str(&Uuid::now_v7().to_string()).ok())
        .unwrap_or_else(|| HeaderValue::from_static("none"))
}

fn append_peer(headers: &mut HeaderMap, peer: SocketAddr) {
    let peer = peer.ip();
    let chain = match headers.get(FORWARDED_FOR).and_then(|value| value.to_str().ok()) {
        Some(before) => format!("{before}, {peer}"),
        None => peer.to_string(),
    };
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(FORWARDED_FOR, chain);
    }
}
