//! Every refusal and fault of the HTTP API in one form: `application/problem+json` (RFC 9457).

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bagua_model::failure::Failure;
use bagua_model::text::Locale;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

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

/// The body. `type` is `about:blank`, so `title` is the status's own phrase; `kind` is what programs decide by.
fn problem(status: StatusCode, failure: Option<&Failure>, locale: Locale, id: Option<&RequestId>) -> Value {
    let mut body = Map::new();
    body.insert("type".into(), json!("about:blank"));
    body.insert(
        "title".into(),
        json!(status.canonical_reason().unwrap_or("Error")),
    );
    body.insert("status".into(), json!(status.as_u16()));
    if let Some(failure) = failure {
        body.insert("detail".into(), json!(failure.text.render(locale)));
        body.insert("kind".into(), json!(failure.kind));
        let errors: Vec<_> = failure
            .fields
            .iter()
            .map(|(field, text)| json!({ "field": field, "detail": text.render(locale) }))
            .collect();
        if !errors.is_empty() {
            body.insert("errors".into(), Value::Array(errors));
        }
        if let Some(operation) = failure.operation {
            body.insert("operation".into(), json!(operation));
        }
    }
    if let Some(RequestId(id)) = id {
        body.insert("request".into(), json!(id));
    }
    Value::Object(body)
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
    let body = problem(status, failure.as_ref(), locale, id.as_ref()).to_string();
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
