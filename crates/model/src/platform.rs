//! How the platform as a whole performs: its API, databases, caches and queues, and what its users do with it.

use crate::access::{Permission, named};
use crate::regions::Series;
use crate::verbs::Query;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

named! {
    /// What a figure belongs to.
    PlatformPart {
        /// The regions' front doors.
        Api = "api",
        /// PostgreSQL.
        Database = "database",
        /// Redis.
        Cache = "cache",
        /// What waits and what is under way.
        Queues = "queues",
        /// What users do, and what goes wrong for them.
        Business = "business",
    }
}

named! {
    /// A figure of the platform.
    PlatformFigure {
        /// Latency of all front doors, seconds: p50, p95, p99.
        ApiLatency = "api-latency",
        /// Requests per second at all front doors.
        ApiRequests = "api-requests",
        /// Share of them that failed, 0 to 1.
        ApiErrors = "api-errors",
        /// Requests that are being answered.
        ApiInFlight = "api-in-flight",
        /// Connections: open, and how many may be.
        DatabaseConnections = "database-connections",
        /// Transactions per second: committed, rolled back.
        DatabaseTransactions = "database-transactions",
        /// Share of blocks that were found in memory, 0 to 1.
        DatabaseHits = "database-hits",
        /// Share of reads that the cache answered, 0 to 1.
        CacheHits = "cache-hits",
        /// Memory that the cache uses, bytes.
        CacheMemory = "cache-memory",
        /// Commands per second.
        CacheCommands = "cache-commands",
        /// Operations: waiting, running.
        QueueOperations = "queue-operations",
        /// Browsers that follow the live stream.
        QueueStreams = "queue-streams",
        /// Sessions of the console that are open.
        Sessions = "sessions",
        /// Failed requests (5xx) per second at the front doors.
        FailedRequests = "failed-requests",
        /// Compliance violations that are open.
        Violations = "violations",
        /// Requests for localised texts per second.
        Localization = "localization",
        /// Messages of bots per second.
        Messages = "messages",
    }
}

impl PlatformFigure {
    /// What it belongs to.
    pub fn part(self) -> PlatformPart {
        use PlatformFigure as F;
        match self {
            F::ApiLatency | F::ApiRequests | F::ApiErrors | F::ApiInFlight => PlatformPart::Api,
            F::DatabaseConnections | F::DatabaseTransactions | F::DatabaseHits => PlatformPart::Database,
            F::CacheHits | F::CacheMemory | F::CacheCommands => PlatformPart::Cache,
            F::QueueOperations | F::QueueStreams => PlatformPart::Queues,
            F::Sessions | F::FailedRequests | F::Violations | F::Localization | F::Messages => {
                PlatformPart::Business
            }
        }
    }
}

/// A figure over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlatformTrend {
    /// Which.
    pub figure: PlatformFigure,
    /// Whether anything measures it. Without a source there is no value, and that is no zero.
    pub source: bool,
    /// Lines; none where nothing was measured.
    pub series: Vec<Series>,
}

/// Figures of the platform over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlatformView {
    /// Start, Unix seconds.
    pub from: i64,
    /// End, Unix seconds.
    pub until: i64,
    /// Distance of points, seconds.
    pub step: i64,
    /// Whether the reader sees all regions. If not, the figures count theirs alone, and those that belong to no
    /// region are left out.
    pub everywhere: bool,
    /// Figures in the order of [`PlatformFigure::ALL`].
    pub trends: Vec<PlatformTrend>,
}

macro_rules! platform_query {
    ($(#[$meta:meta])* $name:ident, $kind:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            /// How far back, minutes (5 to 43,200; 30 when 0).
            pub minutes: u32,
            /// Start of a fixed range; wants `until`, and `minutes` then counts for nothing.
            #[serde(with = "time::serde::rfc3339::option")]
            #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
            pub from: Option<OffsetDateTime>,
            /// End of a fixed range, at most 31 days after its start.
            #[serde(with = "time::serde::rfc3339::option")]
            #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
            pub until: Option<OffsetDateTime>,
        }

        impl Query for $name {
            const KIND: &'static str = $kind;
            const EXAMPLE: &'static str = r#"{"minutes":60}"#;
            const PERMISSION: Permission = Permission::RegionsRead;
            type Answer = PlatformView;
        }
    };
}

platform_query!(
    /// `platform.performance`: API, database, cache and queues over time, from Prometheus.
    GetPerformance, "platform.performance");
platform_query!(
    /// `platform.business`: what users do with the platform, over time, from Prometheus.
    GetBusiness, "platform.business");
