//! `/bots/{bot}/chats`: the chats that a bot has seen, and `/bots/{bot}/chats/{chat}`: what was written in one. Opening either is a reading of
//! people's data, which is audited.

use super::tabs::tabs;
use super::update;
use crate::asked::asked;
use crate::i18n::Ui;
use crate::memo::memo;
use crate::pages::{param, query, some};
use crate::ui::filter::next_page;
use crate::ui::get_form::get_form;
use crate::ui::node::{Node, following};
use crate::ui::table::table;
use crate::ui::{age, empty, moment, title};
use bagua_markup::html;
use bagua_model::bots::chats::{
    ChatView, ChatsView, ConversationView, IndexView, ListChats, ListMessages, MessageView,
};
use bagua_model::text::keys;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

/// `/bots/:bot/chats`.
pub fn list() -> Node {
    let ui = Ui::get();
    let (id, name, after) = (param("bot"), query("name"), query("after"));
    // Asked once, not with every news: each asking is one line of the audit log.
    let chats = asked(move || {
        let query = ListChats {
            bot: id.get().parse().unwrap_or(0),
            name: some(name.get()),
            after: some(after.get()),
        };
        (query, 0)
    });
    html! {
        {Node::follows(move || tabs(ui, &id.get(), "/chats"))}
        {chats.page(ui, move |view| whole(ui, id, name, view))}
    }
}

/// How far what can be found is behind; nothing when it is not.
pub(super) fn behind(ui: Ui, index: &IndexView) -> Node {
    let Some(seconds) = index.behind_s else {
        return ().into();
    };
    let span = ui.span(seconds);
    html! { <p class="notice unknown">{ui.tx(keys::UI_CHATS_BEHIND, &[("n", &index.behind), ("span", &span)])}</p> }
}

/// The field for the words of messages; `more` is what else the search keeps to.
pub(super) fn words_form(
    ui: Ui,
    id: Memo<String>,
    words: Memo<String>,
    label: &'static str,
    more: Node,
) -> Node {
    let field = html! {
        <label>
            <span class="hidden">{ui.t(label)}</span>
            <input type="search" name="words" maxlength="200" value=following(move || Some(words.get())) placeholder=ui.t(label)/>
        </label>
        {more}
        <button class="button">{ui.t(keys::UI_SEARCH_BUTTON)}</button>
    };
    get_form(
        "search-page",
        move || format!("/bots/{}/messages", id.get()),
        field,
    )
}

/// What a chat is called: its name, or its number where no update named it.
pub(super) fn called(name: Option<&String>, number: i64) -> String {
    name.cloned().unwrap_or_else(|| number.to_string())
}

fn whole(ui: Ui, id: Memo<String>, name: Memo<String>, view: &ChatsView) -> Node {
    let bot = id.get_untracked();
    let heading = format!("@{} · {}", view.username, ui.t(keys::UI_CHATS_TITLE));
    let search = use_location().search.get_untracked();
    let name_field = html! {
        <label>
            <span class="hidden">{ui.t(keys::UI_CHATS_NAME)}</span>
            <input type="search" name="name" maxlength="200" value=following(move || Some(name.get())) placeholder=ui.t(keys::UI_CHATS_NAME)/>
        </label>
        <button class="button">{ui.t(keys::UI_CHATS_FILTER)}</button>
    };
    let named = !name.get_untracked().trim().is_empty();
    let nothing = if named {
        empty(ui.t(keys::UI_CHATS_NONE_NAMED), ui.t(keys::UI_CHATS_WHOLE_WORDS))
    } else {
        empty(ui.t(keys::UI_CHATS_NONE), ui.t(keys::UI_CHATS_NONE_NEXT))
    };
    html! {
        {title(heading.clone())}
        <div class="page-head">
            <div>
                <h1>{heading}</h1>
                <p class="page-state">{ui.t(keys::UI_CHATS_AUDITED)}</p>
            </div>
        </div>
        <section class="card">
            <h2>{ui.t(keys::UI_CHATS_FIND)}</h2>
            {words_form(ui, id, memo(String::new), keys::UI_CHATS_WORDS, ().into())}
            <p class="field-help">{ui.t(keys::UI_CHATS_WHOLE_WORDS)}</p>
            {behind(ui, &view.index)}
        </section>
        <section class="card" id="chats">
            <h2>{ui.t(keys::UI_CHATS_TITLE)}</h2>
            {get_form("search-page", move || format!("/bots/{}/chats", id.get()), name_field)}
            {named.then(|| html! { <p><a href=format!("/bots/{bot}/chats")>{ui.t(keys::UI_FILTER_CLEAR)}</a></p> })}
            {if view.page.rows.is_empty() { nothing } else { rows(ui, &bot, &view.page.rows) }}
            {next_page(ui, &format!("/bots/{bot}/chats"), search.trim_start_matches('?'), view.page.next.clone())}
        </section>
    }
}

