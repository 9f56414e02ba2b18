//! The same chart as an option for ECharts, made on the server. `frontend/charts/charts.js` adds what JSON cannot carry.
//!
//! ECharts draws lines, marks, crosshair and tooltip only: grid, axes' labels and legend stay the page's own, so that
//! nothing moves when it takes its place.

use super::{Mark, Plot, Window};
use crate::i18n::Ui;
use bagua_model::regions::Series;
use charming::Chart;
use charming::component::{Axis, Grid};
use charming::datatype::CompositeValue;
use charming::element::{
    AxisPointer, AxisPointerType, AxisType, Formatter, Label, LabelPosition, LineStyle, LineStyleType,
    MarkLine, MarkLineData, MarkLineVariant, Symbol, Tooltip, Trigger,
};
use charming::series::Line;
use serde::Serialize;

/// How ECharts writes that there is no value.
const GAP: &str = "-";

/// What `data-chart` holds.
#[derive(Serialize)]
struct Data<'a> {
    option: Chart,
    unit: &'static str,
    locale: &'static str,
    zone: &'a str,
    /// Milliseconds, as everything else in here.
    from: i64,
    until: i64,
    step: i64,
    marks: Vec<(i64, &'a str)>,
}

/// The option of one chart; none where there is nothing to draw.
pub fn option(ui: Ui, view: Window, plot: &Plot<'_>, marks: &[Mark]) -> String {
    if plot.series.iter().all(|series| series.points.is_empty()) {
        return String::new();
    }
    let inside: Vec<&Mark> = marks
        .iter()
        .filter(|mark| (view.from..=view.until).contains(&mark.at))
        .collect();
    let zone = ui.zone_name();
    let data = Data {
        option: chart(view, plot, &inside),
        unit: plot.unit.name(),
        locale: ui.locale.tag(),
        zone: &zone,
        from: view.from * 1_000,
        until: view.until * 1_000,
        step: view.step * 1_000,
        marks: inside.iter().map(|m| (m.at * 1_000, m.words.as_str())).collect(),
    };
    serde_json::to_string(&data).unwrap_or_default()
}

fn chart(view: Window, plot: &Plot<'_>, marks: &[&Mark]) -> Chart {
    let time = Axis::new()
        .type_(AxisType::Time)
        .show(false)
        .min(view.from * 1_000)
        .max(view.until * 1_000);
    let values = Axis::new()
        .type_(AxisType::Value)
        .show(false)
        .min(0)
        .max(plot.top());
    let pointer = AxisPointer::new()
        .type_(AxisPointerType::Line)
        .line_style(LineStyle::new().color("var(--ink)").width(1))
        .label(Label::new().show(false));
    let tooltip = Tooltip::new()
        .trigger(Trigger::Axis)
        .axis_pointer(pointer)
        .background_color("var(--surface)")
        .border_color("var(--line-strong)")
        .border_width(1);
    let lines = plot.series.iter().enumerate().map(|(n, series)| {
        let line = Line::new()
            .name(series.name.clone())
            .show_symbol(false)
            .line_style(LineStyle::new().color(colour(n)).width(1.6))
            .item_style(charming::element::ItemStyle::new().color(colour(n)))
            .data(points(view, series));
        // Marks belong to the chart; ECharts knows them on a line.
        if n == 0 && !marks.is_empty() {
            line.mark_line(mark_line(marks))
        } else {
            line
        }
    });
    let whole = Grid::new().left(0).right(0).top(0).bottom(0);
    let chart = Chart::new()
        .animation(false)
        .grid(whole)
        .x_axis(time)
        .y_axis(values)
        .tooltip(tooltip);
    lines.fold(chart, Chart::series)
}

fn colour(n: usize) -> String {
    format!("var(--s{})", n % super::COLOURS)
}

