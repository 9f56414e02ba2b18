//! Group commit: while one transaction is under way, batches of all bots gather for the next.
//!
//! A flush to disk takes longer than storing a few rows, so what counts is how many updates share one. No timer is
//! needed: an idle writer takes what is there at once, and a busy one finds more.

use super::store::{SealedBatch, store};
use super::{Batch, Committed, IngestError, Way};
use metrics::{counter, histogram};
use sqlx::PgPool;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};

/// How the committer gathers.
#[derive(Clone, Copy, Debug)]
pub struct CommitterConfig {
    /// How many transactions are under way at once. Each bot always goes to the same one.
    pub writers: usize,
    /// How many updates share one transaction at most. A batch is never split, so a few more may.
    pub rows: usize,
    /// How many bytes of raw updates may wait in all; beyond it, callers are told to come again.
    pub bytes: usize,
    /// How long a transaction may take before its callers are told that the database does not answer.
    pub patience: std::time::Duration,
}

impl Default for CommitterConfig {
    fn default() -> Self {
        CommitterConfig {
            writers: 4,
            rows: 1_000,
            bytes: 32 << 20,
            patience: std::time::Duration::from_secs(10),
        }
    }
}

struct Waiting {
    batch: SealedBatch,
    answer: oneshot::Sender<Result<Committed, IngestError>>,
    // Given back when the batch is committed or refused.
    _room: OwnedSemaphorePermit,
}

/// Takes batches for the next transaction. Cheap to clone; the writers end when the last clone is gone.
#[derive(Clone)]
pub struct Committer {
    lanes: Arc<[mpsc::UnboundedSender<Waiting>]>,
    room: Arc<Semaphore>,
    most: usize,
    sums: Arc<Sums>,
}

/// What was committed since the writers began.
#[derive(Debug, Default)]
struct Sums {
    commits: AtomicU64,
    updates: AtomicU64,
}

/// What a committer has done, and what waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Transactions since it began.
    pub commits: u64,
    /// Updates in them.
    pub updates: u64,
    /// Bytes of raw updates that wait.
    pub waiting: usize,
}

/// The time, as the caller's clock tells it.
pub type Now = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

impl Committer {
    /// Starts the writers on `pool`. `now` is asked once a transaction, for the time at which its updates were received.
    pub fn start(pool: &PgPool, config: CommitterConfig, now: Now) -> Committer {
        let sums = Arc::new(Sums::default());
        let lanes = (0..config.writers.max(1))
            .map(|_| {
                // Bounded by the bytes that `room` lets in, not by a count.
                let (lane, waiting) = mpsc::unbounded_channel();
                tokio::spawn(write(
                    pool.clone(),
                    config,
                    now.clone(),
                    waiting,
                    Arc::clone(&sums),
                ));
                lane
            })
            .collect();
        Committer {
            lanes,
            room: Arc::new(Semaphore::new(config.bytes.min(Semaphore::MAX_PERMITS))),
            most: config.bytes,
            sums,
        }
    }

    /// What it has done, and what waits.
    pub fn measure(&self) -> Measured {
        Measured {
            commits: self.sums.commits.load(Ordering::Relaxed),
            updates: self.sums.updates.load(Ordering::Relaxed),
            waiting: self.most.saturating_sub(self.room.available_permits()),
        }
    }

    /// Room for a batch, taken before anything is done for it.
    pub(super) fn room(&self, batch: &Batch) -> Result<OwnedSemaphorePermit, IngestError> {
        let bytes: usize = batch.updates.iter().map(|update| update.raw.len()).sum();
        // A batch that is larger than all the room gets in alone.
        let bytes = u32::try_from(bytes.clamp(1, self.most.max(1))).unwrap_or(u32::MAX);
        self.room
            .clone()
            .try_acquire_many_owned(bytes)
            .map_err(|_| IngestError::Busy)
    }

    pub(super) async fn commit(
        &self,
        batch: SealedBatch,
        room: OwnedSemaphorePermit,
    ) -> Result<Committed, IngestError> {
        let lane = usize::try_from(batch.bot.0.unsigned_abs()).unwrap_or_default() % self.lanes.len();
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            batch,
            answer,
            _room: room,
        };
        let sent = self.lanes.get(lane).map(|lane| lane.send(waiting));
        if !matches!(sent, Some(Ok(()))) {
            return Err(IngestError::Ending);
        }
        answered.await.unwrap_or(Err(IngestError::Ending))
    }
}

async fn write(
    pool: PgPool,
    config: CommitterConfig,
    now: Now,
    mut waiting: mpsc::UnboundedReceiver<Waiting>,
    sums: Arc<Sums>,
) {
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(first) => first,
            None => match waiting.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let mut rows = first.batch.rows.len();
        let mut group = vec![first];
        while rows < config.rows {
            let Ok(one) = waiting.try_recv() else { break };
            // A polled bot has one batch under way at a time; a second one is of a second owner in this process, and
            // one statement cannot move a cursor twice.
            if polled(&one)
                && group
                    .iter()
                    .any(|other| polled(other) && other.batch.bot == one.batch.bot)
            {
                next = Some(one);
                break;
            }
            rows += one.batch.rows.len();
            group.push(one);
        }
        if commit(&pool, config, now(), group, rows).await {
            sums.commits.fetch_add(1, Ordering::Relaxed);
            sums.updates
                .fetch_add(u64::try_from(rows).unwrap_or_default(), Ordering::Relaxed);
        }
    }
}

fn polled(waiting: &Waiting) -> bool {
    matches!(waiting.batch.way, Way::Polled { .. })
}

/// Returns whether it was committed.
async fn commit(
    pool: &PgPool,
    config: CommitterConfig,
    at: OffsetDateTime,
    group: Vec<Waiting>,
    rows: usize,
) -> bool {
    let started = Instant::now();
    let (batches, answers): (Vec<_>, Vec<_>) = group
        .into_iter()
        .map(|one| (one.batch, (one.answer, one._room)))
        .unzip();
    let newest: Vec<OffsetDateTime> = batches.iter().filter_map(SealedBatch::newest).collect();
    let outcome = timeout(config.patience, store(pool, at, batches))
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut));
    histogram!("ingest_commit_seconds").record(started.elapsed());
    histogram!("ingest_group_updates").record(u32::try_from(rows).unwrap_or(u32::MAX));
    match outcome {
        Ok(committed) => {
            for date in newest {
                histogram!("update_age_seconds").record((at - date).as_seconds_f64());
            }
            for ((answer, _room), committed) in answers.into_iter().zip(committed) {
                if let Some(committed) = committed {
                    counter!("tg_updates_committed_total").increment(committed.stored);
                    counter!("tg_updates_duplicate_total").increment(committed.repeats);
                }
                // Whoever asked may have gone; what was committed stays committed.
                let _ = answer.send(committed.ok_or(IngestError::FenceLost));
            }
            true
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                updates = rows,
                "updates were not stored; Telegram keeps them"
            );
            let error = Arc::new(error);
            for (answer, _room) in answers {
                let _ = answer.send(Err(IngestError::Database(error.clone())));
            }
            false
        }
    }
}
