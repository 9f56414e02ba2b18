//! What can be asked of the room.

mod counts;
mod cover;
mod delivery;
mod get;
mod groups;
mod held_by;
mod history;
mod list;
mod pipeline;
mod silences;

use crate::Alerts;
use crate::episode::Episode;
use crate::snapshot::{Sight, Snapshot};
use bagua_core::AskContext;
use bagua_model::failure::Failure;
use bagua_model::text::keys;
use std::sync::Arc;
use uuid::Uuid;

impl Alerts {
    /// What fires, once it is known at all: an empty list before the first reading would look like health.
    pub(crate) fn firing(&self) -> Result<Arc<Snapshot>, Failure> {
        let snapshot = self.by_the_clock();
        match snapshot.filled {
            true => Ok(snapshot),
            false => Err(Failure::unavailable(format!("@{}", keys::ALERT_SOURCE_FEED))),
        }
    }

    /// What is in memory, without acknowledgements that have run out.
    fn by_the_clock(&self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.load_full();
        snapshot.lapsed(self.clock.now()).map_or(snapshot, Arc::new)
    }

    /// An episode that the asker may see: from memory while it fires, else from the database.
    async fn seen(&self, cx: &AskContext, id: Uuid) -> Result<Arc<Episode>, Failure> {
        let found = match self.by_the_clock().find(id) {
            Some(episode) => Some(Arc::clone(episode)),
            None => crate::store::get(&self.db, id)
                .await
                .map_err(bagua_core::db::failure)?
                .map(Arc::new),
        };
        let sight = Sight::of(&cx.granted, cx.environment);
        found
            .filter(|e| sight.reaches(e.view.region.as_ref()))
            .ok_or_else(no_such_alert)
    }
}

/// There is none, or the reader may not see it: the two must look the same.
pub(crate) fn no_such_alert() -> Failure {
    Failure::not_found(format!("@{}", keys::ALERT_NOUN))
}
