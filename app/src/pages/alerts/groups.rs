//! A storm of alerts counted by group; one group at a time is open.

use super::filters::{held, narrowed, severities};
use crate::asked::{Asked, Payload, asked_by};
use crate::i18n::Ui;
use crate::live::Live;
use crate::rpc::{Answered, ask_payload};
use crate::ui::form::escape;
use crate::ui::node::Node;
use crate::ui::{failed, since};
use bagua_markup::html;
use bagua_model::alerts::{AlertGroup, AlertGroups, GroupAlerts, GroupBy, ListAlerts};
use bagua_model::region::RegionId;
use bagua_model::text::keys;
use leptos::prelude::*;
use leptos_router::params::ParamsMap;
use serde::{Deserialize, Serialize};

/// The groups, or nothing while the feed stands alert by alert.
#[derive(Clone, Serialize, Deserialize)]
struct Grouped(Option<(GroupAlerts, Answered<Payload>)>);

async fn grouped(text: String) -> Answered<Payload> {
    let answer = match serde_json::from_str::<GroupAlerts>(&text) {
        Ok(query) => Some((query.clone(), ask_payload(query).await)),
        Err(_) => None,
    };
    Ok(Payload::typed(Grouped(answer)))
}

/// What stands above the rows of the open group, and what stands below them.
pub fn around(ui: Ui, params: Memo<ParamsMap>, by: Memo<String>, open: Memo<String>) -> (Node, Node) {
    let live = Live::get();
    let groups = asked_by::<Grouped>(
        move || {
            let query = by.get().parse::<GroupBy>().map(|by| {
                let filter = params.with(|q| narrowed(&|name: &str| q.get(name).unwrap_or_default()));
                serde_json::to_string(&GroupAlerts { by, filter }).unwrap_or_default()
            });
            (query.unwrap_or_default(), live.alerts.get())
        },
        |_, text| Box::pin(grouped(text)),
    );
    (part(ui, groups, open, true), part(ui, groups, open, false))
}

fn part(ui: Ui, groups: Asked<Grouped>, open: Memo<String>, above: bool) -> Node {
    groups.show(ui, move |Grouped(answer)| {
        let Some((query, answer)) = answer else {
            return ().into();
        };
        let open = open.get();
        let draw = |all: &AlertGroups| {
            let at = all.groups.iter().position(|g| g.key.as_deref() == Some(&*open));
            let upto = at.map_or(all.groups.len(), |at| at + 1);
            let shown = if above { &all.groups[..upto] } else { &all.groups[upto..] };
            let rows: Vec<Node> = shown.iter().map(|g| row(ui, query, g, g.key.as_deref() == Some(&*open))).collect();
            let left_out = (!above && all.left_out > 0)
                .then(|| html! { <p class="muted">{ui.tx(keys::UI_ALERTS_GROUPS_LEFT_OUT, &[("n", &all.left_out)])}</p> });
            html! {
                {(!rows.is_empty()).then(|| html! { <div class="feed"><ul class="rows groups">{rows}</ul></div> })}
                {left_out}
            }
        };
        // A failure is said once.
        let fail = |error| if above { failed(ui, &error) } else { ().into() };
        answer.clone().and_then(|a| a.read(draw)).unwrap_or_else(fail)
    })
}

fn row(ui: Ui, query: &GroupAlerts, group: &AlertGroup, open: bool) -> Node {
    let name = match (query.by, &group.key) {
        (_, None) => ui.t(keys::ALERT_NOWHERE).to_owned(),
        (GroupBy::Rule, Some(key)) => key.clone(),
        (GroupBy::Region, Some(key)) => ui.region(key),
        (GroupBy::Severity, Some(key)) => ui.key(&format!("alert.severity.{key}")),
    };
    let [critical, warning, info] = group.firing;
    let total = critical + warning + info;
    let name = match &group.key {
        None => name.into(),
        Some(key) => {
            let href = address(query, (!open).then_some(key));
            html! { <a class="group" href=href aria-expanded=if open { "true" } else { "false" }>{name}</a> }
        }
    };
    html! {
        <li class="row group" class:open=open>
            <span class="row-main">{name}</span>
            <span class="row-place">
                {super::super::regions::alert_counts(ui, critical, warning)}
                {(info > 0).then(|| format!(" {}", ui.count(keys::UI_ALERTS_INFO_ONE, keys::UI_ALERTS_INFO_MANY, info)))}
            </span>
            <span class="row-owner">
                {ui.tx(keys::UI_ALERTS_GROUP_TAKEN, &[("n", &group.acknowledged), ("total", &total)])}
                {(group.suppressed > 0).then(|| html! {
                    <span class="row-sub">{ui.tx(keys::UI_ALERTS_GROUP_HELD, &[("n", &group.suppressed)])}</span>
                })}
            </span>
            <span class="row-age num">{ui.t(keys::UI_ALERTS_GROUP_NEWEST)} " " {since(ui, group.newest)}</span>
        </li>
    }
}

/// The address of the feed with this group open, or with none.
fn address(query: &GroupAlerts, open: Option<&String>) -> String {
    let mut parts = filters_of(&query.filter);
    parts.push(("group", query.by.as_str().to_owned()));
    parts.extend(open.map(|key| ("open", key.clone())));
    let parts: Vec<_> = parts
        .into_iter()
        .map(|(name, value)| format!("{name}={}", escape(&value)))
        .collect();
    format!("/alerts?{}", parts.join("&"))
}

/// A filter as the address says it, without what is not set.
pub fn filters_of(filter: &ListAlerts) -> Vec<(&'static str, String)> {
    let word = |word: &Option<String>| word.clone().unwrap_or_default();
    let region = filter.region.as_ref().map(RegionId::as_str).unwrap_or_default();
    let mut parts = vec![
        ("severity", severities(filter)),
        ("region", region.to_owned()),
        ("held", held(filter).to_owned()),
        ("rule", word(&filter.name)),
        ("component", word(&filter.component)),
        ("text", word(&filter.text)),
    ];
    parts.retain(|(_, value)| !value.is_empty());
    parts
}
