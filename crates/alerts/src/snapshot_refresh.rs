//! Fills the memory from the database.

use crate::Alerts;
use crate::metrics;
use crate::snapshot::Snapshot;
use crate::store;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

/// Which rows that came in while the database was away stay until they are stored.
pub(crate) enum Keep<'a> {
    /// All: nobody has compared them with Alertmanager's list.
    Everything,
    /// Those that Alertmanager listed just now (fingerprints).
    Listed(&'a HashSet<String>),
}

impl Alerts {
    /// Reads what fires from the database into memory.
    pub(crate) async fn refresh(&self, keep: Keep<'_>) -> sqlx::Result<()> {
        // One after the other: an older reading must not replace a newer one.
        let _turn = self.refreshing.lock().await;
        let rows = store::firing(&self.db).await?;
        let before = self.snapshot.load_full();
        let stored: HashSet<&str> = rows.iter().map(|e| e.view.fingerprint.as_str()).collect();
        let kept: Vec<_> = before
            .rows()
            .iter()
            .filter(|e| e.provisional && !stored.contains(e.view.fingerprint.as_str()))
            .filter(|e| match keep {
                Keep::Everything => true,
                Keep::Listed(listed) => listed.contains(&e.view.fingerprint),
            })
            .cloned()
            .collect();
        drop(stored);
        self.fill(Snapshot::new(
            kept.into_iter().chain(rows.into_iter().map(Arc::new)),
            false,
        ));
        if before.degraded {
            self.tell_browsers();
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
