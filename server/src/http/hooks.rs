//! The doors for machines: Alertmanager's notifications, health and metrics.

use super::AppState;
use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bagua_alerts::{LONGEST_BODY, WebhookError};
use http::{HeaderMap, StatusCode, header};
use http_body_util::LengthLimitError;
use serde_json::json;
use std::error::Error as _;
use std::time::Duration;
use tokio::sync::Semaphore;

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok())
}

/// Bodies of notifications that lie in memory at once, each up to [`LONGEST_BODY`]. Further ones wait on the wire.
static READING: Semaphore = Semaphore::const_new(2);

/// `POST /hooks/alertmanager`: 2xx only after commit, so that Alertmanager repeats what we could not keep. Who is not
/// Alertmanager is refused before a byte of the body is read.
pub async fn alertmanager(State(state): State<AppState>, headers: HeaderMap, body: Body) -> Response {
    let authorization = authorization(&headers);
    if !state.alerts.authenticates(authorization) {
        return refused(&WebhookError::Unauthenticated);
    }
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<usize>().ok());
    if length.is_some_and(|length| length > LONGEST_BODY) {
        return refused(&WebhookError::TooLarge);
    }
    // The semaphore is never closed.
    let _permit = READING.acquire().await;
    let body = match to_bytes(body, LONGEST_BODY).await {
        Ok(body) => body,
        Err(error) if error.source().is_some_and(|e| e.is::<LengthLimitError>()) => {
            return refused(&WebhookError::TooLarge);
        }
        Err(error) => {
            return refused(&WebhookError::Malformed(format!(
                "the notification broke off: {error}"
            )));
        }
    };
    match state.alerts.webhook(&body, authorization).await {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refused(&error),
    }
}

fn refused(error: &WebhookError) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(json!({ "error": error.to_string() }))).into_response()
}

/// `GET /healthz`: the process lives and its executor turns.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: whether this process can carry out operations now, with what is away.
pub async fn readyz(State(state): State<AppState>) -> Response {
    let database = tokio::time::timeout(
        Duration::from_secs(1),
        sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&state.console.db),
    )
    .await
    .is_ok_and(|answer| answer.is_ok());
    let away: Vec<_> = state
        .console
        .sources
        .notices()
        .into_iter()
        .map(|notice| notice.source)
        .collect();
    let status = if database {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ "ready": database, "away": away }))).into_response()
}

/// `GET /localization/health`: whether every language has every text. 200 also when something is wanting: the service
/// works, and `status` says what a check of a deployment reads.
pub async fn localization(State(state): State<AppState>) -> Response {
    match tokio::time::timeout(Duration::from_secs(2), state.localization.health()).await {
        Ok(Ok(health)) => Json(health).into_response(),
        Ok(Err(_)) | Err(_) => {
            let body = Json(json!({ "status": "unknown", "error": "the control database does not answer" }));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}
