//! The supervisor's control interface: HTTP over a Unix socket that only its owner can open.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bagua_model::supervisor::{
    Action, ControlRequest, Refusal, RefusalReason, RequestOutcome, RequestStatus,
};
use tokio::net::UnixListener;
use uuid::Uuid;

use crate::error::StackError;
use crate::supervisor::Supervisor;

/// A Unix socket's path ends at 107 bytes.
const LONGEST_PATH: usize = 107;

/// The interface as described in [`bagua_model::supervisor`].
pub fn router(supervisor: Arc<Supervisor>) -> Router {
    Router::new()
        .route("/components", get(components))
        .route("/components/{region}/{service}", get(component))
        .route("/components/{region}/{service}/{action}", post(control))
        .route("/requests/{id}", get(request))
        .with_state(supervisor)
}

/// Binds the socket; one that a dead supervisor left is replaced. The folder's lock must be held.
pub(crate) fn bind(path: &Path) -> Result<UnixListener, StackError> {
    if path.as_os_str().len() > LONGEST_PATH {
        return Err(StackError::BadOption(format!(
            "The path {} is longer than the {LONGEST_PATH} bytes that a Unix socket may have; choose a shorter folder with --data.",
            path.display()
        )));
    }
    let fail = |source| StackError::file("Opening the socket", path, source);
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(fail)?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(fail)?;
    Ok(listener)
}

async fn components(State(supervisor): State<Arc<Supervisor>>) -> Response {
    Json(supervisor.measured().await).into_response()
}

async fn component(
    State(supervisor): State<Arc<Supervisor>>,
    UrlPath((region, service)): UrlPath<(String, String)>,
) -> Response {
    let id = format!("{region}/{service}");
    match supervisor
        .measured()
        .await
        .into_iter()
        .find(|status| status.component == id)
    {
        Some(status) => Json(status).into_response(),
        None => refused(
            RefusalReason::UnknownComponent,
            format!("there is no component {id}"),
        ),
    }
}

async fn request(State(supervisor): State<Arc<Supervisor>>, UrlPath(id): UrlPath<String>) -> Response {
    let found = id.parse::<Uuid>().ok().and_then(|id| supervisor.request(id));
    match found {
        Some(status) => Json(status).into_response(),
        None => refused(
            RefusalReason::UnknownRequest,
            format!("there was no request {id}"),
        ),
    }
}

async fn control(
    State(supervisor): State<Arc<Supervisor>>,
    UrlPath((region, service, action)): UrlPath<(String, String, String)>,
    body: Result<Json<ControlRequest>, JsonRejection>,
) -> Response {
    let action = match action.as_str() {
        "start" => Action::Start,
        "stop" => Action::Stop,
        "restart" => Action::Restart,
        other => {
            return refused(
                RefusalReason::Malformed,
                format!("`{other}` is none of start, stop, restart"),
            );
        }
    };
    let body = match body {
        Ok(Json(body)) => body,
        Err(rejection) => return refused(RefusalReason::Malformed, rejection.body_text()),
    };
    // In a task of its own: whoever asked may hang up, and may be the very process that is restarted.
    let asked = tokio::spawn(async move {
        supervisor
            .control(&format!("{region}/{service}"), action, &body)
            .await
    });
    match asked.await {
        Ok(Ok(status)) => answer(status),
        Ok(Err(refusal)) => refusal_response(refusal),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn answer(status: RequestStatus) -> Response {
    let code = match status.outcome {
        RequestOutcome::Pending => StatusCode::ACCEPTED,
        RequestOutcome::Done | RequestOutcome::Failed => StatusCode::OK,
    };
    (code, Json(status)).into_response()
}

fn refused(reason: RefusalReason, message: String) -> Response {
    refusal_response(Refusal {
        reason,
        message,
        generation: None,
    })
}

fn refusal_response(refusal: Refusal) -> Response {
    let code = match refusal.reason {
        RefusalReason::UnknownComponent | RefusalReason::UnknownRequest => StatusCode::NOT_FOUND,
        RefusalReason::GenerationChanged
        | RefusalReason::Busy
        | RefusalReason::RequestReused
        | RefusalReason::Critical => StatusCode::CONFLICT,
        RefusalReason::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        RefusalReason::Malformed => StatusCode::UNPROCESSABLE_ENTITY,
    };
    (code, Json(refusal)).into_response()
}
