//! Acknowledgements that run out.

use crate::{Alerts, about, store};
use bagua_core::events;
use bagua_model::text::keys;

impl Alerts {
    /// Takes the alerts back whose acknowledgement has run out, and tells of each once. Readers go by the clock and
    /// see it even before.
    pub(crate) async fn lapse(&self) -> sqlx::Result<()> {
        let now = self.clock.now();
        // Most of the time memory knows that there is nothing to do.
        if self.snapshot.load().lapsed(now).is_none() {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        store::lock(&mut tx).await?;
        let lapsing = store::lapsing(&mut tx, now).await?;
        let lines: Vec<_> = lapsing
            .iter()
            .filter_map(|episode| {
                let (view, kind) = (&episode.view, "alert.acknowledgement-lapsed");
                let by = &view.acknowledged.as_ref()?.by;
                Some(self.line(
                    kind,
                    view,
                    about(keys::ALERT_EVENT_LAPSED, view).with("by", by),
                    now,
                ))
            })
            .collect();
        let ids: Vec<_> = lapsing.iter().map(|e| e.view.alert).collect();
        store::lapse(&mut tx, &ids).await?;
        events::record_all(&mut tx, &lines).await?;
        tx.commit().await
    }
}
