//! One cell of which this process owns bots.

use super::{Hooks, Shared, figures, next, ticks};
use anyhow::Context as _;
use arc_swap::ArcSwap;
use bagua_bots::deliver::Endpoints;
use bagua_bots::ingest::{Committer, CommitterConfig, Ingest};
use bagua_bots::lease::Owner;
use bagua_bots::presence;
use bagua_bots::runner::{Parts, Runner, RunnerConfig};
use bagua_bots::search::Indexer;
use bagua_bots::tuning::{self, Set};
use bagua_bots::webhook::Webhooks;
use bagua_keys::KeyStore;
use bagua_model::bots::tuning::{RunnerFigures, Tuning};
use bagua_model::settings::{Cell, Keys};
use bagua_telegram::Transport;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

const ACQUIRE: Duration = Duration::from_secs(5);
/// How long a connection to a Bot API server may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How often it is looked whether the tuning was changed.
const LOOK: Duration = Duration::from_secs(3);
/// How often a cell of another region is asked whether this one is wanted there.
const PROBE: Duration = Duration::from_secs(5);
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a cell's database is connected to.
pub(super) fn options(cell: &Cell, region: &str) -> anyhow::Result<PgConnectOptions> {
    // The cause may quote the address, and the address holds the password.
    Ok(PgConnectOptions::from_str(cell.url.expose())
        .ok()
        .with_context(|| format!("cells.url of {} is no PostgreSQL address", cell.region))?
        .application_name(&format!("bagua-bots {region}"))
        .options([
            ("statement_timeout", "10s"),
            ("lock_timeout", "5s"),
            ("idle_in_transaction_session_timeout", "10s"),
        ]))
}

/// A cell, and this process as it is seen from there.
pub(super) struct Place {
    pub(super) cell: Cell,
    pub(super) own: bool,
    pub(super) region: String,
    pub(super) process: String,
    pub(super) keys: Keys,
    /// Where Telegram reaches this region, for bots of another one.
    pub(super) push_base: Option<String>,
    pub(super) settled: Instant,
    pub(super) hooks: Arc<ArcSwap<Vec<Hooks>>>,
    pub(super) deliver: Arc<Endpoints>,
    pub(super) shared: Arc<Shared>,
}

/// Everything that works with one tuning.
pub(super) struct Served {
    pool: PgPool,
    keys: Arc<KeyStore>,
    parts: Parts,
    config: RunnerConfig,
}

impl Served {
    pub(super) fn key_store(keys: &Keys, region: &str, remembered: u64) -> anyhow::Result<Arc<KeyStore>> {
        let name = format!("bagua-bots {region}");
        Ok(bagua_fleet::key_store(keys, &name, &mut rand::rng(), remembered)?)
    }
}

