//! Regions side by side. The newest values come from the snapshot; how they came there is one question to Prometheus
//! every few seconds for everybody, so that the page asks no engine.

use crate::Room;
use crate::prometheus::{COMPARED, RangeSeries, figure_key};
use crate::queries::visible;
use crate::snapshot::FRONT_DOOR;
use async_trait::async_trait;
use bagua_core::{Answers, AskContext};
use bagua_model::compare::{CompareRegions, CompareRow, CompareView, Compared, ComparedFigure};
use bagua_model::failure::Failure;
use bagua_model::regions::{ComponentView, RegionView};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often the paths are read.
const EVERY: Duration = Duration::from_secs(15);
/// How far back they reach, seconds.
const REACH: i64 = 30 * 60;
/// Distance of their points, seconds.
const STEP: i64 = 60;
/// Paths that have not been read for so long are no longer shown: their end would pass for the present.
const FORGOTTEN_AFTER: i64 = 120;

/// What Prometheus said last about the way of every figure.
#[derive(Default)]
pub(crate) struct Paths {
    from: i64,
    until: i64,
    points: HashMap<(String, Compared), Vec<Option<f64>>>,
}

/// The recorded series that a compared figure is made of, and whether it is the front door's alone or the sum over
/// the region's components.
fn recorded(what: Compared) -> (&'static str, bool) {
    match what {
        Compared::P50 => ("component:http_request_duration_seconds:p50", true),
        Compared::P95 => ("component:http_request_duration_seconds:p95", true),
        Compared::P99 => ("component:http_request_duration_seconds:p99", true),
        Compared::Errors => ("component:http_errors:ratio1m", true),
        Compared::Requests => ("component:http_requests:rate1m", true),
        Compared::Cpu => ("component:cpu_percent", false),
        Compared::Memory => ("component:memory_bytes", false),
        Compared::Connections => ("component:database_connections", false),
    }
}

impl Paths {
    fn read(from: i64, until: i64, series: &[RangeSeries]) -> Paths {
        let count = usize::try_from((until - from) / STEP + 1).unwrap_or_default();
        let mut points: HashMap<_, Vec<Option<f64>>> = HashMap::new();
        for row in series {
            let (Some(region), Some(service), Some(key)) = (
                row.labels.get("region"),
                row.labels.get("component"),
                figure_key(&row.labels),
            ) else {
                continue;
            };
            let known = Compared::ALL.iter().copied().find(|what| {
                let (name, front) = recorded(*what);
                name == key && (!front || service == FRONT_DOOR)
            });
            let Some(what) = known else { continue };
            let path = points
                .entry((region.clone(), what))
                .or_insert_with(|| vec![None; count]);
            for (at, value) in row.points.iter().filter(|p| p.1.is_finite()) {
                if let Some(slot) = usize::try_from((at - from) / STEP)
                    .ok()
                    .and_then(|i| path.get_mut(i))
                {
                    *slot = Some(slot.unwrap_or_default() + value);
                }
            }
        }
        for value in points.values_mut().flatten().flatten() {
            *value = three_digits(*value);
        }
        Paths { from, until, points }
    }
}

/// More digits than a line of 24 pixels can show only make the page heavier.
fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// The sum over what runs. Unknown as soon as one part is, since a sum without it would look like relief; what has no
/// process uses nothing.
fn sum(components: &[ComponentView], of: fn(&ComponentView) -> Option<f64>) -> Option<f64> {
    let running = components
        .iter()
        .filter(|c| c.process.as_ref().is_none_or(|p| p.pid.is_some()));
    let figures = running.map(of).collect::<Option<Vec<_>>>()?;
    (!figures.is_empty()).then(|| figures.iter().sum())
}

fn now(region: &RegionView, what: Compared) -> Option<f64> {
    let f = &region.figures;
    match what {
        Compared::P50 => f.p50_seconds,
        Compared::P95 => f.p95_seconds,
        Compared::P99 => f.p99_seconds,
        Compared::Errors => f.error_ratio,
        Compared::Requests => f.requests_per_second,
        Compared::Cpu => sum(&region.components, |c| c.figures.cpu_percent),
        Compared::Memory => sum(&region.components, |c| c.figures.memory_bytes),
        // Not every component has a pool.
        Compared::Connections => region
            .components
            .iter()
            .filter_map(|c| c.figures.database_connections)
            .reduce(|a, b| a + b),
    }
}

