//! Behind a one-time link: the first administrator, a new person, or a new password.

use super::query;
use crate::context::Invitation;
use crate::i18n::Ui;
use crate::rpc::AppError;
use crate::ui::form::{Field, flash_of, refusal};
use crate::ui::node::Node;
use crate::ui::{failed, title};
use bagua_markup::html;
use bagua_model::access::Purpose;
use bagua_model::text::keys;
use leptos::prelude::*;

/// `/welcome` and `/reset`; `form` says which.
pub fn page(form: &'static str) -> Node {
    let ui = Ui::get();
    let (flash, invitation) =
        crate::info().with_value(|info| (flash_of(info, form), info.invitation.clone()));
    let token = query("token").get_untracked();

    let known = match invitation {
        Some(Invitation(Ok(view))) => Some(view),
        // After a refused form the link may still be good: the refusal says so itself.
        Some(Invitation(Err(failure))) if flash.is_none() => {
            return html! {
                {title(ui.t(keys::UI_WELCOME_TITLE))}
                <div class="card narrow">
                    <h1>{ui.t(keys::UI_WELCOME_TITLE)}</h1>
                    {failed(ui, &AppError(failure))}
                    <p><a class="button" href="/sign-in" rel="external">{ui.t(keys::UI_SIGN_IN)}</a></p>
                </div>
            };
        }
        _ => None,
    };
    let purpose = known.as_ref().map(|k| k.purpose);
    let reset = purpose == Some(Purpose::Reset) || (purpose.is_none() && form == "reset");
    // Without knowing the link's purpose the address is asked for; the server ignores it where it knows better.
    let asks_email = matches!(purpose, Some(Purpose::FirstAdmin)) || (purpose.is_none() && !reset);
    let (heading, help) = match (purpose, reset) {
        (Some(Purpose::FirstAdmin), _) => (keys::UI_WELCOME_FIRST_TITLE, keys::UI_WELCOME_FIRST_HELP),
        (_, true) => (keys::UI_RESET_TITLE, keys::UI_RESET_HELP),
        _ => (keys::UI_WELCOME_TITLE, keys::UI_WELCOME_HELP),
    };
    let name = Field {
        name: "name",
        label: ui.t(keys::UI_FIELD_NAME),
        kind: "text",
        autocomplete: "name",
        help: Some(ui.t(keys::UI_FIELD_NAME_HELP)),
    };
    let email = Field {
        name: "email",
        label: ui.t(keys::UI_FIELD_EMAIL),
        kind: "email",
        autocomplete: "username",
        help: None,
    };
    let password = Field {
        name: "password",
        label: ui.t(keys::UI_FIELD_NEW_PASSWORD),
        kind: "password",
        autocomplete: "new-password",
        help: Some(ui.t(keys::UI_FIELD_PASSWORD_HELP)),
    };
    let whose = known.filter(|k| !k.email.is_empty()).map(|k| {
        html! {
            <p class="muted">{k.email.clone()}</p>
            // For password managers: whose password this is.
            <input type="hidden" name="username" autocomplete="username" value=k.email/>
        }
    });
    html! {
        {title(ui.t(heading))}
        <form method="post" action=format!("/{form}") class="card narrow">
            <h1>{ui.t(heading)}</h1>
            <p>{ui.t(help)}</p>
            {whose}
            {refusal(ui, flash.as_ref())}
            {(!reset).then(|| name.view(ui, flash.as_ref()))}
            {asks_email.then(|| email.view(ui, flash.as_ref()))}
            {password.view(ui, flash.as_ref())}
            <input type="hidden" name="token" value=token/>
            <button class="button primary">{ui.t(keys::UI_WELCOME_SUBMIT)}</button>
        </form>
    }
}
