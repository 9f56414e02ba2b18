//! The loop that compares the feed with Alertmanager's list: it finds what no notification told.
//!
//! Every console reads the list, for its own memory and to know whether Alertmanager answers; the one that holds the
//! lease also repairs the rows. Should two of them ever repair at once, the lock of the transaction and the comparison
//! inside it keep them from doing anything twice.

use crate::Alerts;
use crate::episode::{Change, Comparison, Episode, Known, Suspicions, compare};
use crate::metrics::{self, Finder};
use crate::observation::Observation;
use crate::prometheus::Word;
use crate::snapshot::Snapshot;
use crate::snapshot_refresh::Keep;
use crate::store::{self, Stamp};
use bagua_model::notices::Source;
use sqlx::{Connection, PgConnection};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Longer than it takes to find out that the database is away.
const DATABASE_TIME_OUT: Duration = Duration::from_secs(4);

pub(crate) struct Reconciler {
    room: Arc<Alerts>,
    lease: Option<Lease>,
    suspicions: Suspicions,
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

impl Reconciler {
    pub(crate) fn new(room: Arc<Alerts>) -> Reconciler {
        Reconciler {
            room,
            lease: None,
            suspicions: Suspicions::default(),
        }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut beat = tokio::time::interval(self.room.timing.reconcile_every);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = beat.tick() => {}
                () = self.room.kick.notified() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.tick() => {}
            }
        }
    }

    /// One reading.
    async fn tick(&mut self) {
        let listed = self.read().await;
        self.settle_reading(listed.as_deref()).await;
        if listed.is_some() {
            self.room.readings.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn settle_reading(&mut self, listed: Option<&[Observation]>) {
        let stored = tokio::time::timeout(DATABASE_TIME_OUT, self.with_database(listed)).await;
        let fault = match stored {
            Ok(Ok(())) => return,
            Ok(Err(error)) => Fault::from(error),
            Err(slow) => Fault::from(slow),
        };
        self.lease = None;
        if !self.room.snapshot.load().degraded {
            tracing::warn!(
                error = &fault as &dyn std::error::Error,
                "the database is away; the feed follows Alertmanager from memory"
            );
        }
        self.without_database(listed).await;
    }

    /// Alertmanager's list without the Watchdog; `None` when it does not answer.
    async fn read(&mut self) -> Option<Vec<Observation>> {
        match self.room.alertmanager.alerts().await {
            Ok(mut listed) => {
                self.room.sources.ok(Source::Alertmanager);
                let switch = listed.iter().find(|o| o.is_watchdog()).and_then(|o| o.updated_at);
                if let Some(at) = switch {
                    self.room.saw_watchdog(at);
                }
                listed.retain(|o| !o.is_watchdog());
                Some(listed)
            }
            Err(error) => {
                self.room.sources.failed(Source::Alertmanager, &error);
                // Nothing is concluded from silence: the feed stands as it was last known.
                self.suspicions.clear();
                None
            }
        }
    }

    async fn with_database(&mut self, listed: Option<&[Observation]>) -> sqlx::Result<()> {
        let leads = self.leads().await?;
        if leads {
            self.room.lapse().await?;
        }
        let Some(listed) = listed else {
            return self.room.refresh(Keep::Everything).await;
        };
        if leads {
            self.repair(listed).await?;
        } else {
            self.suspicions.clear();
        }
        let fingerprints: HashSet<String> = listed.iter().map(|o| o.fingerprint.clone()).collect();
        self.room.refresh(Keep::Listed(&fingerprints)).await
    }

    async fn leads(&mut self) -> sqlx::Result<bool> {
        if let Some(lease) = self.lease.as_mut().filter(|lease| lease.held) {
            if store::alive(&mut lease.session).await.is_ok() {
                return Ok(true);
            }
            self.lease = None;
        }
        if self.lease.is_none() {
            let session = PgConnection::connect_with(&self.room.db.connect_options()).await?;
            self.lease = Some(Lease { session, held: false });
        }
        let Some(lease) = &mut self.lease else {
            return Ok(false);
        };
        lease.held = store::lead(&mut lease.session).await?;
        if lease.held {
            tracing::info!("this console reconciles the alert feed");
        }
        Ok(lease.held)
    }

    async fn repair(&mut self, listed: &[Observation]) -> sqlx::Result<()> {
        let room = Arc::clone(&self.room);
        // First without a lock, to see whether there is anything to do and what to ask Prometheus.
        let mut db = room.db.acquire().await?;
        let known = known(&mut db, listed).await?;
        store::seen(&mut db, listed, room.clock.now()).await?;
        drop(db);
        let mut first = self.suspicions.clone();
        let comparison = compare(&known, listed, &mut first);
        let ends = self.ends(&comparison.absent).await;
        metrics::held_back(comparison.absent.len() - ends.len());
        if comparison.changes.is_empty() && ends.is_empty() {
            self.suspicions = first;
            return Ok(());
        }

        // Then again with it: a notification may have come in between.
        let mut tx = room.db.begin().await?;
        store::lock(&mut tx).await?;
        let known = self::known(&mut tx, listed).await?;
        let mut after = self.suspicions.clone();
        let changes = settle(compare(&known, listed, &mut after), &ends, room.clock.now());
        let seen = room.provisional_ids();
        let stamp = Stamp {
            now: room.clock.now(),
            seen: &seen,
        };
        for change in &changes {
            room.make(&mut tx, change, &stamp).await?;
        }
        tx.commit().await?;
        self.suspicions = after;
        for change in &changes {
            tracing::info!(change = ?change, "repaired the alert feed by Alertmanager's list");
            metrics::change(change, Finder::Reconciler);
        }
        Ok(())
    }

    /// Which of the absent episodes have ended, in the second witness's word.
    async fn ends(&self, absent: &[Episode]) -> HashSet<Uuid> {
        if absent.is_empty() {
            return HashSet::new();
        }
        let Some(testimony) = self.room.testimony().await else {
            return HashSet::new();
        };
        let words: Vec<_> = absent
            .iter()
            .map(|e| (e.view.alert, testimony.of(&e.view.labels, e.last_started_at)))
            .collect();
        // Whoever sends alerts that Prometheus does not know repeats them; a young Alertmanager may not have heard.
        let strangers_end = words.iter().any(|(_, word)| *word == Word::Stranger)
            && self.room.alertmanager.status().await.is_ok_and(|status| {
                self.room.clock.now() - status.started_at >= self.room.timing.stranger_grace
            });
        words
            .into_iter()
            .filter(|(_, word)| *word == Word::Ended || (*word == Word::Stranger && strangers_end))
            .map(|(id, _)| id)
            .collect()
    }

    /// Goes on in memory. Acknowledgements stay as they were last known.
    async fn without_database(&mut self, listed: Option<&[Observation]>) {
        let room = Arc::clone(&self.room);
        let before = room.snapshot.load_full();
        let Some(listed) = listed else {
            // Neither source answers: the last known rows stand, and say so.
            room.fill((*before).clone().as_last_known());
            return;
        };
        let known: HashMap<String, Known> = before
            .rows()
            .iter()
            .map(|e| {
                (
                    e.view.fingerprint.clone(),
                    Known {
                        firing: Some((**e).clone()),
                        ended: None,
                    },
                )
            })
            .collect();
        let comparison = compare(&known, listed, &mut self.suspicions);
        let ends = self.ends(&comparison.absent).await;
        let changes = settle(comparison, &ends, room.clock.now());
        let mut rows: HashMap<Uuid, Arc<Episode>> = before
            .rows()
            .iter()
            .map(|e| (e.view.alert, Arc::clone(e)))
            .collect();
        for change in &changes {
            match change {
                Change::Open(o) => {
                    let id = Uuid::now_v7();
                    let episode = Episode {
                        provisional: true,
                        ..Episode::open(id, o, room.clock.now())
                    };
                    rows.insert(id, Arc::new(episode));
                }
                Change::Resolve { id, .. } => drop(rows.remove(id)),
                Change::Renew {
                    id,
                    started_at,
                    last_started_at,
                } => {
                    if let Some(episode) = rows.get_mut(id).map(Arc::make_mut) {
                        episode.view.started_at = *started_at;
                        episode.last_started_at = *last_started_at;
                    }
                }
                Change::Suppress { id, by } => {
                    if let Some(episode) = rows.get_mut(id).map(Arc::make_mut) {
                        episode.view.suppressed = !by.is_empty();
                        episode.view.suppressed_by.clone_from(by);
                    }
                }
                // Memory holds nothing that has ended.
                Change::Missed(..) | Change::Reopen { .. } => {}
            }
        }
        room.fill(Snapshot::new(rows.into_values(), true));
        if !changes.is_empty() || !before.degraded {
            room.tell_browsers();
        }
    }
}

async fn known(db: &mut PgConnection, listed: &[Observation]) -> sqlx::Result<HashMap<String, Known>> {
    let mut fingerprints = store::firing_fingerprints(db).await?;
    fingerprints.extend(listed.iter().map(|o| o.fingerprint.clone()));
    store::known(db, &fingerprints).await
}

fn settle(comparison: Comparison, ends: &HashSet<Uuid>, now: time::OffsetDateTime) -> Vec<Change> {
    let mut changes = comparison.changes;
    let ended = comparison
        .absent
        .iter()
        .map(|e| e.view.alert)
        .filter(|id| ends.contains(id));
    changes.extend(ended.map(|id| Change::Resolve { id, ended_at: now }));
    changes
}