fn row(region: &RegionView, paths: Option<&Paths>) -> CompareRow {
    let front = region.components.iter().find(|c| c.id.service == FRONT_DOOR);
    let path = |what| {
        let key = (region.region.to_string(), what);
        paths
            .and_then(|paths| paths.points.get(&key))
            .cloned()
            .unwrap_or_default()
    };
    CompareRow {
        region: region.region.clone(),
        health: region.health,
        sampled_at: front.and_then(|c| c.sampled_at),
        figures: Compared::ALL
            .iter()
            .map(|&what| ComparedFigure {
                what,
                now: now(region, what),
                points: path(what),
            })
            .collect(),
    }
}

#[async_trait]
impl Answers<CompareRegions> for Room {
    async fn answer(&self, cx: &AskContext, _: CompareRegions) -> Result<CompareView, Failure> {
        let paths = self.paths.load();
        let known = (cx.now.unix_timestamp() - paths.until <= FORGOTTEN_AFTER).then_some(&**paths);
        let world = visible(&self.world.load(), &cx.granted);
        Ok(CompareView {
            from: paths.from,
            step: STEP,
            rows: world.regions.iter().map(|r| row(r, known)).collect(),
        })
    }
}

impl Room {
    /// Reads the paths again and again until `stop`.
    pub(crate) async fn keep_paths(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            // Whole minutes, so that the points do not crawl from one look to the next.
            let until = self.clock.now().unix_timestamp() / STEP * STEP;
            let from = until - REACH;
            match self.prometheus.query_range(&COMPARED, from, until, STEP).await {
                Ok(series) => self.paths.store(Arc::new(Paths::read(from, until, &series))),
                // The snapshot's own reading says it to the people; it happens at the same time.
                Err(error) => tracing::debug!(%error, "no paths for the comparison"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bagua_model::regions::{ComponentId, Figures, Health, ProcessView};

    fn series(service: &str, figure: &str, points: &[(i64, f64)]) -> RangeSeries {
        let labels = [
            ("region", "eu-west-1"),
            ("component", service),
            ("bagua_figure", figure),
        ];
        RangeSeries {
            labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            points: points.to_vec(),
        }
    }

    fn component(service: &str, cpu: Option<f64>, pid: Option<i32>) -> ComponentView {
        ComponentView {
            id: ComponentId::new("eu-west-1", service),
            health: Health::Healthy,
            why: None,
            since: None,
            figures: Figures {
                cpu_percent: cpu,
                ..Figures::default()
            },
            sampled_at: None,
            process: Some(ProcessView {
                state: String::new(),
                pid,
                since: None,
                restarts: 0,
                last_exit: None,
            }),
            critical_alerts: 0,
            warning_alerts: 0,
            critical: false,
        }
    }

    #[test]
    fn a_path_is_the_front_doors_or_the_sum_and_its_gaps_stay_gaps() {
        let cpu = "component:cpu_percent";
        let paths = Paths::read(
            0,
            180,
            &[
                series("gateway", cpu, &[(0, 1.0), (60, 2.0)]),
                series("runner", cpu, &[(60, 3.456_7), (180, f64::NAN)]),
                series("runner", "component:http_errors:ratio1m", &[(0, 1.0)]),
            ],
        );
        let path = |what| paths.points.get(&("eu-west-1".to_owned(), what));
        assert_eq!(
            path(Compared::Cpu),
            Some(&vec![Some(1.0), Some(5.46), None, None])
        );
        assert_eq!(
            path(Compared::Errors),
            None,
            "a runner's errors are not the region's"
        );
    }

    #[test]
    fn a_sum_without_one_of_its_parts_is_unknown_but_what_does_not_run_uses_nothing() {
        let of = |parts: &[ComponentView]| sum(parts, |c| c.figures.cpu_percent);
        let gateway = component("gateway", Some(2.0), Some(1));
        assert_eq!(
            of(&[gateway.clone(), component("runner", Some(3.0), Some(2))]),
            Some(5.0)
        );
        assert_eq!(of(&[gateway.clone(), component("runner", None, Some(2))]), None);
        assert_eq!(of(&[gateway, component("runner", None, None)]), Some(2.0));
        assert_eq!(of(&[component("runner", None, None)]), None);
    }
}
