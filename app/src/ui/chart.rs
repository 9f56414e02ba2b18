//! Line charts drawn as SVG on the server: one idea each, direct labels, gaps as gaps, a table behind.
//!
//! Lines are SVG stretched to the space there is; every label is text beside it, so that nothing shrinks with the screen.

use super::figures;
use crate::i18n::{Ui, local_day_minute, local_minute};
use crate::ui::node::Node;
use bagua_markup::html;
use bagua_model::regions::{Metric, Series, Trend, TrendsView};
use bagua_model::text::keys;
use std::fmt::Write as _;

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 140.0;
/// Rows of the table behind a chart; more points are thinned out.
const TABLE_ROWS: usize = 30;
/// How many series colours there are.
const COLOURS: usize = 5;

/// Something that happened, drawn as a vertical line: Unix seconds and what.
pub type Mark = (i64, String);

struct Frame {
    from: i64,
    until: i64,
    step: i64,
    top: f64,
}

impl Frame {
    fn x(&self, at: i64, width: f64) -> f64 {
        (at - self.from) as f64 / (self.until - self.from).max(1) as f64 * width
    }

    fn y(&self, value: f64, height: f64) -> f64 {
        height - (value / self.top).clamp(0.0, 1.0) * height
    }

    /// The path of a series. A missing point ends the line; a point alone is a short dash, so that it can be seen.
    fn path(&self, series: &Series, width: f64, height: f64) -> String {
        let mut d = String::with_capacity(series.points.len() * 12);
        let mut before: Option<i64> = None;
        for &(at, value) in &series.points {
            let (x, y) = (self.x(at, width), self.y(value, height));
            match before {
                Some(last) if at - last <= self.step + self.step / 2 => {
                    let _ = write!(d, "L{x:.1} {y:.1}");
                }
                _ => {
                    let _ = write!(d, "M{x:.1} {y:.1}h.6");
                }
            }
            before = Some(at);
        }
        d
    }
}

/// The next round number above: 1, 2, 2.5, 5 × 10ⁿ.
fn round_up(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 1.0;
    }
    let unit = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|n| n * unit)
        .find(|top| *top >= value * 0.999_999)
        .unwrap_or(value)
}

fn top_of(trend: &Trend) -> f64 {
    let highest = trend
        .series
        .iter()
        .flat_map(|s| s.points.iter().map(|p| p.1))
        .fold(0.0, f64::max);
    // Noise around nothing must not look like a mountain.
    let least = match trend.metric {
        Metric::Cpu => 1.0,
        Metric::Errors => 0.01,
        Metric::Latency => 0.001,
        Metric::Requests => 1.0,
        Metric::Memory | Metric::Disk | Metric::Network => 1_000.0,
    };
    round_up(highest.max(least))
}

/// One chart with its table. `marks` are drawn where they fall into the range.
pub fn line_chart(ui: Ui, view: &TrendsView, trend: &Trend, marks: &[Mark]) -> Node {
    let metric = trend.metric;
    let frame = Frame {
        from: view.from,
        until: view.until,
        step: view.step.max(1),
        top: top_of(trend),
    };
    let name = figures::metric_name(ui, metric);
    let empty = trend.series.iter().all(|s| s.points.is_empty());
    if empty {
        return html! {
            <figure class="chart">
                <figcaption>{name}</figcaption>
                <p class="chart-empty">{ui.t(keys::UI_CHART_NO_DATA)}</p>
            </figure>
        };
    }

    let lines = trend.series.iter().enumerate().map(|(i, series)| {
        html! { <path class=format!("line s{}", i % COLOURS) d=frame.path(series, WIDTH, HEIGHT)/> }
    });
    let marks = marks.iter().filter(|(at, _)| (view.from..=view.until).contains(at)).map(|(at, words)| {
        let x = frame.x(*at, WIDTH);
        html! { <path class="event" d=format!("M{x:.1} 0V{HEIGHT}")><title>{format!("{} {words}", local_minute(*at))}</title></path> }
    });
    let minute = if view.until - view.from > 86_400 {
        local_day_minute
    } else {
        local_minute
    };
    let ticks = (0..=4).map(|i| {
        let at = view.from + (view.until - view.from) * i / 4;
        html! { <span>{minute(at)}</span> }
    });
    let steps = [frame.top, frame.top / 2.0, 0.0].map(|v| html! { <span>{figures::tick(metric, v)}</span> });
    let labels = trend.series.iter().enumerate().map(|(i, series)| {
        let last = series.points.last().map(|p| figures::value(metric, p.1));
        // The newest point is old: its value is no longer the present one.
        let fresh = series.points.last().is_some_and(|p| view.until - p.0 <= 3 * frame.step);
        html! {
            <li class=format!("s{}", i % COLOURS)>
                <span class="series-name">{series.name.clone()}</span>
                <b class="num">{if fresh { last } else { None }.unwrap_or_else(|| figures::NONE.to_owned())}</b>
            </li>
        }
    });
    html! {
        <figure class="chart">
            <figcaption>{name}</figcaption>
            <div class="plot">
                <div class="plot-y num" aria-hidden="true">{steps.into_iter().collect::<Node>()}</div>
                <svg viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" role="img" aria-label=summary(ui, view, trend)>
                    <path class="grid" d="M0 .5H600M0 70H600M0 139.5H600M150 0V140M300 0V140M450 0V140"/>
                    {marks.collect::<Node>()}
                    {lines.collect::<Node>()}
                </svg>
                <ul class="plot-labels">{labels.collect::<Node>()}</ul>
                <div class="plot-x num" aria-hidden="true">{ticks.collect::<Node>()}</div>
            </div>
            {table(ui, view, trend)}
        </figure>
    }
}

