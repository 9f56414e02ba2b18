//! The room Alerts: the feed of what fires, by Alertmanager's word, and who has it. The README beside this crate is the
//! one-screen overview.

pub mod alertmanager;
mod causes;
pub mod config;
pub mod episode;
mod filter;
mod intake;
mod lapse;
mod making;
pub mod matching;
mod metrics;
pub mod observation;
mod operations;
mod pace;
mod page;
pub mod prometheus;
mod queries;
pub mod reading;
mod receipts;
mod reconcile;
pub mod routing;
mod silences;
pub mod snapshot;
mod snapshot_refresh;
mod store;

pub use config::{AlertsConfig, ConfigError};
pub use intake::{Intake, LONGEST_BODY, WebhookError};

use crate::alertmanager::Alertmanager;
use crate::causes::KnownSilences;
use crate::prometheus::{Prometheus, Testimony};
use crate::reconcile::Reconciler;
use crate::snapshot::Snapshot;
use arc_swap::ArcSwap;
use bagua_core::{Clock, ConsoleParts, LiveHub, Registry, Sources};
use bagua_model::alerts::{
    AcknowledgeAlert, AcknowledgeAlerts, AlertHistory, AlertView, CountAlerts, GetAlert, GetDelivery,
    GetPipeline, GroupAlerts, ListAlerts, UnacknowledgeAlert,
};
use bagua_model::region::{Environment, RegionId};
use bagua_model::silences::{
    AlertHeldBy, CoverAlerts, CreateSilence, ExpireSilences, ListSilences, PreviewSilence,
};
use bagua_model::text::{Text, keys};
use sqlx::PgPool;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The topic of the live stream and of the event log.
const TOPIC: &str = "alerts";
/// Before the id, in the event log's lines about one alert.
const SUBJECT: &str = "alert:";
/// Changes that one transaction makes: a storm takes several, so that none holds the others up for long.
const AT_ONCE: usize = 1_000;
/// Before the Watchdog was ever seen.
const NEVER: i64 = i64::MIN;

/// How patient the room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often Alertmanager's list is read while something changes.
    pub reconcile_every: Duration,
    /// Memory follows the rows by what the live stream tells; this often it is compared with all of them.
    pub compare_every: Duration,
    /// How long after its start Prometheus is not yet believed about an end.
    pub settling: Duration,
    /// How long after its start Alertmanager's silence about an alert that Prometheus does not know means nothing yet.
    pub stranger_grace: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            reconcile_every: Duration::from_secs(3),
            compare_every: Duration::from_secs(60),
            // Two evaluations of 15 s.
            settling: Duration::from_secs(30),
            // Prometheus repeats its alerts every minute, others do alike.
            stranger_grace: Duration::from_secs(150),
        }
    }
}

/// The room.
pub struct Alerts {
    db: PgPool,
    environment: Environment,
    clock: Clock,
    live: LiveHub,
    sources: Sources,
    token: String,
    alertmanager: Alertmanager,
    prometheus: Prometheus,
    timing: Timing,
    snapshot: ArcSwap<Snapshot>,
    refreshing: Mutex<()>,
    /// Notifications are stored one after the other. They would wait for each other in the database anyway, each with
    /// a connection that readers need.
    storing: Mutex<()>,
    /// What is known of the silences that hold something.
    silences: ArcSwap<KnownSilences>,
    kick: Notify,
    /// Microseconds since 1970.
    watchdog: AtomicI64,
    readings: AtomicU64,
}

/// Registers everything that the room answers and does.
pub fn register(registry: &mut Registry, room: Arc<Alerts>) {
    registry
        .query::<ListAlerts>(Arc::clone(&room))
        .query::<GetAlert>(Arc::clone(&room))
        .query::<AlertHistory>(Arc::clone(&room))
        .query::<CountAlerts>(Arc::clone(&room))
        .query::<GroupAlerts>(Arc::clone(&room))
        .query::<GetPipeline>(Arc::clone(&room))
        .query::<GetDelivery>(Arc::clone(&room))
        .query::<AlertHeldBy>(Arc::clone(&room))
        .query::<ListSilences>(Arc::clone(&room))
        .query::<PreviewSilence>(Arc::clone(&room))
        .query::<CoverAlerts>(Arc::clone(&room))
        .operation::<CreateSilence>(Arc::clone(&room))
        .operation::<ExpireSilences>(Arc::clone(&room))
        .immediate::<AcknowledgeAlert>(Arc::clone(&room))
        .immediate::<AcknowledgeAlerts>(Arc::clone(&room))
        .immediate::<UnacknowledgeAlert>(room);
}

impl Alerts {
    /// The room, with nothing in memory yet: [`Alerts::run`] fills it.
    ///
    /// # Errors
    /// When a value of the configuration cannot be used.
    pub fn new(config: &AlertsConfig, parts: &ConsoleParts) -> anyhow::Result<Arc<Alerts>> {
        Alerts::with_timing(config, parts, Timing::default())
    }

