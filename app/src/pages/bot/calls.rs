//! `/bots/{bot}/calls`: what a bot shall say, what became of it, and what it received and cannot use.

use super::tabs::tabs;
use crate::asked::asked;
use crate::i18n::Ui;
use crate::live::Live;
use crate::pages::{param, query};
use crate::ui::form::{action, plan_href, refused};
use crate::ui::node::Node;
use crate::ui::table::table;
use crate::ui::{age, empty, title};
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::bots::calls::{
    CALLS_AT_ONCE, CallState, CallView, CallsView, DiscardQuarantine, GiveUpCalls, ListCalls,
    ReplayQuarantine, ResendCalls,
};
use bagua_model::text::keys;
use leptos::prelude::*;

/// `/bots/:bot/calls`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let id = param("bot");
    let state = query("state");
    let bot = move || id.get().parse::<i64>().unwrap_or(0);
    let list = asked(move || {
        let state = state.get().parse().ok();
        (ListCalls { bot: bot(), state }, live.bots.get())
    });
    html! {
        {Node::follows(move || tabs(ui, &id.get(), "/calls"))}
        {list.page(ui, move |view| whole(ui, bot(), &state.get(), view))}
    }
}

fn whole(ui: Ui, bot: i64, state: &str, view: &CallsView) -> Node {
    let reason =
        crate::info().with_value(|info| refused(ui, info, Permission::BotsManage, Some(&view.region)));
    let fact = |name: &'static str, value: i64| html! { <div><dt>{ui.t(name)}</dt><dd class="num">{value}</dd></div> };
    let quarantined = i64::try_from(view.quarantined.len()).unwrap_or(i64::MAX);
    html! {
        {title(format!("@{} · {}", view.username, ui.t(keys::UI_BOTS_TAB_CALLS)))}
        <div class="page-head">
            <div>
                <h1>{format!("@{} · {}", view.username, ui.t(keys::UI_BOTS_TAB_CALLS))}</h1>
                <p class="page-state">{ui.t(keys::UI_CALLS_ABOUT)}</p>
            </div>
        </div>
        <section class="card">
            <dl class="facts">
                {fact(keys::UI_CALLS_OPEN, view.open)}
                {fact(keys::UI_CALLS_UNCERTAIN, view.uncertain)}
                {fact(keys::UI_CALLS_QUARANTINED, quarantined)}
            </dl>
        </section>
        <section class="card" id="calls">
            <h2>{ui.t(keys::UI_CALLS_LIST)}</h2>
            {states(ui, bot, state)}
            {together(ui, bot, view, reason.as_ref())}
            {if view.calls.is_empty() { empty(ui.t(keys::UI_CALLS_NONE), "") } else { calls(ui, bot, view, reason.as_ref()) }}
        </section>
        <section class="card" id="quarantine">
            <h2>{ui.t(keys::UI_CALLS_QUARANTINE)}</h2>
            <p class="field-help">{ui.t(keys::UI_CALLS_QUARANTINE_ABOUT)}</p>
            {if view.quarantined.is_empty() { empty(ui.t(keys::UI_CALLS_QUARANTINE_NONE), "") } else { quarantine(ui, bot, view, reason.as_ref()) }}
        </section>
    }
}

/// Links to the calls of each state.
fn states(ui: Ui, bot: i64, here: &str) -> Node {
    let link = |state: &str, words: String| {
        let query = if state.is_empty() {
            String::new()
        } else {
            format!("?state={state}")
        };
        html! { <a href=format!("/bots/{bot}/calls{query}") aria-current=(state == here).then_some("page")>{words}</a> }
    };
    let some = ["uncertain", "failed", "pending", "sending", "sent"]
        .into_iter()
        .map(|state| link(state, ui.key(&format!("call.state.{state}"))))
        .collect::<Node>();
    html! {
        <nav class="ranges" aria-label=ui.t(keys::UI_CALLS_STATES)>
            {link("", ui.t(keys::UI_CALLS_ALL).to_owned())}
            {some}
        </nav>
    }
}

/// One decision for all uncertain calls that the page shows.
fn together(ui: Ui, bot: i64, view: &CallsView, reason: Option<&String>) -> Node {
    let uncertain = view
        .calls
        .iter()
        .filter(|call| call.state == CallState::Uncertain);
    let calls: Vec<i64> = uncertain.map(|call| call.call).take(CALLS_AT_ONCE).collect();
    if calls.len() < 2 || reason.is_some() {
        return ().into();
    }
    let (back, region) = (format!("/bots/{bot}/calls"), view.region.clone());
    let n = calls.len();
    let again = ResendCalls {
        bot,
        region: region.clone(),
        calls: calls.clone(),
    };
    let never = GiveUpCalls { bot, region, calls };
    html! {
        <div class="actions together">
            <a class="button small" href=plan_href(&again, &back)>{ui.tx(keys::UI_CALLS_RESEND_ALL, &[("n", &n)])}</a>
            <a class="button small" href=plan_href(&never, &back)>{ui.tx(keys::UI_CALLS_GIVE_UP_ALL, &[("n", &n)])}</a>
        </div>
    }
}

