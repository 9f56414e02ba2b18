//! Figures over time, straight from Prometheus, cached for a few seconds.

use crate::prometheus::{FIGURES, Prometheus, PrometheusError, figure_key, trend_expression};
use bagua_model::failure::Failure;
use bagua_model::regions::{ComponentId, Metric, Series, Trend, TrendsView};
use bagua_model::text::{Text, keys};
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

/// The time that a trend covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Span {
    /// So many minutes until now.
    Last(u32),
    /// From then until then, Unix seconds.
    Between(i64, i64),
}

/// The shortest and the longest fixed range, seconds.
const FIXED: std::ops::RangeInclusive<i64> = 300..=31 * 86_400;

impl Span {
    /// Reads what was asked for; a fixed range that makes no sense is refused with what is wrong with it.
    pub(crate) fn read(
        asked: u32,
        from: Option<OffsetDateTime>,
        until: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Result<Span, Failure> {
        let wrong = |name, key| Err(Failure::field(name, Text::new(key)));
        match (from, until) {
            (None, None) => Ok(Span::Last(minutes(asked))),
            (Some(_), None) => wrong("until", keys::TRENDS_WANTS_UNTIL),
            (None, Some(_)) => wrong("from", keys::TRENDS_WANTS_FROM),
            (Some(from), Some(until)) if from >= until => wrong("from", keys::TRENDS_FROM_AFTER_UNTIL),
            (Some(from), Some(_)) if from >= now => wrong("from", keys::TRENDS_IN_THE_FUTURE),
            (Some(from), Some(until)) => {
                let (from, until) = (from.unix_timestamp(), until.unix_timestamp());
                if FIXED.contains(&(until - from)) {
                    Ok(Span::Between(from, until))
                } else {
                    wrong("until", keys::TRENDS_LENGTH)
                }
            }
        }
    }

    /// Start, end and step. Both ends are multiples of the step, so that points stay where they are from one look to
    /// the next instead of crawling.
    pub(crate) fn grid(self, now: i64) -> (i64, i64, i64) {
        let (reach, end) = match self {
            Span::Last(minutes) => (i64::from(minutes) * 60, now),
            Span::Between(from, until) => (until - from, until),
        };
        let step = (reach + POINTS - 2) / (POINTS - 1);
        let step = (step.max(SHORTEST_STEP) + SHORTEST_STEP - 1) / SHORTEST_STEP * SHORTEST_STEP;
        let until = end / step * step;
        (until - reach / step * step, until, step)
    }
}

/// Trends by component and time.
pub(crate) struct Trends {
    prometheus: Prometheus,
    cache: Cache<(ComponentId, Span), Arc<TrendsView>>,
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
        span: Span,
        now: OffsetDateTime,
    ) -> Result<Arc<TrendsView>, Arc<PrometheusError>> {
        let key = (component.clone(), span);
        self.cache
            .try_get_with(key, self.read(component, span, now))
            .await
    }

    async fn read(
        &self,
        component: &ComponentId,
        span: Span,
        now: OffsetDateTime,
    ) -> Result<Arc<TrendsView>, PrometheusError> {
        let (from, until, step) = span.grid(now.unix_timestamp());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_never_has_more_than_240_points_and_its_grid_does_not_crawl() {
        for asked in [5, 30, 60, 360, 1_440, 10_080, 43_200] {
            let (from, until, step) = Span::Last(asked).grid(1_700_000_123);
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

    #[test]
    fn a_fixed_range_is_refused_unless_it_makes_sense() {
        use time::macros::datetime;
        let now = datetime!(2026-11-25 12:00 UTC);
        let read = |from, until| Span::read(60, from, until, now).map_err(|f| f.fields[0].clone());
        let hour = time::Duration::hours(1);
        let (from, until) = (now - hour, now);
        assert_eq!(read(None, None), Ok(Span::Last(60)));
        assert_eq!(
            read(Some(from), Some(until)),
            Ok(Span::Between(from.unix_timestamp(), until.unix_timestamp()))
        );
        let why = |from, until| read(from, until).map_err(|(name, text)| (name, text.key));
        let refused = |name: &str, key: &str| Err((name.to_owned(), key.into()));
        assert_eq!(why(Some(from), None), refused("until", keys::TRENDS_WANTS_UNTIL));
        assert_eq!(why(None, Some(until)), refused("from", keys::TRENDS_WANTS_FROM));
        assert_eq!(
            why(Some(until), Some(from)),
            refused("from", keys::TRENDS_FROM_AFTER_UNTIL)
        );
        assert_eq!(
            why(Some(now + hour), Some(now + 2 * hour)),
            refused("from", keys::TRENDS_IN_THE_FUTURE)
        );
        for length in [1, 32 * 1_440] {
            let until = from + time::Duration::minutes(length);
            assert_eq!(
                why(Some(from), Some(until)),
                refused("until", keys::TRENDS_LENGTH)
            );
        }
    }
}
