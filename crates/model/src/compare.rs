//! Regions side by side: which does worse than the others right now, and since when.

use crate::access::{Permission, named};
use crate::region::RegionId;
use crate::regions::Health;
use crate::verbs::Query;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

named! {
    /// A figure in which regions are compared.
    Compared {
        /// Median latency of the front door, seconds.
        P50 = "p50",
        /// 95th percentile of it.
        P95 = "p95",
        /// 99th percentile of it.
        P99 = "p99",
        /// Share of failed requests at the front door, 0 to 1.
        Errors = "errors",
        /// Requests per second at the front door.
        Requests = "requests",
        /// CPU of the region's components together, percent of one core.
        Cpu = "cpu",
        /// Memory of the region's components together, bytes.
        Memory = "memory",
        /// Database connections in use by the region's components.
        Connections = "connections",
    }
}

/// One figure of one region: now, and on the way here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ComparedFigure {
    /// Which figure.
    pub what: Compared,
    /// The newest value; none without a fresh sample.
    pub now: Option<f64>,
    /// Values from [`CompareView::from`] on, one for each step, to three digits. What was not measured is none.
    pub points: Vec<Option<f64>>,
}

/// One region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompareRow {
    /// Which.
    pub region: RegionId,
    /// State.
    pub health: Health,
    /// When its front door was scraped last.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub sampled_at: Option<OffsetDateTime>,
    /// All figures, in the order of [`Compared::ALL`].
    pub figures: Vec<ComparedFigure>,
}

impl CompareRow {
    /// The newest value of a figure.
    pub fn now(&self, what: Compared) -> Option<f64> {
        self.figures.iter().find(|f| f.what == what)?.now
    }
}

/// Every region that the reader may see.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompareView {
    /// Time of the first point, Unix seconds.
    pub from: i64,
    /// Distance of points, seconds.
    pub step: i64,
    /// Regions in the order of configuration.
    pub rows: Vec<CompareRow>,
}

/// `regions.compare`: latency, errors, throughput and saturation of all regions, from the in-memory snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CompareRegions {}

impl Query for CompareRegions {
    const KIND: &'static str = "regions.compare";
    const PERMISSION: Permission = Permission::RegionsRead;
    type Answer = CompareView;
}
