//! The expressions that are asked, in one place. The recorded names are made by the rule file that ships with the
//! console; a component without one of them simply has no such figure.

use bagua_model::regions::{ComponentId, Figures, Metric};

/// A recorded series and the figure that it fills.
pub(crate) struct FigureSource {
    /// Name of the recorded series, labelled `region` and `component`.
    pub(crate) name: &'static str,
    /// The trend that it belongs to.
    pub(crate) metric: Metric,
    /// Name of the line inside its trend.
    pub(crate) line: &'static str,
    /// Where it stands in [`Figures`].
    pub(crate) slot: fn(&mut Figures) -> &mut Option<f64>,
}

/// Every figure, in the order of the trends.
pub(crate) const FIGURES: [FigureSource; 10] = [
    FigureSource {
        name: "component:cpu_percent",
        metric: Metric::Cpu,
        line: "",
        slot: |f| &mut f.cpu_percent,
    },
    FigureSource {
        name: "component:memory_bytes",
        metric: Metric::Memory,
        line: "",
        slot: |f| &mut f.memory_bytes,
    },
    FigureSource {
        name: "component:disk_bytes",
        metric: Metric::Disk,
        line: "",
        slot: |f| &mut f.disk_bytes,
    },
    FigureSource {
        name: "component:network_bytes:rate1m",
        metric: Metric::Network,
        line: "",
        slot: |f| &mut f.network_bytes_per_second,
    },
    FigureSource {
        name: "component:database_connections",
        metric: Metric::Connections,
        line: "",
        slot: |f| &mut f.database_connections,
    },
    FigureSource {
        name: "component:http_requests:rate1m",
        metric: Metric::Requests,
        line: "",
        slot: |f| &mut f.requests_per_second,
    },
    FigureSource {
        name: "component:http_errors:ratio1m",
        metric: Metric::Errors,
        line: "",
        slot: |f| &mut f.error_ratio,
    },
    FigureSource {
        name: "component:http_request_duration_seconds:p50",
        metric: Metric::Latency,
        line: "p50",
        slot: |f| &mut f.p50_seconds,
    },
    FigureSource {
        name: "component:http_request_duration_seconds:p95",
        metric: Metric::Latency,
        line: "p95",
        slot: |f| &mut f.p95_seconds,
    },
    FigureSource {
        name: "component:http_request_duration_seconds:p99",
        metric: Metric::Latency,
        line: "p99",
        slot: |f| &mut f.p99_seconds,
    },
];

/// The label into which the name is copied, since functions and set operators drop `__name__`.
const KEY: &str = "bagua_figure";

/// The figure that a sample is, as [`WORLD`] and [`trend_expression`] label it.
pub(crate) fn figure_key(labels: &std::collections::BTreeMap<String, String>) -> Option<&str> {
    labels.get(KEY).map(String::as_str)
}

/// Keeps a series only while it is both not stale (the instant selector knows Prometheus's staleness marks) and
/// younger than `seconds` (which the instant selector's five minutes of lookback would not notice after Prometheus
/// itself has been away).
fn fresh(selector: &str, seconds: i64) -> String {
    format!(
        r#"label_replace(last_over_time({selector}[{seconds}s]), "{KEY}", "$1", "__name__", "(.+)") and label_replace({selector}, "{KEY}", "$1", "__name__", "(.+)")"#
    )
}

/// The sum of a gauge over its series, each asked first through `each` (`max by (state)` where several processes tell
/// of one table); fresh in the same sense.
pub(crate) fn fresh_sum(selector: &str, each: &str) -> String {
    let (open, close) = if each.is_empty() { ("", "") } else { (" (", ")") };
    format!("sum({each}{open}{selector}{close}) and sum(last_over_time({selector}[30s]))")
}

/// All components at once: `up`, when it was scraped, and every figure that is fresh.
pub(crate) static WORLD: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
    let selector = r#"{__name__=~"component:.+"}"#;
    format!(
        r#"label_replace({UP}, "{KEY}", "up", "", "") or label_replace(timestamp({UP}), "{KEY}", "sampled_at", "", "") or ({})"#,
        fresh(selector, 30)
    )
});

/// Every figure of everything in a region, for the comparison.
pub(crate) static COMPARED: std::sync::LazyLock<String> =
    std::sync::LazyLock::new(|| fresh(r#"{__name__=~"component:.+",region!="global"}"#, 30));

/// Scrapes of the component itself. A probe's series carry the probed component's labels, but their `up` says only
/// that the prober answered.
const UP: &str = r#"up{component!="",probe="",job!~"blackbox.*|probe.*"}"#;

/// Every figure of one component. `seconds` is how far a point may lie behind its step.
pub(crate) fn trend_expression(component: &ComponentId, seconds: i64) -> String {
    // Both parts are letters, digits and hyphens, so nothing needs escaping.
    let selector = format!(
        r#"{{__name__=~"component:.+",region="{}",component="{}"}}"#,
        component.region, component.service
    );
    fresh(&selector, seconds)
}
