//! One bot: what it is doing, who owned it, what arrives. Who wrote what is hidden until somebody who may reads it, which
//! is audited.

pub mod calls;
pub mod chats;
pub mod messages;
pub mod place;
pub mod rules;
pub mod settings;
pub mod tabs;
pub mod update;

use super::bots::{
    actions, badge, count, known, lag, last, owner, pending, per_second, reply, throttled, time_to_loss,
    token_field,
};
use super::{param, query};
use crate::asked::asked;
use crate::context::Flash;
use crate::i18n::Ui;
use crate::live::Live;
use crate::ui::form::{flash_of, refusal, refused};
use crate::ui::node::Node;
use crate::ui::{age, empty, moment, rows, since, state, title};
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::bots::{
    BotChange, BotDetail, BotEvent, BotView, GetBot, ReadBot, TAIL, TailBot, UpdateView,
};
use bagua_model::operation::ListOperations;
use bagua_model::text::keys;
use leptos::prelude::*;

/// `/bots/:bot`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let id = param("bot");
    let content = query("content");
    let bot = move || id.get().parse::<i64>().unwrap_or(0);
    let flash = crate::info().with_value(|info| flash_of(info, &format!("bots/{}", id.get_untracked())));
    let detail = asked(move || (GetBot { bot: bot() }, live.bots.get()));
    let operations = asked(move || {
        (
            ListOperations {
                target: Some(format!("bot:{}", bot())),
                limit: 8,
                ..ListOperations::default()
            },
            live.operations.get(),
        )
    });
    let tail = Node::follows(move || {
        if content.get() == "1" {
            // Asked once, not with every news: each asking is one line of the audit log.
            let read = asked(move || {
                let bot = bot();
                (ReadBot { bot, limit: TAIL }, 0)
            });
            html! {
                <p class="field-help">
                    {ui.t(keys::UI_BOTS_CONTENT_ONCE)} " "
                    <a href=format!("/bots/{}", id.get())>{ui.t(keys::UI_BOTS_HIDE_CONTENT)}</a>
                </p>
                {read.show(ui, move |list| updates(ui, &id.get_untracked(), list, true))}
            }
        } else {
            let tail = asked(move || {
                let bot = bot();
                (TailBot { bot, limit: TAIL }, live.bots.get())
            });
            html! {
                <p class="field-help">{ui.t(keys::UI_BOTS_MASKED)} " " {show_link(ui, &id.get())}</p>
                {tail.show(ui, move |list| updates(ui, &id.get_untracked(), list, false))}
            }
        }
    });
    html! {
        {Node::follows(move || tabs::tabs(ui, &id.get(), ""))}
        {detail.page(ui, move |detail| whole(ui, detail, flash.as_ref()))}
        <section class="card">
            <h2>{ui.t(keys::UI_BOTS_OPERATIONS)}</h2>
            {operations.show(ui, move |page| rows::list(page.rows.iter().map(|o| rows::operation(ui, o)), || {
                empty(ui.t(keys::UI_BOTS_NO_OPERATIONS), "")
            }))}
        </section>
        <section class="card" id="tail">
            <h2>{ui.t(keys::UI_BOTS_TAIL)}</h2>
            {tail}
        </section>
    }
}

fn may_read() -> bool {
    crate::info().with_value(|info| {
        info.me
            .as_ref()
            .is_some_and(|me| me.may_anywhere(Permission::BotsContent))
    })
}

/// A plain link, loaded anew: what it shows is read once.
fn show_link(ui: Ui, id: &str) -> Node {
    if !may_read() {
        return ().into();
    }
    html! { <a href=format!("/bots/{id}?content=1") rel="external">{ui.t(keys::UI_BOTS_SHOW_CONTENT)}</a> }
}

fn whole(ui: Ui, detail: &BotDetail, flash: Option<&Flash>) -> Node {
    let bot = &detail.bot;
    let back = format!("/bots/{}", bot.bot);
    let words = bot
        .error
        .as_ref()
        .map(|class| ui.key(&format!("bot.error.{class}")));
    html! {
        {title(format!("@{}", bot.username))}
        <div class="page-head">
            <div>
                <h1>{format!("@{}", bot.username)} " " {badge(ui, bot)}</h1>
                <p class="page-state">{state::condition(ui, bot.condition)} " " {bot.since.map(|at| since(ui, at))}</p>
                {words.map(|words| html! { <p class="why" role="status">{words}</p> })}
                {bot.detail.clone().map(|said| html! { <p class="muted"><code>{said}</code></p> })}
            </div>
            <div class="actions" role="group" aria-label=ui.t(keys::UI_ACTIONS)>{actions(ui, bot, "", &back)}</div>
        </div>
        <div class="columns">
            <section class="card">
                <h2>{ui.t(keys::UI_BOTS_FACTS)}</h2>
                {facts(ui, detail)}
            </section>
            <section class="card">
                <h2>{ui.t(keys::UI_BOTS_TIMELINE)}</h2>
                {timeline(ui, &detail.timeline)}
            </section>
            {replace(ui, bot, flash)}
        </div>
    }
}

