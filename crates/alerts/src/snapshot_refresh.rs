//! Fills the memory from the database.

use crate::Alerts;
use crate::metrics;
use crate::snapshot::Snapshot;
use crate::store;
use futures::TryStreamExt as _;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

/// More changed episodes than this are not read by their ids.
const MOST_BY_ID: usize = 5_000;

impl Alerts {
    /// Reads what fires from the database into memory. What came in while the database was away stays until it is
    /// stored; `listed` says whether Alertmanager lists a fingerprint.
    pub(crate) async fn refresh(&self, listed: impl Fn(&str) -> bool) -> sqlx::Result<()> {
        // One after the other: an older reading must not replace a newer one.
        let _turn = self.refreshing.lock().await;
        let before = self.snapshot.load_full();
        let known: HashMap<Uuid, &Arc<_>> = before.rows().iter().map(|e| (e.view.alert, e)).collect();
        let mut rows = Vec::with_capacity(before.rows().len());
        let mut same = before.filled && !before.degraded;
        let mut stored = store::firing(&self.db);
        // What has not changed stays the row that it is: the new picture costs no second memory.
        while let Some(row) = stored.try_next().await? {
            rows.push(match known.get(&row.view.alert) {
                Some(known) if ***known == row => Arc::clone(known),
                _ => {
                    same = false;
                    Arc::new(row)
                }
            });
        }
        drop(stored);
        let fingerprints: HashSet<&str> = rows.iter().map(|e| e.view.fingerprint.as_str()).collect();
        let kept: Vec<_> = before
            .rows()
            .iter()
            .filter(|e| e.provisional && !fingerprints.contains(e.view.fingerprint.as_str()))
            .filter(|e| listed(&e.view.fingerprint))
            .cloned()
            .collect();
        drop(fingerprints);
        if same && rows.len() + kept.len() == before.rows().len() {
            return Ok(());
        }
        self.fill(Snapshot::new(kept.into_iter().chain(rows), false));
        if before.degraded {
            self.tell_browsers();
        }
        Ok(())
    }

    /// Reads some episodes from the database into memory.
    pub(crate) async fn refresh_some(&self, ids: &[Uuid]) -> sqlx::Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let known = self.snapshot.load();
        if !known.filled || known.degraded || ids.len() > MOST_BY_ID {
            drop(known);
            return self.refresh(|_| true).await;
        }
        drop(known);
        let _turn = self.refreshing.lock().await;
        let mut changed = store::of_ids(&self.db, ids).await?;
        let before = self.snapshot.load_full();
        // The live stream tells of what was read when it was made: then nothing is new.
        let known: HashMap<Uuid, &Arc<_>> = before.rows().iter().map(|e| (e.view.alert, e)).collect();
        changed.retain(|now| match known.get(&now.view.alert) {
            Some(same) => ***same != *now,
            None => now.view.ended_at.is_none(),
        });
        if !changed.is_empty() {
            self.fill(before.with(changed));
        }
        Ok(())
    }

    /// Puts a snapshot in place; readers see the old one or the new one, never half of both.
    pub(crate) fn fill(&self, snapshot: Snapshot) {
        metrics::feed(&snapshot);
        self.snapshot.store(Arc::new(snapshot));
    }

    /// Ids and times of receipt that readers have seen while the database was away; the rows keep them.
    pub(crate) fn provisional_ids(&self) -> HashMap<String, (Uuid, OffsetDateTime)> {
        let snapshot = self.snapshot.load();
        let provisional = snapshot.rows().iter().filter(|e| e.provisional);
        provisional
            .map(|e| (e.view.fingerprint.clone(), (e.view.alert, e.view.received_at)))
            .collect()
    }
}
