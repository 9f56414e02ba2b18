//! Regions side by side. The address says by which column they are sorted.

use super::query;
use super::regions::tabs;
use crate::asked::asked;
use crate::i18n::Ui;
use crate::live::Live;
use crate::ui::chart::{last_sample, mini};
use crate::ui::figures::Unit;
use crate::ui::node::Node;
use crate::ui::state::health;
use crate::ui::{title, views};
use bagua_markup::html;
use bagua_model::compare::{CompareRegions, CompareRow, CompareView, Compared};
use bagua_model::text::keys;
use leptos::prelude::*;
use std::cmp::Ordering;

/// A column: name, unit in the head, what one of its values is in that unit, digits behind the point.
struct Column {
    name: &'static str,
    unit: &'static str,
    kind: Unit,
    factor: f64,
    digits: usize,
}

fn column(ui: Ui, what: Compared) -> Column {
    let (name, unit, kind, factor, digits) = match what {
        Compared::P50 => ("p50", "ms", Unit::Seconds, 1e3, 1),
        Compared::P95 => ("p95", "ms", Unit::Seconds, 1e3, 1),
        Compared::P99 => ("p99", "ms", Unit::Seconds, 1e3, 1),
        Compared::Errors => (ui.t(keys::UI_METRIC_ERRORS), "%", Unit::Share, 1e2, 2),
        Compared::Requests => (
            ui.t(keys::UI_METRIC_REQUESTS),
            ui.t(keys::UI_COMPARE_UNIT_RATE),
            Unit::Rate,
            1.0,
            2,
        ),
        Compared::Cpu => (
            ui.t(keys::UI_METRIC_CPU),
            ui.t(keys::UI_COMPARE_UNIT_CORE),
            Unit::Percent,
            1.0,
            2,
        ),
        Compared::Memory => (ui.t(keys::UI_COMPARE_MEMORY), "MB", Unit::Bytes, 1e-6, 1),
        Compared::Connections => (
            ui.t(keys::UI_COMPARE_CONNECTIONS),
            ui.t(keys::UI_COMPARE_UNIT_COUNT),
            Unit::Count,
            1.0,
            0,
        ),
    };
    Column {
        name,
        unit,
        kind,
        factor,
        digits,
    }
}

/// By what the table is sorted: a figure, or none for the order of configuration; and whether the largest is first.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sort {
    by: Option<Compared>,
    descending: bool,
}

impl Sort {
    fn read(by: &str, order: &str) -> Sort {
        let by = by.parse().ok();
        Sort {
            by,
            // The worst is what one looks for.
            descending: by.is_some() && order != "asc",
        }
    }

    /// The address of the table sorted by `what`; a second click turns the order around.
    fn href(self, what: Compared) -> String {
        let order = if self.by == Some(what) && self.descending {
            "asc"
        } else {
            "desc"
        };
        format!("/regions/compare?sort={what}&order={order}")
    }

    fn aria(self, what: Compared) -> Option<&'static str> {
        (self.by == Some(what)).then_some(if self.descending {
            "descending"
        } else {
            "ascending"
        })
    }
}

