//! `/bots/{bot}/settings`: how updates come and which, as it is wanted and as Telegram says that it is.

use super::place;
use super::tabs::tabs;
use crate::asked::asked;
use crate::context::Flash;
use crate::i18n::Ui;
use crate::live::Live;
use crate::pages::param;
use crate::ui::form::{flash_of, refusal, refused};
use crate::ui::node::Node;
use crate::ui::table::table;
use crate::ui::{age, empty, moment, title};
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::bots::{BotDetail, BotMode, BotSettings, GetBot, SeenSettings};
use bagua_model::text::keys;
use leptos::prelude::*;

/// `/bots/:bot/settings`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let id = param("bot");
    let bot = move || id.get().parse::<i64>().unwrap_or(0);
    let flash =
        crate::info().with_value(|info| flash_of(info, &format!("bots/{}/settings", id.get_untracked())));
    let placed =
        crate::info().with_value(|info| flash_of(info, &format!("bots/{}/place", id.get_untracked())));
    let detail = asked(move || (GetBot { bot: bot() }, live.bots.get()));
    html! {
        {Node::follows(move || tabs(ui, &id.get(), "/settings"))}
        {detail.page(ui, move |detail| whole(ui, detail, flash.as_ref(), placed.as_ref()))}
    }
}

fn whole(ui: Ui, detail: &BotDetail, flash: Option<&Flash>, placed: Option<&Flash>) -> Node {
    let name = format!("@{} · {}", detail.bot.username, ui.t(keys::UI_BOTS_TAB_SETTINGS));
    html! {
        {title(name.clone())}
        <div class="page-head">
            <div>
                <h1>{name}</h1>
                <p class="page-state">{agreement(ui, &detail.settings)}</p>
            </div>
        </div>
        <section class="card" id="set">
            <h2>{ui.t(keys::UI_BOTS_SET)}</h2>
            {compared(ui, detail)}
        </section>
        {place::form(ui, &detail.bot, placed)}
        {form(ui, detail, flash)}
    }
}

/// Whether Telegram says what is wanted.
fn agreement(ui: Ui, settings: &BotSettings) -> Node {
    let (class, words) = match settings.agrees() {
        Some(true) => ("healthy", keys::UI_BOTS_SET_AGREES),
        Some(false) => ("warning", keys::UI_BOTS_SET_DIFFERS),
        None => ("unknown", keys::UI_BOTS_SET_UNKNOWN),
    };
    html! { <span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{ui.t(words)}</span> }
}

fn kinds(ui: Ui, kinds: &[String]) -> String {
    if kinds.is_empty() {
        ui.t(keys::UI_BOTS_KINDS_USUAL).to_owned()
    } else {
        kinds.join(", ")
    }
}

fn compared(ui: Ui, detail: &BotDetail) -> Node {
    let settings = &detail.settings;
    let none = || ui.t(keys::UI_BOTS_NO_WEBHOOK).to_owned();
    let seen = settings.seen.as_ref();
    let row = |name: &'static str, wanted: Node, there: Option<String>| {
        let there = there.unwrap_or_else(|| ui.t(keys::UI_BOTS_NOT_ASKED).to_owned());
        html! { <tr><th scope="row">{ui.t(name)}</th><td class="wrap">{wanted}</td><td class="wrap">{there}</td></tr> }
    };
    let url = settings.webhook_url.clone().unwrap_or_else(none);
    let pushed = settings.webhook_url.is_some();
    let rows = html! {
        {row(keys::UI_BOTS_WEBHOOK, url.into(), seen.map(|seen| seen.webhook_url.clone().unwrap_or_else(none)))}
        {row(
            keys::UI_BOTS_KINDS,
            kinds(ui, &settings.update_kinds).into(),
            // Of a bot that polls Telegram says none, and its owner names them with its first poll.
            match seen {
                Some(seen) if pushed => Some(kinds(ui, &seen.update_kinds)),
                Some(_) => Some(ui.t(keys::UI_BOTS_KINDS_POLLED).to_owned()),
                None => None,
            },
        )}
    };
    let columns = [
        (keys::UI_BOTS_SET_WHAT, false),
        (keys::UI_BOTS_SET_WANTED, false),
        (keys::UI_BOTS_SET_THERE, false),
    ];
    html! {
        {table(ui, ui.t(keys::UI_BOTS_SET), &columns, rows)}
        {seen.map(|seen| asked_at(ui, seen))}
    }
}

