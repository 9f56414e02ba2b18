//! What the reader likes: time zone, language, theme, and the views that they have saved.

use crate::asked::asked;
use crate::i18n::Ui;
use crate::layout::preferences;
use crate::live::Live;
use crate::ui::node::Node;
use crate::ui::submit::{SubmitForm, Then, button};
use crate::ui::views::name_field;
use crate::ui::{age, empty, title};
use bagua_markup::html;
use bagua_model::preferences::{
    ChooseZone, DeleteView, GetPreferences, ListViews, PreferencesView, RenameView, SavedView,
};
use bagua_model::text::keys;
use bagua_model::verbs::Operation as _;
use leptos::prelude::*;

const HERE: &str = "/preferences";

/// `/preferences`.
pub fn page() -> Node {
    let (ui, live) = (Ui::get(), Live::get());
    let own = asked(move || (GetPreferences {}, 0));
    let views = asked(move || (ListViews {}, live.access.get()));
    html! {
        {title(ui.t(keys::UI_PREFERENCES_TITLE))}
        <h1>{ui.t(keys::UI_PREFERENCES_TITLE)}</h1>
        <section class="card">
            <h2>{ui.t(keys::UI_PREFERENCES_ZONE)}</h2>
            {own.show(ui, move |own| zone(ui, own))}
        </section>
        <section class="card">
            <h2>{ui.t(keys::UI_PREFERENCES_LOOK)}</h2>
            <div class="prefs">{preferences(ui)}</div>
            <p class="muted">{ui.t(keys::UI_PREFERENCES_BROWSER)}</p>
        </section>
        <section class="card" id="views">
            <h2>{ui.t(keys::UI_VIEWS)}</h2>
            {views.show(ui, move |list| {
                if list.is_empty() {
                    return empty(ui.t(keys::UI_VIEWS_NONE), ui.t(keys::UI_VIEWS_NONE_NEXT));
                }
                html! { <ul class="rows">{list.iter().map(|view| row(ui, view)).collect::<Node>()}</ul> }
            })}
        </section>
    }
}

/// A plain form also where there is script: every time on the page is another one afterwards.
fn zone(ui: Ui, own: &PreferencesView) -> Node {
    let options = own.zones.iter().map(|zone| {
        html! { <option value=zone.clone() selected=*zone == own.zone>{zone.clone()}</option> }
    });
    let now = move || {
        let at = ui.minute(ui.now.get());
        ui.tx(keys::UI_PREFERENCES_NOW, &[("time", &at)])
    };
    html! {
        <form method="post" action=format!("/submit/{}", ChooseZone::KIND) class="zone-form">
            <input type="hidden" name="back" value=HERE/>
            <label class="field">
                <span>{ui.t(keys::UI_PREFERENCES_ZONE)}</span>
                <select name="zone">{options.collect::<Node>()}</select>
            </label>
            <button class="button primary">{ui.t(keys::UI_PREFERENCES_CHOOSE)}</button>
        </form>
        <p class="muted">{ui.t(keys::UI_PREFERENCES_ZONE_HELP)} " " <span class="num">{Node::live(now)}</span></p>
    }
}

fn row(ui: Ui, view: &SavedView) -> Node {
    let rename = SubmitForm {
        kind: RenameView::KIND.to_owned(),
        input: serde_json::json!({ "view": view.view }),
        typed: &["name"],
        hash: None,
        token: None,
        back: HERE.to_owned(),
        then: Then::Stay,
    };
    let delete = SubmitForm::quick(&DeleteView { view: view.view }, HERE);
    let words = ui.t(keys::UI_VIEWS_RENAME);
    html! {
        <li class="row">
            <span class="row-main">
                <a href=view.address.clone()>{view.name.clone()}</a>
                <span class="row-sub code">{view.address.clone()}</span>
            </span>
            <span class="muted num">{age(ui, view.saved_at)}</span>
            <span class="row-actions">
                <details class="inline-form">
                    <summary class="button small">{words}</summary>
                    <div class="inline-body">{rename.view(ui, name_field(ui, words, view.name.clone()))}</div>
                </details>
                {button(ui, delete, ui.t(keys::UI_VIEWS_DELETE), "small danger")}
            </span>
        </li>
    }
}
