//! The live stream: one reader of the event log per process, and everybody who listens to it.
//!
//! Rows are the truth; NOTIFY only wakes. A row is told as soon as it can be seen, but the *cursor*, the place from
//! which a listener resumes, moves only up to what has settled: below the oldest transaction that still runs, no row
//! can appear any more. So a transaction that commits late is never skipped, a long one delays nobody, and a
//! listener that resumes may hear a message twice but misses none.

use crate::clock::Clock;
use crate::store::events::{self, Place, Seen};
use crate::store::views::{self, Listed};
use bagua_model::notices::LiveMessage;
use bagua_model::operation::{EventView, OperationState};
use bagua_model::region::Environment;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

/// The topic of the message that tells a listener to ask for everything again.
pub const RESET: &str = "reset";

/// How long quiet rows are kept, and so how far back a listener can resume.
pub(crate) const QUIET_LIFE: time::Duration = time::Duration::hours(1);

const RING: usize = 1_000;
const RECENT: usize = 200;
const BATCH: i64 = 500;
/// More active operations than this are listed from the database.
const ACTIVE: i64 = 500;

/// A message of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveEvent {
    /// Where to resume after it, as `<transaction>-<row>`: the SSE id.
    pub cursor: String,
    /// What to send.
    pub message: LiveMessage,
}

type Refresh = Arc<dyn Fn(Vec<String>) -> BoxFuture<'static, ()> + Send + Sync>;

/// The live stream of this process. Cheap to clone.
#[derive(Clone)]
pub struct LiveHub(Arc<Hub>);

struct Hub {
    db: PgPool,
    environment: Environment,
    clock: Clock,
    log: Mutex<Log>,
    sender: broadcast::Sender<Arc<LiveEvent>>,
    refreshes: Mutex<Vec<(String, Refresh)>>,
    active: RwLock<Option<Arc<Active>>>,
    wake: Notify,
}

/// What has been read of the event log.
#[derive(Default)]
struct Log {
    /// Whether the log has been read at all.
    ready: bool,
    /// Everything up to here has settled and has been told.
    horizon: Place,
    /// Told, but not settled.
    early: BTreeSet<Place>,
    /// The last messages; complete for everything after `floor`.
    ring: VecDeque<(Place, Arc<LiveEvent>)>,
    floor: Place,
    /// The last lines of the event log, by id.
    recent: VecDeque<EventView>,
    /// Topics whose messages have no row: a listener that resumes gets one of each.
    volatile: BTreeSet<String>,
}

/// The operations that have not ended, newest first.
pub(crate) struct Active {
    pub(crate) rows: Vec<Listed>,
    /// Whether these are all.
    pub(crate) complete: bool,
}

impl LiveHub {
    /// A hub that has read nothing yet; [`LiveHub::run`] reads.
    pub fn new(db: PgPool, environment: Environment, clock: Clock) -> LiveHub {
        let (sender, _) = broadcast::channel(2 * RING);
        LiveHub(Arc::new(Hub {
            db,
            environment,
            clock,
            log: Mutex::default(),
            sender,
            refreshes: Mutex::default(),
            active: RwLock::default(),
            wake: Notify::new(),
        }))
    }

    /// Has `refresh` run before listeners hear of `topic`, so that whoever asks because of the message finds the
    /// news in the room's memory. It is given the subjects (`noun:id`) that the news are about, each once, and two
    /// seconds.
    pub fn before(
        &self,
        topic: &str,
        refresh: impl Fn(Vec<String>) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) {
        let mut refreshes = self.0.refreshes.lock().unwrap_or_else(PoisonError::into_inner);
        refreshes.push((topic.to_owned(), Arc::new(refresh)));
    }

    /// Whether the event log has been read, so that its news are told.
    pub fn is_ready(&self) -> bool {
        self.log().ready
    }

    /// Where the stream stands: a page that remembers this before it asks, and resumes from it, misses nothing.
    pub fn cursor(&self) -> String {
        cursor(self.log().horizon)
    }

