//! Changes to the feed become rows and lines of the event log.

use crate::episode::{Change, Episode};
use crate::store::{self, Stamp};
use crate::{Alerts, TOPIC, about, subject};
use bagua_core::events::{self, NewEvent};
use bagua_model::alerts::AlertView;
use bagua_model::text::{Text, keys};
use sqlx::PgConnection;
use time::OffsetDateTime;

impl Alerts {
    /// Makes changes and writes them into the event log, in the caller's transaction. Each with the episode as it is
    /// after all of them.
    pub(crate) async fn make<'a>(
        &self,
        db: &mut PgConnection,
        changes: &'a [Change],
        stamp: &Stamp<'_>,
    ) -> sqlx::Result<Vec<(&'a Change, Episode)>> {
        let made = store::apply(db, changes, stamp).await?;
        let lines: Vec<_> = made
            .iter()
            .filter_map(|(change, episode)| {
                let (kind, key) = told_as(change)?;
                Some(self.line(kind, &episode.view, about(key, &episode.view), stamp.now))
            })
            .collect();
        events::record_all(db, &lines).await?;
        Ok(made)
    }

    /// A line of the event log about one alert.
    pub(crate) fn line(&self, kind: &str, view: &AlertView, text: Text, now: OffsetDateTime) -> NewEvent {
        NewEvent {
            at: now,
            kind: kind.to_owned(),
            topic: TOPIC.to_owned(),
            environment: Some(view.environment.unwrap_or(self.environment)),
            region: view.region.clone(),
            subject: subject(view.alert),
            text,
            operation: None,
        }
    }

    pub(crate) async fn record(
        &self,
        db: &mut PgConnection,
        kind: &str,
        view: &AlertView,
        text: Text,
        now: OffsetDateTime,
    ) -> sqlx::Result<()> {
        events::record(db, &self.line(kind, view, text, now)).await
    }
}

/// Kind and sentence of the line; `None` for what is no news.
fn told_as(change: &Change) -> Option<(&'static str, &'static str)> {
    Some(match change {
        Change::Open(_) => ("alert.firing", keys::ALERT_EVENT_FIRING),
        Change::Reopen { .. } => ("alert.firing", keys::ALERT_EVENT_REOPENED),
        Change::Missed(..) | Change::Resolve { .. } => ("alert.resolved", keys::ALERT_EVENT_RESOLVED),
        Change::Suppress { by, .. } if by.is_empty() => ("alert.released", keys::ALERT_EVENT_RELEASED),
        Change::Suppress { .. } => ("alert.suppressed", keys::ALERT_EVENT_SUPPRESSED),
        // The same episode under another start.
        Change::Renew { .. } => return None,
    })
}
