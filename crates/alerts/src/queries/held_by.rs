use crate::Alerts;
use crate::silences::alertmanager_failure;
use crate::snapshot::Sight;
use async_trait::async_trait;
use bagua_core::{Answers, AskContext};
use bagua_model::failure::Failure;
use bagua_model::silences::{AlertHeldBy, HeldBy};
use uuid::Uuid;

#[async_trait]
impl Answers<AlertHeldBy> for Alerts {
    async fn answer(&self, cx: &AskContext, query: AlertHeldBy) -> Result<Vec<HeldBy>, Failure> {
        let episode = self.seen(cx, query.alert).await?;
        let view = &episode.view;
        if !view.suppressed {
            return Ok(Vec::new());
        }
        let sight = Sight::of(&cx.granted, cx.environment);
        let silences = self
            .alertmanager
            .silences()
            .await
            .map_err(|e| alertmanager_failure(&e))?;
        let snapshot = self.firing()?;
        let holds = crate::silences::holdings(&snapshot, &sight);
        let held = view.suppressed_by.iter().map(|id| {
            if let Some(silence) = silences.iter().find(|s| s.id == *id) {
                return HeldBy::Silence(crate::silences::view(silence.clone(), &holds));
            }
            // Silences have a UUID, alerts a fingerprint.
            if Uuid::try_parse(id).is_ok() {
                return HeldBy::Gone { silence: id.clone() };
            }
            let other = snapshot.visible(&sight).find(|v| v.fingerprint == *id);
            HeldBy::Alert {
                fingerprint: id.clone(),
                alert: other.map(|v| v.alert),
                name: other.map(|v| v.name.clone()),
            }
        });
        Ok(held.collect())
    }
}
