//! A console at an address, through its HTTP API.

use anyhow::{Context as _, ensure};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{OperationId, PlanView, Submission, Submitted};
use bagua_model::settings::Secret;
use bagua_model::text::{Text, keys};
use futures::StreamExt as _;
use http::{Method, StatusCode, header};
use reqwest::{Client, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// A plan or an answer may take the server its 30 s.
const WITHIN: Duration = Duration::from_secs(40);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The console.
pub struct Remote {
    url: String,
    token: Secret,
    client: Client,
}

/// What the API says when it refuses (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    detail: Option<String>,
    kind: Option<FailureKind>,
    #[serde(default)]
    errors: Vec<FieldProblem>,
    operation: Option<OperationId>,
    request: Option<String>,
}

#[derive(Deserialize)]
struct FieldProblem {
    field: String,
    detail: String,
}

impl Remote {
    /// The console at `url`, with the token that it is called with.
    pub fn new(url: &str, token: Secret) -> anyhow::Result<Remote> {
        let url = url.trim_end_matches('/').to_owned();
        ensure!(
            !url.starts_with("https://"),
            "This program calls http:// only. Reach {url} through a tunnel: `ssh -L 3000:localhost:3000 MACHINE`, then http://localhost:3000"
        );
        ensure!(
            url.starts_with("http://"),
            "The address {url} cannot be called. Start it with http://"
        );
        let client = Client::builder()
            .user_agent(concat!("bagua/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_WITHIN)
            // A token goes to the address that was named and to no other.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("no HTTP client can be made")?;
        Ok(Remote { url, token, client })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        // The innermost cause says most: "Connection refused".
        let mut cause: &dyn std::error::Error = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        let text = Text::new(keys::CLI_UNREACHABLE)
            .with("url", &self.url)
            .with("cause", cause);
        Failure::new(FailureKind::Unavailable, text)
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}/api/v1/{path}", self.url))
            .bearer_auth(self.token.expose())
            .header(header::ACCEPT_LANGUAGE, super::locale().tag())
    }

    async fn post(&self, path: &str, body: &Value, key: Option<Uuid>) -> Result<Value, Failure> {
        let mut request = self.request(Method::POST, path).timeout(WITHIN).json(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key.to_string());
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        response.json().await.map_err(|error| self.unreachable(&error))
    }

    async fn refusal(&self, response: Response) -> Failure {
        let status = response.status();
        let Ok(problem) = response.json::<Problem>().await else {
            // Whatever answers there, it is no console.
            let text = Text::new(keys::CLI_NO_CONSOLE)
                .with("url", &self.url)
                .with("status", status.as_u16());
            return Failure::new(FailureKind::Internal, text);
        };
        let kind = problem.kind.unwrap_or(match status {
            StatusCode::UNAUTHORIZED => FailureKind::Unauthenticated,
            StatusCode::FORBIDDEN => FailureKind::Forbidden,
            StatusCode::NOT_FOUND => FailureKind::NotFound,
            status if status.is_client_error() => FailureKind::Invalid,
            _ => FailureKind::Internal,
        });
        let words = problem.detail.unwrap_or(problem.title);
        let mut failure = Failure::new(kind, Text::verbatim(words));
        failure.fields = problem
            .errors
            .into_iter()
            .map(|error| (error.field, Text::verbatim(error.detail)))
            .collect();
        failure.operation = problem.operation;
        failure.in_request(problem.request.as_deref())
    }

    fn read<T: DeserializeOwned>(&self, value: Value) -> Result<T, Failure> {
        serde_json::from_value(value).map_err(|error| {
            let text = Text::new(keys::CLI_OTHER_VERSION)
                .with("url", &self.url)
                .with("detail", error);
            Failure::new(FailureKind::Internal, text)
        })
    }

    /// Asks.
    pub async fn ask(&self, kind: &str, input: Value) -> Result<Value, Failure> {
        self.post(&format!("ask/{kind}"), &input, None).await
    }

    /// Says what an operation would change.
    pub async fn plan(&self, kind: &str, input: Value) -> Result<PlanView, Failure> {
        let body = json!({ "input": input });
        let plan = self
            .post(&format!("submit/{kind}?plan=true"), &body, None)
            .await?;
        self.read(plan)
    }

    /// Submits.
    pub async fn submit(
        &self,
        kind: &str,
        input: Value,
        submission: Submission,
    ) -> Result<Submitted, Failure> {
        let body = json!({
            "input": input,
            "plan_hash": submission.plan_hash,
            "reason": submission.reason,
            "break_glass": submission.break_glass,
        });
        let key = submission.token.unwrap_or_else(Uuid::new_v4);
        let submitted = self.post(&format!("submit/{kind}"), &body, Some(key)).await?;
        self.read(submitted)
    }

    /// The events of an operation from the line after `last` on, until the stream breaks or has ended: `tell` is given
    /// name, id and data of each.
    pub async fn events(
        &self,
        operation: OperationId,
        last: &str,
        mut tell: impl FnMut(&str, &str, &Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<Result<(), Failure>> {
        let request = self
            .request(Method::GET, &format!("operations/{operation}/events"))
            .header("last-event-id", last);
        let response = match request.send().await {
            Ok(response) if response.status().is_success() => response,
            Ok(response) => return Ok(Err(self.refusal(response).await)),
            Err(error) => return Ok(Err(self.unreachable(&error))),
        };
        let mut body = response.bytes_stream();
        let mut buffer = Vec::new();
        while let Some(Ok(chunk)) = body.next().await {
            buffer.extend_from_slice(&chunk);
            while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = buffer.drain(..end + 2).collect();
                let event = String::from_utf8_lossy(&event);
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().trim()
                };
                if let Ok(data) = serde_json::from_str(field("data:")) {
                    tell(field("event:"), field("id:"), &data)?;
                }
            }
        }
        Ok(Ok(()))
    }
}
