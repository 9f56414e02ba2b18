//! The process that owns bots: takes leases, renews them, and runs one task for each bot.
//!
//! A bot's task ends by itself and never takes another with it: what it says at its end decides what happens next.

mod bot;
mod clerk;
mod deliver;
mod finish;
mod poll;
mod read;
mod send;
pub(crate) mod store;
mod tend;
mod work;

pub use bot::End;
pub(crate) use read::plain;
pub use read::{Read, read};

use crate::deliver::Endpoints;
use crate::ingest::{Ingest, Measured};
use crate::lease::{self, LEASE, Lease, Owner};
use crate::presence;
use crate::texts::{self, Texts};
use crate::{BotId, Fence};
use bagua_keys::KeyStore;
use bagua_model::bots::tuning::{CacheFigures, RunnerFigures};
use bagua_telegram::Transport;
use metrics::{counter, gauge};
use sqlx::PgPool;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// So many ends by our own fault (a panic) in [`INTENSITY_WITHIN`] and a bot is left to a person.
const INTENSITY: usize = 5;
const INTENSITY_WITHIN: Duration = Duration::from_secs(60);

/// How often the depths of queues are measured.
const MEASURE: Duration = Duration::from_secs(10);
/// How long a process has been there before it is thought to stay.
pub const SETTLE: Duration = Duration::from_secs(30);
/// How often it is said that this process is there.
const ANNOUNCE: Duration = Duration::from_secs(5);
/// How often partitions are made ahead and old lines go.
const HOUSEKEEPING: Duration = Duration::from_secs(3_600);

/// How a runner works.
#[derive(Clone, Debug)]
pub struct RunnerConfig {
    /// This process.
    pub owner: Owner,
    /// The region of the database, as a label of series: a process may own bots of several.
    pub cell: String,
    /// Address below which Telegram reaches this process's region, where that is not the database's own: bots that it stands in for are pushed
    /// to here, and not at the address that is written down.
    pub push_base: Option<String>,
    /// From when on it asks bots back from regions that stand in for its own: a process that has just begun may end again.
    pub settled: Instant,
    /// How long a lease lives without renewal; it is renewed after a third of it.
    pub lease: Duration,
    /// How many bots it owns at most.
    pub most: usize,
    /// How often it looks for bots without an owner and for changed settings.
    pub look: Duration,
    /// How many bots it takes at most with each look: a start of all bots at once is what Telegram's servers throttle.
    pub take: usize,
    /// How many calls of one bot are under way at once.
    pub calls: usize,
    /// Where rules may post updates to.
    pub deliver: Arc<Endpoints>,
    /// With which version of the tuning it works, for whoever asks; 0 for the usual values.
    pub tuning: i64,
    /// Look-ups in Redis, where this process makes some.
    pub redis: Option<Arc<presence::Reads>>,
    /// Seconds that a poll may wait; 50 at most.
    pub poll_seconds: u16,
    /// Pause after the first failure of a call; it doubles up to 30 s. Not under 500 ms: Telegram punishes a poll
    /// that repeats its offset sooner.
    pub pause: Duration,
    /// How often Telegram is asked how a bot stands there (getWebhookInfo), and its webhook is set anew where it differs.
    pub observe: Duration,
    /// How long a process that is asked to end waits for its bots. What is not stored by then stays at Telegram.
    pub drain: Duration,
}

impl RunnerConfig {
    /// The usual settings.
    pub fn new(owner: Owner) -> RunnerConfig {
        RunnerConfig {
            cell: owner.region.clone(),
            owner,
            push_base: None,
            settled: Instant::now() + SETTLE,
            lease: LEASE,
            most: 2_000,
            look: Duration::from_secs(2),
            take: 20,
            calls: 16,
            deliver: Arc::default(),
            tuning: 0,
            redis: None,
            poll_seconds: 50,
            pause: Duration::from_millis(500),
            observe: Duration::from_secs(30),
            drain: Duration::from_secs(8),
        }
    }
}

