//! The form that makes an API token. It has a handler of its own, because the secret is made here and shown in the reply:
//! it stands in no operation, no session and no address.

use super::AppState;
use super::identity::Identity;
use super::pages::page_again;
use axum::Extension;
use axum::extract::{Form, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use bagua_access::new_token;
use bagua_app::context::Flash;
use bagua_core::Actor;
use bagua_model::failure::Failure;
use bagua_model::operation::Submission;
use bagua_model::region::{RegionId, Scope};
use bagua_model::tokens::CreateToken;
use http::StatusCode;
use serde::Deserialize;

const PATH: &str = "/access/tokens";

/// Fields of `POST /access/tokens`. An empty one stands for none.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Wish {
    name: String,
    access: String,
    /// Names of permissions, with commas between them.
    permissions: String,
    role: String,
    region: String,
    days: String,
    /// The same twice is the same submission.
    token: String,
}

impl Wish {
    fn operation(&self, token_hash: String) -> CreateToken {
        CreateToken {
            name: self.name.clone(),
            // What cannot be read is the narrow one, and the page offers only what can be.
            access: self.access.parse().unwrap_or_default(),
            role: self.role.parse().ok(),
            permissions: self
                .permissions
                .split(',')
                .filter_map(|p| p.parse().ok())
                .collect(),
            scope: Scope {
                environment: None,
                region: Some(self.region.trim())
                    .filter(|r| !r.is_empty())
                    .map(RegionId::new),
            },
            days: self.days.parse().unwrap_or(0),
            token_hash,
        }
    }
}

/// `POST /access/tokens`: the page again, with the secret or with what was wrong.
pub async fn create(
    State(state): State<AppState>,
    Extension(identity): Extension<Identity>,
    Form(wish): Form<Wish>,
) -> Response {
    let Some(actor) = identity.actor() else {
        return Redirect::to("/sign-in?next=/access/tokens").into_response();
    };
    let made = match identity.read_only() {
        Some(failure) => Err(failure),
        None => make(&state, &actor, &wish).await,
    };
    let (values, failure) = match made {
        Ok(secret) => (vec![("secret", secret), ("name", wish.name)], None),
        Err(failure) => {
            let typed = vec![
                ("name", wish.name),
                ("access", wish.access),
                ("permissions", wish.permissions),
                ("role", wish.role),
                ("region", wish.region),
                ("days", wish.days),
            ];
            (typed, Some(failure))
        }
    };
    let done = failure.is_none();
    let flash = Flash {
        form: PATH[1..].to_owned(),
        values: values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        failure,
    };
    let mut response = page_again(state, identity, PATH, flash).await;
    if done {
        *response.status_mut() = StatusCode::OK;
    }
    response
}

/// The whole token.
async fn make(state: &AppState, actor: &Actor, wish: &Wish) -> Result<String, Failure> {
    let made = new_token()?;
    let submission = Submission {
        token: wish.token.parse().ok(),
        ..Submission::default()
    };
    state
        .console
        .submit(actor, wish.operation(made.hash_hex()), submission)
        .await?;
    Ok(made.token)
}