fn fact(name: &'static str, help: &'static str, value: Node) -> Node {
    html! { <div><dt><span title=help>{name}</span></dt><dd class="num">{value}</dd></div> }
}

fn facts(ui: Ui, detail: &BotDetail) -> Node {
    let bot = &detail.bot;
    let plain = |name: &'static str, value: Node| fact(ui.t(name), "", value);
    html! {
        <dl class="facts">
            {plain(keys::UI_BOTS_DESIRED, ui.key(&format!("bot.desired.{}", bot.desired)).into())}
            {plain(keys::UI_BOTS_COLUMN_OWNER, html! { {owner(ui, bot)} })}
            {fact(ui.t(keys::UI_BOTS_COLUMN_FENCE), ui.t(keys::UI_BOTS_FENCE_HELP), bot.fence.to_string().into())}
            {plain(keys::UI_BOTS_FIELD_REGION, ui.region(bot.region.as_str()).into())}
            {plain(keys::UI_BOTS_PLACE, places(ui, bot))}
            {plain(keys::UI_BOTS_SERVER, bot.server.clone().into())}
            {plain(keys::UI_BOTS_COLUMN_MODE, ui.key(&format!("bot.mode.{}", bot.mode)).into())}
            {fact(ui.t(keys::UI_BOTS_COLUMN_STORED), ui.t(keys::UI_BOTS_STORED_HELP), count(bot.stored).into())}
            {fact(ui.t(keys::UI_BOTS_LOST), ui.t(keys::UI_BOTS_LOST_HELP), count(bot.lost).into())}
            {fact(ui.t(keys::UI_BOTS_DOUBLED), ui.t(keys::UI_BOTS_DOUBLED_HELP), count(bot.doubled).into())}
            {plain(keys::UI_BOTS_COLUMN_PENDING, pending(ui, bot))}
            {fact(ui.t(keys::UI_BOTS_COLUMN_LAG), ui.t(keys::UI_BOTS_LAG_HELP), lag(ui, bot).into())}
            {fact(ui.t(keys::UI_BOTS_LOSS), ui.t(keys::UI_BOTS_LOSS_HELP), time_to_loss(ui, bot))}
            {fact(ui.t(keys::UI_BOTS_RATE), ui.t(keys::UI_BOTS_RATE_HELP), per_second(bot).into())}
            {fact(ui.t(keys::UI_BOTS_REPLY), ui.t(keys::UI_BOTS_REPLY_HELP), reply(bot).into())}
            {fact(ui.t(keys::UI_BOTS_THROTTLED), ui.t(keys::UI_BOTS_THROTTLED_HELP), throttled(ui, bot).into())}
            {plain(keys::UI_BOTS_COLUMN_LAST, last(ui, bot))}
            {fact(ui.t(keys::UI_BOTS_NEXT_OFFSET), ui.t(keys::UI_BOTS_NEXT_OFFSET_HELP), detail.next_offset.to_string().into())}
            {plain(keys::UI_BOTS_QUARANTINED, bot.quarantined.to_string().into())}
            {plain(keys::UI_CALLS_OPEN, bot.open_calls.to_string().into())}
            {plain(keys::UI_CALLS_UNCERTAIN, html! { <a href=format!("/bots/{}/calls?state=uncertain", bot.bot)>{bot.uncertain}</a> })}
            {plain(keys::UI_BOTS_ID, bot.bot.to_string().into())}
            {plain(keys::UI_BOTS_ADDED, moment(ui, bot.created_at))}
        </dl>
    }
}

/// Its home and who stands by; and where it runs, when that is not its home.
fn places(ui: Ui, bot: &BotView) -> Node {
    let names: Vec<String> = bot
        .regions
        .iter()
        .map(|region| ui.region(region.as_str()))
        .collect();
    let stands_in = bot.stood_in_by().map(|place| {
        let region = ui.region(place.as_str());
        let words = ui.tx(keys::UI_BOTS_PLACE_STANDS_IN, &[("region", &region)]);
        html! { <div class="state warning"><i class="mark warning" aria-hidden="true"></i>{words}</div> }
    });
    html! { {names.join(", ")}{stands_in} }
}

