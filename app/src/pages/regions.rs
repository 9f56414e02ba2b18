//! All regions, with their state and the figures of their front doors.

use crate::asked::asked;
use crate::i18n::Ui;
use crate::live::Live;
use crate::ui::form::escape;
use crate::ui::node::Node;
use crate::ui::state::health;
use crate::ui::{figures, since, title};
use bagua_markup::html;
use bagua_model::regions::{GetWorld, Metric, RegionView, WorldView};
use bagua_model::text::keys;
use leptos::prelude::*;

/// The ways to look at the regions, on top of each.
pub fn tabs(ui: Ui, here: &'static str) -> Node {
    let tabs = [
        ("/regions", keys::UI_TAB_REGIONS),
        ("/regions/compare", keys::UI_TAB_COMPARE),
        ("/performance", keys::UI_TAB_PERFORMANCE),
        ("/business", keys::UI_TAB_BUSINESS),
    ];
    let scope = crate::layout::scope();
    let links = Node::follows(move || {
        // The scope goes along to where it is of use again.
        let scope = scope
            .get()
            .map(|region| format!("?region={}", escape(region.as_str())));
        let link = |(address, words): (&'static str, &'static str)| {
            let href = format!("{address}{}", scope.as_deref().unwrap_or_default());
            html! { <a href=href aria-current=(address == here).then_some("page")>{ui.t(words)}</a> }
        };
        tabs.into_iter().map(link).collect()
    });
    html! { <nav class="ranges tabs" aria-label=ui.t(keys::UI_TABS)>{links}</nav> }
}

/// `/regions`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    asked(move || (GetWorld {}, live.regions.get())).page(ui, move |world| list(ui, world))
}

fn list(ui: Ui, world: &WorldView) -> Node {
    let rows = world
        .regions
        .iter()
        .chain(world.global.iter())
        .map(|r| row(ui, r))
        .collect::<Node>();
    html! {
        {title(ui.t(keys::UI_ROOM_REGIONS))}
        <h1>{ui.t(keys::UI_ROOM_REGIONS)}</h1>
        {tabs(ui, "/regions")}
        <div class="scroll card" tabindex="0" role="region" aria-label=ui.t(keys::UI_ROOM_REGIONS)>
            <table>
                <thead>
                    <tr>
                        <th scope="col">{ui.t(keys::UI_COLUMN_REGION)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_STATE)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_SINCE)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_COMPONENTS)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_ALERTS)}</th>
                        <th scope="col" class="num">{ui.t(keys::UI_METRIC_REQUESTS)}</th>
                        <th scope="col" class="num">{ui.t(keys::UI_METRIC_ERRORS)}</th>
                        <th scope="col" class="num">"p50"</th>
                        <th scope="col" class="num">"p95"</th>
                        <th scope="col" class="num">"p99"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

fn row(ui: Ui, region: &RegionView) -> Node {
    let code = region.region.as_str();
    let f = &region.figures;
    let components = region
        .components
        .iter()
        .map(|c| {
            html! {
                <a class="component-link" href=format!("/regions/{}", c.id)>
                    <i class=format!("mark {}", crate::ui::state::health_class(c.health)) aria-hidden="true"></i>
                    {c.id.service.clone()}
                    <span class="hidden">{format!(" ({})", crate::ui::state::health_word(ui, c.health))}</span>
                </a>
            }
        })
        .collect::<Node>();
    let critical: u32 = region.components.iter().map(|c| c.critical_alerts).sum();
    let warning: u32 = region.components.iter().map(|c| c.warning_alerts).sum();
    html! {
        <tr>
            <th scope="row">
                <a href=format!("/regions/{code}")>{ui.region(code)}</a>
                <span class="muted code">{(code != "global").then(|| code.to_owned())}</span>
            </th>
            <td>{health(ui, region.health)}</td>
            <td class="num">{region.since.map(|at| since(ui, at))}</td>
            <td class="wrap">{components}</td>
            <td>{alert_counts(ui, critical, warning)}</td>
            <td class="num">{figures::or_none(Metric::Requests, f.requests_per_second)}</td>
            <td class="num">{figures::or_none(Metric::Errors, f.error_ratio)}</td>
            <td class="num">{figures::or_none(Metric::Latency, f.p50_seconds)}</td>
            <td class="num">{figures::or_none(Metric::Latency, f.p95_seconds)}</td>
            <td class="num">{figures::or_none(Metric::Latency, f.p99_seconds)}</td>
        </tr>
    }
}

/// `2 critical, 1 warning`, or none.
pub fn alert_counts(ui: Ui, critical: u32, warning: u32) -> Node {
    if critical + warning == 0 {
        return html! { <span class="muted">{ui.t(keys::UI_ALERTS_NONE)}</span> };
    }
    let part = |n: u32, class: &'static str, one, many| {
        (n > 0).then(|| html! { <span class=format!("state {class}")><i class=format!("mark {class}") aria-hidden="true"></i>{ui.count(one, many, n)}</span> })
    };
    html! {
        {part(critical, "critical", keys::UI_ALERTS_CRITICAL_ONE, keys::UI_ALERTS_CRITICAL_MANY)}
        " "
        {part(warning, "warning", keys::UI_ALERTS_WARNING_ONE, keys::UI_ALERTS_WARNING_MANY)}
    }
}
