//! A console at an address, through its HTTP API.

use super::https::{self, Https};
use anyhow::Context as _;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{OperationId, PlanView, Submission, Submitted};
use bagua_model::settings::Secret;
use bagua_model::text::{Text, keys};
use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header, request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::error::Error;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// A plan or an answer may take the server its 30 s.
const WITHIN: Duration = Duration::from_secs(40);

/// The console.
pub struct Remote {
    url: String,
    token: Secret,
    client: Https,
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
    /// The console at `url`, with the token that it is called with. A token goes to the address that was named and to no
    /// other: redirects are not followed.
    pub fn new(url: &str, token: Secret) -> anyhow::Result<Remote> {
        let url = url.trim_end_matches('/').to_owned();
        let wrong = || format!("The address {url} cannot be called. Start it with https:// or http://");
        let address: Uri = url.parse().with_context(wrong)?;
        let scheme = address.scheme().cloned();
        anyhow::ensure!(
            scheme == Some(Scheme::HTTPS) || scheme == Some(Scheme::HTTP),
            wrong()
        );
        let client = https::client()?;
        Ok(Remote { url, token, client })
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> Failure {
        // The innermost cause says most: "Connection refused".
        let mut cause = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        self.because(&cause)
    }

    fn because(&self, cause: &dyn std::fmt::Display) -> Failure {
        let text = Text::new(keys::CLI_UNREACHABLE)
            .with("url", &self.url)
            .with("cause", cause);
        Failure::new(FailureKind::Unavailable, text)
    }

    fn request(&self, method: Method, path: &str) -> request::Builder {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", self.token.expose()))
            .unwrap_or(HeaderValue::from_static("Bearer"));
        bearer.set_sensitive(true);
        Request::builder()
            .method(method)
            .uri(format!("{}/api/v1/{path}", self.url))
            .header(header::USER_AGENT, concat!("bagua/", env!("CARGO_PKG_VERSION")))
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT_LANGUAGE, super::locale().tag())
    }

    async fn send(&self, request: request::Builder, body: Vec<u8>) -> Result<Response<Incoming>, Failure> {
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| self.unreachable(&error))?;
        self.client
            .request(request)
            .await
            .map_err(|error| self.unreachable(&error))
    }

    /// Status and whole body of an answer.
    async fn answer(&self, request: request::Builder, body: Vec<u8>) -> Result<(StatusCode, Bytes), Failure> {
        let answer = async {
            let response = self.send(request, body).await?;
            let status = response.status();
            let body = response.into_body().collect().await;
            Ok((status, body.map_err(|error| self.unreachable(&error))?.to_bytes()))
        };
        timeout(WITHIN, answer)
            .await
            .unwrap_or_else(|late| Err(self.unreachable(&late)))
    }

    async fn post(&self, path: &str, body: &Value, key: Option<Uuid>) -> Result<Value, Failure> {
        let mut request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key.to_string());
        }
        let (status, body) = self.answer(request, body.to_string().into_bytes()).await?;
        if !status.is_success() {
            return Err(self.refusal(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| self.because(&error))
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> Failure {
        let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
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
        // The answer begins at once; then it goes on for as long as the operation does.
        let response = match timeout(WITHIN, self.send(request, Vec::new())).await {
            Ok(Ok(response)) => response,
            Ok(Err(failure)) => return Ok(Err(failure)),
            Err(late) => return Ok(Err(self.unreachable(&late))),
        };
        let status = response.status();
        let mut body = response.into_body();
        if !status.is_success() {
            let said = timeout(WITHIN, body.collect()).await;
            let said = said.ok().and_then(Result::ok).map(|said| said.to_bytes());
            return Ok(Err(self.refusal(status, &said.unwrap_or_default())));
        }
        let mut buffer = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(chunk) = frame.into_data() else { continue };
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
