//! Figures over time, straight from Prometheus, cached for a few seconds.

use crate::prometheus::{FIGURES, Prometheus, PrometheusError, figure_key, trend_expression};
use bagua_model::regions::{ComponentId, Metric, Series, Trend, TrendsView};
use moka::future::Cache;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

/// How long a trend is served again to whoever asks for the same.
const CACHED_FOR: Duration = Duration::from_secs(5);
/// At most so many points in a line: more than a chart has pixels to show helps nobody.
const POINTS: i64 = 240;
/// The shortest distance of points, seconds.
const SHORTEST_STEP: i64 = 5;
/// How far a point may lie behind its step before the step counts as a gap, seconds.
const LAST_SEEN_WITHIN: i64 = 30;

/// How far back a trend reaches: 30 minutes when 0 is asked for, else between 5 minutes and 30 days.
pub(crate) fn minutes(asked: u32) -> u32 {
    match asked {
        0 => 30,
        _ => asked.clamp(5, 43_200),
    }
}

/// Trends by component and reach.
pub(crate) struct Trends {
    prometheus: Prometheus,
    cache: Cache<(ComponentId, u32), Arc<TrendsView>>,
}

impl Trends {
    pub(crate) fn new(prometheus: Prometheus) -> Trends {
        Trends {
            prometheus,
            cache: Cache::builder()
                .max_capacity(500)
                .time_to_live(CACHED_FOR)
                .build(),
        }
    }

    /// The trends of a component; many who ask at once cost one question.
    pub(crate) async fn get(
        &self,
        component: &ComponentId,
        minutes: u32,
        now: OffsetDateTime,
    ) -> Result<Arc<TrendsView>, Arc<PrometheusError>> {
        let key = (component.clone(), minutes);
        self.cache
            .try_get_with(key, self.read(component, minutes, now))
            .await
    }

    async fn read(
        &self,
        component: &ComponentId,
        minutes: u32,
        now: OffsetDateTime,
    ) -> Result<Arc<TrendsView>, PrometheusError> {
        let (from, until, step) = grid(minutes, now.unix_timestamp());
        let expression = trend_expression(component, LAST_SEEN_WITHIN);
        let rows = self
            .prometheus
            .query_range(&expression, from, until, step)
            .await?;
        let mut trends = Vec::new();
        for &metric in Metric::ALL {
            let mut series = Vec::new();
            for source in FIGURES.iter().filter(|f| f.metric == metric) {
                let points: Vec<_> = rows
                    .iter()
                    .filter(|row| figure_key(&row.labels) == Some(source.name))
                    .flat_map(|row| row.points.iter().copied())
                    .filter(|(_, value)| value.is_finite())
                    .collect();
                if !points.is_empty() {
                    series.push(Series {
                        name: source.line.to_owned(),
                        points,
                    });
                }
            }
            if !series.is_empty() {
                trends.push(Trend { metric, series });
            }
        }
        Ok(Arc::new(TrendsView {
            from,
            until,
            step,
            trends,
        }))
    }
}

/// Start, end and step. Both ends are multiples of the step, so that points stay where they are from one look to
/// the next instead of crawling.
fn grid(minutes: u32, now: i64) -> (i64, i64, i64) {
    let reach = i64::from(minutes) * 60;
    let step = (reach + POINTS - 2) / (POINTS - 1);
    let step = (step.max(SHORTEST_STEP) + SHORTEST_STEP - 1) / SHORTEST_STEP * SHORTEST_STEP;
    let until = now / step * step;
    (until - reach / step * step, until, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_never_has_more_than_240_points_and_its_grid_does_not_crawl() {
        for asked in [5, 30, 60, 360, 1_440, 10_080, 43_200] {
            let (from, until, step) = grid(asked, 1_700_000_123);
            assert!((until - from) / step < POINTS, "{asked} minutes");
            assert_eq!((from % step, until % step), (0, 0), "{asked} minutes");
            assert!(until <= 1_700_000_123 && 1_700_000_123 - until < step);
            assert!(
                until - from > i64::from(asked) * 60 - step,
                "{asked} minutes reach far enough back"
            );
        }
    }

    #[test]
    fn the_reach_is_kept_within_its_limits() {
        assert_eq!(
            [minutes(0), minutes(1), minutes(60), minutes(u32::MAX)],
            [30, 5, 60, 43_200]
        );
    }
}
