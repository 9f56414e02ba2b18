//! Databases, a simulator and runners, in this process or in one of their own.

use anyhow::{Context as _, Result, ensure};
use bagua_bots::ingest::{Committer, CommitterConfig, Ingest};
use bagua_bots::lease::Owner;
use bagua_bots::runner::{Parts, Runner, RunnerConfig};
use bagua_bots::{BotId, catalogue, counts};
use bagua_keys::{KeyStore, MasterKey};
use bagua_telegram::{ApiBase, Token, Transport};
use bagua_telegram_sim::{Bot, Config, NewBot, Sim};
use bagua_testkit::{Kind, TestDatabase, database_of};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sqlx::PgPool;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const DATA: &str = "BAGUA_BENCH_RUNNER_DATA";
const KEYS: &str = "BAGUA_BENCH_RUNNER_KEYS";
/// Connections to Bot API servers.
const CONNECT: Duration = Duration::from_secs(5);
/// Keys of people and chats that are remembered.
const REMEMBERED: u64 = 10_000;

pub struct Ground {
    pub data: TestDatabase,
    pub keys: Arc<KeyStore>,
    pub sim: Sim,
    pub bots: Vec<Arc<Bot>>,
    // Dropped last: the key store works on it.
    keys_db: TestDatabase,
}

/// A runner in this process.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// How long it took to end in an orderly way.
    pub async fn end(self) -> Result<Duration> {
        let began = Instant::now();
        self.stop.cancel();
        self.task.await?;
        Ok(began.elapsed())
    }
}

fn key_store(pool: PgPool) -> Arc<KeyStore> {
    KeyStore::new(
        pool,
        MasterKey::new(&[1; 32]),
        &mut StdRng::from_os_rng(),
        REMEMBERED,
    )
}

fn parts(pool: PgPool, keys: &Arc<KeyStore>) -> Result<Parts> {
    let now = Arc::new(OffsetDateTime::now_utc);
    let committer = Committer::start(&pool, CommitterConfig::default(), now);
    Ok(Parts {
        pool,
        keys: Arc::clone(keys),
        ingest: Ingest::new(Arc::clone(keys), committer),
        transport: Transport::new(CONNECT)?,
    })
}

fn config(owner: &str) -> RunnerConfig {
    RunnerConfig {
        // The simulator throttles nobody who comes anew, and the start is not what is measured.
        take: 500,
        ..RunnerConfig::new(Owner::new(owner, "here"))
    }
}

impl Ground {
    /// With as many bots, whose queues are empty and whom nobody owns.
    pub async fn with_bots(bots: u64) -> Result<Ground> {
        let keys_db = database_of(Kind::Keys).await?;
        let mut ground = Ground {
            data: database_of(Kind::Data).await?,
            keys: key_store(keys_db.app.clone()),
            sim: Sim::start(Config::default()).await?,
            bots: Vec::new(),
            keys_db,
        };
        for _ in 0..bots {
            let bot = ground.sim.add_bot(&NewBot::default())?;
            let (token, base) = (Token::parse(&bot.token())?, ApiBase::parse(&ground.sim.url())?);
            catalogue::add(&ground.data.app, &ground.keys, &token, &base, "bench_bot", &[]).await?;
            ground.bots.push(bot);
        }
        Ok(ground)
    }

    pub fn parts(&self) -> Result<Parts> {
        parts(self.data.app.clone(), &self.keys)
    }

    pub fn run(&self, owner: &str, parts: Parts) -> Running {
        let stop = CancellationToken::new();
        let task = tokio::spawn(Runner::new(config(owner), parts).run(stop.clone()));
        Running { stop, task }
    }

    /// A runner in a process of its own. It is killed when this is dropped.
    pub fn run_apart(&self) -> Result<Child> {
        Ok(Command::new(std::env::current_exe()?)
            // As `bagua up` starts runners.
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
            .env(DATA, &self.data.app_url)
            .env(KEYS, &self.keys_db.app_url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?)
    }

    /// Waits until it is so, and fails when it lasts longer than `limit`.
    pub async fn until(&self, what: &str, limit: Duration, is_so: impl Fn(&Ground) -> bool) -> Result<()> {
        let began = Instant::now();
        while !is_so(self) {
            ensure!(began.elapsed() < limit, "{what}: not within {limit:?}");
            // Asking takes the simulator's locks.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Whether everything that came was confirmed. Telegram's word for it: an update leaves its queue then.
    pub fn is_empty(&self) -> bool {
        self.bots.iter().all(|bot| bot.pending() == 0)
    }

    /// A figure that lost or doubled something is none.
    pub async fn nothing_lost(&self) -> Result<()> {
        for bot in &self.bots {
            let found = counts::counts(&self.data.app, BotId(bot.id())).await?;
            let confirmed = i64::try_from(bot.totals().acknowledged)?;
            ensure!(
                found.lost(confirmed) == 0 && found.doubled == 0 && found.missing == 0,
                "bot {}: {found:?} of {confirmed} confirmed",
                bot.id()
            );
        }
        Ok(())
    }
}

/// Whether this process was started by [`Ground::run_apart`].
pub fn is_child() -> bool {
    std::env::var_os(DATA).is_some()
}

/// Runs bots until it is killed.
pub async fn run_as_child() -> Result<()> {
    let data = PgPool::connect(&std::env::var(DATA)?).await?;
    let keys = key_store(PgPool::connect(&std::env::var(KEYS)?).await?);
    let parts = parts(data, &keys)?;
    Runner::new(config("bench apart"), parts)
        .run(CancellationToken::new())
        .await;
    Ok(())
}

/// Figures of a database that does not flush mean nothing.
pub async fn flushes() -> Result<()> {
    let data = database_of(Kind::Data).await?;
    let fsync: String = sqlx::query_scalar("SHOW fsync").fetch_one(&data.owner).await?;
    ensure!(fsync == "on", "the database has fsync {fsync}: run ./dev bench");
    Ok(())
}

/// What lies at `share` of sorted figures.
pub fn quantile(sorted: &[i64], share: f64) -> Result<i64> {
    let last = sorted.len().checked_sub(1).context("nothing was measured")?;
    Ok(sorted[(last as f64 * share).round() as usize])
}
