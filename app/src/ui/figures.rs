//! Numbers with their units, short enough for a table.

use crate::i18n::Ui;
use bagua_model::regions::Metric;
use bagua_model::text::{grouped, keys};

/// What stands where there is no sample: never a zero.
pub const NONE: &str = "–";

fn whole(value: f64) -> String {
    grouped(&format!("{value:.0}")).into_owned()
}

fn trim(value: f64) -> String {
    if value >= 100.0 || value == 0.0 {
        whole(value)
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

/// What a figure is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Percent as they are.
    Percent,
    /// A share of one, shown as percent.
    Share,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    Stream,
    /// Things per second.
    Rate,
    /// Seconds.
    Seconds,
    /// Things.
    Count,
}

impl Unit {
    /// The name by which the browser's script knows it.
    #[cfg(feature = "ssr")]
    pub fn name(self) -> &'static str {
        match self {
            Unit::Percent => "percent",
            Unit::Share => "share",
            Unit::Bytes => "bytes",
            Unit::Stream => "stream",
            Unit::Rate => "rate",
            Unit::Seconds => "seconds",
            Unit::Count => "count",
        }
    }

    /// A value with its unit.
    pub fn value(self, value: f64) -> String {
        match self {
            Unit::Percent => percent(value),
            Unit::Share => percent(value * 100.0),
            Unit::Bytes => bytes(value),
            Unit::Stream => format!("{}/s", bytes(value)),
            Unit::Rate => format!("{}/s", trim(value)),
            Unit::Seconds => seconds(value),
            Unit::Count if value.fract() == 0.0 => whole(value),
            Unit::Count => trim(value),
        }
    }

    /// The least that an axis reaches up to: noise around nothing must not look like a mountain.
    pub fn least_top(self) -> f64 {
        match self {
            Unit::Percent | Unit::Rate => 1.0,
            Unit::Share => 0.01,
            Unit::Seconds => 0.001,
            Unit::Bytes | Unit::Stream => 1_000.0,
            Unit::Count => 4.0,
        }
    }
}

/// What a metric is measured in.
pub fn unit(metric: Metric) -> Unit {
    match metric {
        Metric::Cpu => Unit::Percent,
        Metric::Memory | Metric::Disk => Unit::Bytes,
        Metric::Network => Unit::Stream,
        Metric::Connections => Unit::Count,
        Metric::Requests => Unit::Rate,
        Metric::Errors => Unit::Share,
        Metric::Latency => Unit::Seconds,
    }
}

/// A value on an axis: round numbers without their empty decimals, nothing as a plain zero.
pub fn tick(unit: Unit, at: f64) -> String {
    if at == 0.0 {
        return "0".to_owned();
    }
    let text = unit.value(at);
    let (number, word) = text.split_once([' ', '/']).unwrap_or((&text, ""));
    let joint = text
        .get(number.len()..text.len() - word.len())
        .unwrap_or_default();
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    };
    format!("{number}{joint}{word}")
}

/// A value that may be missing.
pub fn or_none(metric: Metric, figure: Option<f64>) -> String {
    figure.map_or_else(|| NONE.to_owned(), |v| unit(metric).value(v))
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
        Metric::Connections => keys::UI_METRIC_CONNECTIONS,
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
        assert_eq!(Unit::Share.value(0.003), "0.30 %");
        assert_eq!(or_none(Metric::Cpu, None), "–");
        assert_eq!(tick(Unit::Stream, 50_000.0), "50 kB/s");
        assert_eq!(tick(Unit::Rate, 2.5), "2.5/s");
        assert_eq!(tick(Unit::Count, 2.5), "2.5");
        assert_eq!(tick(Unit::Count, 20_000.0), "20,000");
        assert_eq!(Unit::Rate.value(3_141.6), "3,142/s");
        assert_eq!(tick(Unit::Seconds, 0.0), "0");
    }
}
