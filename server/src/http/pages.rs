//! Pages: Leptos on the server, with the reader's context and a content security policy of this response's nonce.

use super::AppState;
use super::guard::content_security_policy;
use super::identity::Identity;
use super::trace::RequestId;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use bagua_app::context::{AppContext, Flash, Invitation};
use bagua_model::failure::{Failure, FailureKind};
use bagua_model::text::{Text, keys};
use http::{HeaderValue, StatusCode, header};
use leptos::prelude::{provide_context, use_context};
use std::collections::HashMap;
use std::sync::Arc;

/// What a page is rendered with, taken from the request's extensions while Leptos still has its parts.
pub fn provide(state: &AppState) {
    let parts = use_context::<http::request::Parts>();
    let identity = parts
        .as_ref()
        .and_then(|p| p.extensions.get::<Identity>().cloned())
        .unwrap_or_default();
    let flash = parts.as_ref().and_then(|p| p.extensions.get::<Flash>().cloned());
    if let Some(invitation) = parts
        .as_ref()
        .and_then(|p| p.extensions.get::<Invitation>().cloned())
    {
        provide_context(invitation);
    }
    provide_context(AppContext {
        console: Arc::clone(&state.console),
        me: identity.who.as_ref().map(|who| who.me.clone()),
        actor: identity.actor(),
        environment: state.environment,
        regions: Arc::clone(&state.regions),
        locale: identity.locale,
        theme: identity.theme,
        zone: identity.zone(),
        site: Arc::clone(&state.assets),
        cursor: Some(state.console.live.cursor()),
        flash,
        request: parts
            .as_ref()
            .and_then(|p| p.extensions.get::<RequestId>())
            .map(|id| id.0.clone()),
        now: state.console.clock.now(),
    });
    if let (Some(response), Some(nonce)) = (
        use_context::<leptos_axum::ResponseOptions>(),
        leptos::nonce::use_nonce(),
    ) && let Ok(policy) = HeaderValue::from_str(&content_security_policy(&nonce))
    {
        response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
        // A page shows one person's view: neither a shared cache nor the back button may show it to another.
        response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Renders the page at the request's own address, whole: a streamed page would begin with its fallbacks, which only
/// script replaces, and with a status that is decided before its content is known.
pub async fn page(State(state): State<AppState>, mut request: Request) -> Response {
    look_up(&state, &mut request).await;
    let shell_state = state.clone();
    let handler = leptos_axum::render_app_async_with_context(
        move || provide(&state),
        move || bagua_app::shell::shell(Arc::clone(&shell_state.assets)),
    );
    handler(request).await
}

/// What a page shows that nobody could ask for: the one-time link's purpose, where nobody is signed in, and the form
/// that came back by redirect.
async fn look_up(state: &AppState, request: &mut Request) {
    let asked: HashMap<String, String> =
        serde_urlencoded::from_str(request.uri().query().unwrap_or_default()).unwrap_or_default();
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/welcome" | "/reset" => {
            let found = state
                .access
                .invitation(asked.get("token").map_or("", String::as_str))
                .await;
            let lapsed = || Failure::new(FailureKind::NotFound, Text::new(keys::FAILURE_INVITATION_LAPSED));
            request
                .extensions_mut()
                .insert(Invitation(found.and_then(|view| view.ok_or_else(lapsed))));
        }
        "/operations/new" if asked.contains_key("again") => {
            let token = request
                .extensions()
                .get::<Identity>()
                .and_then(|identity| identity.token.clone());
            if let Some(token) = token
                && let Some(kept) = state.access.sessions().take_flash(&token).await
                && let Ok(flash) = serde_json::from_value::<Flash>(kept)
            {
                request.extensions_mut().insert(flash);
            }
        }
        _ => {}
    }
}

/// Renders the page at `address` again in reply to a form that failed, with what was typed.
pub async fn page_again(state: AppState, identity: Identity, address: &str, flash: Flash) -> Response {
    let status = flash
        .failure
        .as_ref()
        .and_then(|failure| StatusCode::from_u16(failure.kind.status()).ok())
        .unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
    let mut request = Request::new(Body::empty());
    if let Ok(uri) = address.parse() {
        *request.uri_mut() = uri;
    }
    request.extensions_mut().insert(identity);
    request.extensions_mut().insert(flash);
    let mut response = page(State(state), request).await;
    *response.status_mut() = status;
    response
}

/// `POST /rpc/{*name}`: the server functions behind `ask`, `plan` and `submit`.
pub async fn rpc(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    // Refused here and not by the server function, which would answer with a 500: nothing of ours is wrong.
    if identity.who.is_none() {
        return refused(Failure::new(
            FailureKind::Unauthenticated,
            Text::new(keys::FAILURE_UNAUTHENTICATED),
        ));
    }
    if name == "submit"
        && let Some(failure) = identity.read_only()
    {
        return refused(failure);
    }
    leptos_axum::handle_server_fns_with_context(move || provide(&state), request)
        .await
        .into_response()
}

/// A failure as the browser side reads it from a server function.
fn refused(failure: Failure) -> Response {
    let status = StatusCode::from_u16(failure.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(failure)).into_response()
}
