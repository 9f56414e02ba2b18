//! The feed while the database is away: memory follows Alertmanager.

use super::Reconciler;
use super::repair::with_ends;
use crate::episode::{Change, Episode, Known, compare, says_nothing_new};
use crate::observation::Observation;
use crate::reading::Reading;
use crate::snapshot::Snapshot;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

impl Reconciler {
    /// Goes on in memory. Acknowledgements stay as they were last known.
    pub(super) async fn without_database(&mut self, reading: &Reading) {
        let room = Arc::clone(&self.room);
        let before = room.snapshot.load_full();
        let firing: HashMap<&str, &Arc<Episode>> = before
            .rows()
            .iter()
            .map(|e| (e.view.fingerprint.as_str(), e))
            .collect();
        let known = |o: &Observation| firing.get(o.fingerprint.as_str()).copied();
        let news: Vec<Observation> = reading
            .wanted
            .iter()
            .filter(|o| known(o).is_none_or(|e| !says_nothing_new(e, o)))
            .cloned()
            .collect();
        let absent: Vec<Arc<Episode>> = before
            .rows()
            .iter()
            .filter(|e| !reading.listed.contains_key(&e.view.fingerprint))
            .cloned()
            .collect();
        let known: HashMap<String, Known> = news
            .iter()
            .filter_map(known)
            .chain(&absent)
            .map(|e| {
                let firing = Some(Episode::clone(e));
                (e.view.fingerprint.clone(), Known { firing, ended: None })
            })
            .collect();
        let comparison = compare(&known, &news, &mut self.suspicions);
        let again: Vec<_> = comparison.absent.iter().cloned().map(Arc::new).collect();
        let ends = self.ends(&again).await;
        let changes = with_ends(comparison, &ends, room.clock.now());
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