fn kind(ui: Ui, kind: Option<&String>) -> String {
    match kind.map(String::as_str) {
        Some(known @ ("private" | "group" | "supergroup" | "channel")) => {
            ui.key(&format!("chat.kind.{known}"))
        }
        Some(other) => other.to_owned(),
        None => "–".to_owned(),
    }
}

fn rows(ui: Ui, bot: &str, chats: &[ChatView]) -> Node {
    let rows = chats
        .iter()
        .map(|chat| {
            let blocked = chat
                .blocked
                .is_some()
                .then(|| html! { <span class="row-sub">{ui.t(keys::UI_CHATS_BLOCKED)}</span> });
            html! {
                <tr>
                    <td class="wrap"><a href=format!("/bots/{bot}/chats/{}", chat.chat)>{called(chat.name.as_ref(), chat.chat)}</a> {blocked}</td>
                    <td>{kind(ui, chat.kind.as_ref())}</td>
                    <td class="num">{chat.chat}</td>
                    <td class="num">{chat.messages}</td>
                    <td class="num">{age(ui, chat.last_at)}</td>
                </tr>
            }
        })
        .collect::<Node>();
    table(
        ui,
        ui.t(keys::UI_CHATS_TITLE),
        &[
            (keys::UI_CHATS_COLUMN_NAME, false),
            (keys::UI_CHATS_COLUMN_KIND, false),
            (keys::UI_BOTS_COLUMN_NUMBER, true),
            (keys::UI_CHATS_COLUMN_MESSAGES, true),
            (keys::UI_CHATS_COLUMN_LAST, true),
        ],
        rows,
    )
}

/// `/bots/:bot/chats/:chat`.
pub fn conversation() -> Node {
    let ui = Ui::get();
    let (id, chat, after) = (param("bot"), param("chat"), query("after"));
    let messages = asked(move || {
        let query = ListMessages {
            bot: id.get().parse().unwrap_or(0),
            chat: chat.get().parse().unwrap_or(0),
            after: some(after.get()),
        };
        (query, 0)
    });
    html! {
        {Node::follows(move || tabs(ui, &id.get(), "/chats"))}
        {messages.page(ui, move |view| talk(ui, id, &chat.get_untracked(), view))}
    }
}

fn talk(ui: Ui, id: Memo<String>, number: &str, view: &ConversationView) -> Node {
    let bot = id.get_untracked();
    let name = view.chat.as_ref().and_then(|chat| chat.name.clone());
    let name = name.unwrap_or_else(|| number.to_owned());
    let about = view.chat.as_ref().map(|chat| {
        let blocked = chat
            .blocked
            .as_ref()
            .map(|why| ui.tx(keys::UI_CHATS_BLOCKED_WHY, &[("why", why)]));
        html! {
            <p class="page-state">
                {kind(ui, chat.kind.as_ref())} " · " {ui.tx(keys::UI_CHATS_MESSAGES, &[("n", &chat.messages)])} " · " {age(ui, chat.last_at)}
            </p>
            {blocked.map(|blocked| html! { <p class="notice warning">{blocked}</p> })}
        }
    });
    let chat_field = html! { <input type="hidden" name="chat" value=number.to_owned()/> };
    let path = format!("/bots/{bot}/chats/{number}");
    let messages = view
        .page
        .rows
        .iter()
        .map(|message| line(ui, &bot, None, message))
        .collect::<Node>();
    html! {
        {title(format!("{name} · @{}", view.username))}
        <div class="page-head">
            <div>
                <h1>{name}</h1>
                {about}
                <p class="field-help">{ui.t(keys::UI_CHATS_AUDITED)}</p>
            </div>
        </div>
        {words_form(ui, id, memo(String::new), keys::UI_CHATS_WORDS_HERE, chat_field)}
        {members(ui, &bot, number, view)}
        <section class="card" id="messages">
            <h2>{ui.t(keys::UI_CHATS_COLUMN_MESSAGES)}</h2>
            <p class="field-help">{ui.t(keys::UI_CHATS_ONLY_RECEIVED)}</p>
            {if view.page.rows.is_empty() { empty(ui.t(keys::UI_CHATS_NO_MESSAGES), "") } else { html! { <ul class="talk">{messages}</ul> } }}
            {next_page(ui, &path, "", view.page.next.clone())}
        </section>
    }
}