fn timeline(ui: Ui, events: &[BotEvent]) -> Node {
    let items = events.iter().map(|event| {
        let class = match event.what {
            BotChange::Acquired | BotChange::Running => "healthy",
            BotChange::TakenOver | BotChange::Retrying | BotChange::Conflict => "warning",
            BotChange::Invalid | BotChange::Failed => "critical",
            BotChange::Released | BotChange::Stopped => "stopped",
        };
        let why = event.class.as_ref().map(|class| ui.key(&format!("bot.error.{class}")));
        html! {
            <li class="row">
                <span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{ui.key(&format!("bot.change.{}", event.what))}</span>
                <span class="row-main">
                    {event.owner.clone().map(|owner| html! { <code>{owner}</code> })}
                    {why}
                    <span class="row-sub">{format!("{} {}", ui.t(keys::UI_BOTS_COLUMN_FENCE), event.fence)}</span>
                </span>
                <span class="row-age num">{age(ui, event.at)}</span>
            </li>
        }
    });
    rows::list(items, || empty(ui.t(keys::UI_BOTS_NO_TIMELINE), ""))
}

fn replace(ui: Ui, bot: &BotView, flash: Option<&Flash>) -> Node {
    let reason =
        crate::info().with_value(|info| refused(ui, info, Permission::BotsManage, Some(&bot.region)));
    if reason.is_some() {
        return ().into();
    }
    html! {
        <section class="card" id="token">
            <h2>{ui.t(keys::UI_BOTS_REPLACE)}</h2>
            <p class="field-help">{ui.t(keys::UI_BOTS_REPLACE_INTRO)}</p>
            {refusal(ui, flash)}
            <form method="post" action=format!("/bots/{}", bot.bot) class="token-form">
                {token_field(ui)}
                <input type="hidden" name="place" value=bot.region.as_str().to_owned()/>
                <button class="button">{ui.t(keys::UI_BOTS_CHECK)}</button>
            </form>
        </section>
    }
}

fn updates(ui: Ui, bot: &str, list: &[UpdateView], content: bool) -> Node {
    if list.is_empty() {
        return empty(ui.t(keys::UI_BOTS_NO_TAIL), "");
    }
    let number = |n: Option<i64>| html! { <td class="num">{known(n)}</td> };
    // Whoever may read content may read the whole of it.
    let shown = |update: &UpdateView| {
        if may_read() {
            html! { <a href=update::href(bot, update.update, update.received_at) rel="external">{update.update}</a> }
        } else {
            update.update.to_string().into()
        }
    };
    let items = list
        .iter()
        .map(|update| {
            let text = match (&update.text, &update.media) {
                (Some(text), None) => text.clone(),
                (Some(text), Some(media)) => format!("[{media}] {text}"),
                (None, Some(media)) => format!("[{media}]"),
                (None, None) => ui.t(keys::UI_BOTS_NO_TEXT).to_owned(),
            };
            html! {
                <tr>
                    <td class="num">{shown(update)}</td>
                    <td><code>{update.kind.clone()}</code></td>
                    {content.then(|| html! { <td class="wrap">{text}</td> {number(update.chat)} {number(update.sender)} })}
                    <td class="num">{age(ui, update.received_at)}</td>
                </tr>
            }
        })
        .collect::<Node>();
    html! {
        <div class="scroll" tabindex="0" role="region" aria-label=ui.t(keys::UI_BOTS_TAIL)>
            <table>
                <thead>
                    <tr>
                        <th scope="col" class="num">{ui.t(keys::UI_BOTS_COLUMN_NUMBER)}</th>
                        <th scope="col">{ui.t(keys::UI_BOTS_COLUMN_KIND)}</th>
                        {content.then(|| html! {
                            <th scope="col">{ui.t(keys::UI_BOTS_COLUMN_TEXT)}</th>
                            <th scope="col" class="num">{ui.t(keys::UI_BOTS_COLUMN_CHAT)}</th>
                            <th scope="col" class="num">{ui.t(keys::UI_BOTS_COLUMN_SENDER)}</th>
                        })}
                        <th scope="col" class="num">{ui.t(keys::UI_BOTS_COLUMN_RECEIVED)}</th>
                    </tr>
                </thead>
                <tbody>{items}</tbody>
            </table>
        </div>
    }
}
