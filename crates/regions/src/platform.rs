//! Figures of the platform as a whole: one question to Prometheus for all of a page, cached for a few seconds.

use crate::Room;
use crate::prometheus::{Prometheus, PrometheusError, RangeSeries, fresh_sum};
use crate::queries::visible;
use crate::trends::Span;
use async_trait::async_trait;
use bagua_core::{Answers, AskContext};
use bagua_model::failure::Failure;
use bagua_model::platform::{
    GetBusiness, GetPerformance, PlatformFigure, PlatformPart, PlatformTrend, PlatformView,
};
use bagua_model::region::RegionId;
use bagua_model::regions::Series;
use moka::future::Cache;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

/// How long an answer is served again to whoever asks for the same.
const CACHED_FOR: Duration = Duration::from_secs(10);
/// The label that says which line of which figure a series is.
const LINE: &str = "bagua_line";

/// The lines of a figure: name and expression, in which `$here` stands for the front doors of the reader's regions, and `$runners` for their
/// runners.
/// None where nothing measures it yet.
fn lines(figure: PlatformFigure) -> Vec<(&'static str, String)> {
    use PlatformFigure as F;
    let one = |expression: &str| vec![("", expression.to_owned())];
    let quantile = |q: &str| {
        format!(
            "histogram_quantile({q}, sum by (le) (rate(http_request_duration_seconds_bucket{{$here}}[1m]))) >= 0"
        )
    };
    let operations = |states: &str| {
        fresh_sum(
            &format!("bagua_operations_open{{state=~\"{states}\"}}"),
            "max by (state)",
        )
    };
    match figure {
        F::ApiLatency => vec![
            ("p50", quantile("0.5")),
            ("p95", quantile("0.95")),
            ("p99", quantile("0.99")),
        ],
        F::ApiRequests => one("sum(rate(http_requests_total{$here}[1m]))"),
        F::ApiErrors => one(
            "(sum(rate(http_requests_total{$here,status=~\"5..\"}[1m])) or 0 * sum(rate(http_requests_total{$here}[1m]))) \
             / (sum(rate(http_requests_total{$here}[1m])) > 0)",
        ),
        F::ApiInFlight => one(&fresh_sum("http_requests_in_flight{$here}", "")),
        F::DatabaseConnections => vec![
            ("open", fresh_sum("pg_stat_database_numbackends", "")),
            ("allowed", fresh_sum("pg_settings_max_connections", "")),
        ],
        F::DatabaseTransactions => vec![
            ("committed", "sum(rate(pg_stat_database_xact_commit[1m]))".into()),
            (
                "rolled-back",
                "sum(rate(pg_stat_database_xact_rollback[1m]))".into(),
            ),
        ],
        F::DatabaseHits => one("sum(rate(pg_stat_database_blks_hit[1m])) \
             / ((sum(rate(pg_stat_database_blks_hit[1m])) + sum(rate(pg_stat_database_blks_read[1m]))) > 0)"),
        F::CacheHits => one("sum(rate(redis_keyspace_hits_total[1m])) \
             / ((sum(rate(redis_keyspace_hits_total[1m])) + sum(rate(redis_keyspace_misses_total[1m]))) > 0)"),
        F::CacheMemory => one(&fresh_sum("redis_memory_used_bytes", "")),
        F::CacheCommands => one("sum(rate(redis_commands_processed_total[1m]))"),
        F::QueueOperations => vec![
            ("waiting", operations("awaiting_approval|queued|needs_operator")),
            ("running", operations("running|unwinding")),
        ],
        F::QueueStreams => one(&fresh_sum("live_streams_open", "")),
        F::Sessions => one(&fresh_sum("user_sessions_active", "max")),
        F::FailedRequests => one(
            "sum(rate(http_requests_total{$here,status=~\"5..\"}[1m])) or 0 * sum(rate(http_requests_total{$here}[1m]))",
        ),
        F::Violations => one(&fresh_sum("compliance_violations_open", "")),
        F::Localization => ["own", "instead", "missing"]
            .into_iter()
            .map(|result| {
                let requests = format!("localization_requests_total{{result=\"{result}\"}}");
                (result, format!("sum(rate({requests}[1m]))"))
            })
            .collect(),
        F::Messages => vec![
            (
                "received",
                "sum(rate(tg_updates_committed_total{$runners}[1m]))".to_owned(),
            ),
            (
                "sent",
                "sum(rate(tg_sends_total{$runners,result=\"sent\"}[1m]))".to_owned(),
            ),
        ],
    }
}

