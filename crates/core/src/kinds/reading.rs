//! `events.recent`, `audit.list`, `schedules.list`, `console.notices`.

use super::{Core, cursor, limit};
use crate::db;
use crate::store;
use crate::verbs::{Answers, AskContext};
use async_trait::async_trait;
use bagua_model::failure::Failure;
use bagua_model::notices::{ListNotices, Notice};
use bagua_model::operation::{
    AuditView, EventView, ListAudit, ListSchedules, Page, RecentEvents, ScheduleView,
};
use bagua_model::region::RegionId;

#[async_trait]
impl Answers<RecentEvents> for Core {
    async fn answer(&self, cx: &AskContext, query: RecentEvents) -> Result<Vec<EventView>, Failure> {
        let limit = limit(query.limit, 20);
        let everywhere = cx.granted.everywhere(cx.environment);
        let plain = query
            == RecentEvents {
                limit: query.limit,
                ..RecentEvents::default()
            };
        let remembered = if plain {
            let seen = |line: &EventView| {
                everywhere
                    || line.region.is_some() && cx.granted.reaches(cx.environment, line.region.as_ref())
            };
            self.live.recent(seen, usize::from(limit))
        } else {
            None
        };
        if let Some((lines, all)) = &remembered
            && (*all || lines.len() == usize::from(limit))
        {
            return Ok(lines.clone());
        }
        let regions = cx.granted.regions(cx.environment);
        let filter = store::events::Filter {
            environment: cx.environment,
            regions: regions.as_deref(),
            region: query.region.as_ref().map(RegionId::as_str),
            subject: query.subject.as_deref(),
            kinds: &query.kinds,
            since: query.since,
            before: query.before,
            limit: i64::from(limit),
        };
        match (store::events::list(&self.db, &filter).await, remembered) {
            (Ok(lines), _) => Ok(lines),
            // Fewer lines than asked for are better than none.
            (Err(error), Some((lines, _))) if db::is_away(&error) => Ok(lines),
            (Err(error), _) => Err(db::failure(error)),
        }
    }
}

#[async_trait]
impl Answers<ListAudit> for Core {
    async fn answer(&self, cx: &AskContext, query: ListAudit) -> Result<Page<AuditView>, Failure> {
        let limit = limit(query.limit, 50);
        let after = cursor::<i64>(query.after.as_deref())?;
        let regions = cx.granted.regions(cx.environment);
        let rows = store::audit::list(
            &self.db,
            cx.environment,
            regions.as_deref(),
            &query,
            after,
            i64::from(limit) + 1,
        )
        .await
        .map_err(db::failure)?;
        Ok(Page::cut(rows, limit, |row| row.id.to_string()))
    }
}

#[async_trait]
impl Answers<ListSchedules> for Core {
    async fn answer(&self, cx: &AskContext, _: ListSchedules) -> Result<Vec<ScheduleView>, Failure> {
        let regions = cx.granted.regions(cx.environment);
        store::schedules::list(&self.db, cx.environment, regions.as_deref())
            .await
            .map_err(db::failure)
    }
}

#[async_trait]
impl Answers<ListNotices> for Core {
    async fn answer(&self, _: &AskContext, _: ListNotices) -> Result<Vec<Notice>, Failure> {
        Ok(self.sources.notices())
    }
}