fn mark_line(marks: &[&Mark]) -> MarkLine {
    let data = marks
        .iter()
        .map(|mark| {
            MarkLineVariant::Simple(
                MarkLineData::new()
                    .name(mark.words.clone())
                    .x_axis(mark.at * 1_000),
            )
        })
        .collect();
    let label = Label::new()
        .position(LabelPosition::InsideEndTop)
        .formatter(Formatter::String("{b}".into()))
        .color("var(--ink)");
    let style = LineStyle::new()
        .color("var(--ink)")
        .width(1)
        .type_(LineStyleType::Dashed)
        .opacity(0.55);
    MarkLine::new()
        .silent(true)
        .symbol(vec![Symbol::None, Symbol::None])
        .label(label)
        .line_style(style)
        .data(data)
}

/// Milliseconds and values. Where the data has a gap the line has one; a point alone is made long enough to be seen.
fn points(view: Window, series: &Series) -> Vec<Vec<CompositeValue>> {
    let mut out = Vec::with_capacity(series.points.len() + 8);
    let far = |a: i64, b: i64| (b - a).abs() > view.step + view.step / 2;
    let dash = ((view.until - view.from) * 1_000 / 600).max(1);
    for (n, &(at, value)) in series.points.iter().enumerate() {
        let before = n.checked_sub(1).map(|n| series.points[n].0);
        let after = series.points.get(n + 1).map(|p| p.0);
        if before.is_some_and(|before| far(before, at)) {
            out.push(vec![(at * 1_000 - dash).into(), GAP.into()]);
        }
        let value = short(value);
        out.push(vec![(at * 1_000).into(), value.into()]);
        if before.is_none_or(|before| far(before, at)) && after.is_none_or(|after| far(at, after)) {
            out.push(vec![(at * 1_000 + dash).into(), value.into()]);
        }
    }
    out
}

/// Four digits: more cannot be seen, and every one of them travels.
fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::figures::Unit;
    use bagua_model::text::Locale;
    use leptos::prelude::{Owner, RwSignal};
    use serde_json::{Value, json};

    fn made(points: Vec<(i64, f64)>, marks: &[Mark]) -> Value {
        Owner::new().with(|| {
            let ui = Ui::new(Locale::Chinese, RwSignal::new(0), Default::default());
            let series = [Series {
                name: "p95".into(),
                points,
            }];
            let plot = Plot {
                key: "latency",
                name: "Latency".into(),
                unit: Unit::Seconds,
                series: &series,
            };
            let view = Window {
                from: 1_000,
                until: 1_600,
                step: 10,
            };
            serde_json::from_str(&option(ui, view, &plot, marks)).unwrap_or_default()
        })
    }

    #[test]
    fn a_gap_stays_a_gap_and_a_lone_point_can_be_seen() {
        let made = made(vec![(1_000, 0.5), (1_010, 0.123_456), (1_100, 0.25)], &[]);
        assert_eq!(
            made["option"]["series"][0]["data"],
            json!([
                [1_000_000, 0.5],
                [1_010_000, 0.1235],
                [1_099_000, "-"],
                [1_100_000, 0.25],
                [1_101_000, 0.25]
            ])
        );
        assert_eq!(made["locale"], "zh-CN");
        assert_eq!(made["zone"], "Asia/Shanghai");
        assert_eq!(made["unit"], "seconds");
    }

    #[test]
    fn marks_in_the_range_are_lines_with_their_words() {
        let mark = |at, words: &str| Mark {
            at,
            words: words.into(),
        };
        let made = made(vec![(1_000, 1.0)], &[mark(1_050, "Restart"), mark(9, "long ago")]);
        let lines = &made["option"]["series"][0]["markLine"];
        assert_eq!(lines["data"], json!([{ "name": "Restart", "xAxis": 1_050_000 }]));
        assert_eq!(lines["label"]["formatter"], "{b}");
        assert_eq!(made["marks"], json!([[1_050_000, "Restart"]]));
    }

    #[test]
    fn nothing_measured_is_no_option() {
        assert_eq!(made(Vec::new(), &[]), Value::Null);
    }
}
