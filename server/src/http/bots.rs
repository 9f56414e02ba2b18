//! The forms that a bot's token is typed into. They have handlers of their own, because a token is sealed before anything
//! else is done with it: it stands in no address, no session and no operation.

use super::AppState;
use super::identity::Identity;
use super::pages::page_again;
use axum::Extension;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use bagua_app::context::Flash;
use bagua_model::bots::{AddBot, ReplaceToken, TokenInput};
use bagua_model::failure::Failure;
use bagua_model::operation::PlanView;
use bagua_model::region::RegionId;
use bagua_model::verbs::Operation;
use serde::Deserialize;

/// Fields of `POST /bots` and `POST /bots/{bot}`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Typed {
    /// Not `region`: in an address that is the scope of the whole console.
    place: String,
    server: String,
    token: String,
}

/// `POST /bots`: to the plan of adding the bot, or back with what was wrong.
pub async fn add(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    Form(typed): Form<Typed>,
) -> Response {
    let operation = AddBot {
        region: RegionId::new(typed.place.as_str()),
        server: typed.server.clone(),
        token: TokenInput::new(typed.token.trim()),
    };
    plan(state, identity, "/bots", &typed, operation).await
}

/// `POST /bots/{bot}`: to the plan of replacing its token.
pub async fn replace(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    Path(bot): Path<i64>,
    Form(typed): Form<Typed>,
) -> Response {
    let operation = ReplaceToken {
        bot,
        region: RegionId::new(typed.place.as_str()),
        token: TokenInput::new(typed.token.trim()),
    };
    plan(state, identity, &format!("/bots/{bot}"), &typed, operation).await
}

async fn plan<O: Operation>(
    state: AppState,
    identity: Identity,
    path: &str,
    typed: &Typed,
    operation: O,
) -> Response {
    let Some(actor) = identity.actor() else {
        return Redirect::to(&format!("/sign-in?next={path}")).into_response();
    };
    let planned = match (identity.read_only(), serde_json::to_value(operation)) {
        (Some(failure), _) => Err(failure),
        (None, Ok(input)) => state.console.plan_json(&actor, O::KIND, input).await,
        (None, Err(_)) => Err(Failure::internal()),
    };
    match planned {
        Ok(PlanView { input, .. }) => {
            // Sealed by now.
            let input = input.to_string();
            let query = [("kind", O::KIND), ("input", &input), ("back", path)];
            let query = serde_urlencoded::to_string(query).unwrap_or_default();
            Redirect::to(&format!("/operations/new?{query}")).into_response()
        }
        Err(failure) => {
            // Whoever typed it wrong types it again: the token is in no page.
            let values = [("place", &typed.place), ("server", &typed.server)];
            let flash = Flash {
                form: path[1..].to_owned(),
                values: values
                    .map(|(name, value)| (name.to_owned(), value.clone()))
                    .into(),
                failure: Some(failure),
            };
            page_again(state, identity, path, flash).await
        }
    }
}
