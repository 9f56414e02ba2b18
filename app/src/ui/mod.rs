//! The design system: small pieces that every page is made of. Plain functions where there is no state.

pub mod chart;
pub mod figures;
pub mod filter;
pub mod form;
pub mod get_form;
pub mod node;
pub mod range;
pub mod rows;
pub mod state;
pub mod submit;
pub mod table;
pub mod ticks;
pub mod trigram;
pub mod views;

use crate::i18n::{Ui, machine, utc};
use crate::rpc::AppError;
use bagua_markup::html;
use bagua_model::failure::FailureKind;
use bagua_model::text::keys;
use leptos::prelude::*;
use leptos_meta::Title;
use node::Node;
use time::OffsetDateTime;

/// The page's title, `Alerts · Bagua` in the tab.
pub fn title(text: impl Into<String>) -> Node {
    let text = text.into();
    view! { <Title text/> }.into_any().into()
}

/// `4 min ago`, with the exact time in both zones on hover. Ticks.
pub fn age(ui: Ui, at: OffsetDateTime) -> Node {
    let unix = at.unix_timestamp();
    html! {
        <time datetime=machine(at) title=format!("{} · {}", ui.local(at), utc(at))>
            {Node::live(move || ui.ago(unix, ui.now.get()))}
        </time>
    }
}

/// How long since, without the word ago: `4 min`. Ticks.
pub fn since(ui: Ui, at: OffsetDateTime) -> Node {
    let unix = at.unix_timestamp();
    html! {
        <time datetime=machine(at) title=format!("{} · {}", ui.local(at), utc(at))>
            {Node::live(move || ui.span(ui.now.get() - unix))}
        </time>
    }
}

/// `22 Nov 2026, 21:03:11` on the reader's clock, UTC on hover.
pub fn moment(ui: Ui, at: OffsetDateTime) -> Node {
    html! { <time class="num" datetime=machine(at) title=utc(at)>{ui.local(at)}</time> }
}

/// An empty list: what that means, and what to do next.
pub fn empty(words: impl Into<String>, next: impl Into<String>) -> Node {
    let (words, next) = (words.into(), next.into());
    html! {
        <div class="empty">
            <p class="empty-what">{words}</p>
            {(!next.is_empty()).then(|| html! { <p>{next}</p> })}
        </div>
    }
}

/// A part of a page that could not be asked.
pub fn failed(ui: Ui, error: &AppError) -> Node {
    let failure = &error.0;
    let operation = failure.operation;
    html! {
        <div class="notice critical" role="alert">
            <p>
                <i class="mark critical" aria-hidden="true"></i>
                {ui.text(&failure.text)}
                {operation.map(|id| html! { " " <a href=format!("/operations/{id}")>{ui.t(keys::UI_OPERATIONS_OPEN_IT)}</a> })}
            </p>
            {failure.request.clone().map(|id| html! {
                <p class="muted">{ui.t(keys::UI_ERROR_REQUEST)} " " <code>{id}</code></p>
            })}
            {(!failure.fields.is_empty()).then(|| {
                let fields = failure.fields.iter().map(|(name, text)| {
                    html! { <li><code>{name.clone()}</code>": "{ui.text(text)}</li> }
                });
                html! { <ul>{fields.collect::<Node>()}</ul> }
            })}
        </div>
    }
}

/// A whole page that could not be asked: says so with the matching HTTP status.
pub fn page_failed(ui: Ui, error: &AppError) -> Node {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>()
        && let Ok(status) = http::StatusCode::from_u16(error.0.kind.status())
    {
        response.set_status(status);
    }
    let heading = match error.0.kind {
        FailureKind::NotFound => keys::UI_ERROR_NOT_FOUND_TITLE,
        FailureKind::Forbidden => keys::UI_ERROR_FORBIDDEN_TITLE,
        FailureKind::Unavailable => keys::UI_ERROR_UNAVAILABLE_TITLE,
        _ => keys::UI_ERROR_TITLE,
    };
    html! {
        {title(ui.t(heading))}
        <h1>{ui.t(heading)}</h1>
        {failed(ui, error)}
        <p><a class="button" href="/">{ui.t(keys::UI_ERROR_BACK)}</a></p>
    }
}

/// What stands while an answer is on its way for longer than a moment.
pub fn waiting(ui: Ui) -> Node {
    html! { <p class="waiting" role="status">{ui.t(keys::UI_WAITING)}</p> }
}

/// A long id with its middle cut out; whole on hover.
pub fn short_id(id: impl ToString) -> Node {
    let id = id.to_string();
    let short = if id.len() > 13 {
        format!("{}…{}", &id[..6], &id[id.len() - 6..])
    } else {
        id.clone()
    };
    html! { <code title=id>{short}</code> }
}
