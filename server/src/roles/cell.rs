//! The runner's side of its region's data database: whose it is, the heartbeat, and why it is away when it is.

use anyhow::Context as _;
use metrics::{counter, gauge, histogram};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};
use std::str::FromStr as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How often a runner writes its row.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// P-6 gives 100 connections to a whole region; on one machine six runners, the console and the exporters share one
/// PostgreSQL with 100 in all.
const CONNECTIONS: u32 = 8;

/// A gateway gives up after two seconds, so the reason has to be on its way before.
const ACQUIRE: Duration = Duration::from_secs(1);
const QUERY: Duration = Duration::from_millis(1_500);

const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_LAST: Duration = Duration::from_secs(5);

/// Which region a data database belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The region's code.
    pub region: String,
    /// When the first runner took the database for its region.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// Whether the database can be worked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Identity checked, heartbeat written.
    Ready,
    /// Not usable since then, and why.
    Away {
        /// Beginning of the outage, or of this process.
        since: OffsetDateTime,
        /// What happened, with the remedy.
        reason: String,
    },
}

/// One region's data database as its runner sees it.
pub struct CellDatabase {
    pool: PgPool,
    options: PgConnectOptions,
    region: String,
    runner: String,
    started_at: OffsetDateTime,
    condition: Mutex<Condition>,
    doubt: Notify,
}

impl CellDatabase {
    /// Connects to nothing yet.
    pub fn new(url: &str, region: &str, runner: &str) -> anyhow::Result<CellDatabase> {
        // The cause may quote the address, and the address holds the password.
        let options = PgConnectOptions::from_str(url)
            .ok()
            .with_context(|| format!("cells.url of {region} is no PostgreSQL address; write postgres://user:password@host:port/database"))?
            .application_name(&format!("bagua-runner {region}"))
            // The server ends what this process has given up waiting for.
            .options([("statement_timeout", "5s"), ("lock_timeout", "1s"), ("idle_in_transaction_session_timeout", "10s")]);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(Duration::from_secs(600))
            .connect_lazy_with(options.clone());
        let started_at = OffsetDateTime::now_utc();
        let condition = Mutex::new(Condition::Away {
            since: started_at,
            reason: "not connected yet".to_owned(),
        });
        Ok(CellDatabase {
            pool,
            options,
            region: region.to_owned(),
            runner: runner.to_owned(),
            started_at,
            condition,
            doubt: Notify::new(),
        })
    }

    /// What the last heartbeat or request found.
    pub fn condition(&self) -> Condition {
        self.condition
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until the database is this region's and can be worked with; `false` when `stop` came first.
    pub async fn ready(&self, stop: &CancellationToken) -> bool {
        while self.condition() != Condition::Ready {
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(BACKOFF_FIRST) => {}
            }
        }
        !stop.is_cancelled()
    }

