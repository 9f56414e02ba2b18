//! Every refusal and fault of the HTTP API in one form: `application/problem+json` (RFC 9457).

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::OperationId;
use bagua_model::text::{Locale, Text};
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::http::trace::RequestId;

/// A failure on its way out of a handler. [`problems`] writes the body, because it knows the reader's language.
pub struct Refused(Failure);

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Refused(failure)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self.0);
        response
    }
}

/// The body, as clients read it.
#[derive(Serialize, JsonSchema)]
pub struct Problem {
    /// Always `about:blank`: `title` is the status's own phrase.
    r#type: &'static str,
    /// The status's phrase.
    title: &'static str,
    /// The status.
    status: u16,
    /// What happened and what to do next, in the reader's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// What programs decide by; none for what was refused before it reached the console.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<FailureKind>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
    /// The operation that holds the target, for `busy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<OperationId>,
    /// The id under which the log has the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
}

/// What is wrong with one field.
#[derive(Serialize, JsonSchema)]
pub struct FieldProblem {
    /// The field's name.
    field: String,
    /// What is wrong with it.
    detail: String,
}

fn problem(status: StatusCode, failure: Option<&Failure>, locale: Locale, id: Option<&RequestId>) -> Problem {
    let wrong = |(field, text): &(String, Text)| FieldProblem {
        field: field.clone(),
        detail: text.render(locale),
    };
    Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: failure.map(|failure| failure.text.render(locale)),
        kind: failure.map(|failure| failure.kind),
        errors: failure.map_or_else(Vec::new, |failure| failure.fields.iter().map(wrong).collect()),
        operation: failure.and_then(|failure| failure.operation),
        request: id.map(|RequestId(id)| id.to_string()),
    }
}

/// Turns whatever was refused below [`PREFIX`](super::PREFIX) into a problem: our own failures with their sentence, and what the router refuses by
/// itself (unknown path, wrong method, body too large, too slow, another site's page) with its status. It lies outside
/// of the guard and of the compression, so that nothing is refused in another form. Other headers stay (`Allow`,
/// `Retry-After`).
pub async fn problems(request: Request, next: Next) -> Response {
    let ours = request
        .uri()
        .path()
        .strip_prefix(super::PREFIX)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !ours {
        return next.run(request).await;
    }
    let locale = request
        .headers()
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .map(Locale::from_accept_language)
        .unwrap_or_default();
    let id = request.extensions().get::<RequestId>().cloned();
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let failure = parts.extensions.remove::<Failure>();
    let body = json!(problem(status, failure.as_ref(), locale, id.as_ref())).to_string();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_ENCODING);
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    parts
        .headers
        .insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(locale.tag()));
    Response::from_parts(parts, Body::from(body))
}