/// Whether a figure counts per region, so that somebody with a grant for some of them may see their part.
fn regional(figure: PlatformFigure) -> bool {
    figure.part() == PlatformPart::Api
        || matches!(figure, PlatformFigure::FailedRequests | PlatformFigure::Messages)
}

/// Whether this stack measures a figure whether or not anything has happened: having no line is then a gap in the
/// data, and not a source that is still to come.
fn always_measured(figure: PlatformFigure) -> bool {
    !matches!(figure, PlatformFigure::Violations | PlatformFigure::Localization)
}

/// What a page asks for: which figures, for which regions, over which time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wanted {
    business: bool,
    everywhere: bool,
    regions: Vec<RegionId>,
    span: Span,
}

impl Wanted {
    fn figures(&self) -> impl Iterator<Item = PlatformFigure> {
        let (business, everywhere) = (self.business, self.everywhere);
        PlatformFigure::ALL
            .iter()
            .copied()
            .filter(move |f| (f.part() == PlatformPart::Business) == business)
            .filter(move |f| everywhere || regional(*f))
    }

    /// A component of the regions, as a selector.
    fn of_regions(&self, component: &str) -> String {
        // Codes are letters, digits and hyphens; anything else would be an expression of somebody's own.
        let plain = |r: &&RegionId| r.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let codes: Vec<_> = self.regions.iter().filter(plain).map(RegionId::as_str).collect();
        format!("component=\"{component}\",region=~\"{}\"", codes.join("|"))
    }

    /// Everything in one expression, each line under its name.
    fn expression(&self) -> String {
        let named = |figure: PlatformFigure| {
            let lines = lines(figure).into_iter();
            lines.map(move |(name, expression)| {
                format!(r#"label_replace({expression}, "{LINE}", "{figure}/{name}", "", "")"#)
            })
        };
        let all: Vec<_> = self.figures().flat_map(named).collect();
        all.join(" or ")
            .replace("$here", &self.of_regions("gateway"))
            .replace("$runners", &self.of_regions("runner"))
    }

    fn view(&self, (from, until, step): (i64, i64, i64), rows: &[RangeSeries]) -> PlatformView {
        let line = |figure: PlatformFigure, name: &str| {
            let label = format!("{figure}/{name}");
            let points: Vec<_> = rows
                .iter()
                .filter(|row| row.labels.get(LINE) == Some(&label))
                .flat_map(|row| row.points.iter().copied())
                .filter(|(_, value)| value.is_finite())
                .collect();
            (!points.is_empty()).then(|| Series {
                name: name.to_owned(),
                points,
            })
        };
        let trend = |figure| {
            let series: Vec<_> = lines(figure)
                .iter()
                .filter_map(|(name, _)| line(figure, name))
                .collect();
            PlatformTrend {
                figure,
                source: always_measured(figure) || !series.is_empty(),
                series,
            }
        };
        PlatformView {
            from,
            until,
            step,
            everywhere: self.everywhere,
            trends: self.figures().map(trend).collect(),
        }
    }
}

/// Figures of the platform by what was asked for.
pub(crate) struct Platform {
    prometheus: Prometheus,
    cache: Cache<Wanted, Arc<PlatformView>>,
}

impl Platform {
    pub(crate) fn new(prometheus: Prometheus) -> Platform {
        Platform {
            prometheus,
            cache: Cache::builder()
                .max_capacity(200)
                .time_to_live(CACHED_FOR)
                .build(),
        }
    }

