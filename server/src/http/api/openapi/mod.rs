//! The description of the API: OpenAPI 3.1, generated from the registry, so that a kind cannot be missing or be described
//! otherwise than it is. Made once at start, in both languages.

mod paths;
mod schemas;

use super::{AppState, PREFIX, has_tag};
use crate::http::identity::SESSION_COOKIE;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bagua_core::Registry;
use bagua_model::text::{Locale, Text, keys};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, header};
use schemas::Schemas;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// Below [`PREFIX`].
pub(super) const ADDRESS: &str = "/openapi.json";

/// One language's document, ready to be sent.
struct Written {
    locale: Locale,
    body: Bytes,
    etag: String,
}

/// The document in every language.
pub struct Description(Vec<Written>);

impl Description {
    /// Generates it.
    pub fn new(registry: &Registry) -> Description {
        let written = |locale| {
            let body = document(registry, locale).to_string();
            Written {
                locale,
                etag: format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(body.as_bytes()))),
                body: body.into(),
            }
        };
        Description(Locale::ALL.into_iter().map(written).collect())
    }
}

/// `GET /openapi.json`. Whoever cannot sign in may read it too: it says no more than the source does.
pub(super) async fn get(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let wanted = headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .map(Locale::from_accept_language)
        .unwrap_or_default();
    let Some(written) = state.description.0.iter().find(|w| w.locale == wanted) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tags = [
        (header::ETAG, written.etag.clone()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::CONTENT_LANGUAGE, wanted.tag().to_owned()),
        (header::VARY, "accept-language".to_owned()),
    ];
    if has_tag(&headers, &written.etag) {
        return (StatusCode::NOT_MODIFIED, tags).into_response();
    }
    let json = [(header::CONTENT_TYPE, "application/json")];
    (tags, json, written.body.clone()).into_response()
}

/// The document for readers of one language. Its sentences are in their language; what stands beside a field is the
/// declaration's own comment.
pub fn document(registry: &Registry, locale: Locale) -> Value {
    let say = |key: &str| Text::new(key).render(locale);
    let schemas = Schemas::of(registry);
    let rooms: BTreeSet<_> = registry
        .kinds()
        .iter()
        .filter_map(|info| info.kind.split_once('.'))
        .map(|(room, _)| room)
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": say(keys::API_TITLE),
            "description": say(keys::API_DESCRIPTION),
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "session": [] }, { "bearer": [] }],
        "tags": rooms.iter().map(|room| json!({ "name": room })).collect::<Vec<_>>(),
        "paths": paths::all(registry, &schemas, locale),
        "components": {
            "securitySchemes": {
                "session": {
                    "type": "apiKey", "in": "cookie", "name": SESSION_COOKIE, "description": say(keys::API_SESSION),
                },
                "bearer": { "type": "http", "scheme": "bearer", "description": say(keys::API_BEARER) },
            },
            "parameters": {
                "plan": {
                    "name": "plan", "in": "query", "description": say(keys::API_PLAN),
                    "schema": { "type": "boolean", "default": false },
                },
                "idempotencyKey": {
                    "name": "Idempotency-Key", "in": "header", "description": say(keys::API_IDEMPOTENCY),
                    "schema": { "type": "string", "format": "uuid" },
                },
            },
            "headers": {
                "ETag": { "schema": { "type": "string" } },
                "Link": { "schema": { "type": "string" } },
                "Location": { "schema": { "type": "string", "format": "uri-reference" } },
            },
            "responses": paths::problems(locale),
            "schemas": schemas.components(),
        },
    })
}

/// The whole address of a path of the API.
fn address(path: &str) -> String {
    format!("{PREFIX}{path}")
}
