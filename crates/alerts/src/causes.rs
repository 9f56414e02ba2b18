//! What holds suppressed alerts back, in memory: the feed says it without asking Alertmanager for each page.

use crate::Alerts;
use crate::alertmanager::ApiSilence;
use crate::snapshot::{Sight, Snapshot};
use bagua_model::alerts::{AlertView, Cause};
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A silence may be prolonged under its id: so old may be what is known of it.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// The silences that hold something, as last read.
#[derive(Default)]
pub(crate) struct KnownSilences {
    by_id: HashMap<String, Cause>,
    read: Option<Instant>,
}

impl Alerts {
    /// Reads Alertmanager's silences when the feed names one that is not known, or what is known is old.
    pub(crate) async fn learn_causes(&self) {
        let snapshot = self.snapshot.load_full();
        let suppressed = snapshot.rows().iter().flat_map(|e| &e.view.suppressed_by);
        // Silences have a UUID, alerts a fingerprint.
        let named: BTreeSet<&str> = suppressed
            .filter(|id| Uuid::try_parse(id).is_ok())
            .map(String::as_str)
            .collect();
        let known = self.silences.load();
        let fresh = known.read.is_some_and(|at| at.elapsed() < GOOD_FOR);
        if named.is_empty() || (fresh && named.iter().all(|id| known.by_id.contains_key(*id))) {
            return;
        }
        match self.alertmanager.silences().await {
            Ok(all) => {
                let holding = all.into_iter().filter(|s| named.contains(s.id.as_str()));
                let by_id = holding.map(|s| (s.id.clone(), cause(&s))).collect();
                self.silences.store(std::sync::Arc::new(KnownSilences {
                    by_id,
                    read: Some(Instant::now()),
                }));
            }
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the silences that hold alerts are not known"
            ),
        }
    }

    /// What holds these rows, as far as it is known and may be seen.
    pub(crate) fn causes(&self, rows: &[AlertView], snapshot: &Snapshot, sight: &Sight) -> Vec<Cause> {
        let ids: BTreeSet<&str> = rows
            .iter()
            .flat_map(|v| &v.suppressed_by)
            .map(String::as_str)
            .collect();
        if ids.is_empty() {
            return Vec::new();
        }
        let known = self.silences.load();
        let silences = ids.iter().filter_map(|id| known.by_id.get(*id).cloned());
        let alerts = snapshot
            .visible(sight)
            .filter(|v| ids.contains(v.fingerprint.as_str()))
            .map(|v| Cause::Alert {
                id: v.fingerprint.clone(),
                alert: v.alert,
                name: v.name.clone(),
            });
        silences.chain(alerts).collect()
    }
}

fn cause(silence: &ApiSilence) -> Cause {
    Cause::Silence {
        id: silence.id.clone(),
        owner: silence.created_by.clone(),
        comment: crate::silences::reason(&silence.comment).to_owned(),
        ends_at: silence.ends_at,
    }
}
