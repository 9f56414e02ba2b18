//! Line charts: one idea each, direct labels, gaps as gaps, a table behind. Drawn as SVG on the server; where there is
//! script, ECharts takes the place of the lines (see `option.rs` and `frontend/charts/charts.js`).
//!
//! Lines are SVG stretched to the space there is; every label is text beside it, so that nothing shrinks with the screen.

#[cfg(feature = "ssr")]
pub mod option;

use super::age;
use super::figures::{self, Unit};
use crate::i18n::Ui;
use crate::ui::node::Node;
use bagua_markup::html;
use bagua_model::regions::{Series, Trend, TrendsView};
use bagua_model::text::keys;
use std::fmt::Write as _;
use time::OffsetDateTime;

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 140.0;
/// Rows of the table behind a chart; more points are thinned out.
const TABLE_ROWS: usize = 30;
/// How many series colours there are.
const COLOURS: usize = 5;

/// Something that happened, drawn as a vertical line.
pub struct Mark {
    /// When, Unix seconds.
    pub at: i64,
    /// What, in the reader's language.
    pub words: String,
}

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

    /// The path of a series. A missing point ends the line; a point alone is a dash, so that it can be seen.
    fn path(&self, series: &Series, width: f64, height: f64) -> String {
        let mut d = String::with_capacity(series.points.len() * 12);
        let near = |a: i64, b: i64| b - a <= self.step + self.step / 2;
        let dash = width / 100.0;
        let mut before: Option<i64> = None;
        let mut points = series.points.iter().peekable();
        while let Some(&(at, value)) = points.next() {
            let (x, y) = (self.x(at, width), self.y(value, height));
            let follows = points.peek().is_some_and(|next| near(at, next.0));
            let _ = match before {
                Some(last) if near(last, at) => write!(d, "L{x:.1} {y:.1}"),
                _ if follows => write!(d, "M{x:.1} {y:.1}"),
                // At the edge too, all of it stays inside.
                _ => write!(d, "M{:.1} {y:.1}h{dash:.1}", x.min(width - dash)),
            };
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

/// A picture's title, unit and lines.
pub struct Plot<'a> {
    /// Its name within the page, for links.
    pub key: &'static str,
    /// What it shows, in the reader's language.
    pub name: String,
    /// What its lines are measured in.
    pub unit: Unit,
    /// The lines.
    pub series: &'a [Series],
}

impl<'a> Plot<'a> {
    /// A component's trend.
    pub fn of(ui: Ui, trend: &'a Trend) -> Plot<'a> {
        Plot {
            key: trend.metric.as_str(),
            name: figures::metric_name(ui, trend.metric).to_owned(),
            unit: figures::unit(trend.metric),
            series: &trend.series,
        }
    }

    fn top(&self) -> f64 {
        let values = self.series.iter().flat_map(|s| s.points.iter().map(|p| p.1));
        round_up(values.fold(self.unit.least_top(), f64::max))
    }
}

/// The time that a picture spans.
#[derive(Clone, Copy)]
pub struct Window {
    /// Start, Unix seconds.
    pub from: i64,
    /// End, Unix seconds.
    pub until: i64,
    /// Distance of points, seconds.
    pub step: i64,
}

impl From<&TrendsView> for Window {
    fn from(view: &TrendsView) -> Window {
        Window {
            from: view.from,
            until: view.until,
            step: view.step.max(1),
        }
    }
}

impl Window {
    fn frame(self, top: f64) -> Frame {
        Frame {
            from: self.from,
            until: self.until,
            step: self.step,
            top,
        }
    }

    /// The newest point of a line, unless it is so old that its value is no longer the present one.
    fn newest(self, series: &Series) -> Option<f64> {
        let last = series.points.last()?;
        (self.until - last.0 <= 3 * self.step).then_some(last.1)
    }
}

/// One chart with its table. `marks` are drawn where they fall into the range; `option` is what ECharts draws it by.
pub fn line_chart(ui: Ui, view: Window, plot: &Plot<'_>, marks: &[Mark], option: Option<&String>) -> Node {
    let unit = plot.unit;
    let frame = view.frame(plot.top());
    let name = plot.name.clone();
    let empty = plot.series.iter().all(|s| s.points.is_empty());
    if empty {
        return html! {
            <figure class="chart">
                <figcaption>{name}</figcaption>
                <p class="chart-empty">{ui.t(keys::UI_CHART_NO_DATA)}</p>
            </figure>
        };
    }

    let lines = plot.series.iter().enumerate().map(|(i, series)| {
        html! { <path class=format!("line s{}", i % COLOURS) d=frame.path(series, WIDTH, HEIGHT)/> }
    });
    let inside = |mark: &&Mark| (view.from..=view.until).contains(&mark.at);
    let drawn = marks.iter().filter(inside).map(|mark| {
        let x = frame.x(mark.at, WIDTH);
        html! { <path class="event" d=format!("M{x:.1} 0V{HEIGHT}")><title>{format!("{} {}", ui.minute(mark.at), mark.words)}</title></path> }
    });
    let minute = if view.until - view.from > 86_400 {
        Ui::day_minute
    } else {
        Ui::minute
    };
    let ticks = (0..=4).map(|i| {
        let at = view.from + (view.until - view.from) * i / 4;
        html! { <span>{minute(ui, at)}</span> }
    });
    let steps = [frame.top, frame.top / 2.0, 0.0].map(|v| html! { <span>{figures::tick(unit, v)}</span> });
    let labels = plot.series.iter().enumerate().map(|(i, series)| {
        let old = series.points.last().filter(|_| view.newest(series).is_none()).map(|p| p.0);
        html! {
            <li class=format!("s{}", i % COLOURS)>
                <span class="series-name">{series.name.clone()}</span>
                <b class="num">{view.newest(series).map_or_else(|| figures::NONE.to_owned(), |v| unit.value(v))}</b>
                {old.map(|at| last_sample(ui, at))}
            </li>
        }
    });
    // Without children: what the browser's script puts there is left alone.
    html! {
        <figure class="chart">
            <figcaption>{name}</figcaption>
            <div class="plot">
                <div class="plot-y num" aria-hidden="true">{steps.into_iter().collect::<Node>()}</div>
                <div class="plot-live" data-chart=option.cloned()></div>
                <svg
                    viewBox=format!("0 0 {WIDTH} {HEIGHT}")
                    preserveAspectRatio="none"
                    role="img"
                    aria-label=summary(ui, view, plot)
                    aria-details=behind(plot)
                >
                    <path class="grid" d="M0 .5H600M0 70H600M0 139.5H600M150 0V140M300 0V140M450 0V140"/>
                    {drawn.collect::<Node>()}
                    {lines.collect::<Node>()}
                </svg>
                <ul class="plot-labels">{labels.collect::<Node>()}</ul>
                <div class="plot-x num" aria-hidden="true">{ticks.collect::<Node>()}</div>
                <p class="plot-read hidden" role="status"></p>
            </div>
            {table(ui, view, plot, marks)}
        </figure>
    }
}

/// The chart in one sentence, for who does not see it.
fn summary(ui: Ui, view: Window, plot: &Plot<'_>) -> String {
    let mut words = ui.tx(
        keys::UI_CHART_SUMMARY,
        &[
            ("metric", &plot.name),
            ("from", &ui.day_minute(view.from)),
            ("until", &ui.day_minute(view.until)),
        ],
    );
    for series in plot.series {
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
                        ("last", &plot.unit.value(last.1)),
                        ("low", &plot.unit.value(low)),
                        ("high", &plot.unit.value(high)),
                    ],
                )
            );
        }
    }
    words.trim().to_owned()
}

