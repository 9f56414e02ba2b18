//! `/bots/{bot}/messages`: messages that have words, by a person, in a chat. Each search is audited.

use super::chats::{behind, called, chat_href, line, words_form};
use super::tabs::tabs;
use crate::asked::asked;
use crate::i18n::Ui;
use crate::pages::{param, query, some};
use crate::ui::filter::next_page;
use crate::ui::node::Node;
use crate::ui::{empty, title};
use bagua_markup::html;
use bagua_model::bots::chats::{FoundView, SearchMessages};
use bagua_model::text::keys;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

/// `/bots/:bot/messages`.
pub fn page() -> Node {
    let ui = Ui::get();
    let (id, words, after) = (param("bot"), query("words"), query("after"));
    let (chat, sender) = (query("chat"), query("sender"));
    let found = asked(move || {
        let query = SearchMessages {
            bot: id.get().parse().unwrap_or(0),
            words: words.get(),
            chat: chat.get().parse().ok(),
            sender: sender.get().parse().ok(),
            after: some(after.get()),
        };
        (query, 0)
    });
    let kept = move |name: &'static str, value: Memo<String>| {
        Node::follows(move || {
            let value = value.get();
            let there = !value.is_empty();
            there
                .then(|| html! { <input type="hidden" name=name value=value/> })
                .into()
        })
    };
    let more = html! { {kept("chat", chat)} {kept("sender", sender)} };
    html! {
        {Node::follows(move || tabs(ui, &id.get(), "/chats"))}
        <div class="page-head">
            <div>
                <h1>{ui.t(keys::UI_CHATS_FIND)}</h1>
                <p class="page-state">{ui.t(keys::UI_CHATS_AUDITED)}</p>
            </div>
        </div>
        {words_form(ui, id, words, keys::UI_CHATS_WORDS, more)}
        {Node::follows(move || narrowed(ui, &id.get(), &words.get(), &chat.get(), &sender.get()))}
        {found.show(ui, move |view| results(ui, &id.get_untracked(), view))}
    }
}

/// What the search keeps to, each with a link that lets go of it.
fn narrowed(ui: Ui, bot: &str, words: &str, chat: &str, sender: &str) -> Node {
    let without = |chat: &str, sender: &str| {
        let parts = [("words", words), ("chat", chat), ("sender", sender)];
        let parts = parts.into_iter().filter(|(_, value)| !value.is_empty());
        let parts: Vec<String> = parts
            .map(|(name, value)| format!("{name}={}", crate::ui::form::escape(value)))
            .collect();
        format!("/bots/{bot}/messages?{}", parts.join("&"))
    };
    let chip = |said: &'static str, value: &str, href: String| {
        let text = ui.tx(said, &[("number", &value)]);
        html! { <p>{text} " " <a href=href>{ui.t(keys::UI_CHATS_LET_GO)}</a></p> }
    };
    html! {
        {(!chat.is_empty()).then(|| chip(keys::UI_CHATS_IN, chat, without("", sender)))}
        {(!sender.is_empty()).then(|| chip(keys::UI_CHATS_BY, sender, without(chat, "")))}
    }
}

fn results(ui: Ui, bot: &str, view: &FoundView) -> Node {
    let search = use_location().search.get_untracked();
    let rows = view
        .page
        .rows
        .iter()
        .map(|found| {
            let href = chat_href(bot, found.chat, found.message.message);
            // A private chat is called like its person.
            let words = match found.message.sender {
                Some(sender) if sender == found.chat => ui.t(keys::UI_CHATS_PRIVATE).to_owned(),
                _ => called(found.chat_name.as_ref(), found.chat),
            };
            let place = html! { <a href=href>{words}</a> };
            line(ui, bot, Some(place), &found.message)
        })
        .collect::<Node>();
    let none = view.page.rows.is_empty();
    html! {
        {title(format!("@{} · {}", view.username, ui.t(keys::UI_CHATS_FIND)))}
        {behind(ui, &view.index)}
        <section class="card" id="found">
            <h2>{ui.t(keys::UI_CHATS_COLUMN_MESSAGES)}</h2>
            {if none { empty(ui.t(keys::UI_CHATS_NOTHING_FOUND), ui.t(keys::UI_CHATS_WHOLE_WORDS)) } else { html! { <ul class="talk">{rows}</ul> } }}
            {next_page(ui, &format!("/bots/{bot}/messages"), search.trim_start_matches('?'), view.page.next.clone())}
        </section>
    }
}
