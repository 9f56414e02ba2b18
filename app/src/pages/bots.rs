//! The fleet: every bot, who runs it, what waits; and the form that adds one.
//!
//! The form is a plain one, with script and without: the token goes to the server in the body of a POST, is sealed there,
//! and is never in an address.

pub mod bulk;
pub mod tuning;

use super::query;
use crate::asked::asked;
use crate::context::Flash;
use crate::i18n::Ui;
use crate::live::Live;
use crate::ui::form::{action, flash_of, plan_href, refusal};
use crate::ui::node::Node;
use crate::ui::ticks::Ticks;
use crate::ui::{age, empty, state, title};
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::bots::{
    BotCondition, BotDesired, BotView, FleetView, ListBots, RestartBot, StartBot, StopBot,
};
use bagua_model::region::{RegionId, Scope};
use bagua_model::text::{grouped, keys};
use leptos::prelude::*;

const PATH: &str = "/bots";

/// `/bots`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let region = query("region");
    let flash = crate::info().with_value(|info| flash_of(info, &PATH[1..]));
    let ticks = bulk::ticks();
    let list = asked(move || {
        let region = Some(region.get()).filter(|r| !r.is_empty()).map(RegionId::new);
        (ListBots { region }, live.bots.get())
    });
    html! {
        {title(ui.t(keys::UI_BOTS_TITLE))}
        <div class="page-head">
            <div>
                <h1>{ui.t(keys::UI_BOTS_TITLE)}</h1>
                <p class="page-state">{ui.t(keys::UI_BOTS_INTRO)}</p>
            </div>
            <a class="button" href="/bots/tuning">{ui.t(keys::UI_BOTS_TUNING)}</a>
        </div>
        {list.show(ui, move |fleet| fleet_view(ui, fleet, flash.as_ref(), ticks))}
    }
}

fn fleet_view(ui: Ui, fleet: &FleetView, flash: Option<&Flash>, ticks: Ticks) -> Node {
    let away = fleet
        .away
        .iter()
        .map(|r| ui.region(r.as_str()))
        .collect::<Vec<_>>()
        .join(" · ");
    let demo = fleet.bots.iter().any(|bot| bot.simulator);
    html! {
        {(!away.is_empty()).then(|| html! {
            <p class="notice warning" role="status"><i class="mark unknown" aria-hidden="true"></i>{ui.tx(keys::UI_BOTS_AWAY, &[("regions", &away)])}</p>
        })}
        {demo.then(|| html! { <p class="notice info"><i class="mark info" aria-hidden="true"></i>{ui.t(keys::UI_BOTS_DEMO)}</p> })}
        <section class="card">
            {(!fleet.bots.is_empty()).then(|| account(ui, &fleet.bots))}
            {(bulk::may() && fleet.bots.len() > 1).then(|| bulk::bar(ui, ticks))}
            {if fleet.bots.is_empty() {
                empty(ui.t(keys::UI_BOTS_NONE), ui.t(keys::UI_BOTS_NONE_NEXT))
            } else {
                table(ui, &fleet.bots, ticks)
            }}
        </section>
        {form(ui, fleet, flash)}
    }
}

/// What was lost and doubled in all, counted from the ledgers, and of how many bots that is not known.
fn account(ui: Ui, bots: &[BotView]) -> Node {
    let sum = |of: fn(&BotView) -> Option<i64>| bots.iter().filter_map(of).sum::<i64>();
    let (lost, doubled) = (sum(|bot| bot.lost), sum(|bot| bot.doubled));
    let unknown = bots.iter().filter(|bot| bot.lost.is_none()).count();
    let class = match (lost + doubled, unknown) {
        (0, 0) => "healthy",
        (0, _) => "unknown",
        _ => "critical",
    };
    let stored = grouped(&sum(|bot| bot.stored).to_string()).into_owned();
    let words = ui.tx(
        keys::UI_BOTS_ACCOUNT,
        &[("lost", &lost), ("doubled", &doubled), ("stored", &stored)],
    );
    let missing = (unknown > 0).then(|| ui.tx(keys::UI_BOTS_ACCOUNT_MISSING, &[("n", &unknown)]));
    html! {
        <p class="account"><span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{words}</span> " " {missing}</p>
    }
}