    /// Many who ask for the same at once cost one question.
    async fn get(
        &self,
        wanted: Wanted,
        now: OffsetDateTime,
    ) -> Result<Arc<PlatformView>, Arc<PrometheusError>> {
        let read = async {
            let grid = wanted.span.grid(now.unix_timestamp());
            let (from, until, step) = grid;
            let expression = wanted.expression();
            let rows = self
                .prometheus
                .query_range(&expression, from, until, step)
                .await?;
            Ok(Arc::new(wanted.view(grid, &rows)))
        };
        self.cache.try_get_with(wanted.clone(), read).await
    }
}

impl Room {
    async fn platform_view(
        &self,
        cx: &AskContext,
        business: bool,
        span: Span,
    ) -> Result<PlatformView, Failure> {
        let world = self.world.load();
        let wanted = Wanted {
            business,
            everywhere: cx.granted.everywhere(world.environment),
            regions: visible(&world, &cx.granted)
                .regions
                .into_iter()
                .map(|r| r.region)
                .collect(),
            span,
        };
        let view = self.platform.get(wanted, cx.now).await;
        view.map(|view| (*view).clone()).map_err(|error| {
            tracing::warn!(
                error = &*error as &dyn std::error::Error,
                "no figures of the platform"
            );
            Failure::unavailable("Prometheus")
        })
    }
}

#[async_trait]
impl Answers<GetPerformance> for Room {
    async fn answer(&self, cx: &AskContext, query: GetPerformance) -> Result<PlatformView, Failure> {
        let span = Span::read(query.minutes, query.from, query.until, cx.now)?;
        self.platform_view(cx, false, span).await
    }
}

#[async_trait]
impl Answers<GetBusiness> for Room {
    async fn answer(&self, cx: &AskContext, query: GetBusiness) -> Result<PlatformView, Failure> {
        let span = Span::read(query.minutes, query.from, query.until, cx.now)?;
        self.platform_view(cx, true, span).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live_tests::{Engine, target};
    use bagua_core::Clock;
    use bagua_model::regions::ComponentId;
    use std::error::Error;

    fn wanted(business: bool, everywhere: bool) -> Wanted {
        Wanted {
            business,
            everywhere,
            regions: vec![RegionId::new("eu-west-1"), RegionId::new("us-west-2")],
            span: Span::Last(5),
        }
    }

    #[test]
    fn somebody_with_a_grant_for_some_regions_is_told_of_their_front_doors_and_bots_alone() {
        for business in [false, true] {
            let expression = wanted(business, false).expression();
            assert!(!expression.contains("pg_") && !expression.contains("redis_"));
            assert!(!expression.contains("user_sessions") && !expression.contains('$'));
            let selectors = expression.matches("http_request").count() + expression.matches("(tg_").count();
            let bound = expression.matches(r#"region=~"eu-west-1|us-west-2""#).count();
            assert_eq!(selectors, bound, "{expression}");
        }
    }

    #[test]
    fn what_nothing_measures_has_no_source_and_no_value() {
        let view = wanted(true, true).view((0, 300, 5), &[]);
        let source = |figure| view.trends.iter().find(|t| t.figure == figure).map(|t| t.source);
        assert_eq!(source(PlatformFigure::Localization), Some(false));
        assert_eq!(source(PlatformFigure::Messages), Some(true));
        assert_eq!(source(PlatformFigure::Violations), Some(false));
        assert_eq!(source(PlatformFigure::Sessions), Some(true));
        assert!(view.trends.iter().all(|t| t.series.is_empty()));
    }

    /// Everything that is asked, against a real Prometheus: it takes each expression, and says what it was told.
    #[tokio::test]
    async fn prometheus_answers_every_line_and_a_missing_one_is_a_gap() -> Result<(), Box<dyn Error>> {
        let gateway = ComponentId::new("eu-west-1", "gateway");
        let metrics = "redis_memory_used_bytes 1000\nuser_sessions_active 3\nlive_streams_open 2\n\
                       bagua_operations_open{state=\"queued\"} 4\nbagua_operations_open{state=\"running\"} NaN\n";
        let (port, _) = target(metrics).await?;
        let engine = Engine::start(&[(&gateway, port)], None).await?;
        let platform = |business| {
            let prometheus = Prometheus::new(&engine.url);
            async move {
                let platform = Platform::new(prometheus?);
                let view = platform
                    .get(wanted(business, true), Clock::system().now())
                    .await?;
                Ok::<_, Box<dyn Error>>(view)
            }
        };
        let begun = std::time::Instant::now();
        let last = |view: &PlatformView, figure, line: &str| {
            let trend = view.trends.iter().find(|t| t.figure == figure)?;
            let series = trend.series.iter().find(|s| s.name == line)?;
            series.points.last().map(|p| p.1)
        };
        let view = loop {
            let view = platform(false).await?;
            if last(&view, PlatformFigure::CacheMemory, "").is_some() {
                break view;
            }
            if begun.elapsed() > Duration::from_secs(20) {
                return Err("no figure arrived".into());
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        };
        assert_eq!(last(&view, PlatformFigure::CacheMemory, ""), Some(1000.0));
        assert_eq!(last(&view, PlatformFigure::QueueOperations, "waiting"), Some(4.0));
        assert_eq!(
            last(&view, PlatformFigure::QueueOperations, "running"),
            None,
            "not known is not zero"
        );
        assert_eq!(last(&view, PlatformFigure::ApiRequests, ""), None);
        let view = platform(true).await?;
        assert_eq!(last(&view, PlatformFigure::Sessions, ""), Some(3.0));
        Ok(())
    }
}
