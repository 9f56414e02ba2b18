//! Repairs the rows by what the list says.

use super::{Fault, Reconciler, in_time};
use crate::episode::{Change, Comparison, Episode, Suspicions, compare, says_nothing_new};
use crate::metrics::{self, Finder};
use crate::observation::Observation;
use crate::prometheus::Word;
use crate::reading::Reading;
use crate::store::{self, Stamp};
use crate::{AT_ONCE, Alerts};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

impl Reconciler {
    /// Repairs the rows; answers whose.
    pub(super) async fn repair(&mut self, reading: &Reading) -> Result<Vec<Uuid>, Fault> {
        let room = Arc::clone(&self.room);
        let firing = room.snapshot.load_full();
        let by_fingerprint: HashMap<&str, &Arc<Episode>> = firing
            .rows()
            .iter()
            .map(|e| (e.view.fingerprint.as_str(), e))
            .collect();
        let known = |o: &Observation| by_fingerprint.get(o.fingerprint.as_str()).copied();

        let before = self.suspicions.clone();
        let absent = firing.rows().iter();
        let absent = absent.filter(|e| !e.provisional && !reading.listed.contains_key(&e.view.fingerprint));
        let absent = self.suspicions.miss(absent.cloned().collect());
        let ends = self.ends(&absent).await;
        metrics::held_back(absent.len() - ends.len());

        // Memory says what the rows say, so most of what is listed needs no look at them.
        let news = reading.wanted.iter();
        let news: Vec<&Observation> = news
            .filter(|o| known(o).is_none_or(|e| e.provisional || !says_nothing_new(e, o)))
            .collect();
        let ended: Vec<&str> = absent
            .iter()
            .filter(|e| ends.contains(&e.view.alert))
            .map(|e| e.view.fingerprint.as_str())
            .collect();
        let mut changed = Vec::new();
        self.suspicions.forget_back();
        for part in news.chunks(AT_ONCE) {
            let listed: Vec<Observation> = part.iter().map(|o| (*o).clone()).collect();
            let mut after = before.clone();
            changed.extend(in_time(room.settle(&listed, &[], &ends, &mut after)).await?);
            self.suspicions.take_back(after);
        }
        for part in ended.chunks(AT_ONCE) {
            let mut after = before.clone();
            changed.extend(in_time(room.settle(&[], part, &ends, &mut after)).await?);
        }

        let differs = |o: &&Observation| known(o).is_some_and(|e| e.view.annotations != o.annotations);
        let described: Vec<&Observation> = reading.wanted.iter().filter(differs).collect();
        for part in described.chunks(AT_ONCE) {
            let written = async {
                let mut db = room.db.acquire().await?;
                store::describe(&mut db, part, room.clock.now()).await
            };
            changed.extend(in_time(written).await?);
        }
        Ok(changed)
    }

    /// Which of the absent episodes have ended, in the second witness's word.
    pub(super) async fn ends(&self, absent: &[Arc<Episode>]) -> HashSet<Uuid> {
        if absent.is_empty() {
            return HashSet::new();
        }
        let Some(testimony) = self.room.testimony().await else {
            return HashSet::new();
        };
        let judge = testimony.judge();
        let words: Vec<_> = absent
            .iter()
            .map(|e| (e.view.alert, judge.of(&e.view.labels, e.last_started_at)))
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
}

impl Alerts {
    /// Weighs a part of the list, and of what is absent from it, against the rows under the lock: a notification may
    /// have come in between. Answers the episodes that changed.
    async fn settle(
        &self,
        listed: &[Observation],
        absent: &[&str],
        ends: &HashSet<Uuid>,
        suspicions: &mut Suspicions,
    ) -> sqlx::Result<Vec<Uuid>> {
        let fingerprints: Vec<String> = listed
            .iter()
            .map(|o| o.fingerprint.clone())
            .chain(absent.iter().map(|f| (*f).to_owned()))
            .collect();
        let mut tx = self.db.begin().await?;
        store::lock(&mut tx).await?;
        let known = store::known(&mut tx, &fingerprints).await?;
        let changes = with_ends(compare(&known, listed, suspicions), ends, self.clock.now());
        let seen = self.provisional_ids();
        let stamp = Stamp {
            now: self.clock.now(),
            seen: &seen,
        };
        let made = self.make(&mut tx, &changes, &stamp).await?;
        let ids: Vec<_> = made.iter().map(|(_, e)| e.view.alert).collect();
        tx.commit().await?;
        if !changes.is_empty() {
            tracing::info!(
                changes = changes.len(),
                first = changes.first().map(Change::in_short),
                "repaired the alert feed by Alertmanager's list"
            );
        }
        for change in &changes {
            metrics::change(change, Finder::Reconciler);
        }
        Ok(ids)
    }
}

/// The changes, and the ends of which both witnesses speak. One change for an episode: its end is the last word.
pub(super) fn with_ends(
    comparison: Comparison,
    ends: &HashSet<Uuid>,
    now: time::OffsetDateTime,
) -> Vec<Change> {
    let mut changes = comparison.changes;
    let ended = comparison
        .absent
        .iter()
        .map(|e| e.view.alert)
        .filter(|id| ends.contains(id));
    changes.extend(ended.map(|id| Change::Resolve { id, ended_at: now }));
    changes
}
