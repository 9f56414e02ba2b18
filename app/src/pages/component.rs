//! One component: state and why, its process, what can be done, its trends, alerts, operations and events.

use super::charts::{ChartsOf, ComponentCharts};
use super::param;
use super::region::lists_of;
use crate::asked::{Payload, asked, asked_by};
use crate::i18n::Ui;
use crate::live::Live;
use crate::rpc::Answered;
use crate::ui::chart::{Mark, Plot, line_chart};
use crate::ui::form::{action, plan_href, refused};
use crate::ui::node::Node;
use crate::ui::range::{self, Range};
use crate::ui::state::health;
use crate::ui::{age, empty, failed, figures, rows, since, title};
use bagua_markup::html;
use bagua_model::access::Permission;
use bagua_model::alerts::ListAlerts;
use bagua_model::operation::{EventView, ListOperations, RecentEvents};
use bagua_model::regions::{
    ComponentId, ComponentView, GetComponent, Metric, RestartComponent, StartComponent, StopComponent,
    TrendsView,
};
use bagua_model::text::keys;
use leptos::prelude::*;

/// `/regions/:region/:service`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let (region, service) = (param("region"), param("service"));
    let id = Memo::new(move |_| ComponentId::new(&region.get(), &service.get()));
    let range = range::range();
    let view = asked(move || (GetComponent { component: id.get() }, live.regions.get()));
    let events = asked(move || {
        let revision = live.operations.get().wrapping_add(live.alerts.get());
        let subject = Some(format!("component:{}", id.get()));
        (
            RecentEvents {
                subject,
                limit: 12,
                ..RecentEvents::default()
            },
            revision,
        )
    });
    let alerts = asked(move || {
        (
            ListAlerts {
                component: Some(id.get().to_string()),
                limit: 20,
                ..ListAlerts::default()
            },
            live.alerts.get(),
        )
    });
    let operations = asked(move || {
        let target = Some(format!("component:{}", id.get()));
        (
            ListOperations {
                target,
                limit: 10,
                ..ListOperations::default()
            },
            live.operations.get(),
        )
    });
    let none = [keys::UI_COMPONENT_NO_ALERTS, keys::UI_COMPONENT_NO_OPERATIONS];
    html! {
        {view.page(ui, move |view| head(ui, view))}
        {trends(ui, live, id, range)}
        <div class="columns">{lists_of(ui, alerts, operations, events, none)}</div>
    }
}

fn head(ui: Ui, c: &ComponentView) -> Node {
    let region = c.id.region.as_str().to_owned();
    let place = ui.region(&region);
    html! {
        {title(format!("{} · {place}", c.id.service))}
        <div class="page-head">
            <div>
                <h1>{c.id.service.clone()} <span class="muted">{place}</span></h1>
                <p class="page-state">
                    {health(ui, c.health)} " " {c.since.map(|at| since(ui, at))}
                </p>
                {c.why.as_ref().map(|why| html! { <p class="why">{ui.text(why)}</p> })}
            </div>
            {actions(ui, c)}
        </div>
        <div class="card facts-card">{facts(ui, c)}</div>
    }
}

/// Restart, stop and start; disabled with the reason where the reader may not, or where it makes no sense.
fn actions(ui: Ui, c: &ComponentView) -> Node {
    let refusal =
        crate::info().with_value(|info| refused(ui, info, Permission::ComponentsOperate, Some(&c.id.region)));
    let back = rows::component_href(&c.id.to_string());
    let unsupervised = c
        .process
        .is_none()
        .then(|| ui.t(keys::UI_COMPONENT_NO_SUPERVISOR).to_owned());
    let stopped = c.process.as_ref().is_some_and(|p| p.state == "stopped");
    let id = || c.id.clone();
    let why = |not_now: Option<&'static str>| {
        refusal
            .clone()
            .or_else(|| unsupervised.clone())
            .or_else(|| not_now.map(|key| ui.t(key).to_owned()))
    };
    let restart = plan_href(&RestartComponent { component: id() }, &back);
    let stop = plan_href(&StopComponent { component: id() }, &back);
    let start = plan_href(&StartComponent { component: id() }, &back);
    html! {
        <div class="actions-box">
        <div class="actions" role="group" aria-label=ui.t(keys::UI_ACTIONS)>
        {action(ui.t(keys::UI_ACTION_RESTART), restart, "primary", why(stopped.then_some(keys::UI_COMPONENT_IS_STOPPED)))}
        {action(ui.t(keys::UI_ACTION_STOP), stop, "danger", why(stopped.then_some(keys::UI_COMPONENT_IS_STOPPED)))}
        {action(ui.t(keys::UI_ACTION_START), start, "", why((!stopped).then_some(keys::UI_COMPONENT_IS_RUNNING)))}
        </div>
        {why(None).map(|reason| html! { <p class="muted">{reason}</p> })}
        </div>
    }
}

fn fact(name: &'static str, value: Node) -> Node {
    html! { <div><dt>{name}</dt><dd class="num">{value}</dd></div> }
}