/// `last sample 4 min ago`: the line has ended, and its last value is not the present one.
pub fn last_sample(ui: Ui, at: i64) -> Node {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(at) else {
        return ().into();
    };
    html! { <span class="stale">{ui.t(keys::UI_CHART_LAST_SAMPLE)} " " {age(ui, at)}</span> }
}

/// The times of the table's rows, newest first, and how far apart they are.
fn table_times(view: Window) -> (Vec<i64>, i64) {
    let count = usize::try_from((view.until - view.from) / view.step).unwrap_or_default() + 1;
    let every = i64::try_from(count.div_ceil(TABLE_ROWS)).unwrap_or(1).max(1) * view.step;
    let times = (0..).map(|i| view.until - i * every);
    (times.take_while(|at| *at >= view.from).collect(), every)
}

/// The id of the table behind a chart.
fn behind(plot: &Plot<'_>) -> String {
    format!("table-{}", plot.key)
}

fn table(ui: Ui, view: Window, plot: &Plot<'_>, marks: &[Mark]) -> Node {
    let (times, every) = table_times(view);
    let head = plot.series.iter().map(|s| {
        let name = if s.name.is_empty() { &plot.name } else { &s.name };
        html! { <th scope="col" class="num">{name.clone()}</th> }
    });
    let oldest = times.last().copied();
    let rows = times.iter().map(|at| {
        let cells = plot.series.iter().map(|s| {
            let near = s.points.iter().rev().find(|p| (p.0 - at).abs() < view.step).map(|p| p.1);
            html! { <td class="num">{near.map_or_else(|| figures::NONE.to_owned(), |v| plot.unit.value(v))}</td> }
        });
        // Every mark of the picture stands in exactly one row: the first one at or after it.
        let from = if Some(*at) == oldest { view.from } else { at - every + 1 };
        let happened = marks.iter().filter(|m| (from..=*at).contains(&m.at)).map(|m| {
            html! { <li>{format!("{} {}", ui.minute(m.at), m.words)}</li> }
        });
        let happened = happened.collect::<Vec<_>>();
        let happened = (!happened.is_empty()).then(|| html! { <ul>{happened.into_iter().collect::<Node>()}</ul> });
        html! {
            <tr>
                <th scope="row" class="num">{ui.day_minute(*at)}</th>
                {cells.collect::<Node>()}
                {(!marks.is_empty()).then(|| html! { <td class="wrap">{happened}</td> })}
            </tr>
        }
    });
    html! {
        <details class="behind" id=behind(plot)>
            <summary>{ui.t(keys::UI_CHART_TABLE)}</summary>
            <div class="scroll" tabindex="0" role="region" aria-label=plot.name.clone()>
                <table>
                    <thead>
                        <tr>
                            <th scope="col">{ui.t(keys::UI_CHART_TIME)}</th>
                            {head.collect::<Node>()}
                            {(!marks.is_empty()).then(|| html! { <th scope="col">{ui.t(keys::UI_CHART_HAPPENED)}</th> })}
                        </tr>
                    </thead>
                    <tbody>{rows.collect::<Node>()}</tbody>
                </table>
            </div>
        </details>
    }
}