/// Rows in the wanted order. What has no value comes last in both orders: it is neither good nor bad.
fn sorted(rows: &[CompareRow], sort: Sort) -> Vec<&CompareRow> {
    let mut rows: Vec<_> = rows.iter().collect();
    if let Some(what) = sort.by {
        rows.sort_by(|a, b| match (a.now(what), b.now(what)) {
            (Some(a), Some(b)) if sort.descending => b.total_cmp(&a),
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
    }
    rows
}

/// The value that stands out in a column: the highest, when it is shown as higher than all others. Much traffic is
/// no fault, so throughput has none.
fn standing_out(rows: &[CompareRow], what: Compared, shown: impl Fn(f64) -> String) -> Option<f64> {
    if what == Compared::Requests {
        return None;
    }
    let mut values: Vec<f64> = rows.iter().filter_map(|r| r.now(what)).collect();
    values.sort_by(|a, b| b.partial_cmp(a).unwrap_or(Ordering::Equal));
    match values[..] {
        [first, second, ..] if shown(first) != shown(second) => Some(first),
        _ => None,
    }
}

/// `/regions/compare`.
pub fn page() -> Node {
    let ui = Ui::get();
    let live = Live::get();
    let (by, order) = (query("sort"), query("order"));
    let view = asked(move || (CompareRegions {}, live.regions.get()));
    html! {
        {title(ui.t(keys::UI_TAB_COMPARE))}
        <h1>{ui.t(keys::UI_TAB_COMPARE)}</h1>
        {tabs(ui, "/regions/compare")}
        {views::bar(ui, live)}
        <p class="muted">{ui.t(keys::UI_COMPARE_ABOUT)}</p>
        {view.show(ui, move |view| {
            // Sorting again asks nothing again.
            let view = view.clone();
            Node::follows(move || table(ui, &view, Sort::read(&by.get(), &order.get())))
        })}
    }
}

fn table(ui: Ui, view: &CompareView, sort: Sort) -> Node {
    let heads = Compared::ALL.iter().map(|&what| {
        let Column { name, unit, .. } = column(ui, what);
        let arrow = match sort.aria(what) {
            Some("descending") => "↓",
            Some(_) => "↑",
            None => "",
        };
        html! {
            <th scope="col" class="num" aria-sort=sort.aria(what)>
                <a href=sort.href(what)>{name} " " <span aria-hidden="true">{arrow}</span></a>
                <span class="unit">{unit}</span>
            </th>
        }
    });
    let marks = Compared::ALL
        .iter()
        .map(|&what| {
            let column = column(ui, what);
            standing_out(&view.rows, what, |v| column.shown(v))
        })
        .collect::<Vec<_>>();
    let rows = sorted(&view.rows, sort);
    let rows = rows.into_iter().map(|r| row(ui, r, &marks)).collect::<Node>();
    html! {
        <div class="scroll card" tabindex="0" role="region" aria-label=ui.t(keys::UI_TAB_COMPARE)>
            <table class="compare">
                <thead>
                    <tr>
                        <th scope="col" aria-sort=sort.by.is_none().then_some("other")>
                            <a href="/regions/compare">{ui.t(keys::UI_COLUMN_REGION)}</a>
                        </th>
                        {heads.collect::<Node>()}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

impl Column {
    fn shown(&self, value: f64) -> String {
        format!("{:.*}", self.digits, value * self.factor)
    }
}

fn row(ui: Ui, row: &CompareRow, marks: &[Option<f64>]) -> Node {
    let code = row.region.as_str();
    let lacking = row.figures.iter().any(|f| f.now.is_none());
    let stale = match row.sampled_at {
        Some(at) => last_sample(ui, at.unix_timestamp()),
        None => html! { <span class="stale">{ui.t(keys::UI_COMPONENT_NEVER_SAMPLED)}</span> },
    };
    let cells = row.figures.iter().zip(marks).map(|(figure, mark)| {
        let column = column(ui, figure.what);
        let words = match figure.what {
            Compared::Cpu | Compared::Memory | Compared::Connections => keys::UI_COMPARE_HIGHEST,
            _ => keys::UI_COMPARE_WORST,
        };
        let mark = figure.now.filter(|now| Some(*now) == *mark).map(|_| {
            html! { <small class="stands-out"><span aria-hidden="true">"▲ "</span>{ui.t(words)}</small> }
        });
        let value = match figure.now {
            Some(now) => html! { <span>{column.shown(now)}</span> },
            None => html! { <span class="muted">{ui.t(keys::HEALTH_UNKNOWN)}</span> },
        };
        html! {
            <td class="num">
                <div class="compared">{mini(column.kind, &figure.points)} {value} {mark}</div>
            </td>
        }
    });
    html! {
        <tr>
            <th scope="row">
                <a href=format!("/regions/{code}")>{ui.region(code)}</a>
                <div class="compare-state">{health(ui, row.health)} " " {lacking.then_some(stale)}</div>
            </th>
            {cells.collect::<Node>()}
        </tr>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bagua_model::compare::ComparedFigure;
    use bagua_model::region::RegionId;
    use bagua_model::regions::Health;

    fn rows(values: &[(&str, Option<f64>)]) -> Vec<CompareRow> {
        let row = |(region, now): &(&str, Option<f64>)| CompareRow {
            region: RegionId::new(*region),
            health: Health::Healthy,
            sampled_at: None,
            figures: vec![ComparedFigure {
                what: Compared::P95,
                now: *now,
                points: Vec::new(),
            }],
        };
        values.iter().map(row).collect()
    }

    fn order(rows: &[CompareRow], by: &str, order: &str) -> String {
        let sorted = sorted(rows, Sort::read(by, order));
        sorted.iter().map(|r| r.region.as_str()).collect()
    }

    #[test]
    fn what_has_no_value_comes_last_in_both_orders() {
        let rows = rows(&[("a", Some(1.0)), ("b", None), ("c", Some(3.0)), ("d", Some(2.0))]);
        assert_eq!(order(&rows, "p95", "desc"), "cdab");
        assert_eq!(order(&rows, "p95", "asc"), "adcb");
        assert_eq!(order(&rows, "", "desc"), "abcd");
        assert_eq!(order(&rows, "nonsense", "asc"), "abcd");
    }

    #[test]
    fn only_a_value_that_is_shown_as_higher_stands_out() {
        let out = |values: &[(&str, Option<f64>)]| {
            standing_out(&rows(values), Compared::P95, |v| format!("{v:.1}"))
        };
        assert_eq!(out(&[("a", Some(1.0)), ("b", Some(2.0))]), Some(2.0));
        assert_eq!(out(&[("a", Some(2.01)), ("b", Some(2.0))]), None);
        assert_eq!(out(&[("a", Some(2.0)), ("b", None)]), None);
    }

    #[test]
    fn a_second_click_turns_the_order_around() {
        let sort = Sort::read("p95", "");
        assert_eq!(sort.href(Compared::P95), "/regions/compare?sort=p95&order=asc");
        assert_eq!(sort.href(Compared::P99), "/regions/compare?sort=p99&order=desc");
        assert_eq!(sort.aria(Compared::P95), Some("descending"));
    }
}
