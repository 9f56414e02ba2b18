//! The loop that compares the feed with Alertmanager's list: it finds what no notification told.
//!
//! Every console reads the list, for its own memory and to know whether Alertmanager answers; the one that holds the
//! lease also repairs the rows. Should two of them ever repair at once, the lock of the transaction and the comparison
//! inside it keep them from doing anything twice.

mod away;
mod repair;

use crate::Alerts;
use crate::episode::Suspicions;
use crate::metrics;
use crate::pace::Pace;
use crate::reading::{self, Reading};
use crate::store;
use bagua_model::notices::Source;
use sqlx::{Connection, PgConnection};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Longer than it takes to find out that the database is away.
const DATABASE_TIME_OUT: Duration = Duration::from_secs(4);

/// Alerts that one reading looks at.
const MOST_AT_ONCE: usize = 5_000;

pub(crate) struct Reconciler {
    room: Arc<Alerts>,
    lease: Option<Lease>,
    suspicions: Suspicions,
    /// By fingerprint, the hash of what the list said and the episode that says the same.
    settled: HashMap<String, (u64, Uuid)>,
    /// The hash of the whole list and the revision of the memory that says the same.
    same: Option<(u64, u64)>,
    /// When memory was last compared with all rows.
    compared: Option<Instant>,
    /// Length of the last list.
    bytes: usize,
}

/// The right to repair, bound to a session of its own, outside the pool: when the session ends, another console gets it.
struct Lease {
    session: PgConnection,
    held: bool,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the database did not answer in time")]
    Slow(#[from] tokio::time::error::Elapsed),
}

/// A step that waits for the database no longer than until it must be taken for away.
async fn in_time<T>(step: impl Future<Output = sqlx::Result<T>>) -> Result<T, Fault> {
    Ok(tokio::time::timeout(DATABASE_TIME_OUT, step).await??)
}

/// What Alertmanager's list says.
enum Listed {
    /// Alertmanager did not answer.
    Unknown,
    /// What it said before, and memory says.
    Same,
    /// Something else.
    Other(u64, Reading),
}

impl Listed {
    /// What a reading found, for its metrics; nothing when there was none.
    fn name(&self) -> Option<&'static str> {
        match self {
            Listed::Unknown => None,
            Listed::Same => Some("same"),
            // Prometheus repeats what fires, and its repetition moves times that nobody looks at.
            Listed::Other(_, reading) if reading.wanted.is_empty() => Some("repeated"),
            Listed::Other(..) => Some("changed"),
        }
    }
}

