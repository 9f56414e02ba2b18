//! The state of the world: regions, their components, trends, and the operations that start and stop components.

use crate::access::{Permission, named};
use crate::region::{Environment, RegionId, Scope};
use crate::text::Text;
use crate::verbs::{Operation, Query, Risk, Target};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use time::OffsetDateTime;

named! {
    /// The state of a region or component, worst last. Absence of data is `unknown`, never `healthy`.
    Health {
        /// Up and within its limits, seen just now.
        Healthy = "healthy",
        /// Stopped on purpose.
        Stopped = "stopped",
        /// No data, or data too old to trust.
        Unknown = "unknown",
        /// A warning alert, or restarting.
        Warning = "warning",
        /// Down, or a critical alert.
        Critical = "critical",
    }
}

impl Health {
    /// The worse of two.
    pub fn worst(self, other: Health) -> Health {
        self.max(other)
    }
}

/// A component's id, `<region>/<service>`: `ap-east-1/gateway`, `global/postgres`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ComponentId {
    /// The region, `global` for what serves all.
    pub region: RegionId,
    /// The service: `gateway`, `runner`, `postgres` …
    pub service: String,
}

impl ComponentId {
    /// Joins the parts.
    pub fn new(region: &str, service: &str) -> ComponentId {
        ComponentId {
            region: RegionId::new(region),
            service: service.to_owned(),
        }
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.region, self.service)
    }
}

impl FromStr for ComponentId {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let plain = |part: &str| {
            !part.is_empty()
                && part.len() <= 63
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        match s.split_once('/') {
            Some((region, service)) if plain(region) && plain(service) => {
                Ok(ComponentId::new(region, service))
            }
            _ => Err(format!(
                "`{s}` is no component; write region/service, for example ap-east-1/gateway"
            )),
        }
    }
}

impl TryFrom<String> for ComponentId {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        s.parse()
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ComponentId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ComponentId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A component's id, `<region>/<service>`: `ap-east-1/gateway`, `global/postgres`.",
            "pattern": "^[A-Za-z0-9-]{1,63}/[A-Za-z0-9-]{1,63}$",
        })
    }
}

impl From<ComponentId> for String {
    fn from(id: ComponentId) -> String {
        id.to_string()
    }
}

/// The newest figures of a component. `None` means that there is no sample, or none fresh enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Figures {
    /// CPU, percent of one core.
    pub cpu_percent: Option<f64>,
    /// Resident memory, bytes.
    pub memory_bytes: Option<f64>,
    /// Bytes on disk of its own data, or written per second where it has no data folder.
    pub disk_bytes: Option<f64>,
    /// Bytes per second in and out of its own connections.
    pub network_bytes_per_second: Option<f64>,
    /// Database connections: in use by a component, open at a database.
    pub database_connections: Option<f64>,
    /// Requests per second.
    pub requests_per_second: Option<f64>,
    /// Share of requests that failed (5xx), 0 to 1.
    pub error_ratio: Option<f64>,
    /// Median latency, seconds.
    pub p50_seconds: Option<f64>,
    /// 95th percentile, seconds.
    pub p95_seconds: Option<f64>,
    /// 99th percentile, seconds.
    pub p99_seconds: Option<f64>,
}

/// The process behind a component as its supervisor reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProcessView {
    /// `running`, `stopped`, `backing_off`, `crash_looping`, …
    pub state: String,
    /// Process id.
    pub pid: Option<i32>,
    /// Since when it is in this state.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub since: Option<OffsetDateTime>,
    /// Restarts since the stack started.
    pub restarts: u64,
    /// How it ended last time, in words of the system (`exit code 1`, `signal 9`).
    pub last_exit: Option<String>,
}

/// A component with its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ComponentView {
    /// Id.
    pub id: ComponentId,
    /// State.
    pub health: Health,
    /// Why, when it is not healthy.
    pub why: Option<Text>,
    /// Since when it is in this state, as far as known.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub since: Option<OffsetDateTime>,
    /// Newest figures.
    pub figures: Figures,
    /// When Prometheus scraped it last.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub sampled_at: Option<OffsetDateTime>,
    /// The process, when a supervisor looks after it.
    pub process: Option<ProcessView>,
    /// Firing alerts: critical.
    pub critical_alerts: u32,
    /// Firing alerts: warning.
    pub warning_alerts: u32,
    /// The console or the alert pipeline needs it: stopping it wants a second person.
    pub critical: bool,
}

/// A region with its components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RegionView {
    /// Id.
    pub region: RegionId,
    /// Message key of its name.
    pub name_key: String,
    /// Message key of its group.
    pub group_key: String,
    /// Degrees north; none for `global`.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// The worst of its components.
    pub health: Health,
    /// Since when.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub since: Option<OffsetDateTime>,
    /// Figures of its front door (the gateway).
    pub figures: Figures,
    /// Components, worst first.
    pub components: Vec<ComponentView>,
}

/// The map: every region that the reader may see, and what is global.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorldView {
    /// Environment.
    pub environment: Environment,
    /// When the snapshot was taken.
    #[serde(with = "time::serde::rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub at: OffsetDateTime,
    /// Regions in the order of configuration.
    pub regions: Vec<RegionView>,
    /// Components that serve all regions.
    pub global: Option<RegionView>,
}

