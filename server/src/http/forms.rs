//! Forms that work without JavaScript. A form that fails comes back as its own page with what was typed.

use super::AppState;
use super::identity::{Identity, LOCALE_COOKIE, SESSION_COOKIE, THEME_COOKIE, local_path, set_cookie};
use super::pages::page_again;
use axum::Extension;
use axum::extract::{ConnectInfo, Form, Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use bagua_access::{Acceptance, SignedIn, Visitor};
use bagua_app::context::{Flash, Theme};
use bagua_model::failure::Failure;
use bagua_model::operation::{CancelOperation, OperationId, RejectOperation, Submission};
use bagua_model::text::{Locale, Text, keys};
use bagua_model::verbs::{Operation as _, Risk};
use futures::stream::{BoxStream, StreamExt as _};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a reply waits at most until this process knows of what was just done.
const KNOWN_WITHIN: Duration = Duration::from_secs(1);

fn visitor(address: SocketAddr, headers: &HeaderMap) -> Visitor {
    let user_agent = headers
        .get(header::USER_AGENT)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    Visitor {
        address: address.ip().to_string(),
        user_agent: user_agent.to_owned(),
    }
}

fn with_cookies(mut response: Response, cookies: &[String]) -> Response {
    for cookie in cookies {
        if let Ok(value) = HeaderValue::from_str(cookie) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}

fn signed_in(state: &AppState, session: &SignedIn, next: &str) -> Response {
    let age = session.max_age.whole_seconds();
    let cookie = set_cookie(SESSION_COOKIE, &session.cookie_token, age, true, state.secure);
    with_cookies(Redirect::to(local_path(next)).into_response(), &[cookie])
}

fn flash(form: &str, values: &[(&str, &str)], failure: Failure) -> Flash {
    Flash {
        form: form.to_owned(),
        values: values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        failure: Some(failure),
    }
}

fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
    if pairs.is_empty() {
        return path.to_owned();
    }
    format!(
        "{path}?{}",
        serde_urlencoded::to_string(&pairs).unwrap_or_default()
    )
}

/// Fields of `POST /sign-in`.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct SignIn {
    email: String,
    password: String,
    next: String,
}

/// `POST /sign-in`.
pub async fn sign_in(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(form): Form<SignIn>,
) -> Response {
    match state
        .access
        .sign_in(
            &form.email,
            &form.password,
            &visitor(address, &headers),
            identity.token.as_deref(),
        )
        .await
    {
        Ok(session) => signed_in(&state, &session, &form.next),
        Err(failure) => {
            let flash = flash(
                "sign-in",
                &[("email", &form.email), ("next", &form.next)],
                failure,
            );
            page_again(
                state,
                identity,
                &query("/sign-in", &[("next", &form.next)]),
                flash,
            )
            .await
        }
    }
}

/// `POST /sign-out`.
pub async fn sign_out(State(state): State<AppState>, Extension(identity): Extension<Identity>) -> Response {
    if let Some(token) = &identity.token
        && let Err(failure) = state.access.sign_out(token).await
    {
        // The cookie goes all the same; the session itself ends by its own time.
        tracing::warn!(error = %failure, "session could not be ended in the database");
    }
    let cookie = set_cookie(SESSION_COOKIE, "", 0, true, state.secure);
    with_cookies(Redirect::to("/sign-in").into_response(), &[cookie])
}

/// Fields of `POST /welcome` and `POST /reset`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Invitation {
    token: String,
    name: String,
    email: String,
    password: String,
}

/// `POST /welcome` (a new person) and `POST /reset` (a new password): a one-time link's form.
pub async fn accept_invitation(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    uri: http::Uri,
    Form(form): Form<Invitation>,
) -> Response {
    let path = if uri.path() == "/reset" {
        "/reset"
    } else {
        "/welcome"
    };
    let typed = Acceptance {
        name: form.name.clone(),
        email: form.email.clone(),
        password: form.password,
    };
    let done = state
        .access
        .accept_invitation(&form.token, typed, &visitor(address, &headers))
        .await;
    match done {
        Ok(session) => signed_in(&state, &session, "/"),
        Err(failure) => {
            let values = [
                ("token", form.token.as_str()),
                ("name", &form.name),
                ("email", &form.email),
            ];
            let flash = flash(&path[1..], &values, failure);
            page_again(state, identity, &query(path, &[("token", &form.token)]), flash).await
        }
    }
}

/// Fields of `POST /preferences`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Preferences {
    locale: String,
    theme: String,
    back: String,
}

/// `POST /preferences`: language and theme, kept in cookies for a year.
pub async fn preferences(State(state): State<AppState>, Form(form): Form<Preferences>) -> Response {
    const YEAR: i64 = 365 * 24 * 3600;
    let mut cookies = Vec::new();
    if let Some(locale) = Locale::from_tag(&form.locale) {
        cookies.push(set_cookie(LOCALE_COOKIE, locale.tag(), YEAR, false, state.secure));
    }
    if !form.theme.is_empty() {
        cookies.push(set_cookie(
            THEME_COOKIE,
            Theme::from_name(&form.theme).as_str(),
            YEAR,
            false,
            state.secure,
        ));
    }
    with_cookies(Redirect::to(local_path(&form.back)).into_response(), &cookies)
}

