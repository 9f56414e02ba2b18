use super::wire::ApiAlert;
use crate::observation::Observation;
use serde::Deserialize;
use std::time::Duration;
use time::OffsetDateTime;

/// Longer than any healthy answer, shorter than the pause between two readings.
const TIME_OUT: Duration = Duration::from_secs(2);

/// A client of Alertmanager's API.
#[derive(Clone, Debug)]
pub struct Alertmanager {
    http: reqwest::Client,
    base: reqwest::Url,
}

/// Why Alertmanager gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum AlertmanagerError {
    /// Not reached, cut off, too slow, or an answer of another shape.
    #[error("Alertmanager gave no usable answer to {path}")]
    Http {
        /// What was asked.
        path: &'static str,
        /// Why. The URL is left out, it may carry a password.
        #[source]
        source: reqwest::Error,
    },
    /// It answered, but not with 200.
    #[error("Alertmanager answered {path} with HTTP {status}")]
    Status {
        /// What was asked.
        path: &'static str,
        /// HTTP status.
        status: u16,
    },
}

/// What `/api/v2/status` says of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// When it started (Alertmanager calls the field `uptime`).
    #[serde(rename = "uptime", with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
}

impl Alertmanager {
    /// A client for the Alertmanager at `base`.
    ///
    /// # Errors
    /// When the HTTP client cannot be built or `base` is no URL (see `AlertsConfig::validate`).
    pub fn new(base: &str) -> anyhow::Result<Alertmanager> {
        Ok(Alertmanager {
            http: crate::engine_client(TIME_OUT)?,
            base: crate::engine_base(base)?,
        })
    }

    /// Everything that Alertmanager holds as not ended, suppressed alerts included.
    ///
    /// # Errors
    /// [`AlertmanagerError`]; nothing may be concluded from it.
    pub async fn alerts(&self) -> Result<Vec<Observation>, AlertmanagerError> {
        let held: Vec<ApiAlert> = self
            .get("api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true")
            .await?;
        Ok(held.into_iter().map(Observation::from).collect())
    }

    /// The state of the process.
    ///
    /// # Errors
    /// [`AlertmanagerError`].
    pub async fn status(&self) -> Result<Status, AlertmanagerError> {
        self.get("api/v2/status").await
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &'static str) -> Result<T, AlertmanagerError> {
        let fault = |source: reqwest::Error| AlertmanagerError::Http {
            path,
            source: source.without_url(),
        };
        // `path` is ours and plain, so joining cannot fail; the base itself stands in if it ever did.
        let url = self.base.join(path).unwrap_or_else(|_| self.base.clone());
        let answer = self.http.get(url).send().await.map_err(fault)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(AlertmanagerError::Status {
                path,
                status: answer.status().as_u16(),
            });
        }
        answer.json().await.map_err(fault)
    }
}
