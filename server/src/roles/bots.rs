//! The bots of a region's runner: which process they run in, and what it measures about them.

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::any;
use bagua_bots::ingest::{Committer, CommitterConfig, Ingest};
use bagua_bots::outlook;
use bagua_bots::runner::{Parts, Runner, RunnerConfig};
use bagua_bots::search::{self, Indexer};
use bagua_bots::webhook::{self, Webhooks};
use bagua_keys::KeyStore;
use bagua_model::settings::Settings;
use bagua_telegram::Transport;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How long the bots may take to store what they have received. `bagua up` waits 10 s before it kills a runner.
pub const DRAIN: Duration = Duration::from_secs(9);
/// Connections for leases, settings, rules and states, and one for each of the four writers.
const CONNECTIONS: u32 = 10;
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long a connection to a Bot API server may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Keys of people and chats that are remembered, about 1 KiB each.
const REMEMBERED: u64 = 50_000;
/// How often the cell is counted for the metrics.
const SAMPLE: Duration = Duration::from_secs(5);
/// What an owner can write down; each is a series from the start, so that none is missing when it is 0.
const STATES: [&str; 6] = ["running", "retrying", "conflict", "invalid", "failed", "stopped"];

/// The bots of one cell.
pub struct Bots {
    config: RunnerConfig,
    parts: Parts,
}

impl Bots {
    /// Nothing where the settings name no key store: what bots receive could not be sealed. Connects to nothing yet. Within a runtime of
    /// tokio.
    ///
    /// # Errors
    /// When a value of the settings cannot be used.
    pub fn new(settings: &Settings, region: &str) -> anyhow::Result<Option<Bots>> {
        let Some(keys) = &settings.keys else {
            tracing::info!("the settings name no key store, so this runner runs no bots");
            return Ok(None);
        };
        let cell = settings
            .cell(region)
            .with_context(|| format!("The configuration has no data database for {region}"))?;
        // The cause may quote the address, and the address holds the password.
        let options = PgConnectOptions::from_str(cell.url.expose())
            .ok()
            .with_context(|| format!("cells.url of {region} is no PostgreSQL address"))?
            .application_name(&format!("bagua-bots {region}"))
            .options([
                ("statement_timeout", "10s"),
                ("lock_timeout", "5s"),
                ("idle_in_transaction_session_timeout", "10s"),
            ]);
        let name = format!("bagua-bots {region}");
        let host = nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok());
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .connect_lazy_with(options);
        let keys: Arc<KeyStore> = bagua_fleet::key_store(keys, &name, &mut rand::rng(), REMEMBERED)?;
        let now = Arc::new(OffsetDateTime::now_utc);
        let committer = Committer::start(&pool, CommitterConfig::default(), now);
        Ok(Some(Bots {
            // A process that comes after this one is another owner, whatever became of this one.
            config: RunnerConfig::new(format!(
                "{region}/{}:{}",
                host.unwrap_or_else(|| "localhost".to_owned()),
                std::process::id()
            )),
            parts: Parts {
                ingest: Ingest::new(Arc::clone(&keys), committer),
                transport: Transport::new(CONNECT)?,
                pool,
                keys,
            },
        }))
    }

    /// Runs them until `stop`, then until everything that was received is stored.
    pub async fn run(self, stop: CancellationToken) {
        let pool = self.parts.pool.clone();
        let indexer = Indexer {
            pool: pool.clone(),
            keys: Arc::clone(&self.parts.keys),
        };
        let runner = Runner::new(self.config, self.parts);
        tokio::join!(
            runner.run(stop.clone()),
            indexer.run(stop.clone()),
            keep_counting(&pool, &stop)
        );
        // A push that comes later is answered 503, and Telegram keeps it.
        pool.close().await;
    }

    /// The route on which Telegram pushes to bots of this cell; what comes goes the same way as what is polled.
    pub fn pushes(&self) -> Router {
        let Parts {
            pool, keys, ingest, ..
        } = self.parts.clone();
        let webhooks = Webhooks::new(pool, keys, ingest);
        let answer = move |request: Request| {
            let webhooks = webhooks.clone();
            async move { webhooks.answer(request).await.map(Body::new) }
        };
        Router::new().route(&format!("{}{{bot}}", webhook::PATH), any(answer))
    }
}

