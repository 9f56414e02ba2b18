//! The process supervisor of one-machine mode, over its Unix socket.

use bagua_model::regions::ComponentId;
use bagua_model::supervisor::{
    Action, ComponentStatus, ControlRequest, Refusal, RefusalReason, RequestStatus,
};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// How long one request may take; wishes are sent with `no_wait`, so none of them waits for a process.
pub const TIME_OUT: Duration = Duration::from_secs(3);

/// Why the supervisor gave no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// Nobody answered, or too late. For a wish this means: perhaps it was received, perhaps not.
    #[error("the supervisor at {} does not answer", socket.display())]
    Away {
        /// Its socket.
        socket: PathBuf,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// It understood and refused; nothing was changed.
    #[error("the supervisor refused: {}", .0.message)]
    Refused(Refusal),
    /// It answered with something else, such as a 500.
    #[error("the supervisor answered {status}: {body}")]
    Unexpected {
        /// HTTP status.
        status: u16,
        /// The start of the body.
        body: String,
    },
}

impl SupervisorError {
    /// Whether there is no such component or request.
    pub fn is_unknown(&self) -> bool {
        matches!(
            self,
            SupervisorError::Refused(Refusal {
                reason: RefusalReason::UnknownComponent | RefusalReason::UnknownRequest,
                ..
            })
        )
    }
}

/// A connection to the supervisor.
#[derive(Clone, Debug)]
pub struct Supervisor {
    http: Client,
    socket: PathBuf,
}

impl Supervisor {
    /// A client for the Unix socket at `socket`. Nothing is connected yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(socket: &Path) -> Result<Supervisor, SupervisorError> {
        let http = Client::builder()
            .unix_socket(socket.to_owned())
            .timeout(TIME_OUT)
            // The supervisor may restart between two requests; a kept connection would fail the next one.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|source| SupervisorError::Away {
                socket: socket.to_owned(),
                source,
            })?;
        Ok(Supervisor {
            http,
            socket: socket.to_owned(),
        })
    }

    /// Every component that it looks after.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn components(&self) -> Result<Vec<ComponentStatus>, SupervisorError> {
        self.send(self.request(Method::GET, "components")).await
    }

    /// One component, `None` when it does not look after it.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn component(&self, id: &ComponentId) -> Result<Option<ComponentStatus>, SupervisorError> {
        optional(
            self.send(self.request(Method::GET, &format!("components/{id}")))
                .await,
        )
    }

    /// Wishes `action` for a component, at once and without waiting for its end. The same request id again does
    /// nothing new and answers what became of it.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub async fn control(
        &self,
        id: &ComponentId,
        action: Action,
        request: &ControlRequest,
    ) -> Result<RequestStatus, SupervisorError> {
        let path = format!("components/{id}/{}", action.as_str());
        self.send(self.request(Method::POST, &path).json(request)).await
    }

    /// What became of a wish, `None` when it was never received.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn request_status(&self, request: Uuid) -> Result<Option<RequestStatus>, SupervisorError> {
        optional(
            self.send(self.request(Method::GET, &format!("requests/{request}")))
                .await,
        )
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        // The host part goes unused on a Unix socket, but HTTP wants one.
        self.http.request(method, format!("http://supervisor/{path}"))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, SupervisorError> {
        let away = |source: reqwest::Error| SupervisorError::Away {
            socket: self.socket.clone(),
            source: source.without_url(),
        };
        let response = request.send().await.map_err(away)?;
        let status = response.status();
        let body = response.bytes().await.map_err(away)?;
        let unexpected = || SupervisorError::Unexpected {
            status: status.as_u16(),
            body: String::from_utf8_lossy(&body).trim().chars().take(300).collect(),
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| unexpected());
        }
        match serde_json::from_slice(&body) {
            Ok(refusal) if status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE => {
                Err(SupervisorError::Refused(refusal))
            }
            _ => Err(unexpected()),
        }
    }
}

fn optional<T>(result: Result<T, SupervisorError>) -> Result<Option<T>, SupervisorError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_unknown() => Ok(None),
        Err(error) => Err(error),
    }
}