fn size(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

impl Place {
    fn pool(&self, connections: u32) -> anyhow::Result<PgPool> {
        Ok(PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE)
            .connect_lazy_with(options(&self.cell, &self.region)?))
    }

    /// One connection, and none while nothing is asked: most regions stand by for no other.
    fn probing(&self) -> anyhow::Result<PgPool> {
        Ok(PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(Duration::from_secs(1))
            .connect_lazy_with(options(&self.cell, &self.region)?))
    }

    fn owner(&self) -> Owner {
        Owner {
            own: self.own,
            pushed: self.own || self.push_base.is_some(),
            ..Owner::new(self.process.as_str(), self.region.as_str())
        }
    }

    fn served(&self, set: &Set) -> anyhow::Result<Served> {
        let Tuning {
            bots,
            take,
            calls,
            connections,
            writers,
            group,
            waiting,
            keys,
            redis: _,
        } = set.tuning;
        let pool = self.pool(connections)?;
        let store = Served::key_store(&self.keys, &self.region, u64::from(keys))?;
        let config = CommitterConfig {
            writers: size(writers),
            rows: size(group),
            bytes: size(waiting) << 20,
            ..CommitterConfig::default()
        };
        let committer = Committer::start(&pool, config, Arc::new(OffsetDateTime::now_utc));
        Ok(Served {
            parts: Parts {
                ingest: Ingest::new(Arc::clone(&store), committer),
                transport: Transport::new(CONNECT)?,
                pool: pool.clone(),
                keys: Arc::clone(&store),
            },
            config: RunnerConfig {
                cell: self.cell.region.clone(),
                push_base: self.push_base.clone(),
                settled: self.settled,
                deliver: Arc::clone(&self.deliver),
                most: size(bots),
                take: size(take),
                calls: size(calls),
                tuning: set.version,
                redis: self.own.then(|| Arc::clone(&self.shared.redis)),
                ..RunnerConfig::new(self.owner())
            },
            pool,
            keys: store,
        })
    }

    /// The cell of this process's own region, until `stop`.
    pub(super) async fn own(&self, stop: &CancellationToken) {
        let mut before = Set::default();
        while !stop.is_cancelled() {
            let set = match self.read(&before).await {
                Ok(set) => set,
                // It works as before, or as usual: a database that is away now is waited for there.
                Err(()) => before,
            };
            before = set;
            self.shared
                .redis_seconds
                .store(u64::from(set.tuning.redis), Ordering::Relaxed);
            self.serve(&set, stop, true).await;
        }
    }

    /// The cell of another region, for as long as bots of it name this one, until `stop`.
    pub(super) async fn stand_by(&self, stop: &CancellationToken) {
        let Ok(pool) = self.probing() else { return };
        let mut probe = ticks(PROBE);
        while next(&mut probe, stop).await {
            let asked = timeout(PATIENCE, self.probe(&pool)).await;
            match asked.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                Ok(Some(set)) => self.serve(&set, stop, false).await,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(
                        cell = self.cell.region,
                        error = &error as &dyn std::error::Error,
                        "another region's cell does not answer"
                    );
                }
            }
        }
        if timeout(PATIENCE / 5, presence::leave(&pool, &self.owner()))
            .await
            .is_err()
        {
            tracing::debug!("it could not be said that this process has ended");
        }
        pool.close().await;
    }

    /// Says that this process is there, and returns the tuning where it is wanted.
    async fn probe(&self, pool: &PgPool) -> sqlx::Result<Option<Set>> {
        let whose = sqlx::query_scalar!("SELECT region FROM cell")
            .fetch_optional(pool)
            .await?;
        if whose.as_deref() != Some(self.cell.region.as_str()) {
            if let Some(whose) = whose {
                tracing::warn!(
                    cell = self.cell.region,
                    whose,
                    "the database in cells.url is another region's; nothing is done there"
                );
            }
            return Ok(None);
        }
        presence::announce(pool, &self.owner(), &RunnerFigures::default()).await?;
        if !presence::needed(pool, &self.region).await? {
            return Ok(None);
        }
        Ok(Some(tuning::read(pool).await?))
    }

    async fn read(&self, before: &Set) -> Result<Set, ()> {
        let pool = self.pool(1).map_err(drop)?;
        let read = timeout(PATIENCE, tuning::read(&pool)).await;
        pool.close().await;
        read.ok().and_then(Result::ok).ok_or_else(|| {
            tracing::debug!(version = before.version, "the tuning cannot be read");
        })
    }

    /// Owns bots with one tuning: until `stop`, until another one is set, or, for another region's cell, until this region is not named any more.
    async fn serve(&self, set: &Set, stop: &CancellationToken, own: bool) {
        let served = match self.served(set) {
            Ok(served) => served,
            Err(error) => {
                tracing::error!(
                    cell = self.cell.region,
                    error = format!("{error:#}"),
                    "the bots of a cell cannot be served"
                );
                stop.cancelled().await;
                return;
            }
        };
        tracing::info!(cell = self.cell.region, tuning = set.version, "owning bots");
        let pool = served.pool;
        let webhooks = Webhooks::new(
            pool.clone(),
            Arc::clone(&served.keys),
            served.parts.ingest.clone(),
        );
        self.take_pushes(Some(webhooks));
        let indexer = Indexer {
            pool: pool.clone(),
            keys: served.keys,
        };
        let ends = stop.child_token();
        let runner = Runner::new(served.config, served.parts);
        tokio::join!(
            async {
                runner.run(ends.clone()).await;
                // A push that comes from now on is stored by whoever comes next.
                if !own || stop.is_cancelled() {
                    self.take_pushes(None);
                }
            },
            indexer.run(ends.clone()),
            async {
                if own {
                    figures::keep_counting(&pool, &ends).await;
                }
            },
            async {
                self.until_other(&pool, set, &ends, own).await;
                ends.cancel();
            }
        );
        // A push that comes later is answered 503, and Telegram keeps it.
        pool.close().await;
    }

    /// Waits until another tuning is set, or this region is not wanted any more.
    async fn until_other(&self, pool: &PgPool, set: &Set, ends: &CancellationToken, own: bool) {
        let mut look = ticks(LOOK);
        while next(&mut look, ends).await {
            let asked = async {
                let other = tuning::read(pool).await?.version != set.version;
                Ok::<_, sqlx::Error>(other || (!own && !presence::needed(pool, &self.region).await?))
            };
            match timeout(PATIENCE, asked).await {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) => {}
                _ => tracing::debug!(cell = self.cell.region, "the tuning cannot be read"),
            }
        }
    }

    /// From now on `webhooks` take the pushes to bots of this cell; the own cell is asked first.
    fn take_pushes(&self, webhooks: Option<Webhooks>) {
        self.hooks.rcu(|hooks| {
            let mut hooks: Vec<Hooks> = hooks
                .iter()
                .filter(|hooks| hooks.cell != self.cell.region)
                .cloned()
                .collect();
            if let Some(webhooks) = &webhooks {
                let at = if self.own { 0 } else { hooks.len() };
                hooks.insert(
                    at,
                    Hooks {
                        cell: self.cell.region.clone(),
                        webhooks: webhooks.clone(),
                    },
                );
            }
            hooks
        });
    }
}