fn ticks(pause: Duration) -> Interval {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits for the next tick; `false` when `stop` came first.
async fn next(ticks: &mut Interval, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        _ = ticks.tick() => true,
    }
}

async fn keep_counting(pool: &PgPool, stop: &CancellationToken) {
    let mut ticks = ticks(SAMPLE);
    while next(&mut ticks, stop).await {
        if let Err(error) = count(pool).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the bots were not counted"
            );
        }
    }
}

/// Counts the cell, whoever owns its bots: every runner of a cell says the same, and one that is away says nothing.
async fn count(pool: &PgPool) -> sqlx::Result<()> {
    let states = sqlx::query!(
        // A bot whose pushes fail has no success either, however well its owner is.
        r#"SELECT CASE WHEN s.state = 'running' AND b.mode = 'webhook' AND o.pending > 0
                        AND o.last_error_at > coalesce(n.last_at, '-infinity') THEN 'retrying' ELSE s.state END AS "state!",
                  count(*) AS "bots!"
           FROM bots b JOIN bot_states s USING (bot_id)
           LEFT JOIN bot_observations o USING (bot_id) LEFT JOIN ingest_counts n USING (bot_id)
           WHERE b.desired = 'running' AND s.generation = b.generation GROUP BY 1"#
    )
    .fetch_all(pool)
    .await?;
    for state in STATES {
        let found = states.iter().find(|row| row.state == state);
        gauge!("tg_bots", "state" => state).set(found.map_or(0.0, |row| row.bots as f64));
    }
    let counted = sqlx::query!(
        r#"SELECT
             (SELECT count(*) FROM bots b JOIN bot_leases l USING (bot_id) LEFT JOIN bot_states s USING (bot_id)
              WHERE b.desired = 'running' AND l.expires_at <= now()
                AND NOT coalesce(s.state IN ('invalid', 'failed') AND s.generation = b.generation, false)) AS "unowned!",
             (SELECT count(*) FROM bot_lease_events WHERE what = 'taken_over') AS "taken_over!",
             (SELECT count(*) FROM update_quarantine) AS "quarantined!""#
    )
    .fetch_one(pool)
    .await?;
    let behind = search::behind(pool).await?;
    let lag = behind.since.map(|since| OffsetDateTime::now_utc() - since);
    gauge!("search_lag_seconds").set(lag.map_or(0.0, |lag| lag.as_seconds_f64().max(0.0)));
    gauge!("search_behind_updates").set(behind.updates as f64);
    let worst = outlook::worst(pool, OffsetDateTime::now_utc()).await?;
    // With nothing to lose there is a day, which is what Telegram keeps.
    gauge!("tg_time_to_loss_seconds").set(worst.time_to_loss.unwrap_or(outlook::KEPT).as_secs_f64());
    gauge!("tg_lag_seconds").set(worst.lag.unwrap_or_default().as_secs_f64());
    gauge!("tg_bots_unowned").set(counted.unowned as f64);
    gauge!("tg_quarantine_rows").set(counted.quarantined as f64);
    counter!("tg_lease_takeovers_total").absolute(counted.taken_over.unsigned_abs());
    Ok(())
}

/// What Prometheus is told about the series.
pub fn describe() {
    bagua_bots::figures::describe();
    describe_gauge!(
        "tg_bots",
        "Bots of the cell that should run, by what their owner said last."
    );
    describe_gauge!(
        "tg_bots_unowned",
        "Bots of the cell that should run and that no process owns."
    );
    describe_gauge!(
        "tg_time_to_loss_seconds",
        Unit::Seconds,
        "Least time until Telegram drops an update of a bot of the cell; 86,400 when nothing waits."
    );
    describe_gauge!(
        "tg_lag_seconds",
        Unit::Seconds,
        "Largest lag of a bot of the cell that stored a message within two minutes."
    );
    describe_gauge!(
        "search_lag_seconds",
        Unit::Seconds,
        "For how long the first update of the cell has been stored that cannot be found yet."
    );
    describe_gauge!(
        "search_behind_updates",
        "Updates of the cell that are stored and cannot be found yet; 10,000 stands for more, too."
    );
    describe_gauge!(
        "tg_quarantine_rows",
        "Updates of the cell without a number, kept for replay."
    );
    describe_counter!(
        "tg_lease_takeovers_total",
        "Bots of the cell that were taken from an owner that did not renew its lease."
    );
}