/// The chart in one sentence, for who does not see it.
fn summary(ui: Ui, view: &TrendsView, trend: &Trend) -> String {
    let mut words = ui.tx(
        keys::UI_CHART_SUMMARY,
        &[
            ("metric", &figures::metric_name(ui, trend.metric)),
            ("from", &local_day_minute(view.from)),
            ("until", &local_day_minute(view.until)),
        ],
    );
    for series in &trend.series {
        let values = series.points.iter().map(|p| p.1);
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        if let Some(last) = series.points.last() {
            let _ = write!(
                words,
                " {}",
                ui.tx(
                    keys::UI_CHART_SUMMARY_SERIES,
                    &[
                        ("name", &series.name),
                        ("last", &figures::value(trend.metric, last.1)),
                        ("low", &figures::value(trend.metric, low)),
                        ("high", &figures::value(trend.metric, high)),
                    ],
                )
            );
        }
    }
    words.trim().to_owned()
}

fn table(ui: Ui, view: &TrendsView, trend: &Trend) -> Node {
    let count = usize::try_from((view.until - view.from) / view.step.max(1)).unwrap_or_default() + 1;
    let every = i64::try_from(count.div_ceil(TABLE_ROWS)).unwrap_or(1).max(1);
    let times = (0..)
        .map(|i| view.until - i * view.step.max(1) * every)
        .take_while(|at| *at >= view.from)
        .collect::<Vec<_>>();
    let head = trend.series.iter().map(|s| {
        let name = if s.name.is_empty() {
            figures::metric_name(ui, trend.metric).to_owned()
        } else {
            s.name.clone()
        };
        html! { <th scope="col" class="num">{name}</th> }
    });
    let half = view.step.max(1);
    let rows = times.iter().map(|at| {
        let cells = trend.series.iter().map(|s| {
            let near = s
                .points
                .iter()
                .rev()
                .find(|p| (p.0 - at).abs() < half)
                .map(|p| p.1);
            html! { <td class="num">{figures::or_none(trend.metric, near)}</td> }
        });
        html! { <tr><th scope="row" class="num">{local_day_minute(*at)}</th>{cells.collect::<Node>()}</tr> }
    });
    html! {
        <details class="behind">
            <summary>{ui.t(keys::UI_CHART_TABLE)}</summary>
            <div class="scroll" tabindex="0" role="region" aria-label=figures::metric_name(ui, trend.metric)>
                <table>
                    <thead><tr><th scope="col">{ui.t(keys::UI_CHART_TIME)}</th>{head.collect::<Node>()}</tr></thead>
                    <tbody>{rows.collect::<Node>()}</tbody>
                </table>
            </div>
        </details>
    }
}

/// A small line without axes, with its newest value beside it.
pub fn sparkline(ui: Ui, view: &TrendsView, trend: &Trend) -> Node {
    let frame = Frame {
        from: view.from,
        until: view.until,
        step: view.step.max(1),
        top: top_of(trend),
    };
    // Latency is told by its p95: the median hides trouble, p99 is noise on so few pixels.
    let series = trend
        .series
        .iter()
        .find(|s| s.name == "p95")
        .or(trend.series.first());
    let Some(series) = series.filter(|s| !s.points.is_empty()) else {
        return html! { <span class="spark none">{figures::metric_name(ui, trend.metric)} " " {figures::NONE}</span> };
    };
    let last = series
        .points
        .last()
        .filter(|p| view.until - p.0 <= 3 * frame.step)
        .map(|p| p.1);
    html! {
        <span class="spark">
            <span class="spark-name">{figures::metric_name(ui, trend.metric)} {(!series.name.is_empty()).then(|| format!(" {}", series.name))}</span>
            <svg viewBox="0 0 120 24" preserveAspectRatio="none" aria-hidden="true" focusable="false">
                <path class="line s0" d=frame.path(series, 120.0, 24.0)/>
            </svg>
            <b class="num">{figures::or_none(trend.metric, last)}</b>
        </span>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_in_the_data_is_a_gap_in_the_line() {
        let frame = Frame {
            from: 0,
            until: 100,
            step: 10,
            top: 10.0,
        };
        let series = Series {
            name: String::new(),
            points: vec![(0, 0.0), (10, 10.0), (50, 5.0), (60, 5.0)],
        };
        let path = frame.path(&series, 100.0, 100.0);
        assert_eq!(path, "M0.0 100.0h.6L10.0 0.0M50.0 50.0h.6L60.0 50.0");
    }

    #[test]
    fn axes_end_on_round_numbers() {
        assert_eq!(round_up(0.83), 1.0);
        assert_eq!(round_up(1.4), 2.0);
        assert_eq!(round_up(230.0), 250.0);
        assert_eq!(round_up(1_000.0), 1_000.0);
        assert_eq!(round_up(0.0), 1.0);
    }
}
