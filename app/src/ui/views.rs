//! Saved views: the reader's own names for lists with their filters, above the list that they lead to.

use crate::asked::asked;
use crate::i18n::Ui;
use crate::live::Live;
use crate::memo::memo;
use crate::ui::node::Node;
use crate::ui::submit::{SubmitForm, Then};
use bagua_markup::html;
use bagua_model::preferences::{ListViews, SaveView, SavedView, VIEW_NAME_LIMIT};
use bagua_model::text::keys;
use bagua_model::verbs::Operation as _;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

/// The whole state of a list, as a view keeps it: without the place in it that one has paged to.
fn kept(path: &str, search: &str) -> String {
    let search = search
        .trim_start_matches('?')
        .split('&')
        .filter(|part| !part.starts_with("after=") && !part.ends_with('=') && !part.is_empty())
        .collect::<Vec<_>>()
        .join("&");
    if search.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{search}")
    }
}

/// The reader's views of this page, and a form to save what stands in the address.
pub fn bar(ui: Ui, live: Live) -> Node {
    let location = use_location();
    let (path, search) = (location.pathname, location.search);
    let here = memo(move || kept(&path.get(), &search.get()));
    let views = asked(move || (ListViews {}, live.access.get()));
    let links = views.show_or(
        ui,
        move |all| {
            let all = all.clone();
            Node::follows(move || {
                let now = here.get();
                let page = now.split('?').next().unwrap_or_default();
                let mine: Vec<_> = all.iter().filter(|view| view.page() == page).collect();
                if mine.is_empty() {
                    return ().into();
                }
                let links = mine.into_iter().map(|view| link(view, &now)).collect::<Node>();
                html! { <nav class="ranges" aria-label=ui.t(keys::UI_VIEWS)>{links}</nav> }
            })
        },
        // The list itself stands for itself.
        |_, _| ().into(),
    );
    html! { <div class="views">{links} {Node::follows(move || form(ui, here.get()))}</div> }
}

fn link(view: &SavedView, here: &str) -> Node {
    let current = (view.address == here).then_some("true");
    html! { <a href=view.address.clone() aria-current=current>{view.name.clone()}</a> }
}

fn form(ui: Ui, here: String) -> Node {
    let save = SubmitForm {
        kind: SaveView::KIND.to_owned(),
        input: serde_json::json!({ "address": here.clone() }),
        typed: &["name"],
        hash: None,
        token: None,
        back: here,
        then: Then::Stay,
    };
    let body = name_field(ui, ui.t(keys::UI_VIEWS_SAVE), String::new());
    html! {
        <details class="inline-form">
            <summary class="button small">{ui.t(keys::UI_VIEWS_SAVE)}</summary>
            <div class="inline-body">
                {save.view(ui, body)}
                <p><a href="/preferences">{ui.t(keys::UI_VIEWS_MANAGE)}</a></p>
            </div>
        </details>
    }
}

/// A field for a view's name, and a button.
pub fn name_field(ui: Ui, button: &'static str, now: String) -> Node {
    html! {
        <label class="field">
            <span>{ui.t(keys::UI_VIEWS_NAME)}</span>
            <input name="name" value=now required maxlength=VIEW_NAME_LIMIT.to_string() autocomplete="off"/>
        </label>
        <button class="button">{button}</button>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_keeps_the_filters_and_not_the_place_in_the_list() {
        assert_eq!(kept("/alerts", ""), "/alerts");
        assert_eq!(
            kept("/alerts", "severity=critical&text=&region=eu-west-1&after=9"),
            "/alerts?severity=critical&region=eu-west-1"
        );
        assert_eq!(kept("/audit", "?after=9"), "/audit");
    }
}
