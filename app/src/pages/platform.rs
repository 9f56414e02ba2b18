//! The platform as a whole: API, database, cache and queues on one page, what users do with it on another.

use super::charts::{ChartsOf, PlatformCharts};
use super::regions::tabs;
use crate::asked::{Asking, asked_by};
use crate::i18n::Ui;
use crate::live::Live;
use crate::rpc::charts;
use crate::ui::chart::{Plot, Window, line_chart};
use crate::ui::figures::Unit;
use crate::ui::node::Node;
use crate::ui::range;
use crate::ui::title;
use bagua_markup::html;
use bagua_model::platform::{PlatformFigure, PlatformPart, PlatformTrend, PlatformView};
use bagua_model::regions::Series;
use bagua_model::text::keys;
use leptos::prelude::Get;

/// `/performance`.
pub fn performance() -> Node {
    page(
        |_, key| Box::pin(charts(ChartsOf::Performance, key)),
        keys::UI_TAB_PERFORMANCE,
        "/performance",
    )
}

/// `/business`.
pub fn business() -> Node {
    page(
        |_, key| Box::pin(charts(ChartsOf::Business, key)),
        keys::UI_TAB_BUSINESS,
        "/business",
    )
}

fn page(ask: fn(&'static str, String) -> Asking, name: &'static str, here: &'static str) -> Node {
    let (ui, live, range) = (Ui::get(), Live::get(), range::range());
    let view = asked_by::<PlatformCharts>(
        move || {
            let range = range.get();
            let revision = if range.moves() { live.regions.get() } else { 0 };
            (serde_json::to_string(&range).unwrap_or_default(), revision)
        },
        ask,
    );
    html! {
        {title(ui.t(name))}
        <h1>{ui.t(name)}</h1>
        {tabs(ui, here)}
        {range::bar(ui, range)}
        {view.show(ui, move |charts| parts(ui, charts))}
        <p class="muted">{ui.tx(keys::UI_PLATFORM_ABOUT, &[("zone", &ui.zone_name())])} " " <span class="with-script">{ui.t(keys::UI_CHART_HANDS)}</span></p>
    }
}

fn parts(ui: Ui, PlatformCharts { view, options }: &PlatformCharts) -> Node {
    let parts = PlatformPart::ALL.iter().filter_map(|part| {
        let trends = view.trends.iter().enumerate();
        let trends: Vec<_> = trends.filter(|(_, t)| t.figure.part() == *part).collect();
        (!trends.is_empty()).then(|| {
            let one = |(n, t): (usize, _)| chart(ui, view, t, options.get(n));
            let charts = trends.into_iter().map(one).collect::<Node>();
            html! {
                <section class="card">
                    <h2>{ui.key(&format!("ui.platform.part.{part}"))}</h2>
                    <div class="charts">{charts}</div>
                </section>
            }
        })
    });
    html! {
        {(!view.everywhere).then(|| html! { <p class="notice">{ui.t(keys::UI_PLATFORM_YOUR_REGIONS)}</p> })}
        {parts.collect::<Node>()}
    }
}

fn unit(figure: PlatformFigure) -> Unit {
    use PlatformFigure as F;
    match figure {
        F::ApiLatency => Unit::Seconds,
        F::ApiErrors | F::DatabaseHits | F::CacheHits => Unit::Share,
        F::CacheMemory => Unit::Bytes,
        F::ApiRequests
        | F::DatabaseTransactions
        | F::CacheCommands
        | F::FailedRequests
        | F::Localization
        | F::Messages => Unit::Rate,
        F::ApiInFlight
        | F::DatabaseConnections
        | F::QueueOperations
        | F::QueueStreams
        | F::Sessions
        | F::Violations => Unit::Count,
    }
}

/// The name of a line in the reader's language; percentiles are called the same everywhere.
fn line(ui: Ui, name: &str) -> String {
    let key = match name {
        "open" => keys::UI_PLATFORM_LINE_OPEN,
        "allowed" => keys::UI_PLATFORM_LINE_ALLOWED,
        "committed" => keys::UI_PLATFORM_LINE_COMMITTED,
        "rolled-back" => keys::UI_PLATFORM_LINE_ROLLED_BACK,
        "waiting" => keys::UI_PLATFORM_LINE_WAITING,
        "running" => keys::UI_PLATFORM_LINE_RUNNING,
        "received" => keys::UI_PLATFORM_LINE_RECEIVED,
        "sent" => keys::UI_PLATFORM_LINE_SENT,
        "own" => keys::UI_PLATFORM_LINE_OWN,
        "instead" => keys::UI_PLATFORM_LINE_INSTEAD,
        "missing" => keys::UI_PLATFORM_LINE_MISSING,
        other => return other.to_owned(),
    };
    ui.t(key).to_owned()
}

fn chart(ui: Ui, view: &PlatformView, trend: &PlatformTrend, option: Option<&String>) -> Node {
    if !trend.source {
        return html! {
            <figure class="chart">
                <figcaption>{ui.key(&format!("ui.platform.{}", trend.figure))}</figcaption>
                <p class="chart-empty">{ui.t(keys::UI_PLATFORM_NO_SOURCE)}</p>
            </figure>
        };
    }
    with_plot(ui, view, trend, |window, plot| {
        line_chart(ui, window, plot, &[], option)
    })
}

/// A figure as a chart: its name, its unit, and its lines by their names in the reader's language.
pub fn with_plot<R>(
    ui: Ui,
    view: &PlatformView,
    trend: &PlatformTrend,
    draw: impl FnOnce(Window, &Plot<'_>) -> R,
) -> R {
    let series: Vec<_> = trend
        .series
        .iter()
        .map(|s| Series {
            name: line(ui, &s.name),
            points: s.points.clone(),
        })
        .collect();
    let window = Window {
        from: view.from,
        until: view.until,
        step: view.step.max(1),
    };
    let plot = Plot {
        key: trend.figure.as_str(),
        name: ui.key(&format!("ui.platform.{}", trend.figure)),
        unit: unit(trend.figure),
        series: &series,
    };
    draw(window, &plot)
}