fn asked_at(ui: Ui, seen: &SeenSettings) -> Node {
    let failed = seen.last_error.clone().map(|why| {
        html! {
            <p class="notice warning">
                <i class="mark warning" aria-hidden="true"></i>
                {ui.t(keys::UI_BOTS_PUSH_FAILED)} " " {seen.last_error_at.map(|at| age(ui, at))} " " <code>{why}</code>
            </p>
        }
    });
    html! {
        <p class="field-help">{ui.t(keys::UI_BOTS_ASKED)} " " {moment(ui, seen.at)}</p>
        {failed}
    }
}

/// What was typed, or what is set.
struct Chosen {
    mode: String,
    usual: bool,
    kinds: Vec<String>,
}

impl Chosen {
    fn of(detail: &BotDetail, flash: Option<&Flash>) -> Chosen {
        let Some(flash) = flash else {
            let kinds = detail.settings.update_kinds.clone();
            return Chosen {
                mode: detail.bot.mode.to_string(),
                usual: kinds.is_empty(),
                kinds,
            };
        };
        let all = flash.values.iter().filter(|(name, _)| name == "kind");
        Chosen {
            mode: flash.value("mode").unwrap_or_default().to_owned(),
            usual: flash.value("which") != Some("chosen"),
            kinds: all.map(|(_, kind)| kind.clone()).collect(),
        }
    }
}

fn form(ui: Ui, detail: &BotDetail, flash: Option<&Flash>) -> Node {
    let (bot, settings) = (&detail.bot, &detail.settings);
    let reason =
        crate::info().with_value(|info| refused(ui, info, Permission::BotsManage, Some(&bot.region)));
    if let Some(reason) = reason {
        return html! { <section class="card">{empty(ui.t(keys::UI_BOTS_SET_CHANGE), reason)}</section> };
    }
    let chosen = Chosen::of(detail, flash);
    let mode = |mode: BotMode, words: String, off: bool| {
        let name = mode.to_string();
        let checked = chosen.mode == name;
        html! {
            <label class="check">
                <input type="radio" name="mode" value=name checked=checked disabled=off/>
                <span>{words}</span>
            </label>
        }
    };
    let push = match &settings.push_url {
        Some(url) => ui.tx(keys::UI_BOTS_MODE_PUSH, &[("url", url)]),
        None => ui.t(keys::UI_BOTS_MODE_PUSH_NOWHERE).to_owned(),
    };
    let which = |value: &'static str, words: &'static str, checked: bool| {
        html! {
            <label class="check"><input type="radio" name="which" value=value checked=checked/><span>{ui.t(words)}</span></label>
        }
    };
    let boxes = settings
        .kinds
        .iter()
        .map(|kind| {
            let checked = chosen.kinds.contains(kind);
            html! {
                <label class="check">
                    <input type="checkbox" name="kind" value=kind.clone() checked=checked/>
                    <span><code>{kind.clone()}</code></span>
                </label>
            }
        })
        .collect::<Node>();
    html! {
        <section class="card" id="change">
            <h2>{ui.t(keys::UI_BOTS_SET_CHANGE)}</h2>
            {refusal(ui, flash)}
            <form method="post" action=format!("/bots/{}/settings", bot.bot) class="rule-form">
                <input type="hidden" name="place" value=bot.region.as_str().to_owned()/>
                <fieldset>
                    <legend>{ui.t(keys::UI_BOTS_MODE)}</legend>
                    {mode(BotMode::Polling, ui.t(keys::UI_BOTS_MODE_POLL).to_owned(), false)}
                    {mode(BotMode::Webhook, push, settings.push_url.is_none())}
                </fieldset>
                <fieldset>
                    <legend>{ui.t(keys::UI_BOTS_KINDS)}</legend>
                    {which("usual", keys::UI_BOTS_KINDS_USUAL, chosen.usual)}
                    {which("chosen", keys::UI_BOTS_KINDS_CHOSEN, !chosen.usual)}
                    <div class="boxes">{boxes}</div>
                </fieldset>
                <div class="actions"><button class="button primary">{ui.t(keys::UI_BOTS_SET_PREVIEW)}</button></div>
            </form>
        </section>
    }
}
