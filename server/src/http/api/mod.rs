//! `/api/v1`: the two verbs and plain resources for people with curl. Everything ends in `Console::ask` and `submit`;
//! nothing here decides who may do what.

mod bearer;
mod events;
mod limits;
mod openapi;
mod problem;

pub use bearer::bearer;
pub use limits::Limits;
pub use openapi::{Description, document};
pub use problem::problems;

use super::identity::Identity;
use super::{AppState, FORM_LIMIT};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequestParts, OriginalUri, Path, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use bagua_core::Actor;
use bagua_model::alerts::{GetAlert, ListAlerts};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{
    ApproveOperation, CancelOperation, GetOperation, ListAudit, ListOperations, RejectOperation, Submission,
};
use bagua_model::regions::{GetComponent, GetRegion, GetWorld};
use bagua_model::text::{Text, keys};
use bagua_model::verbs::{Operation as _, Query as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use problem::Refused;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt::Display;
use tower_http::timeout::TimeoutLayer;
use uuid::Uuid;

/// Where the API lies.
pub const PREFIX: &str = "/api/v1";

/// The resources that are read, below [`PREFIX`], with the query that each asks: what is described is what is routed.
const RESOURCES: [(&str, &str); 8] = [
    ("/regions", GetWorld::KIND),
    ("/regions/{region}", GetRegion::KIND),
    ("/regions/{region}/{service}", GetComponent::KIND),
    ("/alerts", ListAlerts::KIND),
    ("/alerts/{alert}", GetAlert::KIND),
    ("/operations", ListOperations::KIND),
    ("/operations/{operation}", GetOperation::KIND),
    ("/audit", ListAudit::KIND),
];

type Answer = Result<Response, Refused>;

/// The routes below [`PREFIX`]. [`problems`] words what they refuse.
pub fn routes(state: &AppState) -> Router<AppState> {
    let in_time = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, super::CHANGE_WITHIN);
    Router::new()
        .route("/ask/{kind}", post(ask))
        .route("/submit/{kind}", post(submit))
        .route(openapi::ADDRESS, get(openapi::get))
        .route("/regions", get(world))
        .route("/regions/{region}", get(region))
        .route("/regions/{region}/{service}", get(component))
        .route("/alerts", get(alerts))
        .route("/alerts/{alert}", get(alert))
        .route("/operations", get(operations))
        .route("/operations/{operation}", get(operation))
        .route("/operations/{operation}/events", get(events::stream))
        .route("/operations/{operation}/{decision}", post(decide))
        .route("/audit", get(audit))
        .fallback(nothing)
        .layer((in_time, DefaultBodyLimit::max(FORM_LIMIT)))
        .layer(from_fn_with_state(state.clone(), limits::limit))
        .layer(from_fn_with_state(state.clone(), bearer::identify))
}

async fn nothing(OriginalUri(uri): OriginalUri) -> Refused {
    Failure::not_found(uri.path()).into()
}

fn actor(identity: &Identity) -> Result<Actor, Refused> {
    let nobody = || {
        Failure::new(
            FailureKind::Unauthenticated,
            Text::new(keys::FAILURE_UNAUTHENTICATED),
        )
    };
    Ok(identity.actor().ok_or_else(nobody)?)
}