/// A small line without axes, with its newest value beside it.
pub fn sparkline(ui: Ui, view: &TrendsView, trend: &Trend) -> Node {
    let (view, plot) = (Window::from(view), Plot::of(ui, trend));
    // Latency is told by its p95: the median hides trouble, p99 is noise on so few pixels.
    let series = plot
        .series
        .iter()
        .find(|s| s.name == "p95")
        .or(plot.series.first());
    let Some(series) = series.filter(|s| !s.points.is_empty()) else {
        return html! { <span class="spark none">{plot.name} " " {figures::NONE}</span> };
    };
    let value = match (view.newest(series), series.points.last()) {
        (Some(value), _) => html! { <b class="num">{plot.unit.value(value)}</b> },
        (None, Some(last)) => last_sample(ui, last.0),
        (None, None) => figures::NONE.into(),
    };
    html! {
        <span class="spark">
            <span class="spark-name">{plot.name.clone()} {(!series.name.is_empty()).then(|| format!(" {}", series.name))}</span>
            <svg viewBox="0 0 120 24" preserveAspectRatio="none" aria-hidden="true" focusable="false">
                <path class="line s0" d=view.frame(plot.top()).path(series, 120.0, 24.0)/>
            </svg>
            {value}
        </span>
    }
}

/// A line as small as a word, for the cells of a table. A value that is none is a gap.
pub fn mini(unit: Unit, points: &[Option<f64>]) -> Node {
    let known = (0..).zip(points).filter_map(|(i, value)| Some((i, (*value)?)));
    let series = Series {
        name: String::new(),
        points: known.collect(),
    };
    let window = Window {
        from: 0,
        until: i64::try_from(points.len()).unwrap_or(1) - 1,
        step: 1,
    };
    let top = Plot {
        key: "",
        name: String::new(),
        unit,
        series: std::slice::from_ref(&series),
    }
    .top();
    html! {
        <svg class="mini" viewBox="0 0 60 18" preserveAspectRatio="none" aria-hidden="true" focusable="false">
            <path class="line s0" d=window.frame(top).path(&series, 60.0, 18.0)/>
        </svg>
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
            points: vec![(0, 0.0), (10, 10.0), (50, 5.0), (60, 5.0), (100, 2.5)],
        };
        let path = frame.path(&series, 100.0, 100.0);
        assert_eq!(path, "M0.0 100.0L10.0 0.0M50.0 50.0L60.0 50.0M99.0 75.0h1.0");
    }

    #[test]
    fn axes_end_on_round_numbers() {
        assert_eq!(round_up(0.83), 1.0);
        assert_eq!(round_up(1.4), 2.0);
        assert_eq!(round_up(230.0), 250.0);
        assert_eq!(round_up(1_000.0), 1_000.0);
        assert_eq!(round_up(0.0), 1.0);
    }

    #[test]
    fn every_mark_falls_into_a_row_of_the_table() {
        let view = Window {
            from: 0,
            until: 1_000,
            step: 10,
        };
        let (times, every) = table_times(view);
        assert!(times.len() <= TABLE_ROWS);
        assert!(times.windows(2).all(|pair| pair[0] - pair[1] == every));
        assert!(times.last().is_some_and(|oldest| oldest - every < view.from));
    }
}