/// `regions.world`: the map, from the in-memory snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GetWorld {}

impl Query for GetWorld {
    const KIND: &'static str = "regions.world";
    const PERMISSION: Permission = Permission::RegionsRead;
    type Answer = WorldView;
}

/// `regions.region`: one region with its components.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GetRegion {
    /// Which.
    pub region: RegionId,
}

impl Query for GetRegion {
    const KIND: &'static str = "regions.region";
    const EXAMPLE: &'static str = r#"{"region":"ap-east-1"}"#;
    const PERMISSION: Permission = Permission::RegionsRead;
    type Answer = RegionView;
}

/// `regions.component`: one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GetComponent {
    /// Which.
    pub component: ComponentId,
}

impl Query for GetComponent {
    const KIND: &'static str = "regions.component";
    const EXAMPLE: &'static str = r#"{"component":"ap-east-1/gateway"}"#;
    const PERMISSION: Permission = Permission::RegionsRead;
    type Answer = ComponentView;
}

named! {
    /// What a trend shows.
    Metric {
        /// CPU, percent of one core.
        Cpu = "cpu",
        /// Memory, bytes.
        Memory = "memory",
        /// Disk, bytes.
        Disk = "disk",
        /// Network, bytes per second.
        Network = "network",
        /// Database connections: in use by a component, open at a database.
        Connections = "connections",
        /// Requests per second.
        Requests = "requests",
        /// Share of failed requests, 0 to 1.
        Errors = "errors",
        /// Latency, seconds: p50, p95 and p99 as three series.
        Latency = "latency",
    }
}

/// One line of a trend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Series {
    /// Its name (`p95`), empty when the trend has one line only.
    pub name: String,
    /// Unix seconds and value; a gap in the data is a missing point and stays a gap.
    pub points: Vec<(i64, f64)>,
}

/// A metric over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Trend {
    /// Which metric.
    pub metric: Metric,
    /// Lines.
    pub series: Vec<Series>,
}

/// Trends of a component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrendsView {
    /// Start, Unix seconds.
    pub from: i64,
    /// End, Unix seconds.
    pub until: i64,
    /// Distance of points, seconds.
    pub step: i64,
    /// One for each metric that the component has.
    pub trends: Vec<Trend>,
}

/// `regions.trends`: a component's figures over the last minutes, from Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GetTrends {
    /// Which.
    pub component: ComponentId,
    /// How far back, minutes (5 to 43,200; 30 when 0).
    #[serde(default)]
    pub minutes: u32,
    /// Start of a fixed range; wants `until`, and `minutes` then counts for nothing.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub from: Option<OffsetDateTime>,
    /// End of a fixed range, at most 31 days after its start.
    #[serde(with = "time::serde::rfc3339::option", default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub until: Option<OffsetDateTime>,
}

impl Query for GetTrends {
    const KIND: &'static str = "regions.trends";
    const EXAMPLE: &'static str = r#"{"component":"ap-east-1/gateway","minutes":60}"#;
    const PERMISSION: Permission = Permission::RegionsRead;
    type Answer = TrendsView;
}

/// Where a component is, with the environment left open: the server looks after one.
fn component_target(component: &ComponentId) -> Target {
    Target {
        noun: "component".into(),
        id: component.to_string(),
        scope: Scope {
            environment: None,
            region: Some(component.region.clone()),
        },
    }
}

/// What is known after a component was started, stopped or restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ComponentOutcome {
    /// `running` or `stopped`.
    pub state: String,
    /// The new process id.
    pub pid: Option<i32>,
    /// How long it took until it answered, milliseconds.
    pub took_ms: u64,
}

macro_rules! component_operation {
    ($(#[$meta:meta])* $name:ident, $kind:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Which.
            pub component: ComponentId,
        }

        impl Operation for $name {
            const KIND: &'static str = $kind;
            const EXAMPLE: &'static str = r#"{"component":"ap-east-1/gateway"}"#;
            const PERMISSION: Permission = Permission::ComponentsOperate;
            const RISK: Risk = Risk::Moderate;
            type Outcome = ComponentOutcome;

            fn target(&self) -> Target {
                component_target(&self.component)
            }
        }
    };
}

component_operation!(
    /// `component.start`: starts a stopped component and waits until it answers.
    StartComponent, "component.start");
component_operation!(
    /// `component.stop`: stops a component; it stays stopped until somebody starts it.
    StopComponent, "component.stop");
component_operation!(
    /// `component.restart`: ends the process, a frozen one too, starts a new one and waits until it answers.
    RestartComponent, "component.restart");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_ordered_so_that_the_worst_wins_and_no_data_never_reads_as_health() {
        assert_eq!(Health::Healthy.worst(Health::Unknown), Health::Unknown);
        assert_eq!(Health::Warning.worst(Health::Unknown), Health::Warning);
        assert_eq!(Health::Critical.worst(Health::Warning), Health::Critical);
    }

    #[test]
    fn a_component_id_is_refused_unless_it_is_region_slash_service() {
        assert!("ap-east-1/gateway".parse::<ComponentId>().is_ok());
        for bad in ["gateway", "/gateway", "a/", "a/b/c", "a/../etc", "A b/c"] {
            assert!(bad.parse::<ComponentId>().is_err(), "{bad}");
        }
    }
}