fn head(ui: Ui, name: &'static str, help: &'static str) -> Node {
    html! { <th scope="col" class="num"><span title=ui.t(help)>{ui.t(name)}</span></th> }
}

fn table(ui: Ui, bots: &[BotView], ticks: Ticks) -> Node {
    let picked = move |event| ticks.picked(&event);
    let ticks = Some(ticks).filter(|_| bulk::may() && bots.len() > 1);
    let rows = bots.iter().map(|bot| row(ui, bot, ticks)).collect::<Node>();
    html! {
        <div class="scroll" tabindex="0" role="region" aria-label=ui.t(keys::UI_BOTS_TITLE) on:click=picked>
            <table class="fleet">
                <thead>
                    <tr>
                        <th scope="col">{ui.t(keys::UI_BOTS_COLUMN_BOT)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_STATE)}</th>
                        <th scope="col">{ui.t(keys::UI_BOTS_COLUMN_OWNER)}</th>
                        {head(ui, keys::UI_BOTS_COLUMN_LAG, keys::UI_BOTS_LAG_HELP)}
                        {head(ui, keys::UI_BOTS_WAITING, keys::UI_BOTS_LOSS_HELP)}
                        {head(ui, keys::UI_BOTS_RATE, keys::UI_BOTS_RATE_HELP)}
                        {head(ui, keys::UI_BOTS_LOST, keys::UI_BOTS_LOST_HELP)}
                        {head(ui, keys::UI_BOTS_DOUBLED, keys::UI_BOTS_DOUBLED_HELP)}
                        {head(ui, keys::UI_BOTS_REPLY, keys::UI_BOTS_REPLY_UNDER)}
                        <th scope="col">{ui.t(keys::UI_ACTIONS)}</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

fn row(ui: Ui, bot: &BotView, ticks: Option<Ticks>) -> Node {
    html! {
        <tr class=state::condition_class(bot.condition)>
            <th scope="row">{ticks.map(|ticks| bulk::tick(ui, ticks, bot))} <a href=format!("{PATH}/{}", bot.bot)>{format!("@{}", bot.username)}</a> " " {badge(ui, bot)}
                <div class="muted">{format!("{} · {}", ui.region(bot.region.as_str()), ui.key(&format!("bot.mode.{}", bot.mode)))}</div>
                {elsewhere(ui, bot)}
            </th>
            <td>{state::condition(ui, bot.condition)} {why(ui, bot)}</td>
            <td>{owner(ui, bot)}{under(format!("{} {}", ui.t(keys::UI_BOTS_COLUMN_FENCE), bot.fence).into())}</td>
            <td class="num">{lag(ui, bot)}{under(last(ui, bot))}</td>
            <td class="num">{pending(ui, bot)}{under(time_to_loss(ui, bot))}</td>
            <td class="num">{per_second(bot)}{under(ui.tx(keys::UI_BOTS_STORED_N, &[("n", &count(bot.stored))]).into())}</td>
            <td class="num">{count(bot.lost)}</td>
            <td class="num">{count(bot.doubled)}</td>
            <td class="num">{reply(bot)}{under(ui.tx(keys::UI_BOTS_THROTTLED_N, &[("span", &throttled(ui, bot))]).into())}</td>
            <td class="row-actions">{actions(ui, bot, "small", PATH)}</td>
        </tr>
    }
}

/// Where it runs, when that is not where its data is, and who stands by.
pub fn elsewhere(ui: Ui, bot: &BotView) -> Option<Node> {
    let names = |regions: &[RegionId]| {
        let names: Vec<String> = regions.iter().map(|region| ui.region(region.as_str())).collect();
        names.join(", ")
    };
    let runs = bot.runs_in.as_ref().filter(|place| **place != bot.region);
    let runs = runs.map(|place| {
        let region = ui.region(place.as_str());
        ui.tx(keys::UI_BOTS_PLACE_STANDS_IN, &[("region", &region)])
    });
    let standby = bot.regions.get(1..).filter(|standby| !standby.is_empty());
    let standby =
        standby.map(|standby| ui.tx(keys::UI_BOTS_PLACE_STANDBY_N, &[("regions", &names(standby))]));
    if runs.is_none() && standby.is_none() {
        return None;
    }
    let words: Vec<String> = runs.into_iter().chain(standby).collect();
    // A region that stands in for its home is news; one that is its home is not.
    let stands_in = bot.stood_in_by().is_some();
    let class = if stands_in { "state warning" } else { "muted" };
    let mark = stands_in.then(|| html! { <i class="mark warning" aria-hidden="true"></i> });
    Some(html! { <div class=class>{mark}{words.join(" · ")}</div> })
}

/// A second line of a cell.
fn under(what: Node) -> Node {
    html! { <div class="muted">{what}</div> }
}

/// Why it is not as it should be, and what to do.
fn why(ui: Ui, bot: &BotView) -> Option<Node> {
    let class = bot.error.as_ref()?;
    Some(html! { <div class="muted why-short">{ui.key(&format!("bot.error.{class}"))}</div> })
}

/// Updates a second, over the last minute.
pub fn per_second(bot: &BotView) -> String {
    match bot.per_minute {
        None => known(None),
        Some(n) if n >= 600 => count(Some(n / 60)),
        Some(n) => format!("{:.1}", n as f64 / 60.0),
    }
}

/// How long 99 of 100 of the last answers took at most.
pub fn reply(bot: &BotView) -> String {
    match bot.reply_p99_ms {
        None => known(None),
        Some(ms) if ms < 1_000 => format!("{ms} ms"),
        Some(ms) => format!("{:.1} s", ms as f64 / 1_000.0),
    }
}

/// How long Telegram told it to wait within a day.
pub fn throttled(ui: Ui, bot: &BotView) -> String {
    match bot.throttled_s {
        0 => "0 s".to_owned(),
        seconds => ui.span(seconds),
    }
}

/// How long until Telegram drops what waits. Below six hours somebody has to act, below one at once.
pub fn time_to_loss(ui: Ui, bot: &BotView) -> Node {
    let Some(seconds) = bot.time_to_loss_s else {
        // Nothing waits, or nobody knows since when.
        return match bot.pending {
            Some(0) => ui.t(keys::UI_BOTS_LOSS_NONE).into(),
            _ => known(None).into(),
        };
    };
    let class = match seconds {
        ..3_600 => "critical",
        3_600..21_600 => "warning",
        _ => {
            return ui
                .tx(keys::UI_BOTS_LOSS_IN, &[("span", &ui.span(seconds))])
                .into();
        }
    };
    let words = ui.tx(keys::UI_BOTS_LOSS_IN, &[("span", &ui.span(seconds))]);
    html! { <span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{words}</span> }
}

/// That nobody is behind what it receives.
pub fn badge(ui: Ui, bot: &BotView) -> Node {
    if !bot.simulator {
        return ().into();
    }
    html! { <span class="tag" title=ui.t(keys::UI_BOTS_SIMULATOR_TITLE)>{ui.t(keys::UI_BOTS_SIMULATOR)}</span> }
}

/// Which process; the whole name on hover.
pub fn owner(ui: Ui, bot: &BotView) -> Node {
    match &bot.owner {
        Some(owner) => {
            let short = owner.rsplit(':').next().unwrap_or(owner).to_owned();
            html! { <code title=owner.clone()>{short}</code> }
        }
        None => html! { <span class="muted">{ui.t(keys::UI_BOTS_NOBODY)}</span> },
    }
}

/// A number, or that it is not known.
pub fn known(number: Option<i64>) -> String {
    number.map_or_else(|| "–".to_owned(), |n| n.to_string())
}

/// A count, or that it is not known.
pub fn count(number: Option<i64>) -> String {
    grouped(&known(number)).into_owned()
}

/// How late the last message was stored.
pub fn lag(ui: Ui, bot: &BotView) -> String {
    match bot.lag_ms {
        None => known(None),
        Some(ms) if ms < 1_000 => "< 1 s".to_owned(),
        Some(ms) => ui.span(ms / 1_000),
    }
}

/// What waits, and when Telegram was asked.
pub fn pending(ui: Ui, bot: &BotView) -> Node {
    let asked = bot
        .asked_at
        .map(|at| format!("{} {}", ui.t(keys::UI_BOTS_AS_OF), ui.local(at)));
    html! { <span title=asked.unwrap_or_default()>{count(bot.pending)}</span> }
}

/// When something last arrived.
pub fn last(ui: Ui, bot: &BotView) -> Node {
    match bot.last_received_at {
        Some(at) => age(ui, at),
        None => known(None).into(),
    }
}

/// What can be done with a bot.
pub fn actions(ui: Ui, bot: &BotView, class: &'static str, back: &str) -> Node {
    let refused = crate::info()
        .with_value(|info| crate::ui::form::refused(ui, info, Permission::BotsManage, Some(&bot.region)));
    let (id, region) = (bot.bot, bot.region.clone());
    let start = StartBot {
        bot: id,
        region: region.clone(),
    };
    if bot.desired == BotDesired::Stopped {
        return action(ui.t(keys::UI_BOTS_START), plan_href(&start, back), class, refused);
    }
    let left = matches!(bot.condition, BotCondition::Failed | BotCondition::Invalid);
    let restart = RestartBot {
        bot: id,
        region: region.clone(),
    };
    let stop = StopBot { bot: id, region };
    html! {
        {left.then(|| action(ui.t(keys::UI_BOTS_START), plan_href(&start, back), class, refused.clone()))}
        {action(ui.t(keys::UI_BOTS_RESTART), plan_href(&restart, back), class, refused.clone())}
        {action(ui.t(keys::UI_BOTS_STOP), plan_href(&stop, back), class, refused)}
    }
}

/// One choice of a select.
fn choice(value: &str, words: String, chosen: &str) -> Node {
    html! { <option value=value.to_owned() selected=value == chosen>{words}</option> }
}

/// The field that a token is typed into. It is never filled in again.
pub fn token_field(ui: Ui) -> Node {
    html! {
        <label class="field wide">
            <span>{ui.t(keys::UI_BOTS_FIELD_TOKEN)}</span>
            <input type="password" name="token" required maxlength="200" autocomplete="off" spellcheck="false" placeholder="123456789:…"/>
        </label>
    }
}

fn form(ui: Ui, fleet: &FleetView, flash: Option<&Flash>) -> Node {
    let (environment, regions, me) =
        crate::info().with_value(|info| (info.environment, info.regions.clone(), info.me.clone()));
    let may = |region: &RegionId| {
        let scope = Scope {
            environment: Some(environment),
            region: Some(region.clone()),
        };
        me.as_ref()
            .is_some_and(|me| me.may(Permission::BotsManage, &scope))
    };
    let regions: Vec<RegionId> = regions.into_iter().filter(|region| may(region)).collect();
    if regions.is_empty() {
        return ().into();
    }
    if !fleet.has_keys {
        return html! { <p class="notice warning">{ui.t(keys::UI_BOTS_NO_KEYS)}</p> };
    }
    let typed = |name| flash.and_then(|flash| flash.value(name)).unwrap_or_default();
    let chosen = flash.map(super::bot::place::typed).unwrap_or_default();
    let places = regions
        .iter()
        .map(|r| choice(r.as_str(), ui.region(r.as_str()), typed("place")))
        .collect::<Node>();
    let servers = fleet
        .servers
        .iter()
        .map(|server| {
            let words = if server.simulator {
                format!("{} ({})", server.name, ui.t(keys::UI_BOTS_SIMULATOR))
            } else {
                server.name.clone()
            };
            choice(&server.name, words, typed("server"))
        })
        .collect::<Node>();
    html! {
        <section class="card" id="add">
            <h2>{ui.t(keys::UI_BOTS_ADD)}</h2>
            <p class="field-help">{ui.t(keys::UI_BOTS_ADD_INTRO)}</p>
            {refusal(ui, flash)}
            <form method="post" action=PATH class="token-form">
                {token_field(ui)}
                <label class="field"><span>{ui.t(keys::UI_BOTS_FIELD_REGION)}</span><select name="place">{places}</select></label>
                <label class="field"><span>{ui.t(keys::UI_BOTS_FIELD_SERVER)}</span><select name="server">{servers}</select></label>
                <details class="wide" open=!typed("home").is_empty()>
                    <summary>{ui.t(keys::UI_BOTS_PLACE)}</summary>
                    <p class="field-help">{ui.t(keys::UI_BOTS_PLACE_ADD)}</p>
                    <div class="token-form">{super::bot::place::fields(ui, &regions, &chosen, true)}</div>
                </details>
                <button class="button primary">{ui.t(keys::UI_BOTS_CHECK)}</button>
            </form>
        </section>
    }
}