    /// Listens. With a cursor, first what came after it: from memory, else from the database; when that reaches no
    /// longer so far back, or the listener falls behind, a [`RESET`] message.
    pub async fn subscribe(&self, last: Option<&str>) -> BoxStream<'static, Arc<LiveEvent>> {
        // Under the lock under which messages are sent: between the replay and the stream there is no gap.
        let (receiver, horizon, mut replay, missing) = {
            let log = self.log();
            let after = last.map(|last| parse_cursor(last).ok_or(()));
            let (replay, missing) = match after {
                None => (Vec::new(), None),
                Some(Err(())) => (vec![self.reset(log.horizon)], None),
                Some(Ok(after)) if log.ready && after >= log.floor => (log.replay(after), None),
                Some(Ok(after)) => (Vec::new(), Some(after)),
            };
            let volatile = log.volatile.iter().filter(|_| last.is_some());
            let volatile: Vec<_> = volatile
                .map(|topic| self.message(log.horizon, topic, None))
                .collect();
            (
                self.0.sender.subscribe(),
                log.horizon,
                [replay, volatile].concat(),
                missing,
            )
        };
        if let Some(after) = missing {
            let mut older = self
                .replay_from_database(after)
                .await
                .unwrap_or_else(|| vec![self.reset(horizon)]);
            older.append(&mut replay);
            replay = older;
        }
        let hub = self.clone();
        let told = stream::unfold((hub, receiver), |(hub, mut receiver)| async move {
            match receiver.recv().await {
                Ok(event) => Some((event, (hub, receiver))),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(
                        missed,
                        "a listener of the live stream fell behind and starts again"
                    );
                    let horizon = hub.log().horizon;
                    Some((hub.reset(horizon), (hub, receiver)))
                }
                Err(broadcast::error::RecvError::Closed) => None,
            }
        });
        stream::iter(replay).chain(told).boxed()
    }

    /// Tells everybody in this process about news that have no row: a fresh snapshot, a source that is away.
    pub fn publish_volatile(&self, topic: &str, region: Option<&str>) {
        let mut log = self.log();
        if !log.volatile.contains(topic) {
            log.volatile.insert(topic.to_owned());
        }
        let event = self.message(log.horizon, topic, region);
        // Nobody listening is no fault.
        let _ = self.0.sender.send(event);
    }

    /// Reads the event log until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let listener = self.clone();
        let listening = tokio::spawn(async move { listener.listen().await });
        while !stop.is_cancelled() {
            let pause = match self.advance().await {
                Ok(true) => Duration::from_secs(1),
                // Something is not settled: look again soon, so that the cursor follows.
                Ok(false) => Duration::from_millis(100),
                Err(error) => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "the event log cannot be read"
                    );
                    Duration::from_millis(500)
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.0.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        listening.abort();
    }

    /// Turns notifications into wake-ups, and comes back after the database was away.
    async fn listen(&self) {
        loop {
            match self.listen_once().await {
                Ok(()) => {}
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "LISTEN ended"),
            }
            self.0.wake.notify_one();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn listen_once(&self) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.0.db).await?;
        listener.listen("bagua_events").await?;
        loop {
            // `None` is a connection that was lost and has come back: something may have been missed.
            let _ = listener.try_recv().await?;
            self.0.wake.notify_one();
        }
    }

    /// Reads and tells what is new; answers whether everything told has settled.
    async fn advance(&self) -> Result<bool, sqlx::Error> {
        if !self.log().ready {
            self.begin().await?;
        }
        loop {
            // In this order: what had settled before the rows are read is among them.
            let settled = events::settled(&self.0.db).await?;
            let (horizon, early) = {
                let log = self.log();
                (log.horizon, log.early.clone())
            };
            let rows = events::after(&self.0.db, horizon, &early, BATCH).await?;
            let full = i64::try_from(rows.len()).is_ok_and(|n| n == BATCH);
            self.refresh(&rows).await;
            let all_settled = self.tell(rows, settled, !full);
            if !full {
                return Ok(all_settled);
            }
        }
    }

    /// Reads back as far as memory reaches.
    async fn begin(&self) -> Result<(), sqlx::Error> {
        let settled = events::settled(&self.0.db).await?;
        let horizon = events::last_place(&self.0.db, settled).await?;
        let rows = events::before(&self.0.db, horizon, i64::try_from(RING).unwrap_or(i64::MAX)).await?;
        let filter = events::Filter {
            environment: self.0.environment,
            regions: None,
            region: None,
            subject: None,
            kinds: &[],
            since: None,
            before: None,
            limit: i64::try_from(RECENT).unwrap_or(i64::MAX),
        };
        let mut recent = events::list(&self.0.db, &filter).await?;
        // What is listed above the horizon comes again when it is told.
        recent.reverse();
        self.refresh_active().await?;
        let mut log = self.log();
        log.horizon = horizon;
        // A ring that is not full reaches back to the beginning; the oldest of a full one is where it begins.
        log.floor = if rows.len() < RING {
            (0, 0)
        } else {
            rows.first().map_or(horizon, |row| row.place)
        };
        log.ring = rows
            .iter()
            .map(|row| (row.place, self.event(row, row.place)))
            .collect();
        log.recent = recent.into();
        log.ready = true;
        // Who listened before may have missed what is remembered now.
        let _ = self.0.sender.send(self.reset(horizon));
        Ok(())
    }

    /// Brings the memories up to date that answer about these rows.
    async fn refresh(&self, rows: &[Seen]) {
        let topics: BTreeSet<&str> = rows.iter().map(|row| row.topic.as_str()).collect();
        if topics.is_empty() {
            return;
        }
        let refreshes: Vec<_> = {
            let all = self.0.refreshes.lock().unwrap_or_else(PoisonError::into_inner);
            all.iter()
                .filter(|(topic, _)| topics.contains(topic.as_str()))
                .cloned()
                .collect()
        };
        let rooms = futures::future::join_all(refreshes.iter().map(|(topic, refresh)| {
            let of_topic = rows.iter().filter(|row| row.topic == *topic);
            let subjects: BTreeSet<&str> = of_topic.map(|row| row.view.subject.as_str()).collect();
            refresh(subjects.into_iter().map(str::to_owned).collect())
        }));
        let own = async {
            if topics.contains("operations")
                && let Err(error) = self.refresh_active().await
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "active operations were not refreshed"
                );
            }
        };
        if tokio::time::timeout(Duration::from_secs(2), async { tokio::join!(rooms, own) })
            .await
            .is_err()
        {
            tracing::warn!(
                ?topics,
                "a memory took longer than 2 s to refresh; its listeners may see the old state"
            );
        }
    }

    async fn refresh_active(&self) -> Result<(), sqlx::Error> {
        let states: Vec<String> = OperationState::ALL
            .iter()
            .filter(|state| !state.is_final())
            .map(|state| state.as_str().to_owned())
            .collect();
        let filter = views::Filter {
            environment: self.0.environment,
            regions: None,
            own: None,
            states: &states,
            kind: None,
            region: None,
            target: None,
            text: None,
            after: None,
            limit: ACTIVE + 1,
        };
        let mut rows = views::list(&self.0.db, &filter).await?;
        let complete = i64::try_from(rows.len()).is_ok_and(|n| n <= ACTIVE);
        rows.truncate(usize::try_from(ACTIVE).unwrap_or(usize::MAX));
        for state in [
            OperationState::Queued,
            OperationState::Running,
            OperationState::NeedsOperator,
        ] {
            let depth = rows.iter().filter(|row| row.summary.state == state).count();
            metrics::gauge!("bagua_operations", "state" => state.as_str()).set(depth as f64);
        }
        *self.0.active.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::new(Active { rows, complete }));
        Ok(())
    }

    /// Sends rows to the listeners and moves the horizon; `whole` when no further row was visible.
    fn tell(&self, rows: Vec<Seen>, settled: i64, whole: bool) -> bool {
        let now = self.0.clock.now();
        let mut log = self.log();
        for row in rows {
            // A settled row's own place is safe to resume from: rows come in order, and all before it are told.
            let early = row.place.0 >= settled;
            let resume = if early {
                log.horizon
            } else {
                row.place.max(log.horizon)
            };
            let event = self.event(&row, resume);
            log.ring.push_back((row.place, event.clone()));
            log.early.insert(row.place);
            let lag = (now - row.view.at).as_seconds_f64().max(0.0);
            metrics::histogram!("bagua_event_lag_seconds").record(lag);
            if !row.quiet && row.view.environment.is_none_or(|e| e == self.0.environment) {
                log.remember(row.view);
            }
            if !early {
                log.horizon = resume;
            }
            let _ = self.0.sender.send(event);
        }
        if whole {
            let below = log.early.iter().rev().find(|place| place.0 < settled).copied();
            if let Some(below) = below {
                log.horizon = log.horizon.max(below);
            }
        }
        let horizon = log.horizon;
        log.early.retain(|place| *place > horizon);
        while log.ring.len() > RING {
            if let Some((place, _)) = log.ring.pop_front() {
                log.floor = log.floor.max(place);
            }
        }
        log.early.is_empty()
    }

    async fn replay_from_database(&self, after: Place) -> Option<Vec<Arc<LiveEvent>>> {
        let read = async {
            let since = self.0.clock.now() - QUIET_LIFE;
            if !events::reaches(&self.0.db, after, since).await? {
                return Ok::<_, sqlx::Error>(None);
            }
            let settled = events::settled(&self.0.db).await?;
            let rows = events::after(&self.0.db, after, &BTreeSet::new(), BATCH).await?;
            Ok((i64::try_from(rows.len()).is_ok_and(|n| n < BATCH)).then_some((settled, rows)))
        };
        match tokio::time::timeout(Duration::from_secs(2), read).await {
            Ok(Ok(replay)) => replay.map(|(settled, rows)| {
                let mut resume = after;
                rows.iter()
                    .map(|row| {
                        if row.place.0 < settled {
                            resume = row.place;
                        }
                        self.event(row, resume)
                    })
                    .collect()
            }),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the event log cannot be replayed"
                );
                None
            }
            Err(_) => None,
        }
    }

    /// The last lines of the event log, newest first, and whether there are no older ones; `None` before the log has
    /// been read.
    pub(crate) fn recent(
        &self,
        keep: impl Fn(&EventView) -> bool,
        limit: usize,
    ) -> Option<(Vec<EventView>, bool)> {
        let log = self.log();
        log.ready.then(|| {
            let lines = log
                .recent
                .iter()
                .rev()
                .filter(|line| keep(line))
                .take(limit)
                .cloned()
                .collect();
            (lines, log.recent.len() < RECENT)
        })
    }

    /// The operations that have not ended; `None` before they have been read.
    pub(crate) fn active(&self) -> Option<Arc<Active>> {
        self.0
            .active
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn event(&self, row: &Seen, resume: Place) -> Arc<LiveEvent> {
        // A screen that shows an operation knows its id, not its target's.
        let subject = match (row.topic.as_str(), row.view.operation) {
            ("operations", Some(operation)) => format!("operation:{operation}"),
            _ => row.view.subject.clone(),
        };
        let message = LiveMessage {
            topic: row.topic.clone(),
            subject: Some(subject),
            region: row.view.region.as_ref().map(|region| region.as_str().to_owned()),
        };
        Arc::new(LiveEvent {
            cursor: cursor(resume),
            message,
        })
    }

    fn message(&self, place: Place, topic: &str, region: Option<&str>) -> Arc<LiveEvent> {
        let message = LiveMessage {
            topic: topic.to_owned(),
            subject: None,
            region: region.map(str::to_owned),
        };
        Arc::new(LiveEvent {
            cursor: cursor(place),
            message,
        })
    }

    fn reset(&self, place: Place) -> Arc<LiveEvent> {
        self.message(place, RESET, None)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// What was told after a place, in the order of places: so the cursor of each settled message is its own place,
    /// and a listener that comes and goes gets on.
    fn replay(&self, after: Place) -> Vec<Arc<LiveEvent>> {
        let mut told: Vec<_> = self.ring.iter().filter(|(place, _)| *place > after).collect();
        told.sort_by_key(|(place, _)| *place);
        told.into_iter()
            .map(|(place, event)| {
                let cursor = cursor((*place).min(self.horizon).max(after));
                Arc::new(LiveEvent {
                    cursor,
                    message: event.message.clone(),
                })
            })
            .collect()
    }

    /// Keeps the lines ordered by id: transactions may commit in another order than they began.
    fn remember(&mut self, line: EventView) {
        let at = self.recent.partition_point(|known| known.id < line.id);
        if self.recent.get(at).is_some_and(|known| known.id == line.id) {
            return;
        }
        self.recent.insert(at, line);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }
}

fn cursor(place: Place) -> String {
    format!("{}-{}", place.0, place.1)
}

fn parse_cursor(text: &str) -> Option<Place> {
    let (xid, id) = text.split_once('-')?;
    Some((xid.parse().ok()?, id.parse().ok()?))
}