    /// The room with a patience of its own, for tests.
    ///
    /// # Errors
    /// As [`Alerts::new`].
    pub fn with_timing(
        config: &AlertsConfig,
        parts: &ConsoleParts,
        timing: Timing,
    ) -> anyhow::Result<Arc<Alerts>> {
        config.validate()?;
        metrics::describe();
        let room = Arc::new(Alerts {
            db: parts.db.clone(),
            environment: parts.environment,
            clock: parts.clock.clone(),
            live: parts.live.clone(),
            sources: parts.sources.clone(),
            token: config.webhook_token.clone(),
            alertmanager: Alertmanager::new(&config.alertmanager_url)?,
            prometheus: Prometheus::new(&config.prometheus_url, timing.settling)?,
            timing,
            snapshot: ArcSwap::default(),
            refreshing: Mutex::new(()),
            storing: Mutex::new(()),
            silences: ArcSwap::default(),
            kick: Notify::new(),
            watchdog: AtomicI64::new(NEVER),
            readings: AtomicU64::new(0),
        });
        let weak = Arc::downgrade(&room);
        parts.live.before(TOPIC, move |subjects| {
            let weak = Weak::clone(&weak);
            Box::pin(async move {
                let Some(room) = weak.upgrade() else { return };
                let ids = subjects
                    .iter()
                    .filter_map(|s| s.strip_prefix(SUBJECT)?.parse().ok());
                if let Err(error) = room.refresh_some(&ids.collect::<Vec<_>>()).await {
                    // The next reading tries again, and says so when the database is away.
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "the feed in memory was not refreshed"
                    );
                }
            })
        });
        Ok(room)
    }

    /// Keeps the feed true until `stop`: compares it with Alertmanager, and memory with the rows. What other consoles
    /// change, and acknowledgements, come into memory by the live stream before its listeners hear of them.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        Reconciler::new(self).run(stop).await;
    }

    /// What fires, as every query sees it.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Critical and warning alerts by region and service; suppressed ones are left out.
    pub fn severity_by_component(&self) -> HashMap<(RegionId, String), (u32, u32)> {
        self.snapshot.load().severity_by_component()
    }

    /// When the alert that always fires was last passed on by Prometheus and Alertmanager; `None` before the first
    /// time. Silence for minutes means that no alert would reach anybody.
    pub fn watchdog_last_seen(&self) -> Option<OffsetDateTime> {
        let micros = self.watchdog.load(Ordering::Relaxed);
        (micros != NEVER)
            .then(|| OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok())
            .flatten()
    }

    /// How often Alertmanager's list has been read, and what it came to has been done.
    pub fn readings(&self) -> u64 {
        self.readings.load(Ordering::Relaxed)
    }

    fn saw_watchdog(&self, at: OffsetDateTime) {
        let micros = i64::try_from(at.unix_timestamp_nanos() / 1000).unwrap_or(NEVER);
        if self.watchdog.fetch_max(micros, Ordering::Relaxed) < micros {
            metrics::watchdog(at);
        }
    }

    fn reconcile_soon(&self) {
        self.kick.notify_one();
    }

    /// What Prometheus says at this moment; `None` when it does not answer.
    async fn testimony(&self) -> Option<Testimony> {
        match self.prometheus.testimony(self.clock.now()).await {
            Ok(testimony) => Some(testimony),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "Prometheus does not say what fires; nothing is taken for ended meanwhile"
                );
                None
            }
        }
    }

    /// Wakes the screens of this console about what has no row.
    fn tell_browsers(&self) {
        self.live.publish_volatile(TOPIC, None);
    }
}

/// The event log's subject of an alert.
fn subject(alert: Uuid) -> String {
    format!("{SUBJECT}{alert}")
}

/// A sentence about an alert: its name and where it is.
fn about(key: &str, view: &AlertView) -> Text {
    Text::new(key)
        .with("name", &view.name)
        .with("where", place_name(view))
}

/// Component, else region, else words for neither.
fn place_name(view: &AlertView) -> String {
    let region = || view.region.as_ref().map(|r| r.as_str().to_owned());
    view.component
        .clone()
        .or_else(region)
        .unwrap_or_else(|| format!("@{}", keys::ALERT_NOWHERE))
}

/// An HTTP client for an engine: straight to it, never by a proxy. It waits no longer than `time_out` for a sign of
/// life; how long a whole answer may take grows with how much there is to tell.
fn engine_client(time_out: Duration) -> anyhow::Result<reqwest::Client> {
    let client = reqwest::Client::builder()
        .connect_timeout(time_out)
        .read_timeout(time_out)
        .timeout(time_out * 4);
    Ok(client.no_proxy().build()?)
}

/// The base URL with the slash that makes paths join below it.
fn engine_base(base: &str) -> anyhow::Result<reqwest::Url> {
    Ok(reqwest::Url::parse(&format!("{}/", base.trim_end_matches('/')))?)
}
