//! One alert: what it says, who has it, what changed just before it, what can be done.

mod delivery;

use super::param;
use crate::asked::{Payload, asked_by};
use crate::i18n::Ui;
use crate::live::Live;
use crate::rpc::{Answered, AppError, ask_payload};
use crate::ui::node::Node;
use crate::ui::submit::{SubmitForm, button};
use crate::ui::{age, empty, failed, moment, rows, since, state, title};
use bagua_markup::html;
use bagua_model::alerts::{AlertHistory, AlertState, AlertView, GetAlert, GetDelivery, UnacknowledgeAlert};
use bagua_model::failure::Failure;
use bagua_model::operation::{EventView, RecentEvents};
use bagua_model::silences::{AlertHeldBy, HeldBy};
use bagua_model::text::keys;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How far back a change may be a cause.
const JUST_BEFORE: time::Duration = time::Duration::minutes(30);

/// `/alerts/:alert`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let id = param("alert");
    let all = asked_by::<Whole>(
        move || (id.get(), live.alerts.get().wrapping_add(live.operations.get())),
        |_, id| Box::pin(whole_alert(id)),
    );
    all.page(ui, move |all| whole(ui, all))
}

/// An alert with what stands around it.
#[derive(Clone, Serialize, Deserialize)]
struct Whole {
    alert: Payload,
    before: Answered<Payload>,
    earlier: Answered<Payload>,
    held: Answered<Payload>,
    delivery: Answered<Payload>,
}

async fn whole_alert(id: String) -> Answered<Payload> {
    let Ok(alert) = id.parse::<Uuid>() else {
        return Err(AppError(Failure::not_found(id)));
    };
    // On the server the context is read at the first poll, so all questions are put together before either waits.
    let (view, earlier, held, delivery) = futures::join!(
        ask_payload(GetAlert { alert }),
        ask_payload(AlertHistory {
            alert,
            component: true
        }),
        ask_payload(AlertHeldBy { alert }),
        ask_payload(GetDelivery { alert })
    );
    let view = view?;
    let started_at = view.read(|alert: &AlertView| alert.started_at)?;
    let before = ask_payload(RecentEvents {
        since: Some(started_at - JUST_BEFORE),
        before: Some(started_at),
        limit: 200,
        ..RecentEvents::default()
    })
    .await;
    Ok(Payload::typed(Whole {
        alert: view,
        before,
        earlier,
        held,
        delivery,
    }))
}

fn whole(ui: Ui, all: &Whole) -> Node {
    all.alert
        .read(|alert| draw(ui, alert, all))
        .unwrap_or_else(|error| failed(ui, &error))
}

fn draw(ui: Ui, alert: &AlertView, all: &Whole) -> Node {
    let firing = alert.state == AlertState::Firing;
    let back = format!("/alerts/{}", alert.alert);
    let labels = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(name, value)| html! { <div><dt><code>{name.clone()}</code></dt><dd>{value.clone()}</dd></div> }).collect::<Node>()
    };
    let runbook = alert
        .annotations
        .get("runbook_url")
        .filter(|u| u.starts_with("https://") || u.starts_with("http://"))
        .cloned();
    html! {
        {title(alert.name.clone())}
        <div class="page-head">
            <div>
                <h1>{alert.name.clone()}</h1>
                <p class="page-state">
                    {state::severity(ui, alert.severity)} " "
                    {match alert.ended_at {
                        Some(at) => html! { {ui.t(keys::UI_ALERTS_ENDED)} " " {age(ui, at)} },
                        None if !firing => ui.t(keys::UI_ALERTS_ENDED).into(),
                        None => html! { {ui.t(keys::UI_ALERTS_FIRING_SINCE)} " " {since(ui, alert.started_at)} },
                    }}
                    {alert.suppressed.then(|| html! { " " <span class="tag">{ui.t(keys::UI_ALERTS_SUPPRESSED)}</span> })}
                </p>
                <p class="why">{alert.summary.clone()}</p>
            </div>
            <div class="actions" role="group" aria-label=ui.t(keys::UI_ACTIONS)>
                {firing.then(|| super::alerts::actions(ui, alert, &back))}
            </div>
        </div>
        <div class="columns">
            <section class="card">
                <h2>{ui.t(keys::UI_ALERT_WHAT)}</h2>
                {(!alert.description.is_empty()).then(|| html! { <p class="prose">{alert.description.clone()}</p> })}
                {runbook.map(|url| html! { <p><a href=url rel="noopener noreferrer external" target="_blank">{ui.t(keys::UI_ALERT_RUNBOOK)}</a></p> })}
                <dl class="facts">
                    {alert.region.as_ref().map(|r| html! {
                        <div><dt>{ui.t(keys::UI_COLUMN_REGION)}</dt><dd><a href=format!("/regions/{r}")>{ui.region(r.as_str())}</a></dd></div>
                    })}
                    {alert.component.clone().map(|c| html! {
                        <div><dt>{ui.t(keys::UI_COLUMN_COMPONENT)}</dt><dd><a href=rows::component_href(&c)>{c.clone()}</a></dd></div>
                    })}
                    <div><dt>{ui.t(keys::UI_ALERT_STARTED)}</dt><dd>{moment(ui, alert.started_at)}</dd></div>
                    <div><dt>{ui.t(keys::UI_ALERT_RECEIVED)}</dt><dd>{moment(ui, alert.received_at)}</dd></div>
                    {alert.ended_at.map(|at| html! { <div><dt>{ui.t(keys::UI_ALERTS_ENDED)}</dt><dd>{moment(ui, at)}</dd></div> })}
                </dl>
                <details><summary>{ui.t(keys::UI_ALERT_LABELS)}</summary><dl class="facts">{labels(&alert.labels)}</dl></details>
            </section>
            <section class="card">
                <h2>{ui.t(keys::UI_ALERT_OWNER)}</h2>
                {owner(ui, alert, &back)}
            </section>
            {delivery::card(ui, &all.delivery)}
            {(firing && alert.suppressed).then(|| held(ui, &all.held))}
            {before(ui, alert, &all.before)}
            {history(ui, &all.earlier)}
        </div>
    }
}