    /// Beats until `stop`: at once when a request had no success, and after a failure with growing pauses.
    pub async fn keep_beating(&self, stop: CancellationToken) {
        let mut pause = BACKOFF_FIRST;
        loop {
            let wait = match self.beat().await {
                Ok(()) => {
                    pause = BACKOFF_FIRST;
                    HEARTBEAT
                }
                Err(_) => {
                    let wait = pause;
                    pause = (pause * 2).min(BACKOFF_LAST);
                    wait
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.doubt.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.pool.close().await;
    }

    /// One heartbeat. Sets the condition either way.
    async fn beat(&self) -> Result<(), String> {
        let was_ready = self.condition() == Condition::Ready;
        let outcome = self
            .timed("heartbeat", async {
                if !was_ready {
                    self.identify().await?;
                }
                sqlx::query!(
                    "INSERT INTO runner_heartbeats (runner, started_at) VALUES ($1, $2)
                     ON CONFLICT (runner) DO UPDATE SET started_at = excluded.started_at, at = now()",
                    self.runner,
                    self.started_at
                )
                .execute(&self.pool)
                .await?;
                Ok(())
            })
            .await;
        match outcome {
            Ok(()) => {
                self.arrived();
                Ok(())
            }
            Err(fault) => {
                let reason = self.true_reason(fault).await;
                self.went_away(&reason);
                Err(reason)
            }
        }
    }

    /// Takes an empty database for this region, and refuses one of another region.
    async fn identify(&self) -> Result<(), Fault> {
        sqlx::query!(
            "INSERT INTO cell (region) VALUES ($1) ON CONFLICT DO NOTHING",
            self.region
        )
        .execute(&self.pool)
        .await?;
        let found = sqlx::query_scalar!("SELECT region FROM cell")
            .fetch_one(&self.pool)
            .await?;
        if found != self.region {
            return Err(Fault::OtherRegion(found));
        }
        // Hosts come and go; their rows need not stay for ever.
        sqlx::query!("DELETE FROM runner_heartbeats WHERE at < now() - interval '7 days'")
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Age in seconds of this runner's last heartbeat, read from the database: one short round trip.
    pub async fn heartbeat_age(&self) -> Result<f64, String> {
        if let Condition::Away { reason, .. } = self.condition() {
            // Without a checked identity nothing is read or written; the heartbeat finds out when that changes.
            return Err(reason);
        }
        let age = self
            .timed("ping", async {
                Ok(sqlx::query_scalar!(
                    r#"SELECT extract(epoch FROM clock_timestamp() - at)::float8 AS "age!"
                       FROM runner_heartbeats WHERE runner = $1"#,
                    self.runner
                )
                .fetch_one(&self.pool)
                .await?)
            })
            .await;
        age.map_err(|fault| self.doubted(&fault))
    }

    /// Whose database this is, from the database itself.
    pub async fn identity(&self) -> Result<Identity, String> {
        let identity = self
            .timed("identity", async {
                Ok(sqlx::query_as!(Identity, "SELECT region, created_at FROM cell")
                    .fetch_one(&self.pool)
                    .await?)
            })
            .await;
        identity.map_err(|fault| self.doubted(&fault))
    }

    /// A request's failure, which the heartbeat looks into at once.
    fn doubted(&self, fault: &Fault) -> String {
        self.doubt.notify_one();
        fault.reason(&self.region)
    }

    /// Bounds and measures work on the database; `query` is the label.
    async fn timed<T>(
        &self,
        query: &'static str,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let started = Instant::now();
        let outcome = timeout(QUERY, work).await.unwrap_or(Err(Fault::Slow));
        histogram!("database_query_duration_seconds", "query" => query).record(started.elapsed());
        if outcome.is_err() {
            counter!("database_errors_total", "query" => query).increment(1);
        }
        outcome
    }

    /// A pool only says that no connection came in time; one attempt of our own says why.
    async fn true_reason(&self, fault: Fault) -> String {
        if matches!(fault, Fault::Slow | Fault::Database(sqlx::Error::PoolTimedOut)) {
            match timeout(ACQUIRE, PgConnection::connect_with(&self.options)).await {
                Ok(Ok(connection)) => drop(connection.close().await),
                Ok(Err(fault)) => return Fault::Database(fault).reason(&self.region),
                Err(_) => return Fault::Slow.reason(&self.region),
            }
        }
        fault.reason(&self.region)
    }

    fn arrived(&self) {
        let mut condition = self.condition.lock().unwrap_or_else(PoisonError::into_inner);
        if let Condition::Away { since, .. } = &*condition {
            let seconds = (OffsetDateTime::now_utc() - *since).as_seconds_f64();
            tracing::info!(
                region = self.region,
                away_seconds = seconds,
                "the data database answers"
            );
        }
        *condition = Condition::Ready;
        gauge!("dependency_up", "dependency" => "database").set(1);
    }

    fn went_away(&self, reason: &str) {
        let mut condition = self.condition.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, known) = match &*condition {
            Condition::Away { since, reason } => (*since, reason.clone()),
            Condition::Ready => (OffsetDateTime::now_utc(), String::new()),
        };
        // Once for each reason: an outage of an hour is not a thousand lines.
        if known != reason {
            tracing::warn!(
                region = self.region,
                reason,
                "the data database is away; trying again"
            );
        }
        *condition = Condition::Away {
            since,
            reason: reason.to_owned(),
        };
        gauge!("dependency_up", "dependency" => "database").set(0);
    }

    /// Sets the gauges of the pool.
    pub fn sample(&self) {
        let open = self.pool.size();
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX);
        gauge!("database_connections_active").set(open.saturating_sub(idle));
        gauge!("database_connections_open").set(open);
        gauge!("database_connections_max").set(CONNECTIONS);
    }
}

/// Why work on the database did not succeed.
enum Fault {
    Database(sqlx::Error),
    Slow,
    OtherRegion(String),
}

impl From<sqlx::Error> for Fault {
    fn from(fault: sqlx::Error) -> Fault {
        Fault::Database(fault)
    }
}

impl Fault {
    /// One sentence for an operator, with the remedy and without the address.
    fn reason(&self, region: &str) -> String {
        match self {
            Fault::Slow => {
                format!("The data database of {region} did not answer in time; see its load and locks")
            }
            Fault::OtherRegion(other) => format!(
                "The data database in cells.url of {region} belongs to {other}. Nothing was read or written; correct cells.url"
            ),
            Fault::Database(sqlx::Error::Io(fault)) => {
                format!("PostgreSQL of {region} cannot be reached ({fault}); start it or correct cells.url")
            }
            Fault::Database(sqlx::Error::PoolTimedOut) => {
                format!(
                    "No connection to the data database of {region} was free within {} s",
                    ACQUIRE.as_secs()
                )
            }
            Fault::Database(sqlx::Error::RowNotFound) => {
                format!(
                    "The data database of {region} lost this runner's rows; the next heartbeat writes them again"
                )
            }
            Fault::Database(sqlx::Error::Database(fault)) => {
                let remedy = match fault.code().as_deref() {
                    Some("28P01" | "28000") => "correct user and password in cells.url",
                    Some("3D000") => "create the database, or correct cells.url",
                    Some("42P01" | "42703") => "run `bagua migrate`",
                    Some("42501") => "run `bagua migrate`, which grants the application role its rights",
                    Some("53300") => "all connections are taken; see who holds them in pg_stat_activity",
                    Some("57P03") => "it starts or stops; wait",
                    Some("25006") => "it is a read-only replica; correct cells.url to the primary",
                    _ => "see PostgreSQL's log",
                };
                format!(
                    "The data database of {region} refused: {}; {remedy}",
                    fault.message()
                )
            }
            Fault::Database(other) => format!("The data database of {region} failed: {other}"),
        }
    }
}
