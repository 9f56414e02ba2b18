use crate::Alerts;
use crate::page;
use crate::snapshot::Sight;
use crate::store;
use async_trait::async_trait;
use bagua_core::{Answers, AskContext};
use bagua_model::alerts::{AlertFeed, AlertState, ListAlerts};
use bagua_model::failure::Failure;
use bagua_model::operation::Page;

#[async_trait]
impl Answers<ListAlerts> for Alerts {
    async fn answer(&self, cx: &AskContext, query: ListAlerts) -> Result<AlertFeed, Failure> {
        let sight = Sight::of(&cx.granted, cx.environment);
        let snapshot = self.firing()?;
        if query.state != Some(AlertState::Resolved) {
            let mut feed = snapshot.list(&query, &sight, cx.now)?;
            feed.causes = self.causes(&feed.page.rows, &snapshot, &sight);
            return Ok(feed);
        }
        let after = query.after.as_deref().map(page::ended_cursor).transpose()?;
        let limit = page::limit(query.limit);
        let found = store::ended(&self.db, &query, sight.regions(), after, limit);
        let mut rows: Vec<_> = found
            .await
            .map_err(bagua_core::db::failure)?
            .into_iter()
            .map(|e| e.view)
            .collect();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows
            .last()
            .filter(|_| more)
            .and_then(|last| last.ended_at.map(|at| page::after_ended(at, last.alert)));
        Ok(AlertFeed {
            page: Page { rows, next },
            firing: snapshot.firing(&sight),
            matching: None,
            causes: Vec::new(),
            as_of: cx.now,
            degraded: snapshot.degraded,
        })
    }
}
