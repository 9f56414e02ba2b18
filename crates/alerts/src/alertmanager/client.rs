use super::silences::{ApiSilence, NewSilence};
use crate::observation::Observation;
use crate::reading::Reading;
use serde::Deserialize;
use std::time::Duration;
use time::OffsetDateTime;

/// Longer than a healthy Alertmanager thinks before it begins to answer, with tens of thousands of alerts too.
const TIME_OUT: Duration = Duration::from_secs(4);
/// The longest list that is read: some 60,000 alerts.
const LONGEST_LIST: usize = 48 * 1024 * 1024;
const LIST: &str = "api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true";

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
    /// Another shape, or cut off.
    #[error("Alertmanager's answer to {path} cannot be read")]
    Shape {
        /// What was asked.
        path: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// More than this console reads.
    #[error(
        "Alertmanager lists more than {most} MiB of alerts; the feed stands as last known. See which rule fires for \
         every series it finds, and have it fire once for the whole"
    )]
    TooMuch {
        /// So many MiB are read.
        most: usize,
    },
    /// It answered, but not with 200.
    #[error("Alertmanager answered {path} with HTTP {status} {reason}")]
    Status {
        /// What was asked.
        path: &'static str,
        /// HTTP status.
        status: u16,
        /// What it said about a wish; empty for a question.
        reason: String,
    },
}

/// What `/api/v2/status` says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// The configuration, without its secrets.
    #[serde(default)]
    pub config: StatusConfig,
    /// When it started (Alertmanager calls the field `uptime`).
    #[serde(rename = "uptime", with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
}

/// The configuration in [`Status`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct StatusConfig {
    /// As YAML.
    #[serde(default)]
    pub original: String,
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

    /// The text of Alertmanager's list, into `text`, whose room is used again: everything that is held as not ended,
    /// suppressed alerts included.
    ///
    /// # Errors
    /// [`AlertmanagerError`]; nothing may be concluded from it.
    pub async fn list(&self, text: &mut Vec<u8>) -> Result<(), AlertmanagerError> {
        text.clear();
        let mut answer = self.answer(LIST).await?;
        while let Some(chunk) = answer.chunk().await.map_err(|e| fault(LIST, e))? {
            if text.len() + chunk.len() > LONGEST_LIST {
                return Err(AlertmanagerError::TooMuch {
                    most: LONGEST_LIST >> 20,
                });
            }
            text.extend_from_slice(&chunk);
        }
        Ok(())
    }

    /// Reads the whole of [`Alertmanager::list`].
    ///
    /// # Errors
    /// [`AlertmanagerError`].
    pub async fn alerts(&self) -> Result<Vec<Observation>, AlertmanagerError> {
        let mut text = Vec::new();
        self.list(&mut text).await?;
        let reading = Reading::of(&text, |_, _| true);
        let reading = reading.map_err(|source| AlertmanagerError::Shape { path: LIST, source })?;
        Ok(reading.wanted)
    }

    /// The state of the process.
    ///
    /// # Errors
    /// [`AlertmanagerError`].
    pub async fn status(&self) -> Result<Status, AlertmanagerError> {
        self.get("api/v2/status").await
    }

    /// Every silence that Alertmanager remembers, ended ones included.
    ///
    /// # Errors
    /// [`AlertmanagerError`].
    pub async fn silences(&self) -> Result<Vec<ApiSilence>, AlertmanagerError> {
        self.get("api/v2/silences").await
    }

    /// Makes a silence and answers its id. Asked twice it makes two: ask for what stands first.
    ///
    /// # Errors
    /// [`AlertmanagerError`]; unless it is a refusal (HTTP 4xx), the silence may stand all the same.
    pub async fn create_silence(&self, silence: &NewSilence) -> Result<String, AlertmanagerError> {
        #[derive(Deserialize)]
        struct Created {
            #[serde(rename = "silenceID")]
            id: String,
        }
        let path = "api/v2/silences";
        let answer = self.http.post(self.url(path)).json(silence).send().await;
        let answer = Self::accepted(path, answer).await?;
        let created: Created = answer.json().await.map_err(|e| fault(path, e))?;
        Ok(created.id)
    }

    /// Ends a silence that has not ended.
    ///
    /// # Errors
    /// [`AlertmanagerError`], also when it has ended already.
    pub async fn expire_silence(&self, id: &str) -> Result<(), AlertmanagerError> {
        let path = "api/v2/silence";
        let mut url = self.url(path);
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(id);
        }
        let answer = self.http.delete(url).send().await;
        Self::accepted(path, answer).await.map(drop)
    }

    fn url(&self, path: &'static str) -> reqwest::Url {
        // `path` is ours and plain, so joining cannot fail; the base itself stands in if it ever did.
        self.base.join(path).unwrap_or_else(|_| self.base.clone())
    }

    /// The answer to a wish, when it was granted.
    async fn accepted(
        path: &'static str,
        answer: reqwest::Result<reqwest::Response>,
    ) -> Result<reqwest::Response, AlertmanagerError> {
        let answer = answer.map_err(|e| fault(path, e))?;
        if answer.status() == reqwest::StatusCode::OK {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let words = answer.text().await.unwrap_or_default();
        Err(AlertmanagerError::Status {
            path,
            status,
            reason: words.chars().filter(|c| !c.is_control()).take(300).collect(),
        })
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &'static str) -> Result<T, AlertmanagerError> {
        let answer = self.answer(path).await?;
        answer.json().await.map_err(|e| fault(path, e))
    }

    async fn answer(&self, path: &'static str) -> Result<reqwest::Response, AlertmanagerError> {
        let answer = self.http.get(self.url(path)).send().await;
        let answer = answer.map_err(|e| fault(path, e))?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(AlertmanagerError::Status {
                path,
                status: answer.status().as_u16(),
                reason: String::new(),
            });
        }
        Ok(answer)
    }
}

fn fault(path: &'static str, source: reqwest::Error) -> AlertmanagerError {
    AlertmanagerError::Http {
        path,
        source: source.without_url(),
    }
}