impl Reconciler {
    pub(crate) fn new(room: Arc<Alerts>) -> Reconciler {
        Reconciler {
            room,
            lease: None,
            suspicions: Suspicions::default(),
            settled: HashMap::new(),
            same: None,
            compared: None,
            bytes: 0,
        }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut pace = Pace::new(self.room.timing.reconcile_every);
        loop {
            let began = Instant::now();
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.tick() => pace.went(changed, began.elapsed()),
            }
            let kicked = async {
                tokio::time::sleep(pace.apart()).await;
                self.room.kick.notified().await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pace.pause()) => {}
                () = kicked => {}
            }
        }
    }

    /// One reading. Answers whether anything is under way, so that the next should come soon.
    async fn tick(&mut self) -> bool {
        let began = Instant::now();
        let text = self.read().await;
        let answered = Instant::now();
        let listed = text.as_deref().map_or(Listed::Unknown, |text| self.look(text));
        drop(text);
        let found = listed.name();
        self.settle_reading(&listed).await;
        if let Some(found) = found {
            self.room.learn_causes().await;
            metrics::reading(self.bytes, found, began.elapsed(), answered.elapsed());
            self.room.readings.fetch_add(1, Ordering::Relaxed);
        }
        !matches!(listed, Listed::Same)
    }

    /// The text of Alertmanager's list; `None` when it does not answer.
    async fn read(&mut self) -> Option<Vec<u8>> {
        // Given back after each reading: between them it would only lie there.
        let mut text = Vec::with_capacity(self.bytes + self.bytes / 8);
        match self.room.alertmanager.list(&mut text).await {
            Ok(()) => {
                self.bytes = text.len();
                Some(text)
            }
            Err(error) => {
                self.away(&error);
                None
            }
        }
    }

    /// Nothing is concluded from silence: the feed stands as it was last known.
    fn away(&mut self, error: &dyn std::error::Error) {
        self.room.sources.failed(Source::Alertmanager, error);
        self.suspicions.clear();
        self.same = None;
    }

    /// Finds what is new in the list.
    fn look(&mut self, text: &[u8]) -> Listed {
        let digest = reading::digest(text);
        let snapshot = self.room.snapshot.load();
        if self.same == Some((digest, snapshot.revision())) {
            self.room.sources.ok(Source::Alertmanager);
            return Listed::Same;
        }
        let firing: HashMap<&str, Uuid> = snapshot
            .rows()
            .iter()
            .map(|e| (e.view.fingerprint.as_str(), e.view.alert))
            .collect();
        let settled = &self.settled;
        // Of a storm a part is read at once, so that it never lies in memory twice; the next reading goes on.
        let (mut room, mut more) = (MOST_AT_ONCE, false);
        let reading = Reading::of(text, |fingerprint, hash| {
            let now = firing.get(fingerprint).map(|id| (hash, *id));
            let other = now.is_none() || settled.get(fingerprint).copied() != now;
            let read = other && room > 0;
            room -= usize::from(read);
            more |= now.is_none() && !read;
            read
        });
        if more {
            self.room.reconcile_soon();
        }
        match reading {
            Ok(reading) => {
                self.room.sources.ok(Source::Alertmanager);
                if let Some(at) = reading.watchdog {
                    self.room.saw_watchdog(at);
                }
                Listed::Other(digest, reading)
            }
            Err(error) => {
                self.away(&error);
                Listed::Unknown
            }
        }
    }

    async fn settle_reading(&mut self, listed: &Listed) {
        let before = self.suspicions.clone();
        let Err(fault) = self.with_database(listed).await else {
            return;
        };
        // The reading has not been weighed yet.
        self.suspicions = before;
        self.lease = None;
        self.settled.clear();
        self.same = None;
        self.compared = None;
        if !self.room.snapshot.load().degraded {
            tracing::warn!(
                error = &fault as &dyn std::error::Error,
                "the database is away; the feed follows Alertmanager from memory"
            );
        }
        match listed {
            Listed::Other(_, reading) => self.without_database(reading).await,
            // Memory says what the list says, or neither source answers: the rows stand as last known, and say so.
            Listed::Same | Listed::Unknown => {
                let known = self.room.snapshot.load_full();
                self.room.fill((*known).clone().as_last_known());
            }
        }
    }

    async fn with_database(&mut self, listed: &Listed) -> Result<(), Fault> {
        let (leads, new) = in_time(self.leads()).await?;
        if leads {
            in_time(self.room.lapse()).await?;
        }
        let reading = match listed {
            Listed::Other(_, reading) => Some(reading),
            Listed::Same | Listed::Unknown => None,
        };
        self.compare_all(reading).await?;
        let (Listed::Other(digest, reading), true) = (listed, leads) else {
            if let Listed::Other(digest, reading) = listed {
                self.suspicions.clear();
                self.remember(*digest, reading);
            }
            return Ok(());
        };
        let changed = self.repair(reading).await?;
        in_time(self.room.refresh_some(&changed)).await?;
        self.remember(*digest, reading);
        if new {
            // What the console without the lease had settled was settled by looking only.
            self.settled.clear();
            self.same = None;
        }
        Ok(())
    }

    /// Compares memory with all rows, when that is due.
    async fn compare_all(&mut self, reading: Option<&Reading>) -> Result<(), Fault> {
        let snapshot = self.room.snapshot.load();
        let due = self
            .compared
            .is_none_or(|at| at.elapsed() >= self.room.timing.compare_every);
        if !due && snapshot.filled && !snapshot.degraded {
            return Ok(());
        }
        drop(snapshot);
        let listed = |fingerprint: &str| reading.is_none_or(|r| r.listed.contains_key(fingerprint));
        in_time(self.room.refresh(listed)).await?;
        self.compared = Some(Instant::now());
        Ok(())
    }

    /// Whether this console repairs, and whether that is new.
    async fn leads(&mut self) -> sqlx::Result<(bool, bool)> {
        if let Some(lease) = self.lease.as_mut().filter(|lease| lease.held) {
            if store::alive(&mut lease.session).await.is_ok() {
                return Ok((true, false));
            }
            self.lease = None;
        }
        if self.lease.is_none() {
            let session = PgConnection::connect_with(&self.room.db.connect_options()).await?;
            self.lease = Some(Lease { session, held: false });
        }
        let Some(lease) = &mut self.lease else {
            return Ok((false, false));
        };
        lease.held = store::lead(&mut lease.session).await?;
        if lease.held {
            tracing::info!("this console reconciles the alert feed");
        }
        Ok((lease.held, lease.held))
    }

    /// Remembers what the list said and memory says, so that the next reading passes it over.
    fn remember(&mut self, digest: u64, reading: &Reading) {
        let snapshot = self.room.snapshot.load();
        let firing: HashMap<&str, _> = snapshot
            .rows()
            .iter()
            .map(|e| (e.view.fingerprint.as_str(), e))
            .collect();
        for o in &reading.wanted {
            let Some(hash) = reading.listed.get(&o.fingerprint) else {
                continue;
            };
            let episode = firing.get(o.fingerprint.as_str());
            match episode.filter(|e| e.view.annotations == o.annotations) {
                Some(e) => drop(self.settled.insert(o.fingerprint.clone(), (*hash, e.view.alert))),
                // Not stored yet, or its annotations were written too short a time ago: the next reading looks again.
                None => drop(self.settled.remove(&o.fingerprint)),
            }
        }
        self.settled
            .retain(|fingerprint, _| reading.listed.contains_key(fingerprint));
        // Of a storm only a part may have been read: what is settled then still has its hash of before.
        let settled = |(fingerprint, hash): (&String, &u64)| {
            self.settled
                .get(fingerprint)
                .is_some_and(|(settled, _)| settled == hash)
        };
        let whole = reading.listed.iter().all(settled)
            && snapshot.rows().len() == reading.listed.len()
            && self.suspicions.is_empty();
        self.same = whole.then(|| (digest, snapshot.revision()));
    }
}