/// Nothing is changed with a session of which nobody can say whether it still stands.
fn may_change(identity: &Identity) -> Result<(), Refused> {
    match identity.read_only() {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

fn misfit(kind: &str, detail: impl Display) -> Refused {
    let text = Text::new(keys::FAILURE_BAD_INPUT)
        .with("kind", kind)
        .with("detail", detail);
    Failure::new(FailureKind::Invalid, text).into()
}

/// A body of JSON; an empty one is an empty object.
fn body<T: DeserializeOwned>(kind: &str, bytes: &[u8]) -> Result<T, Refused> {
    let bytes = if bytes.is_empty() { b"{}".as_slice() } else { bytes };
    serde_json::from_slice(bytes).map_err(|error| misfit(kind, error))
}

/// `Idempotency-Key`: the same key twice is the same submission.
fn idempotency_key(kind: &str, headers: &HeaderMap) -> Result<Option<Uuid>, Refused> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(key.as_bytes());
    // The header's draft writes a quoted string; most clients send the bare one.
    let key = text.trim().trim_matches('"');
    match Uuid::parse_str(key) {
        Ok(key) => Ok(Some(key)),
        Err(error) => Err(misfit(kind, format_args!("Idempotency-Key: {error}"))),
    }
}

/// `POST /ask/{kind}`: the body is the query's input.
async fn ask(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    Path(kind): Path<String>,
    bytes: Bytes,
) -> Answer {
    let actor = actor(&identity)?;
    state.console.knock(&actor, &kind).await?;
    let input = body(&kind, &bytes)?;
    Ok(Json(state.console.ask_json(&actor, &kind, input).await?).into_response())
}

/// The body of `POST /submit/{kind}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default = "no_input")]
    input: Value,
    /// The hash of the plan that was looked at: when the world has changed since, nothing is done.
    #[serde(default)]
    plan_hash: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    break_glass: bool,
}

fn no_input() -> Value {
    Value::Object(Map::new())
}

/// `?plan=true`; what else stands in the query is refused as every other input is.
fn only_plan(kind: &str, uri: &Uri) -> Result<bool, Refused> {
    let pairs: Vec<(String, String)> =
        serde_urlencoded::from_str(uri.query().unwrap_or_default()).map_err(|error| misfit(kind, error))?;
    match pairs.iter().rfind(|(name, _)| name == "plan") {
        Some((_, value)) => value
            .parse()
            .map_err(|error| misfit(kind, format_args!("plan: {error}"))),
        None => Ok(false),
    }
}

/// `POST /submit/{kind}`; with `?plan=true` it only says what would change.
async fn submit(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    Path(kind): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    let actor = actor(&identity)?;
    state.console.knock(&actor, &kind).await?;
    let only_plan = only_plan(&kind, &uri)?;
    let wish: Wish = body(&kind, &bytes)?;
    if only_plan {
        let plan = state.console.plan_json(&actor, &kind, wish.input).await?;
        return Ok(Json(plan).into_response());
    }
    may_change(&identity)?;
    let submission = Submission {
        plan_hash: wish.plan_hash,
        reason: wish.reason.filter(|reason| !reason.trim().is_empty()),
        break_glass: wish.break_glass,
        token: idempotency_key(&kind, &headers)?,
    };
    submitted(&state, &actor, &kind, wish.input, submission).await
}

/// 200 when it is done already, 202 while it goes on; `Location` is where to look.
async fn submitted(
    state: &AppState,
    actor: &Actor,
    kind: &str,
    input: Value,
    submission: Submission,
) -> Answer {
    let done = state.console.submit_json(actor, kind, input, submission).await?;
    let status = if done.state.is_final() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let location = format!("{PREFIX}/operations/{}", done.operation);
    Ok((status, [(header::LOCATION, location)], Json(done)).into_response())
}

/// `POST /operations/{operation}/cancel|approve|reject`: the body holds the decision's other fields.
async fn decide(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    Path((operation, decision)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    let kind = match decision.as_str() {
        "cancel" => CancelOperation::KIND,
        "approve" => ApproveOperation::KIND,
        "reject" => RejectOperation::KIND,
        _ => return Err(Failure::not_found(uri.path()).into()),
    };
    let actor = actor(&identity)?;
    state.console.knock(&actor, kind).await?;
    may_change(&identity)?;
    let mut input: Map<String, Value> = body(kind, &bytes)?;
    // The path names the operation, whatever the body says.
    input.insert("operation".into(), Value::String(operation));
    let submission = Submission {
        token: idempotency_key(kind, &headers)?,
        ..Submission::default()
    };
    submitted(&state, &actor, kind, Value::Object(input), submission).await
}

/// Whether the reader has the answer with this tag already.
fn has_tag(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == etag || tag == "*")
}