/// What every bot's task needs.
#[derive(Clone)]
pub struct Parts {
    /// The cell's database.
    pub pool: PgPool,
    /// Opens tokens.
    pub keys: Arc<KeyStore>,
    /// Where updates go.
    pub ingest: Ingest,
    /// Connections to Bot API servers.
    pub transport: Transport,
}

struct Held {
    lease: watch::Sender<Lease>,
    generation: i64,
    /// Ends the task in an orderly way: what was received is committed, nothing new is begun.
    stop: CancellationToken,
    wake: Arc<bot::Wake>,
    /// What follows when it has stopped.
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It begins again: with new settings, or after a fault of ours.
    Again,
    /// The lease is given back.
    Release,
    /// Nothing: somebody else owns the bot.
    Nothing,
}

/// Runs bots until it is told to stop.
pub struct Runner {
    config: Arc<RunnerConfig>,
    clerk: clerk::Clerk,
    texts: watch::Sender<Arc<Texts>>,
    parts: Parts,
    held: HashMap<BotId, Held>,
    tasks: JoinSet<(BotId, End)>,
    ids: HashMap<Id, BotId>,
    faults: HashMap<BotId, VecDeque<Instant>>,
    renewed: Instant,
    measured: Instant,
    /// When it was last said that this process is there.
    announced: Option<Instant>,
    /// What had been committed then.
    committed: Measured,
}

impl Runner {
    /// Owns nothing yet. Within a runtime of tokio.
    pub fn new(config: RunnerConfig, parts: Parts) -> Runner {
        Runner {
            config: Arc::new(config),
            clerk: clerk::Clerk::start(&parts.pool),
            texts: watch::Sender::default(),
            parts,
            held: HashMap::new(),
            tasks: JoinSet::new(),
            ids: HashMap::new(),
            faults: HashMap::new(),
            renewed: Instant::now(),
            measured: Instant::now(),
            announced: None,
            committed: Measured::default(),
        }
    }

