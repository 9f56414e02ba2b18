//! The pages of one bot, on top of each.

use super::may_read;
use crate::i18n::Ui;
use crate::ui::node::Node;
use bagua_markup::html;
use bagua_model::text::keys;

/// Of who may read content only.
const CHATS: &str = "/chats";

/// The pages: the end of their address behind `/bots/{bot}`, and their name.
const TABS: [(&str, &str); 5] = [
    ("", keys::UI_BOTS_TAB_STATE),
    (CHATS, keys::UI_BOTS_TAB_CHATS),
    ("/rules", keys::UI_BOTS_TAB_RULES),
    ("/calls", keys::UI_BOTS_TAB_CALLS),
    ("/settings", keys::UI_BOTS_TAB_SETTINGS),
];

/// The strip of `bot`'s pages; `here` is the end of the present one's address.
pub fn tabs(ui: Ui, bot: &str, here: &'static str) -> Node {
    // Every look at chats is a reading, or a refusal in the audit log.
    let shown = |end: &str| end != CHATS || may_read();
    let links = TABS
        .into_iter()
        .filter(|(end, _)| shown(end))
        .map(|(end, words)| {
            html! { <a href=format!("/bots/{bot}{end}") aria-current=(end == here).then_some("page")>{ui.t(words)}</a> }
        })
        .collect::<Node>();
    html! { <nav class="ranges tabs" aria-label=ui.t(keys::UI_BOTS_TABS)>{links}</nav> }
}