/// Fields of `POST /submit/{kind}`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Submit {
    input: String,
    hash: String,
    token: String,
    reason: String,
    break_glass: String,
    back: String,
    /// The target's name, typed, where the risk asks for it.
    confirm: String,
    /// Further fields go into the input (an acknowledgement's note).
    #[serde(flatten)]
    more: std::collections::BTreeMap<String, String>,
}

/// Waits until the stream has told of the operation, which is after the rooms' memories were brought up to date: the
/// page that answers from memory then shows what its reader has just done. Pages with script need no such wait, they
/// listen.
async fn known(mut told: BoxStream<'static, Arc<bagua_core::LiveEvent>>, operation: OperationId) {
    let subject = format!("operation:{operation}");
    let heard = async {
        while let Some(event) = told.next().await {
            if event.message.subject.as_ref() == Some(&subject) {
                return;
            }
        }
    };
    // Later is no fault: the page is right as soon as it is loaded again.
    let _ = tokio::time::timeout(KNOWN_WITHIN, heard).await;
}

impl Submit {
    /// The operation's input: the JSON that the page prepared, and the fields that were typed beside it.
    fn operation_input(&self, kind: &str) -> Value {
        let mut input: Value = match serde_json::from_str(&self.input) {
            Ok(input) => input,
            Err(_) if self.input.is_empty() => Value::Object(serde_json::Map::new()),
            Err(_) => Value::Null,
        };
        if let Value::Object(fields) = &mut input {
            for (name, value) in &self.more {
                fields.insert(name.clone(), Value::String(value.clone()));
            }
            // A decision about another operation carries its reason itself.
            let decision = matches!(kind, RejectOperation::KIND | CancelOperation::KIND);
            if decision && !self.reason.trim().is_empty() {
                fields.insert("reason".to_owned(), Value::String(self.reason.clone()));
            }
        }
        input
    }
}

/// `POST /submit/{kind}`: submits an operation from a plain form.
pub async fn submit(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    Path(kind): Path<String>,
    Form(form): Form<Submit>,
) -> Response {
    let Some(actor) = identity.actor() else {
        // The session has ended while the form was open: afterwards back to the page that it was on.
        let next = Some(local_path(&form.back))
            .filter(|next| *next != "/")
            .unwrap_or_default();
        return Redirect::to(&query("/sign-in", &[("next", next)])).into_response();
    };
    let input = form.operation_input(&kind);
    let submission = Submission {
        plan_hash: Some(form.hash).filter(|hash| !hash.is_empty()),
        reason: Some(form.reason.clone()).filter(|reason| !reason.trim().is_empty()),
        break_glass: matches!(form.break_glass.as_str(), "on" | "true" | "1"),
        token: form.token.parse().ok(),
    };
    let risk = state.console.registry().info(&kind).and_then(|info| info.risk);
    let read_only = identity.read_only();
    let unconfirmed = if read_only.is_none() && matches!(risk, Some(Risk::High | Risk::Critical)) {
        match state.console.plan_json(&actor, &kind, input.clone()).await {
            Ok(view) => view.target.id != form.confirm.trim(),
            // Submitting says what is wrong with it.
            Err(_) => false,
        }
    } else {
        false
    };
    let told = state.console.live.subscribe(None).await;
    let result = if let Some(failure) = read_only {
        Err(failure)
    } else if unconfirmed {
        Err(Failure::field("confirm", Text::new(keys::FAILURE_CONFIRM)))
    } else {
        state
            .console
            .submit_json(&actor, &kind, input.clone(), submission)
            .await
    };
    match result {
        // What has no plan page of its own goes back to where it was done.
        Ok(submitted) if risk == Some(Risk::Trivial) && !form.back.is_empty() => {
            known(told, submitted.operation).await;
            Redirect::to(local_path(&form.back)).into_response()
        }
        Ok(submitted) => Redirect::to(&format!("/operations/{}", submitted.operation)).into_response(),
        Err(failure) => {
            let input = input.to_string();
            let back = local_path(&form.back);
            let values = [
                ("reason", form.reason.as_str()),
                ("confirm", &form.confirm),
                ("input", &input),
            ];
            let flash = flash(&format!("submit/{kind}"), &values, failure);
            let address = query(
                "/operations/new",
                &[("kind", &kind), ("input", &input), ("back", back)],
            );
            // The page's address is not this one, so the typed text waits in the session for one reply.
            let kept = match (&identity.token, serde_json::to_value(&flash)) {
                (Some(token), Ok(value)) => state.access.sessions().set_flash(token, &value).await,
                _ => false,
            };
            if kept {
                Redirect::to(&format!("{address}&again=1")).into_response()
            } else {
                page_again(state, identity, &address, flash).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_plain_rejection_carries_its_reason_to_the_decision() {
        let form = Submit {
            input: r#"{"operation":"x"}"#.into(),
            reason: "too late".into(),
            ..Submit::default()
        };
        assert_eq!(
            form.operation_input("operation.reject"),
            json!({ "operation": "x", "reason": "too late" })
        );
        assert_eq!(
            form.operation_input("component.restart"),
            json!({ "operation": "x" })
        );
    }
}
