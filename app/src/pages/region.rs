//! One region: its components with state, figures and trends, its alerts, its operations, its last events.

use super::param;
use super::regions::alert_counts;
use crate::asked::{Asked, Payload, asked, asked_by};
use crate::i18n::Ui;
use crate::live::Live;
use crate::rpc::{Answered, AppError, ask_payload};
use crate::ui::chart::sparkline;
use crate::ui::node::Node;
use crate::ui::range::{self, Range};
use crate::ui::state::{self, health};
use crate::ui::{empty, failed, figures, rows, since, title};
use bagua_markup::html;
use bagua_model::alerts::{AlertFeed, ListAlerts};
use bagua_model::failure::Failure;
use bagua_model::operation::{EventView, ListOperations, OperationSummary, Page, RecentEvents};
use bagua_model::region::RegionId;
use bagua_model::regions::{
    ComponentId, ComponentView, GetRegion, GetTrends, Metric, RegionView, TrendsView,
};
use bagua_model::text::keys;
use futures::future::join_all;
use leptos::prelude::*;

/// `/regions/:region`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let region = param("region");
    let range = range::range();
    let view = asked(move || {
        (
            GetRegion {
                region: RegionId::new(region.get()),
            },
            live.regions.get(),
        )
    });
    let trends = asked_by::<Trends>(
        move || {
            let range = range.get();
            let revision = if range.moves() { live.regions.get() } else { 0 };
            let key = serde_json::to_string(&(region.get(), range)).unwrap_or_default();
            (key, revision)
        },
        |_, region| Box::pin(region_trends(region)),
    );
    let here = move || Some(RegionId::new(region.get()));
    let alerts = asked(move || {
        (
            ListAlerts {
                region: here(),
                limit: 20,
                ..ListAlerts::default()
            },
            live.alerts.get(),
        )
    });
    let operations = asked(move || {
        (
            ListOperations {
                region: here(),
                limit: 8,
                ..ListOperations::default()
            },
            live.operations.get(),
        )
    });
    let events = asked(move || {
        let revision = live.operations.get().wrapping_add(live.alerts.get());
        (
            RecentEvents {
                region: here(),
                limit: 12,
                ..RecentEvents::default()
            },
            revision,
        )
    });
    let none = [keys::UI_REGION_NO_ALERTS, keys::UI_REGION_NO_OPERATIONS];
    html! {
        {view.page(ui, move |view| head(ui, view))}
        <section class="card">
            <h2>{ui.t(keys::UI_COMPONENT_TRENDS)}</h2>
            {range::bar(ui, range)}
            {trends.show_or(
                ui,
                move |list| {
                    let items = list.iter().map(|(id, trends)| sparks(ui, id, trends)).collect::<Node>();
                    html! { <ul class="sparks">{items}</ul> }
                },
                // A region that could not be asked is said by the page's head.
                |_, _| ().into(),
            )}
        </section>
        <div class="columns">{lists_of(ui, alerts, operations, events, none)}</div>
    }
}

fn head(ui: Ui, region: &RegionView) -> Node {
    let name = ui.region(region.region.as_str());
    let components = region.components.iter().map(|c| row(ui, c)).collect::<Node>();
    html! {
        {title(name.clone())}
        <div class="page-head">
            <h1>{name} <span class="muted code">{region.region.as_str().to_owned()}</span></h1>
            <p class="page-state">{health(ui, region.health)} " " {region.since.map(|at| since(ui, at))}</p>
        </div>
        <div class="scroll card" tabindex="0" role="region" aria-label=ui.t(keys::UI_COLUMN_COMPONENTS)>
            <table>
                <thead>
                    <tr>
                        <th scope="col">{ui.t(keys::UI_COLUMN_COMPONENT)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_STATE)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_WHY)}</th>
                        <th scope="col">{ui.t(keys::UI_COLUMN_ALERTS)}</th>
                        <th scope="col" class="num">{ui.t(keys::UI_METRIC_CPU)}</th>
                        <th scope="col" class="num">{ui.t(keys::UI_METRIC_MEMORY)}</th>
                        <th scope="col" class="num">{ui.t(keys::UI_METRIC_REQUESTS)}</th>
                        <th scope="col" class="num">{ui.t(keys::UI_METRIC_ERRORS)}</th>
                        <th scope="col" class="num">"p95"</th>
                    </tr>
                </thead>
                <tbody>{components}</tbody>
            </table>
        </div>
    }
}