    /// Owns bots until `stop`, then lets all of them finish what was received and gives the leases back.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut look = interval(self.config.look);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // First of all: what is stored before its day's partition is there stays in the rest.
        let limit = self.config.lease / 2;
        let _ = timeout(limit, keep_house_once(&self.parts.pool)).await;
        let kept = tokio::spawn(keep_house(self.parts.pool.clone()));
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = look.tick() => {
                    // A database that takes statements and does not answer must not hold up what goes by the clock.
                    let limit = self.config.lease / 2;
                    if timeout(limit, self.look()).await.is_err() {
                        tracing::warn!("the data database did not answer in time; trying again");
                    }
                }
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended).await,
            }
        }
        kept.abort();
        self.drain().await;
    }

    /// One look at the world. A database that is away changes nothing here: leases end by the clock.
    async fn look(&mut self) {
        if self.renewed.elapsed() >= self.config.lease / 3 && !self.held.is_empty() {
            self.renew().await;
        }
        if self.announced.is_none_or(|at| at.elapsed() >= ANNOUNCE) {
            self.announce().await;
        }
        self.read_texts().await;
        if let Err(error) = self.follow_settings().await {
            away("settings", &error);
        }
        if let Err(error) = self.wake_restless().await {
            away("work", &error);
        }
        let free = self
            .config
            .most
            .saturating_sub(self.held.len())
            .min(self.config.take);
        if free > 0 {
            let most = i64::try_from(free).unwrap_or(i64::MAX);
            match lease::acquire(&self.parts.pool, &self.config.owner, most, self.config.lease).await {
                Ok(leases) => self.begin(leases).await,
                Err(error) => away("acquire", &error),
            }
            if Instant::now() >= self.config.settled
                && let Err(error) = lease::recall(&self.parts.pool, &self.config.owner, most).await
            {
                away("recall", &error);
            }
        }
        gauge!("tg_bots_owned", "cell" => self.config.cell.clone())
            .set(u32::try_from(self.held.len()).unwrap_or(u32::MAX));
    }

    async fn announce(&mut self) {
        self.announced = Some(Instant::now());
        let committed = self.parts.ingest.measure();
        let before = std::mem::replace(&mut self.committed, committed);
        let keys = self.parts.keys.reads();
        let open = self.parts.pool.size();
        let commits = committed.commits - before.commits;
        let figures = RunnerFigures {
            bots: u32::try_from(self.held.len()).unwrap_or(u32::MAX),
            tuning: self.config.tuning,
            busy: open.saturating_sub(u32::try_from(self.parts.pool.num_idle()).unwrap_or(u32::MAX)),
            open,
            waiting: u64::try_from(committed.waiting).unwrap_or(u64::MAX),
            group: (commits > 0).then(|| (committed.updates - before.updates) as f64 / commits as f64),
            commits: committed.commits,
            keys: CacheFigures {
                hits: keys.hits,
                misses: keys.misses,
                errors: 0,
                entries: Some(keys.entries),
            },
            redis: self.config.redis.as_ref().map(|reads| reads.figures()),
        };
        if let Err(error) = presence::announce(&self.parts.pool, &self.config.owner, &figures).await {
            away("presence", &error);
        }
    }

    /// Texts of the catalogues that have come since.
    async fn read_texts(&self) {
        let before = Arc::clone(&self.texts.borrow());
        match texts::newer(&self.parts.pool, &before).await {
            Ok(Some(texts)) => drop(self.texts.send_replace(Arc::new(texts))),
            Ok(None) => {}
            Err(error) => away("texts", &error),
        }
    }

    async fn renew(&mut self) {
        let mine: Vec<Lease> = self.held.values().map(|held| *held.lease.borrow()).collect();
        // An answer that comes after the leases' end is worth nothing.
        let kept = match timeout(
            self.config.lease / 4,
            lease::renew(
                &self.parts.pool,
                &self.config.owner.name,
                &mine,
                self.config.lease,
            ),
        )
        .await
        {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => return away("renew", &error),
            Err(_) => {
                return tracing::warn!("the data database did not renew the leases in time; trying again");
            }
        };
        self.renewed = Instant::now();
        let kept: HashMap<BotId, Lease> = kept.into_iter().map(|lease| (lease.bot, lease)).collect();
        let mut lost = Vec::new();
        for (bot, held) in &self.held {
            match kept.get(bot) {
                Some(lease) => drop(held.lease.send_replace(*lease)),
                None => {
                    counter!("lease_lost_total").increment(1);
                    tracing::warn!(bot = bot.0, "the lease was lost; another process owns the bot");
                    lost.push(*bot);
                }
            }
        }
        for bot in lost {
            if let Some(held) = self.held.get_mut(&bot) {
                held.then = Then::Nothing;
                held.stop.cancel();
            }
        }
    }

    /// Bots that should not run any more are drained; those with new settings begin anew under the same lease.
    async fn follow_settings(&mut self) -> sqlx::Result<()> {
        let mine: Vec<i64> = self.held.keys().map(|bot| bot.0).collect();
        if mine.is_empty() {
            return Ok(());
        }
        let wanted = store::wanted(&self.parts.pool, &self.config.owner, &mine).await?;
        for (bot, held) in &mut self.held {
            if held.then != Then::Again {
                continue;
            }
            match wanted.get(bot) {
                Some(wanted) if wanted.running && wanted.generation == held.generation => {}
                Some(wanted) if wanted.running => held.stop.cancel(),
                _ => {
                    held.then = Then::Release;
                    held.stop.cancel();
                }
            }
        }
        Ok(())
    }

    /// What others put in (pushed updates, calls of the console, calls that waited) has nobody else to tell of it.
    async fn wake_restless(&mut self) -> sqlx::Result<()> {
        let mine: Vec<i64> = self.held.keys().map(|bot| bot.0).collect();
        if mine.is_empty() {
            return Ok(());
        }
        if self.measured.elapsed() >= MEASURE {
            self.measured = Instant::now();
            let depths = store::depths(&self.parts.pool, &mine).await?;
            gauge!("pending_updates", "cell" => self.config.cell.clone()).set(depths.pending as f64);
            gauge!("update_work_depth", "cell" => self.config.cell.clone()).set(depths.work as f64);
            gauge!("outbox_depth", "cell" => self.config.cell.clone()).set(depths.outbox as f64);
            gauge!("outbox_uncertain", "cell" => self.config.cell.clone()).set(depths.uncertain as f64);
        }
        for bot in store::restless(&self.parts.pool, &mine).await? {
            if let Some(held) = self.held.get(&BotId(bot)) {
                held.wake.work.look();
                held.wake.send.notify_one();
            }
        }
        Ok(())
    }

    async fn begin(&mut self, leases: Vec<Lease>) {
        if leases.is_empty() {
            return;
        }
        let ids: Vec<i64> = leases.iter().map(|lease| lease.bot.0).collect();
        let settings = match store::settings(&self.parts.pool, &ids).await {
            Ok(settings) => settings,
            Err(error) => {
                away("settings", &error);
                self.give_back(&leases).await;
                return;
            }
        };
        if self.held.is_empty() {
            self.renewed = Instant::now();
        }
        for lease in leases {
            match settings.get(&lease.bot) {
                Some(settings) => self.spawn(lease, settings.clone()),
                None => self.give_back(&[lease]).await,
            }
        }
    }

    fn spawn(&mut self, lease: Lease, mut settings: store::Settings) {
        if let (Some(base), Some(hook)) = (&self.config.push_base, &mut settings.webhook) {
            hook.url = crate::webhook::url(base, lease.bot);
        }
        let (sender, receiver) = watch::channel(lease);
        let stop = CancellationToken::new();
        let wake = Arc::new(bot::Wake::default());
        let held = Held {
            lease: sender,
            generation: settings.generation,
            stop: stop.clone(),
            wake: wake.clone(),
            then: Then::Again,
        };
        let task = bot::Bot {
            id: lease.bot,
            parts: self.parts.clone(),
            config: Arc::clone(&self.config),
            settings,
            lease: receiver,
            stop,
            wake,
            clerk: self.clerk.clone(),
            texts: self.texts.subscribe(),
        };
        let handle = self.tasks.spawn(async move { (task.id, task.run().await) });
        self.ids.insert(handle.id(), lease.bot);
        self.held.insert(lease.bot, held);
    }

    /// A task is over: by its own word, or by a panic, which is our fault and touches no other bot.
    async fn ended(&mut self, ended: Result<(Id, (BotId, End)), JoinError>) {
        let (task, end) = match ended {
            Ok((task, (_, end))) => (task, end),
            Err(error) => (error.id(), End::Panicked),
        };
        let Some(bot) = self.ids.remove(&task) else { return };
        let Some(held) = self.held.remove(&bot) else {
            return;
        };
        let lease = *held.lease.borrow();
        match end {
            End::Lost => {}
            _ if held.then == Then::Nothing => {}
            End::Stopped if held.then == Then::Release => self.leave(lease, held.generation).await,
            // New settings: begin again with them, under the same lease.
            End::Stopped => self.again(lease).await,
            End::Invalid => self.give_back(&[lease]).await,
            End::Panicked if self.too_often(bot) => {
                tracing::error!(
                    bot = bot.0,
                    "a bot's task failed {INTENSITY} times within a minute; it is left to a person"
                );
                let note = store::Note::new("failed", Some("panic"), None);
                self.note(lease.bot, lease.fence, held.generation, &note).await;
                self.give_back(&[lease]).await;
            }
            End::Panicked => {
                counter!("tg_bot_panics_total").increment(1);
                self.again(lease).await;
            }
        }
    }

    /// Goes on from the committed cursor, which the lease of the beginning no longer tells.
    async fn again(&mut self, lease: Lease) {
        match store::cursor(&self.parts.pool, lease.bot, lease.fence).await {
            Ok(Some(next_offset)) => self.begin(vec![Lease { next_offset, ..lease }]).await,
            // Another owner's fence is in it.
            Ok(None) => {}
            Err(error) => {
                away("cursor", &error);
                self.give_back(&[lease]).await;
            }
        }
    }

    fn too_often(&mut self, bot: BotId) -> bool {
        let faults = self.faults.entry(bot).or_default();
        let now = Instant::now();
        faults.push_back(now);
        while faults.front().is_some_and(|at| now - *at > INTENSITY_WITHIN) {
            faults.pop_front();
        }
        faults.len() >= INTENSITY
    }

    async fn leave(&self, lease: Lease, generation: i64) {
        let note = store::Note::new("stopped", None, None);
        self.note(lease.bot, lease.fence, generation, &note).await;
        self.give_back(&[lease]).await;
    }

    async fn note(&self, bot: BotId, fence: Fence, generation: i64, note: &store::Note) {
        if let Err(error) = store::note(&self.parts.pool, bot, fence, generation, note).await {
            away("state", &error);
        }
    }

    async fn give_back(&self, leases: &[Lease]) {
        if let Err(error) = lease::release(&self.parts.pool, &self.config.owner.name, leases).await {
            // They run out by themselves.
            away("release", &error);
        }
    }

    /// Every task ends at its next safe point; then all leases are free at once, for whoever comes next.
    async fn drain(mut self) {
        for held in self.held.values_mut() {
            if held.then == Then::Again {
                held.then = Then::Release;
            }
            held.stop.cancel();
        }
        let mut free = Vec::new();
        let until = Instant::now() + self.config.drain;
        let mut late = false;
        loop {
            let ended = match timeout_at(until, self.tasks.join_next_with_id()).await {
                Ok(Some(ended)) => ended,
                Ok(None) => break,
                Err(_) if late => break,
                Err(_) => {
                    late = true;
                    tracing::warn!(
                        bots = self.held.len(),
                        "bots did not end in time; what they had received and not stored stays at Telegram"
                    );
                    self.tasks.abort_all();
                    continue;
                }
            };
            let (task, lost) = match &ended {
                Ok((task, (_, end))) => (*task, *end == End::Lost),
                // Aborted, or our fault: the lease runs out, and the successor sees what was under way.
                Err(error) => (error.id(), true),
            };
            let held = self.ids.remove(&task).and_then(|bot| self.held.remove(&bot));
            if let Some(held) = held
                && held.then == Then::Release
                && !lost
            {
                free.push(*held.lease.borrow());
            }
        }
        if timeout(Duration::from_secs(1), self.give_back(&free))
            .await
            .is_err()
        {
            tracing::warn!("the leases could not be given back; they run out by themselves");
        }
        for depth in [
            "tg_bots_owned",
            "pending_updates",
            "update_work_depth",
            "outbox_depth",
            "outbox_uncertain",
        ] {
            gauge!(depth, "cell" => self.config.cell.clone()).set(0);
        }
        let left = presence::leave(&self.parts.pool, &self.config.owner);
        if !matches!(timeout(Duration::from_secs(1), left).await, Ok(Ok(()))) {
            tracing::debug!("it could not be said that this process has ended");
        }
    }
}

async fn keep_house(pool: PgPool) {
    let mut hour = interval_at(Instant::now() + HOUSEKEEPING, HOUSEKEEPING);
    loop {
        hour.tick().await;
        keep_house_once(&pool).await;
    }
}

async fn keep_house_once(pool: &PgPool) {
    match crate::housekeeping::run(pool).await {
        Ok(done) => tracing::debug!(?done, "housekeeping"),
        Err(error) => away("housekeeping", &error),
    }
}

fn away(what: &'static str, error: &(dyn std::error::Error + 'static)) {
    counter!("tg_runner_database_errors_total", "what" => what).increment(1);
    tracing::warn!(what, error, "the data database does not answer; trying again");
}
