//! Forms with GET: the address holds what they say. With script the page changes without being loaded anew.

use crate::ui::node::{Node, following};
use bagua_markup::html;
use leptos::ev::Event;
use leptos::prelude::untrack;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;

/// A form around `body` that leads to `action` with the fields as the query. A chosen value submits at once.
pub fn get_form(
    class: &'static str,
    action: impl Fn() -> String + Clone + Send + 'static,
    body: Node,
) -> Node {
    let navigate = use_navigate();
    let target = action.clone();
    let submit = move |event: Event| {
        if let Some(query) = typed(&event) {
            event.prevent_default();
            let joint = if query.is_empty() { "" } else { "?" };
            let address = format!("{}{joint}{query}", untrack(&target));
            navigate(&address, NavigateOptions::default());
        }
    };
    html! {
        <form method="get" class=class action=following(move || Some(action())) on:submit=submit on:change=submit_now>
            {body}
        </form>
    }
}

/// The fields of the submitted form as a query, without the empty ones.
#[cfg(feature = "hydrate")]
fn typed(event: &Event) -> Option<String> {
    use crate::ui::form::escape;
    use wasm_bindgen::JsCast;
    let form = event.target()?.dyn_into::<web_sys::HtmlFormElement>().ok()?;
    let data = web_sys::FormData::new_with_form(&form).ok()?;
    let mut parts = Vec::new();
    for entry in data.entries() {
        let entry = js_sys::Array::from(&entry.ok()?);
        let (name, value) = (entry.get(0).as_string()?, entry.get(1).as_string()?);
        if !value.is_empty() {
            parts.push(format!("{}={}", escape(&name), escape(&value)));
        }
    }
    Some(parts.join("&"))
}

/// On the server nobody submits through an event.
#[cfg(not(feature = "hydrate"))]
fn typed(_: &Event) -> Option<String> {
    None
}

/// Submits the form around what has changed.
fn submit_now(event: Event) {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast;
        let form = event
            .target()
            .and_then(|t| t.dyn_into::<web_sys::Element>().ok())
            .and_then(|e| e.closest("form").ok().flatten())
            .and_then(|f| f.dyn_into::<web_sys::HtmlFormElement>().ok());
        if let Some(form) = form {
            let _ = form.request_submit();
        }
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = event;
}
