//! Acknowledgements that run out.

use crate::{Alerts, about, store};
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
        for episode in store::lapsing(&mut tx, now).await? {
            let view = &episode.view;
            let Some(acknowledged) = &view.acknowledged else {
                continue;
            };
            store::lapse(&mut tx, view.alert).await?;
            let text = about(keys::ALERT_EVENT_LAPSED, view).with("by", &acknowledged.by);
            self.record(&mut tx, "alert.acknowledgement-lapsed", view, text, now)
                .await?;
        }
        tx.commit().await
    }
}