fn owner(ui: Ui, alert: &AlertView, back: &str) -> Node {
    let Some(owner) = &alert.acknowledged else {
        return empty(ui.t(keys::UI_ALERT_NO_OWNER), ui.t(keys::UI_ALERT_NO_OWNER_NEXT));
    };
    let firing = alert.state == AlertState::Firing;
    let operation = UnacknowledgeAlert {
        alert: alert.alert,
        region: alert.region.clone(),
    };
    html! {
        <p><b>{owner.by.clone()}</b> " " {age(ui, owner.at)}</p>
        {owner.until.map(|at| html! { <p>{ui.t(keys::UI_ALERTS_UNTIL)} " " {moment(ui, at)}</p> })}
        {(!owner.note.is_empty()).then(|| html! { <blockquote>{owner.note.clone()}</blockquote> })}
        {firing.then(|| button(ui, SubmitForm::quick(&operation, back), ui.t(keys::UI_ALERT_GIVE_BACK), "small"))}
    }
}

/// By what Alertmanager holds it back.
fn held(ui: Ui, by: &Answered<Payload>) -> Node {
    let draw = |list: &Vec<HeldBy>| {
        let items = list.iter().map(|by| match by {
            HeldBy::Silence(silence) => super::silences::row(ui, silence),
            HeldBy::Alert { alert, name, .. } => {
                let name = name.clone().unwrap_or_else(|| ui.t(keys::UI_ALERT_ANOTHER).to_owned());
                let name = match alert {
                    Some(id) => html! { <a href=format!("/alerts/{id}")>{name}</a> },
                    None => name.into(),
                };
                html! { <li class="row"><span class="row-main">{ui.t(keys::UI_ALERT_INHIBITED)} " " {name}</span></li> }
            }
            HeldBy::Gone { silence } => {
                html! { <li class="row"><span class="row-main">{ui.tx(keys::UI_ALERT_SILENCE_GONE, &[("id", silence)])}</span></li> }
            }
        });
        rows::list(items, || empty(ui.t(keys::UI_ALERT_HELD_NO_MORE), ""))
    };
    let body = by
        .clone()
        .and_then(|list| list.read(draw))
        .unwrap_or_else(|error| failed(ui, &error));
    html! { <section class="card" id="held"><h2>{ui.t(keys::UI_ALERT_HELD)}</h2>{body}</section> }
}

/// The event log of the half hour up to the start: the same component first, then its region, then elsewhere.
fn before(ui: Ui, alert: &AlertView, events: &Answered<Payload>) -> Node {
    let own = format!("alert:{}", alert.alert);
    let component = alert.component.as_ref().map(|c| format!("component:{c}"));
    let nearness = |e: &EventView| {
        if component.as_ref() == Some(&e.subject) {
            0
        } else if alert.region.is_some() && e.region == alert.region {
            1
        } else {
            2
        }
    };
    let draw = |list: &Vec<EventView>| {
        let mut near: Vec<&EventView> = list.iter().filter(|e| e.subject != own).collect();
        // Stable: within each the newest stays first.
        near.sort_by_key(|e| nearness(e));
        let items = near.into_iter().take(15).map(|e| rows::event(ui, e));
        rows::list(items, || empty(ui.t(keys::UI_ALERT_NOTHING_BEFORE), ""))
    };
    let body = events
        .clone()
        .and_then(|events| events.read(draw))
        .unwrap_or_else(|error| failed(ui, &error));
    html! { <section class="card"><h2>{ui.t(keys::UI_ALERT_BEFORE)}</h2>{body}</section> }
}

/// Earlier episodes of the same component.
fn history(ui: Ui, earlier: &Answered<Payload>) -> Node {
    let draw = |list: &Vec<AlertView>| {
        rows::list(list.iter().map(|a| rows::alert(ui, a)), || {
            empty(ui.t(keys::UI_ALERT_NO_EARLIER), "")
        })
    };
    let body = earlier
        .clone()
        .and_then(|list| list.read(draw))
        .unwrap_or_else(|error| failed(ui, &error));
    html! { <section class="card"><h2>{ui.t(keys::UI_ALERT_EARLIER)}</h2>{body}</section> }
}
