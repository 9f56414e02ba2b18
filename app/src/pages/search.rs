//! Search over everything that the reader may see: components, alerts, operations, people, schedules.
//!
//! Every part is a query of its own with its own permission; what the reader may not ask is not asked.

use crate::asked::asked;
use crate::i18n::Ui;
use crate::live::Live;
use crate::memo::memo;
use crate::ui::form::escape;
use crate::ui::get_form::get_form;
use crate::ui::node::{Node, following};
use crate::ui::{empty, rows, state, title, views};
use bagua_markup::html;
use bagua_model::access::{ListPeople, Permission};
use bagua_model::alerts::{AlertState, ListAlerts};
use bagua_model::bots::ListBots;
use bagua_model::operation::{ListOperations, ListSchedules};
use bagua_model::regions::{ComponentView, GetWorld};
use bagua_model::text::keys;
use leptos::prelude::*;

/// So many of each kind; the list behind the heading has the rest.
const MOST: u16 = 10;

/// `/search?q=…`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let typed = super::query("q");
    let text = memo(move || typed.with(|t| t.trim().to_owned()));
    let may = |permission| {
        crate::info().with_value(|info| info.me.as_ref().is_some_and(|me| me.may_anywhere(permission)))
    };
    let parts = [
        may(Permission::RegionsRead).then(|| components(ui, live, text)),
        may(Permission::AlertsRead).then(|| alerts(ui, live, text, AlertState::Firing)),
        may(Permission::BotsView).then(|| bots(ui, live, text)),
        may(Permission::OperationsRead).then(|| operations(ui, live, text)),
        may(Permission::PeopleRead).then(|| people(ui, live, text)),
        may(Permission::SchedulesRead).then(|| schedules(ui, live, text)),
        may(Permission::AlertsRead).then(|| alerts(ui, live, text, AlertState::Resolved)),
    ];
    let audit = may(Permission::AuditRead).then(|| {
        Node::follows(move || {
            let text = text.get();
            if text.is_empty() {
                return ().into();
            }
            let href = format!("/audit?actor={}", escape(&text));
            html! { <p><a href=href>{ui.tx(keys::UI_SEARCH_AUDIT, &[("text", &text)])}</a></p> }
        })
    });
    let nothing_typed = Node::follows(move || {
        if text.with(String::is_empty) {
            empty(ui.t(keys::UI_SEARCH_EMPTY), ui.t(keys::UI_SEARCH_EMPTY_NEXT))
        } else {
            ().into()
        }
    });
    let field = html! {
        <label>
            <span class="hidden">{ui.t(keys::UI_SEARCH_LABEL)}</span>
            <input type="search" name="q" value=following(move || Some(text.get())) placeholder=ui.t(keys::UI_SEARCH_LABEL) autofocus/>
        </label>
        <button class="button primary">{ui.t(keys::UI_SEARCH_BUTTON)}</button>
    };
    html! {
        {title(ui.t(keys::UI_SEARCH_TITLE))}
        <div class="page-head"><h1>{ui.t(keys::UI_SEARCH_TITLE)}</h1></div>
        {get_form("search-page", || "/search".to_owned(), field)}
        {views::bar(ui, live)}
        {nothing_typed}
        <div class="found">{parts.into_iter().flatten().collect::<Node>()} {audit}</div>
    }
}

/// A part of the result with its heading; nothing where nothing was typed.
fn part(ui: Ui, heading: &'static str, text: Memo<String>, more: Option<String>, rows: Vec<Node>) -> Node {
    if text.with(String::is_empty) {
        return ().into();
    }
    let more = more.map(|href| html! { " " <a class="more" href=href>{ui.t(keys::UI_SEARCH_MORE)}</a> });
    let none = rows.is_empty();
    html! {
        <section class="card">
            <h2>{ui.t(heading)} {more}</h2>
            {if none {
                html! { <p class="muted">{ui.t(keys::UI_SEARCH_NONE)}</p> }
            } else {
                html! { <ul class="rows">{rows}</ul> }
            }}
        </section>
    }
}

fn components(ui: Ui, live: Live, text: Memo<String>) -> Node {
    let world = asked(move || (GetWorld {}, live.regions.get()));
    world.show(ui, move |world| {
        let wanted = text.get().to_lowercase();
        let all = world
            .regions
            .iter()
            .chain(&world.global)
            .flat_map(|r| &r.components);
        let hits = all
            .filter(|c| {
                let name = ui.region(c.id.region.as_str()).to_lowercase();
                let full = format!("{name} · {} {name} {}", c.id.service, c.id);
                full.contains(&wanted)
            })
            .take(MOST.into());
        let rows = hits.map(|c| component(ui, c)).collect();
        part(ui, keys::UI_SEARCH_COMPONENTS, text, None, rows)
    })
}