/// Messages of one person: everywhere, or in one chat.
pub(super) fn of_sender(bot: &str, chat: Option<&str>, sender: i64) -> String {
    let chat = chat.map(|chat| format!("&chat={chat}")).unwrap_or_default();
    format!("/bots/{bot}/messages?sender={sender}{chat}")
}

fn members(ui: Ui, bot: &str, chat: &str, view: &ConversationView) -> Node {
    // In a private chat there is nobody else.
    if view.members.len() < 2 {
        return ().into();
    }
    let people = view
        .members
        .iter()
        .map(|member| {
            html! {
                <li class="row">
                    <span class="row-main"><a href=of_sender(bot, Some(chat), member.person)>{called(member.name.as_ref(), member.person)}</a></span>
                    <span class="row-age num">{ui.tx(keys::UI_CHATS_MESSAGES, &[("n", &member.messages)])}</span>
                </li>
            }
        })
        .collect::<Node>();
    html! {
        <section class="card" id="members">
            <h2>{ui.t(keys::UI_CHATS_MEMBERS)}</h2>
            <ul class="rows">{people}</ul>
        </section>
    }
}

/// One message. `place` is the chat where it is not said already.
pub(super) fn line(ui: Ui, bot: &str, place: Option<Node>, message: &MessageView) -> Node {
    let who = message.sender.map(|sender| {
        html! { <a class="talk-who" href=of_sender(bot, None, sender)>{called(message.sender_name.as_ref(), sender)}</a> }
    });
    let edited = message
        .edited_at
        .map(|at| html! { <span class="muted">{ui.t(keys::UI_CHATS_EDITED)} " " {moment(ui, at)}</span> });
    let whole = message.update.zip(message.received_at).map(|(update, at)| {
        html! { <a class="talk-raw" href=update::href(bot, update, at) rel="external">{ui.t(keys::UI_CHATS_UPDATE)}</a> }
    });
    let ours = message
        .by_bot
        .then(|| html! { <span class="tag">{ui.t(keys::UI_CHATS_BOT)}</span> });
    let media = message
        .media
        .as_ref()
        .map(|media| html! { <code>{media.clone()}</code> " " });
    let text = match &message.text {
        Some(text) => html! { <span>{text.clone()}</span> },
        None if message.destroyed => html! { <span class="muted">{ui.t(keys::UI_UPDATE_DESTROYED)}</span> },
        None if message.media.is_some() => ().into(),
        None => html! { <span class="muted">{ui.t(keys::UI_BOTS_NO_TEXT)}</span> },
    };
    html! {
        <li id=format!("m{}", message.message) class=message.by_bot.then_some("ours")>
            <p class="talk-head">{who} {ours} {place} {moment(ui, message.written_at)} {edited} {whole}</p>
            <p class="talk-text">{media} {text}</p>
        </li>
    }
}

/// The address of a chat, at its message `message`.
pub(super) fn chat_href(bot: &str, chat: i64, message: i64) -> String {
    // The page of a chat begins below the message that it is given.
    let after = message.saturating_add(1);
    format!("/bots/{bot}/chats/{chat}?after={after}#m{message}")
}
