//! Hands on keys: the palette, the sheet of keys, and the keys themselves.
//!
//! Everything that a key does can be done with a pointer and a link as well; without script none of it is missed.

#[cfg(feature = "hydrate")]
mod listener;
mod palette;

use crate::i18n::Ui;
use crate::ui::node::Node;
use bagua_markup::html;
use bagua_model::text::keys;

#[cfg(feature = "hydrate")]
pub use listener::listen;

/// The id of the header's search field, which `/` goes to.
pub const SEARCH: &str = "search";
/// The id of the palette's dialog.
const PALETTE: &str = "palette";
/// The id of the sheet of keys.
const SHEET: &str = "keys";

/// A row's tick. With the shift key it ticks all rows from the one before.
#[cfg(feature = "hydrate")]
const TICK: &str = "input[type=checkbox]";

/// What a key on a row presses: a control that the row has for the pointer too.
#[cfg(feature = "hydrate")]
const ROW_KEYS: [(&str, &str); 4] = [
    ("x", TICK),
    ("a", "summary.button"),
    ("s", "a[href*='silence']"),
    ("r", "a[href*='kind=component.restart']"),
];

/// Where `g` and a letter lead.
#[cfg(feature = "hydrate")]
const GO: [(&str, &str); 8] = [
    ("h", "/"),
    ("r", "/regions"),
    ("a", "/alerts"),
    ("o", "/operations"),
    ("v", "/approvals"),
    ("s", "/schedules"),
    ("l", "/audit"),
    ("p", "/access"),
];

/// Both dialogs, closed.
pub fn dialogs(ui: Ui) -> Node {
    html! { {palette::dialog(ui)} {sheet(ui)} }
}

/// The sheet of keys.
fn sheet(ui: Ui) -> Node {
    let lines: [(&[&str], &'static str); 11] = [
        (&["/"], keys::UI_KEYS_SEARCH),
        (&["Ctrl K", "⌘ K"], keys::UI_KEYS_PALETTE),
        (&["?"], keys::UI_KEYS_SHEET),
        (&["j", "k"], keys::UI_KEYS_ROWS),
        (&["Enter"], keys::UI_KEYS_OPEN),
        (&["x", "Shift X"], keys::UI_KEYS_SELECT),
        (&["a"], keys::UI_KEYS_ACKNOWLEDGE),
        (&["s"], keys::UI_KEYS_SILENCE),
        (&["r"], keys::UI_KEYS_RESTART),
        (
            &["g h", "g r", "g a", "g o", "g v", "g s", "g l", "g p"],
            keys::UI_KEYS_GO,
        ),
        (&["Esc"], keys::UI_KEYS_CLOSE),
    ];
    let rows = lines.iter().map(|(names, what)| {
        let names = names.iter().map(|name| html! { <kbd>{*name}</kbd> " " });
        html! { <div><dt>{names.collect::<Node>()}</dt><dd>{ui.t(what)}</dd></div> }
    });
    html! {
        <dialog id=SHEET class="sheet" aria-labelledby="keys-title">
            <h2 id="keys-title">{ui.t(keys::UI_KEYS_TITLE)}</h2>
            <dl>{rows.collect::<Node>()}</dl>
            <form method="dialog"><button class="button">{ui.t(keys::UI_KEYS_DONE)}</button></form>
        </dialog>
    }
}
