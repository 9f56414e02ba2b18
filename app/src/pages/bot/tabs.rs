//! The pages of one bot, on top of each.

use crate::i18n::Ui;
use crate::ui::node::Node;
use bagua_markup::html;
use bagua_model::text::keys;

/// The pages: the end of their address behind `/bots/{bot}`, and their name.
const TABS: [(&str, &str); 5] = [
    ("", keys::UI_BOTS_TAB_STATE),
    ("/chats", keys::UI_BOTS_TAB_CHATS),
    ("/rules", keys::UI_BOTS_TAB_RULES),
    ("/calls", keys::UI_BOTS_TAB_CALLS),
    ("/settings", keys::UI_BOTS_TAB_SETTINGS),
];

/// The strip of `bot`'s pages; `here` is the end of the present one's address.
pub fn tabs(ui: Ui, bot: &str, here: &'static str) -> Node {
    let links = TABS
        .into_iter()
        .map(|(end, words)| {
            html! { <a href=format!("/bots/{bot}{end}") aria-current=(end == here).then_some("page")>{ui.t(words)}</a> }
        })
        .collect::<Node>();
    html! { <nav class="ranges tabs" aria-label=ui.t(keys::UI_BOTS_TABS)>{links}</nav> }
}
