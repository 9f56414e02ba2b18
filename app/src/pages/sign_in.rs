//! Sign in.

use super::query;
use crate::i18n::Ui;
use crate::ui::form::{Field, flash_of, refusal};
use crate::ui::node::Node;
use crate::ui::title;
use bagua_markup::html;
use bagua_model::text::keys;
use leptos::prelude::*;

/// `/sign-in`.
pub fn page() -> Node {
    let ui = Ui::get();
    let flash = crate::info().with_value(|info| flash_of(info, "sign-in"));
    let next = query("next").get_untracked();
    let next = if next.is_empty() { "/".to_owned() } else { next };
    let email = Field {
        name: "email",
        label: ui.t(keys::UI_FIELD_EMAIL),
        kind: "email",
        autocomplete: "username",
        help: None,
    };
    let password = Field {
        name: "password",
        label: ui.t(keys::UI_FIELD_PASSWORD),
        kind: "password",
        autocomplete: "current-password",
        help: None,
    };
    html! {
        {title(ui.t(keys::UI_SIGN_IN))}
        <form method="post" action="/sign-in" class="card narrow">
            <h1>{ui.t(keys::UI_SIGN_IN)}</h1>
            {refusal(ui, flash.as_ref())}
            {email.view(ui, flash.as_ref())}
            {password.view(ui, flash.as_ref())}
            <input type="hidden" name="next" value=next/>
            <button class="button primary">{ui.t(keys::UI_SIGN_IN)}</button>
            <p class="muted">{ui.t(keys::UI_SIGN_IN_HELP)}</p>
        </form>
    }
}