fn class(state: CallState) -> &'static str {
    match state {
        CallState::Uncertain => "warning",
        CallState::Failed => "critical",
        CallState::Pending | CallState::Sending => "info",
        CallState::Sent => "healthy",
    }
}

/// Why a call stands as it stands.
fn why(ui: Ui, call: &CallView) -> String {
    let Some(class) = &call.class else {
        return String::new();
    };
    match (call.state, class.as_str()) {
        (
            _,
            "owner_gone" | "given_up" | "unreadable" | "lease_over" | "webhook_away" | "webhook_refused"
            | "webhook_unknown",
        ) => ui.key(&format!("call.class.{class}")),
        // What is said of a bot in the same case is that it is tried again by itself; an uncertain call is not.
        (CallState::Uncertain, _) => ui.t(keys::CALL_CLASS_NO_ANSWER).to_owned(),
        _ => ui.key(&format!("bot.error.{class}")),
    }
}

fn calls(ui: Ui, bot: i64, view: &CallsView, reason: Option<&String>) -> Node {
    let rows = view
        .calls
        .iter()
        .map(|call| {
            let class = class(call.state);
            let why = why(ui, call);
            // In Telegram's words, which no translation replaces.
            let detail = call.detail.clone().map(|said| html! { <span class="row-sub">{said}</span> });
            html! {
                <tr>
                    <td class="num">{call.call}</td>
                    <td><span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{ui.key(&format!("call.state.{}", call.state))}</span></td>
                    <td><code>{call.method.clone()}</code></td>
                    <td class="wrap">{why} {detail}</td>
                    <td class="num">{call.update.map_or_else(|| "–".to_owned(), |n| n.to_string())}</td>
                    <td class="num">{call.attempts.to_string()}</td>
                    <td class="num">{age(ui, call.changed_at)}</td>
                    <td class="row-actions">{decisions(ui, bot, view, call, reason)}</td>
                </tr>
            }
        })
        .collect::<Node>();
    table(
        ui,
        ui.t(keys::UI_CALLS_LIST),
        &[
            (keys::UI_BOTS_COLUMN_NUMBER, true),
            (keys::UI_COLUMN_STATE, false),
            (keys::UI_CALLS_METHOD, false),
            (keys::UI_CALLS_WHY, false),
            (keys::UI_CALLS_UPDATE, true),
            (keys::UI_CALLS_ATTEMPTS, true),
            (keys::UI_CALLS_CHANGED, true),
            (keys::UI_ACTIONS, false),
        ],
        rows,
    )
}

fn decisions(ui: Ui, bot: i64, view: &CallsView, call: &CallView, reason: Option<&String>) -> Node {
    let (back, region) = (format!("/bots/{bot}/calls"), view.region.clone());
    let calls = vec![call.call];
    let again = ResendCalls {
        bot,
        region: region.clone(),
        calls: calls.clone(),
    };
    let never = GiveUpCalls { bot, region, calls };
    let to = |href: String, words: &'static str| action(ui.t(words), href, "small", reason.cloned());
    html! {
        {matches!(call.state, CallState::Uncertain | CallState::Failed)
            .then(|| to(plan_href(&again, &back), keys::UI_CALLS_RESEND))}
        {matches!(call.state, CallState::Uncertain | CallState::Pending)
            .then(|| to(plan_href(&never, &back), keys::UI_CALLS_GIVE_UP))}
    }
}

fn quarantine(ui: Ui, bot: i64, view: &CallsView, reason: Option<&String>) -> Node {
    let back = format!("/bots/{bot}/calls");
    let to = |href: String, words: String| match reason {
        None => html! { <a class="button small" href=href>{words}</a> },
        Some(_) => ().into(),
    };
    let replay = |rows: Vec<i64>| {
        let region = view.region.clone();
        plan_href(&ReplayQuarantine { bot, region, rows }, &back)
    };
    let rows = view
        .quarantined
        .iter()
        .map(|row| {
            let discard = DiscardQuarantine {
                bot,
                region: view.region.clone(),
                rows: vec![row.id],
            };
            html! {
                <li class="row">
                    <span class="row-main">{ui.key(&format!("quarantine.reason.{}", row.reason))}<span class="row-sub num">{row.id}</span></span>
                    <span class="row-age num">{age(ui, row.received_at)}</span>
                    {to(replay(vec![row.id]), ui.t(keys::UI_QUARANTINE_REPLAY).to_owned())}
                    {to(plan_href(&discard, &back), ui.t(keys::UI_QUARANTINE_DISCARD).to_owned())}
                </li>
            }
        })
        .collect::<Node>();
    let all: Vec<i64> = view
        .quarantined
        .iter()
        .take(CALLS_AT_ONCE)
        .map(|row| row.id)
        .collect();
    let words = ui.tx(keys::UI_QUARANTINE_REPLAY_ALL, &[("n", &all.len())]);
    html! {
        <div class="actions together">{to(replay(all), words)}</div>
        <ul class="rows">{rows}</ul>
    }
}
