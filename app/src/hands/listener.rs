//! The keys of every page. Typing in a field is never taken for one of them, nor is what an input method composes.

use super::{GO, PALETTE, ROW_KEYS, SEARCH, SHEET, TICK};
use leptos::ev::Event;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;
use std::cell::Cell;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlDialogElement, HtmlElement, KeyboardEvent, MouseEvent, MouseEventInit};

/// How long after `g` the letter may come, milliseconds.
const GO_WITHIN_MS: f64 = 1_500.0;
/// What `j` and `k` walk over: rows of lists and tables that have a link.
const ROWS: &str = "main ul.rows > li, main .scroll tbody > tr";

/// Listens as long as the page lives. Call it inside the router.
pub fn listen() {
    let navigate = use_navigate();
    let went = Cell::new(0.0);
    let handle = window_event_listener_untyped("keydown", move |event: Event| {
        let Some(key) = event.dyn_ref::<KeyboardEvent>() else {
            return;
        };
        if key.default_prevented() || key.is_composing() {
            return;
        }
        let name = key.key();
        if (key.ctrl_key() || key.meta_key()) && !key.alt_key() && !key.shift_key() && name == "k" {
            open(PALETTE);
            return key.prevent_default();
        }
        if key.ctrl_key() || key.meta_key() || key.alt_key() || typing(key) || any_open() {
            return;
        }
        let go = js_sys::Date::now() - went.replace(0.0) < GO_WITHIN_MS;
        let taken = if let Some((_, path)) = GO.iter().find(|(letter, _)| go && *letter == name) {
            navigate(path, NavigateOptions::default());
            true
        } else {
            match name.as_str() {
                "g" => {
                    went.set(js_sys::Date::now());
                    true
                }
                "/" => {
                    if !focus_search() {
                        navigate("/search", NavigateOptions::default());
                    }
                    true
                }
                "?" => open(SHEET),
                "j" => walk(1),
                "k" => walk(-1),
                "X" => tick_upto(),
                other => ROW_KEYS
                    .iter()
                    .find(|(letter, _)| *letter == other)
                    .is_some_and(|(_, control)| press(control)),
            }
        };
        if taken {
            key.prevent_default();
        }
    });
    // It lives as long as the page.
    std::mem::forget(handle);
}

/// Whether the key goes into a field.
fn typing(key: &KeyboardEvent) -> bool {
    let Some(element) = key.target().and_then(|t| t.dyn_into::<Element>().ok()) else {
        return false;
    };
    match element.tag_name().as_str() {
        "TEXTAREA" | "SELECT" => true,
        // A checkbox takes no letters; keys go on working after a row was selected.
        "INPUT" => !matches!(
            element.get_attribute("type").as_deref(),
            Some("checkbox" | "radio" | "button")
        ),
        _ => false,
    }
}

fn by_id<T: JsCast>(id: &str) -> Option<T> {
    document().get_element_by_id(id)?.dyn_into::<T>().ok()
}

fn any_open() -> bool {
    document()
        .query_selector("dialog[open]")
        .is_ok_and(|found| found.is_some())
}

/// Opens a dialog, and tells it so.
fn open(id: &str) -> bool {
    let Some(dialog) = by_id::<HtmlDialogElement>(id) else {
        return false;
    };
    if !dialog.open() && !any_open() && dialog.show_modal().is_ok() {
        let _ = Event::new("opened").map(|event| dialog.dispatch_event(&event));
    }
    true
}

/// The header's search field, where it is wide enough to be shown.
fn focus_search() -> bool {
    let Some(field) = by_id::<HtmlElement>(SEARCH).filter(|field| field.offset_parent().is_some()) else {
        return false;
    };
    field.focus().is_ok()
}

fn link_of(row: &Element) -> Option<HtmlElement> {
    row.query_selector("a[href]").ok()??.dyn_into().ok()
}

fn row_with_focus() -> Option<Element> {
    document().active_element()?.closest(ROWS).ok()?
}

/// Moves the focus to the next or the previous row. False where the page has none.
fn walk(by: i32) -> bool {
    let Ok(found) = document().query_selector_all(ROWS) else {
        return false;
    };
    let links: Vec<(Element, HtmlElement)> = (0..found.length())
        .filter_map(|at| found.get(at)?.dyn_into::<Element>().ok())
        .filter_map(|row| link_of(&row).map(|link| (row, link)))
        .collect();
    let Some(last) = links.len().checked_sub(1) else {
        return false;
    };
    let here = row_with_focus().and_then(|row| links.iter().position(|(other, _)| *other == row));
    let next = match here {
        None => 0,
        Some(at) if by < 0 => at.saturating_sub(1),
        Some(at) => (at + 1).min(last),
    };
    links.get(next).is_some_and(|(row, link)| {
        row.scroll_into_view_with_scroll_into_view_options(&{
            let options = web_sys::ScrollIntoViewOptions::new();
            options.set_block(web_sys::ScrollLogicalPosition::Nearest);
            options
        });
        link.focus().is_ok()
    })
}

/// Clicks the tick of the row that has the focus, with the shift key held.
fn tick_upto() -> bool {
    let Some(tick) = row_with_focus().and_then(|row| row.query_selector(TICK).ok().flatten()) else {
        return false;
    };
    let how = MouseEventInit::new();
    how.set_bubbles(true);
    how.set_cancelable(true);
    how.set_shift_key(true);
    MouseEvent::new_with_mouse_event_init_dict("click", &how)
        .is_ok_and(|click| tick.dispatch_event(&click).is_ok())
}

/// Presses the control of this name on the row that has the focus, or on the page that is about one thing.
fn press(control: &str) -> bool {
    let found = match row_with_focus() {
        Some(row) => row.query_selector(control),
        None => document()
            .query_selector("main .page-head")
            .and_then(|head| head.map_or(Ok(None), |head| head.query_selector(control))),
    };
    let Some(control) = found
        .ok()
        .flatten()
        .and_then(|c| c.dyn_into::<HtmlElement>().ok())
    else {
        return false;
    };
    control.click();
    // A form that opened takes the typing.
    if control.tag_name() == "SUMMARY" {
        let field = control
            .parent_element()
            .and_then(|details| {
                details
                    .query_selector("textarea, input:not([type=hidden])")
                    .ok()
                    .flatten()
            })
            .and_then(|field| field.dyn_into::<HtmlElement>().ok());
        let _ = field.map(|field| field.focus());
    }
    true
}