/// Who reads, and what they have already.
struct Reader {
    state: AppState,
    identity: Identity,
    uri: Uri,
    headers: HeaderMap,
}

impl FromRequestParts<AppState> for Reader {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        state: &AppState,
    ) -> Result<Reader, Self::Rejection> {
        let OriginalUri(uri) = OriginalUri::from_request_parts(parts, state).await?;
        Ok(Reader {
            state: state.clone(),
            identity: parts.extensions.get().cloned().unwrap_or_default(),
            uri,
            headers: parts.headers.clone(),
        })
    }
}

impl Reader {
    async fn read(&self, kind: &str, input: Value) -> Answer {
        let actor = actor(&self.identity)?;
        let answer = self.state.console.ask_json(&actor, kind, input).await?;
        let body = answer.to_string();
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(body.as_bytes())));
        let mut response = if has_tag(&self.headers, &etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("private, no-cache"),
        );
        let next = answer
            .pointer("/next")
            .or_else(|| answer.pointer("/page/next"))
            .and_then(Value::as_str);
        let lines = [
            (header::ETAG, Some(etag)),
            (header::LINK, next.map(|next| self.next_page(next))),
        ];
        for (name, line) in lines {
            if let Some(value) = line.and_then(|line| HeaderValue::from_str(&line).ok()) {
                headers.insert(name, value);
            }
        }
        Ok(response)
    }

    fn pairs(&self) -> Vec<(String, String)> {
        serde_urlencoded::from_str(self.uri.query().unwrap_or_default()).unwrap_or_default()
    }

    /// The same list from the cursor on, as `Link` says it (RFC 8288).
    fn next_page(&self, cursor: &str) -> String {
        let mut pairs = self.pairs();
        pairs.retain(|(name, _)| name != "after");
        pairs.push(("after".into(), cursor.to_owned()));
        let query = serde_urlencoded::to_string(&pairs).unwrap_or_default();
        format!("<{}?{query}>; rel=\"next\"", self.uri.path())
    }

    /// A list whose filters stand in the address. The query's own input refuses names that it does not know.
    async fn list(&self, kind: &str, many: &[&str]) -> Answer {
        let mut input = Map::new();
        for (name, value) in self.pairs() {
            if many.contains(&name.as_str()) {
                let values = input.entry(name).or_insert_with(|| json!([]));
                if let Value::Array(values) = values {
                    values.push(Value::String(value));
                }
                continue;
            }
            let typed = match name.as_str() {
                "limit" => value.parse::<u16>().ok().map(Value::from),
                "acknowledged" => value.parse::<bool>().ok().map(Value::from),
                _ => None,
            };
            input.insert(name, typed.unwrap_or(Value::String(value)));
        }
        self.read(kind, Value::Object(input)).await
    }
}

async fn world(reader: Reader) -> Answer {
    reader.read(GetWorld::KIND, json!({})).await
}

async fn region(Path(region): Path<String>, reader: Reader) -> Answer {
    reader.read(GetRegion::KIND, json!({ "region": region })).await
}

async fn component(Path((region, service)): Path<(String, String)>, reader: Reader) -> Answer {
    let component = format!("{region}/{service}");
    reader
        .read(GetComponent::KIND, json!({ "component": component }))
        .await
}

async fn alerts(reader: Reader) -> Answer {
    reader.list(ListAlerts::KIND, &["severities"]).await
}

async fn alert(Path(alert): Path<String>, reader: Reader) -> Answer {
    reader.read(GetAlert::KIND, json!({ "alert": alert })).await
}

async fn operations(reader: Reader) -> Answer {
    reader.list(ListOperations::KIND, &["states"]).await
}

async fn operation(Path(operation): Path<String>, reader: Reader) -> Answer {
    reader
        .read(GetOperation::KIND, json!({ "operation": operation }))
        .await
}

async fn audit(reader: Reader) -> Answer {
    reader.list(ListAudit::KIND, &[]).await
}
