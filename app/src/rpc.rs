//! The one door to the server: `ask`, `plan` and `submit`, typed.
//!
//! On the server they call the console directly; in the browser they go through three server functions that carry
//! any kind. Context is read before the first await, since it is gone after it.

use crate::asked::Payload;
use crate::pages::charts::ChartsOf;
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::operation::{Submission, Submitted};
use bagua_model::text::{Text, keys};
use bagua_model::verbs::Query;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use server_fn::codec::JsonEncoding;
use server_fn::error::{FromServerFnError, ServerFnErrorErr};

/// A failure on its way to a screen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{0}")]
pub struct AppError(pub Failure);

impl From<Failure> for AppError {
    fn from(failure: Failure) -> AppError {
        AppError(failure)
    }
}

impl FromServerFnError for AppError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> AppError {
        AppError(match error {
            ServerFnErrorErr::Request(_) => {
                Failure::new(FailureKind::Unavailable, Text::new(keys::UI_ERROR_UNREACHABLE))
            }
            // A page of an older build asks a newer server, or the other way round.
            ServerFnErrorErr::Deserialization(_)
            | ServerFnErrorErr::Args(_)
            | ServerFnErrorErr::MissingArg(_) => {
                Failure::new(FailureKind::Internal, Text::new(keys::UI_ERROR_OTHER_VERSION))
            }
            _ => Failure::internal(),
        })
    }
}

/// What a screen gets.
pub type Answered<T> = Result<T, AppError>;

#[cfg(feature = "ssr")]
mod server {
    use super::AppError;
    use crate::context::AppContext;
    use bagua_core::Console;
    use bagua_core::actor::Actor;
    use bagua_model::failure::{Failure, FailureKind};
    use bagua_model::text::{Text, keys};
    use leptos::prelude::use_context;
    use std::sync::Arc;

    /// The failure with the request's id, where the cause stands in the log only. Call it before an await: the context
    /// is gone after one.
    pub fn naming() -> impl Fn(Failure) -> AppError {
        let request = use_context::<AppContext>().and_then(|cx| cx.request);
        move |failure| AppError(failure.in_request(request.as_deref()))
    }

    /// Who is asking, and what answers.
    pub fn door() -> Result<(Arc<Console>, Actor), AppError> {
        let cx = use_context::<AppContext>().ok_or_else(|| AppError(Failure::internal()))?;
        let actor = cx.actor.ok_or_else(|| {
            AppError(Failure::new(
                FailureKind::Unauthenticated,
                Text::new(keys::FAILURE_UNAUTHENTICATED),
            ))
        })?;
        Ok((cx.console, actor))
    }

    /// Runs `work` and lets the HTTP status of the server function say what kind of failure it was.
    pub async fn with_status<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, AppError> {
        let response = use_context::<leptos_axum::ResponseOptions>();
        let named = naming();
        let result = work.await;
        if let Err(failure) = &result
            && let Some(response) = response
            && let Ok(status) = http::StatusCode::from_u16(failure.kind.status())
        {
            response.set_status(status);
        }
        result.map_err(named)
    }
}

/// Asks any query, as JSON. The text is passed on as it is: only who draws the answer reads it.
#[server(prefix = "/rpc", endpoint = "ask", input = server_fn::codec::Json)]
pub async fn ask_json(
    /// Kind of the query.
    kind: String,
    /// The query.
    query: Box<RawValue>,
) -> Result<Box<RawValue>, AppError> {
    let (console, actor) = server::door()?;
    let query = serde_json::from_str(query.get()).map_err(|_| AppError(Failure::internal()))?;
    let answer = server::with_status(console.ask_json(&actor, &kind, query)).await?;
    serde_json::value::to_raw_value(&answer).map_err(|_| AppError(Failure::internal()))
}

/// Plans any operation.
#[server(prefix = "/rpc", endpoint = "plan", input = server_fn::codec::Json)]
pub async fn plan_json(
    /// Kind of the operation.
    kind: String,
    /// Its input.
    input: Value,
) -> Result<Box<RawValue>, AppError> {
    let (console, actor) = server::door()?;
    let plan = server::with_status(console.plan_json(&actor, &kind, input)).await?;
    serde_json::value::to_raw_value(&plan).map_err(|_| AppError(Failure::internal()))
}

/// Plans an operation; the answer is a `PlanView`. On the server the console is called directly, as in [`ask`].
pub async fn plan(kind: &str, input: Value) -> Answered<Payload> {
    #[cfg(feature = "ssr")]
    {
        let ((console, actor), named) = (server::door()?, server::naming());
        console
            .plan_json(&actor, kind, input)
            .await
            .map(Payload::typed)
            .map_err(named)
    }
    #[cfg(not(feature = "ssr"))]
    plan_json(kind.to_owned(), input).await.map(Payload::raw)
}

/// Submits any operation.
#[server(prefix = "/rpc", endpoint = "submit", input = server_fn::codec::Json)]
pub async fn submit_json(
    /// Kind of the operation.
    kind: String,
    /// Its input.
    input: Value,
    /// What goes along with it.
    submission: Submission,
) -> Result<Submitted, AppError> {
    let (console, actor) = server::door()?;
    server::with_status(console.submit_json(&actor, &kind, input, submission)).await
}

/// Asks what a page of charts shows, with the options that its charts are drawn by.
#[server(prefix = "/rpc", endpoint = "charts", input = server_fn::codec::Json)]
pub async fn charts_json(
    /// Which page.
    of: ChartsOf,
    /// What of it.
    key: String,
) -> Result<Box<RawValue>, AppError> {
    let asked = crate::pages::charts::charts(of, key, true);
    let answer = server::with_status(async { asked.await.map_err(|error| error.0) }).await?;
    serde_json::value::to_raw_value(&answer).map_err(|_| AppError(Failure::internal()))
}

/// Asks what a page of charts shows; the answer is not read yet.
pub async fn charts(of: ChartsOf, key: String) -> Answered<Payload> {
    #[cfg(feature = "ssr")]
    {
        crate::pages::charts::charts(of, key, false).await
    }
    #[cfg(not(feature = "ssr"))]
    charts_json(of, key).await.map(Payload::raw)
}

/// Asks a question; the answer is not read yet.
pub async fn ask_payload<Q: Query>(query: Q) -> Answered<Payload>
where
    Q::Answer: Sync,
{
    #[cfg(feature = "ssr")]
    {
        let ((console, actor), named) = (server::door()?, server::naming());
        console
            .ask(&actor, query)
            .await
            .map(Payload::typed)
            .map_err(named)
    }
    #[cfg(not(feature = "ssr"))]
    {
        let query = serde_json::to_string(&query).map_err(|_| AppError(Failure::internal()))?;
        ask_raw(Q::KIND, query).await
    }
}

/// Asks in JSON; the answer is not read yet.
#[cfg(not(feature = "ssr"))]
pub async fn ask_raw(kind: &str, query: String) -> Answered<Payload> {
    let query = RawValue::from_string(query).map_err(|_| AppError(Failure::internal()))?;
    ask_json(kind.to_owned(), query).await.map(Payload::raw)
}