fn row(ui: Ui, c: &ComponentView) -> Node {
    let f = &c.figures;
    html! {
        <tr class=state::health_class(c.health)>
            <th scope="row"><a href=rows::component_href(&c.id.to_string())>{c.id.service.clone()}</a></th>
            <td>{health(ui, c.health)} " " <span class="muted num">{c.since.map(|at| since(ui, at))}</span></td>
            <td class="wrap">{c.why.as_ref().map(|w| ui.text(w))}</td>
            <td>{alert_counts(ui, c.critical_alerts, c.warning_alerts)}</td>
            <td class="num">{figures::or_none(Metric::Cpu, f.cpu_percent)}</td>
            <td class="num">{figures::or_none(Metric::Memory, f.memory_bytes)}</td>
            <td class="num">{figures::or_none(Metric::Requests, f.requests_per_second)}</td>
            <td class="num">{figures::or_none(Metric::Errors, f.error_ratio)}</td>
            <td class="num">{figures::or_none(Metric::Latency, f.p95_seconds)}</td>
        </tr>
    }
}

/// The trends are read where they are drawn.
type Trends = Vec<(ComponentId, Answered<Payload>)>;

/// The trends of every component of a region, in the order of their names.
async fn region_trends(key: String) -> Answered<Payload> {
    let Ok((region, range)) = serde_json::from_str::<(String, Range)>(&key) else {
        return Err(AppError(Failure::internal()));
    };
    let region = ask_payload(GetRegion {
        region: RegionId::new(region),
    })
    .await?;
    let mut ids = region
        .read(|region: &RegionView| region.components.iter().map(|c| c.id.clone()).collect::<Vec<_>>())?;
    ids.sort();
    let asked = ids.iter().map(|id| {
        ask_payload(GetTrends {
            component: id.clone(),
            minutes: range.minutes,
            from: range.from,
            until: range.until,
        })
    });
    let answers = join_all(asked).await;
    let trends: Trends = ids.into_iter().zip(answers).collect();
    Ok(Payload::typed(trends))
}

/// The small trends of one component.
fn sparks(ui: Ui, id: &ComponentId, trends: &Answered<Payload>) -> Node {
    let wanted = [
        Metric::Requests,
        Metric::Latency,
        Metric::Errors,
        Metric::Cpu,
        Metric::Memory,
    ];
    let draw = |view: &TrendsView| {
        let known = wanted
            .iter()
            .filter_map(|m| view.trends.iter().find(|t| t.metric == *m));
        known.map(|t| sparkline(ui, view, t)).collect::<Node>()
    };
    let lines = trends
        .clone()
        .and_then(|trends| trends.read(draw))
        .unwrap_or_else(|error| failed(ui, &error));
    html! { <li><a href=rows::component_href(&id.to_string())>{id.service.clone()}</a> {lines}</li> }
}

/// Three cards: what fires, what was done, what happened. `none` says that nothing fires, that nothing was done.
pub fn lists_of(
    ui: Ui,
    alerts: Asked<AlertFeed>,
    operations: Asked<Page<OperationSummary>>,
    events: Asked<Vec<EventView>>,
    none: [&'static str; 2],
) -> Node {
    let [no_alerts, no_operations] = none.map(|key| ui.t(key));
    html! {
        <section class="card">
            <h2>{ui.t(keys::UI_ROOM_ALERTS)}</h2>
            {alerts.show(ui, move |feed| {
                rows::list(feed.page.rows.iter().map(|a| rows::alert(ui, a)), || empty(no_alerts, ""))
            })}
        </section>
        <section class="card">
            <h2>{ui.t(keys::UI_NAV_OPERATIONS)}</h2>
            {operations.show(ui, move |page| {
                rows::list(page.rows.iter().map(|o| rows::operation(ui, o)), || empty(no_operations, ""))
            })}
        </section>
        <section class="card">
            <h2>{ui.t(keys::UI_OVERVIEW_CHANGES)}</h2>
            {events.show(ui, move |list| {
                rows::list(list.iter().take(12).map(|e| rows::event(ui, e)), || empty(ui.t(keys::UI_OVERVIEW_NO_CHANGES), ""))
            })}
        </section>
    }
}
