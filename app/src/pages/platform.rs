//! The platform as a whole: API, database, cache and queues on one page, what users do with it on another.

use super::regions::tabs;
use crate::asked::{Asked, asked};
use crate::i18n::Ui;
use crate::live::Live;
use crate::ui::chart::{Plot, Window, line_chart};
use crate::ui::figures::Unit;
use crate::ui::node::Node;
use crate::ui::range::{self, Range};
use crate::ui::title;
use bagua_markup::html;
use bagua_model::platform::{
    GetBusiness, GetPerformance, PlatformFigure, PlatformPart, PlatformTrend, PlatformView,
};
use bagua_model::regions::Series;
use bagua_model::text::keys;
use leptos::prelude::*;

/// `/performance`.
pub fn performance() -> Node {
    let (ui, live, range) = (Ui::get(), Live::get(), range::range());
    let view = asked(move || {
        let Range {
            minutes, from, until, ..
        } = range.get();
        (GetPerformance { minutes, from, until }, news(live, range))
    });
    page(ui, range, view, keys::UI_TAB_PERFORMANCE, "/performance")
}

/// `/business`.
pub fn business() -> Node {
    let (ui, live, range) = (Ui::get(), Live::get(), range::range());
    let view = asked(move || {
        let Range {
            minutes, from, until, ..
        } = range.get();
        (GetBusiness { minutes, from, until }, news(live, range))
    });
    page(ui, range, view, keys::UI_TAB_BUSINESS, "/business")
}

fn news(live: Live, range: Memo<Range>) -> u32 {
    if range.with(Range::moves) {
        live.regions.get()
    } else {
        0
    }
}

fn page(
    ui: Ui,
    range: Memo<Range>,
    view: Asked<PlatformView>,
    name: &'static str,
    here: &'static str,
) -> Node {
    html! {
        {title(ui.t(name))}
        <h1>{ui.t(name)}</h1>
        {tabs(ui, here)}
        {range::bar(ui, range)}
        {view.show(ui, move |view| parts(ui, view))}
        <p class="muted">{ui.t(keys::UI_PLATFORM_ABOUT)}</p>
    }
}

fn parts(ui: Ui, view: &PlatformView) -> Node {
    let parts = PlatformPart::ALL.iter().filter_map(|part| {
        let trends: Vec<_> = view.trends.iter().filter(|t| t.figure.part() == *part).collect();
        (!trends.is_empty()).then(|| {
            let charts = trends.into_iter().map(|t| chart(ui, view, t)).collect::<Node>();
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
        other => return other.to_owned(),
    };
    ui.t(key).to_owned()
}

fn chart(ui: Ui, view: &PlatformView, trend: &PlatformTrend) -> Node {
    let name = ui.key(&format!("ui.platform.{}", trend.figure));
    if !trend.source {
        return html! {
            <figure class="chart">
                <figcaption>{name}</figcaption>
                <p class="chart-empty">{ui.t(keys::UI_PLATFORM_NO_SOURCE)}</p>
            </figure>
        };
    }
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
        name,
        unit: unit(trend.figure),
        series: &series,
    };
    line_chart(ui, window, &plot, &[])
}
