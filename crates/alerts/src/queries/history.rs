use crate::Alerts;
use crate::snapshot::Sight;
use crate::store;
use async_trait::async_trait;
use bagua_core::{Answers, AskContext};
use bagua_model::alerts::{AlertHistory, AlertView};
use bagua_model::failure::Failure;

#[async_trait]
impl Answers<AlertHistory> for Alerts {
    async fn answer(&self, cx: &AskContext, query: AlertHistory) -> Result<Vec<AlertView>, Failure> {
        let of = self.seen(cx, query.alert).await?;
        let sight = Sight::of(&cx.granted, cx.environment);
        let before = store::history(&self.db, &of.view, query.component, sight.regions()).await;
        Ok(before
            .map_err(bagua_core::db::failure)?
            .into_iter()
            .map(|e| e.view)
            .collect())
    }
}
