//! Numbers with their units, short enough for a table.

use crate::i18n::Ui;
use bagua_model::regions::Metric;
use bagua_model::text::keys;

/// What stands where there is no sample: never a zero.
pub const NONE: &str = "–";

fn trim(value: f64) -> String {
    if value >= 100.0 || value == 0.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// `12.4 MB` (powers of 1,000).
pub fn bytes(value: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = value;
    let mut unit = 0;
    while value.abs() >= 1_000.0 && unit + 1 < units.len() {
        value /= 1_000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{value:.0} B")
    } else {
        format!("{} {}", trim(value), units[unit])
    }
}

/// `3.1 ms`, `1.20 s`.
pub fn seconds(value: f64) -> String {
    if value < 0.001 {
        format!("{:.0} µs", value * 1e6)
    } else if value < 1.0 {
        format!("{} ms", trim(value * 1e3))
    } else {
        format!("{} s", trim(value))
    }
}

/// `0.3 %`.
pub fn percent(value: f64) -> String {
    format!("{} %", trim(value))
}

/// A value of a metric with its unit.
pub fn value(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Cpu => percent(value),
        Metric::Memory | Metric::Disk => bytes(value),
        Metric::Network => format!("{}/s", bytes(value)),
        Metric::Requests => format!("{}/s", trim(value)),
        Metric::Errors => percent(value * 100.0),
        Metric::Latency => seconds(value),
    }
}

/// A value on an axis: round numbers without their empty decimals, nothing as a plain zero.
pub fn tick(metric: Metric, at: f64) -> String {
    if at == 0.0 {
        return "0".to_owned();
    }
    let text = value(metric, at);
    let (number, unit) = text.split_once([' ', '/']).unwrap_or((&text, ""));
    let joint = text
        .get(number.len()..text.len() - unit.len())
        .unwrap_or_default();
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    };
    format!("{number}{joint}{unit}")
}

/// A value that may be missing.
pub fn or_none(metric: Metric, figure: Option<f64>) -> String {
    figure.map_or_else(|| NONE.to_owned(), |v| value(metric, v))
}

/// The name of a metric.
pub fn metric_name(ui: Ui, metric: Metric) -> &'static str {
    ui.t(match metric {
        Metric::Cpu => keys::UI_METRIC_CPU,
        Metric::Memory => keys::UI_METRIC_MEMORY,
        Metric::Disk => keys::UI_METRIC_DISK,
        Metric::Network => keys::UI_METRIC_NETWORK,
        Metric::Requests => keys::UI_METRIC_REQUESTS,
        Metric::Errors => keys::UI_METRIC_ERRORS,
        Metric::Latency => keys::UI_METRIC_LATENCY,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_carry_their_unit() {
        assert_eq!(bytes(512.0), "512 B");
        assert_eq!(bytes(12_400_000.0), "12.4 MB");
        assert_eq!(seconds(0.0031), "3.10 ms");
        assert_eq!(seconds(0.000_25), "250 µs");
        assert_eq!(seconds(1.2), "1.20 s");
        assert_eq!(value(Metric::Errors, 0.003), "0.30 %");
        assert_eq!(or_none(Metric::Cpu, None), "–");
        assert_eq!(tick(Metric::Network, 50_000.0), "50 kB/s");
        assert_eq!(tick(Metric::Requests, 2.5), "2.5/s");
        assert_eq!(tick(Metric::Latency, 0.0), "0");
    }
}