fn facts(ui: Ui, c: &ComponentView) -> Node {
    let f = &c.figures;
    let figure = |metric, value| {
        fact(
            figures::metric_name(ui, metric),
            figures::or_none(metric, value).into(),
        )
    };
    let process = c.process.as_ref().map(|p| {
        let pid = p.pid.map_or_else(|| figures::NONE.to_owned(), |pid| pid.to_string());
        html! {
            {fact(ui.t(keys::UI_PROCESS_STATE), html! { {process_word(ui, &p.state)} " " {p.since.map(|at| since(ui, at))} })}
            {fact(ui.t(keys::UI_PROCESS_PID), pid.into())}
            {fact(ui.t(keys::UI_PROCESS_RESTARTS), p.restarts.to_string().into())}
            {p.last_exit.clone().map(|exit| fact(ui.t(keys::UI_PROCESS_LAST_EXIT), exit.into()))}
        }
    });
    html! {
        <dl class="facts">
            {process}
            {figure(Metric::Cpu, f.cpu_percent)}
            {figure(Metric::Memory, f.memory_bytes)}
            {figure(Metric::Disk, f.disk_bytes)}
            {figure(Metric::Network, f.network_bytes_per_second)}
            {figure(Metric::Requests, f.requests_per_second)}
            {figure(Metric::Errors, f.error_ratio)}
            {fact("p50", figures::or_none(Metric::Latency, f.p50_seconds).into())}
            {fact("p95", figures::or_none(Metric::Latency, f.p95_seconds).into())}
            {fact("p99", figures::or_none(Metric::Latency, f.p99_seconds).into())}
            {fact(ui.t(keys::UI_COMPONENT_SAMPLED), match c.sampled_at {
                Some(at) => age(ui, at),
                None => ui.t(keys::UI_COMPONENT_NEVER_SAMPLED).into(),
            })}
        </dl>
    }
}

/// The supervisor's word for a process's state in the reader's language.
fn process_word(ui: Ui, state: &str) -> String {
    let key = match state {
        "running" => keys::UI_PROCESS_RUNNING,
        "starting" => keys::UI_PROCESS_STARTING,
        "stopping" => keys::UI_PROCESS_STOPPING,
        "stopped" => keys::UI_PROCESS_STOPPED,
        "backing_off" => keys::UI_PROCESS_BACKING_OFF,
        "crash_looping" => keys::UI_PROCESS_CRASH_LOOPING,
        "failed" => keys::UI_PROCESS_FAILED,
        other => return other.to_owned(),
    };
    ui.t(key).to_owned()
}

/// What happened, as marks on the charts; and whether all of it could be read.
pub fn marks(ui: Ui, lists: &[Answered<Payload>]) -> (Vec<Mark>, bool) {
    let mut marks = Vec::new();
    let mut whole = true;
    for list in lists {
        let draw = |events: &Vec<EventView>| {
            let mark = |e: &EventView| Mark {
                at: e.at.unix_timestamp(),
                words: ui.text(&e.text),
            };
            events.iter().map(mark).collect::<Vec<_>>()
        };
        match list.clone().and_then(|list| list.read(draw)) {
            Ok(more) => marks.extend(more),
            Err(_) => whole = false,
        }
    }
    marks.sort_by_key(|m| m.at);
    (marks, whole)
}

fn trends(ui: Ui, live: Live, id: Memo<ComponentId>, range: Memo<Range>) -> Node {
    let trends = asked_by::<ComponentCharts>(
        move || {
            let range = range.get();
            let revision = if range.moves() { live.regions.get() } else { 0 };
            let key = serde_json::to_string(&(id.get(), range)).unwrap_or_default();
            (key, revision)
        },
        |_, key| Box::pin(crate::rpc::charts(ChartsOf::Component, key)),
    );
    html! {
        <section class="card">
            <h2>{ui.t(keys::UI_COMPONENT_TRENDS)}</h2>
            {range::bar(ui, range)}
            {trends.show(ui, move |charts| {
                let (marks, whole) = marks(ui, &charts.events);
                let drawn = charts.trends.read(|view| drawn(ui, view, &marks, &charts.options));
                html! {
                    {(!whole).then(|| html! { <p class="notice warning">{ui.t(keys::UI_CHART_NO_MARKS)}</p> })}
                    {drawn.unwrap_or_else(|error| failed(ui, &error))}
                }
            })}
            <p class="muted">{ui.tx(keys::UI_CHART_ZONE, &[("zone", &ui.zone_name())])} " " <span class="with-script">{ui.t(keys::UI_CHART_HANDS)}</span></p>
        </section>
    }
}

fn drawn(ui: Ui, view: &TrendsView, marks: &[Mark], options: &[String]) -> Node {
    if view.trends.is_empty() {
        return empty(ui.t(keys::UI_CHART_NO_DATA), ui.t(keys::UI_CHART_NO_DATA_NEXT));
    }
    let one = |(n, t)| line_chart(ui, view.into(), &Plot::of(ui, t), marks, options.get(n));
    html! { <div class="charts">{view.trends.iter().enumerate().map(one).collect::<Node>()}</div> }
}