fn bots(ui: Ui, live: Live, text: Memo<String>) -> Node {
    let fleet = asked(move || (ListBots::default(), live.bots.get()));
    fleet.show(ui, move |fleet| {
        let wanted = text.get().to_lowercase();
        let wanted = wanted.trim_start_matches('@');
        let hits = fleet
            .bots
            .iter()
            .filter(|bot| format!("{} {}", bot.username, bot.bot).to_lowercase().contains(wanted));
        let row = |bot: &bagua_model::bots::BotView| {
            html! {
                <li class="row">
                    {state::condition(ui, bot.condition)}
                    <span class="row-main"><a href=format!("/bots/{}", bot.bot)>{format!("@{}", bot.username)}</a></span>
                    <span class="row-place">{ui.region(bot.region.as_str())}</span>
                </li>
            }
        };
        let rows = hits.take(MOST.into()).map(row).collect();
        part(ui, keys::UI_SEARCH_BOTS, text, Some("/bots".to_owned()), rows)
    })
}

fn component(ui: Ui, component: &ComponentView) -> Node {
    let id = component.id.to_string();
    let name = format!(
        "{} · {}",
        ui.region(component.id.region.as_str()),
        component.id.service
    );
    html! {
        <li class="row">
            {state::health(ui, component.health)}
            <span class="row-main">
                <a href=rows::component_href(&id)>{name}</a>
                <span class="row-sub">{id}</span>
            </span>
        </li>
    }
}

fn alerts(ui: Ui, live: Live, text: Memo<String>, of: AlertState) -> Node {
    let list = asked(move || {
        let query = ListAlerts {
            state: Some(of),
            text: Some(text.get()),
            limit: MOST,
            ..ListAlerts::default()
        };
        (query, live.alerts.get())
    });
    list.show(ui, move |feed| {
        let rows: Vec<Node> = feed.page.rows.iter().map(|a| rows::alert(ui, a)).collect();
        let (heading, filter) = match of {
            AlertState::Firing => (keys::UI_SEARCH_ALERTS, ""),
            AlertState::Resolved => (keys::UI_SEARCH_ALERTS_ENDED, "state=resolved&"),
        };
        let more = text.with(|text| format!("/alerts?{filter}text={}", escape(text)));
        part(ui, heading, text, feed.page.next.is_some().then_some(more), rows)
    })
}

fn operations(ui: Ui, live: Live, text: Memo<String>) -> Node {
    let list = asked(move || {
        let query = ListOperations {
            text: Some(text.get()),
            limit: MOST,
            ..ListOperations::default()
        };
        (query, live.operations.get())
    });
    list.show(ui, move |page| {
        let rows: Vec<Node> = page.rows.iter().map(|o| rows::operation(ui, o)).collect();
        let more = text.with(|text| format!("/operations?text={}", escape(text)));
        part(
            ui,
            keys::UI_NAV_OPERATIONS,
            text,
            page.next.is_some().then_some(more),
            rows,
        )
    })
}

fn people(ui: Ui, live: Live, text: Memo<String>) -> Node {
    let list = asked(move || (ListPeople {}, live.access.get()));
    list.show(ui, move |people| {
        let wanted = text.get().to_lowercase();
        let hits = people
            .iter()
            .filter(|p| p.name.to_lowercase().contains(&wanted) || p.email.to_lowercase().contains(&wanted));
        let rows = hits
            .take(MOST.into())
            .map(|p| {
                html! {
                    <li class="row">
                        <span class="row-main">
                            <a href="/access">{p.name.clone()}</a>
                            <span class="row-sub">{p.email.clone()}</span>
                        </span>
                    </li>
                }
            })
            .collect();
        part(ui, keys::UI_SEARCH_PEOPLE, text, None, rows)
    })
}

fn schedules(ui: Ui, live: Live, text: Memo<String>) -> Node {
    let list = asked(move || (ListSchedules {}, live.schedules.get()));
    list.show(ui, move |schedules| {
        let wanted = text.get().to_lowercase();
        let hits = schedules
            .iter()
            .filter(|s| s.name.to_lowercase().contains(&wanted) || s.kind.contains(&wanted));
        let rows = hits
            .take(MOST.into())
            .map(|s| {
                html! {
                    <li class="row">
                        <span class="row-main">
                            <a href="/schedules">{s.name.clone()}</a>
                            <span class="row-sub">{s.kind.clone()}</span>
                        </span>
                    </li>
                }
            })
            .collect();
        part(ui, keys::UI_NAV_SCHEDULES, text, None, rows)
    })
}
