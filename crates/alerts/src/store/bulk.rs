//! Changes to many episodes at once: one statement for each kind of change, however many alerts a storm brings.

use super::{Row, Stamp, all};
use crate::episode::{Change, Episode};
use crate::observation::Observation;
use bagua_model::alerts::AlertState;
use bagua_model::region::{Environment, RegionId};
use serde_json::json;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::{BTreeMap, HashMap};
use time::OffsetDateTime;
use uuid::Uuid;

/// How old `last_seen_at` may get before annotations are written again: they may carry figures that differ at every
/// evaluation.
const DESCRIBE_AFTER: time::Duration = time::Duration::seconds(30);

/// Makes changes; each with the episode as it is after all of them, in their order.
pub async fn apply<'a>(
    db: &mut PgConnection,
    changes: &'a [Change],
    stamp: &Stamp<'_>,
) -> sqlx::Result<Vec<(&'a Change, Episode)>> {
    let mut wish = Wish::default();
    for change in changes {
        wish.take(change, stamp);
    }
    let mut after: HashMap<Uuid, Episode> = HashMap::new();
    if !wish.touched.is_empty() {
        wish.update(db, stamp.now).await?;
        let rows = episodes!("FROM alerts WHERE id = ANY ($1) FOR UPDATE", &wish.touched);
        after.extend(
            all(rows.fetch_all(&mut *db).await?)
                .into_iter()
                .map(|e| (e.view.alert, e)),
        );
    }
    if !wish.opened.is_empty() {
        insert(db, &wish.opened, stamp.now).await?;
        after.extend(wish.opened.into_iter().map(|e| (e.view.alert, e)));
    }
    let mut made = Vec::with_capacity(changes.len());
    for (change, id) in changes.iter().zip(wish.ids) {
        made.extend(after.get(&id).map(|episode| (change, episode.clone())));
    }
    Ok(made)
}

/// Changes sorted by the statement that makes them.
#[derive(Default)]
struct Wish {
    /// For each change, its episode.
    ids: Vec<Uuid>,
    /// Those that have a row.
    touched: Vec<Uuid>,
    opened: Vec<Episode>,
    renewed: (Vec<Uuid>, Vec<OffsetDateTime>, Vec<OffsetDateTime>),
    suppressed: (Vec<Uuid>, Vec<serde_json::Value>),
    reopened: Vec<Uuid>,
    resolved: (Vec<Uuid>, Vec<OffsetDateTime>),
}

impl Wish {
    fn take(&mut self, change: &Change, stamp: &Stamp<'_>) {
        let id = match change {
            Change::Open(o) => self.open(o, None, stamp),
            Change::Missed(o, ended_at) => self.open(o, Some(*ended_at), stamp),
            Change::Renew {
                id,
                started_at,
                last_started_at,
            } => {
                self.renewed.0.push(*id);
                self.renewed.1.push(*started_at);
                self.renewed.2.push(*last_started_at);
                *id
            }
            Change::Suppress { id, by } => {
                self.suppressed.0.push(*id);
                self.suppressed.1.push(json!(by));
                *id
            }
            Change::Reopen { id } => {
                self.reopened.push(*id);
                *id
            }
            Change::Resolve { id, ended_at } => {
                self.resolved.0.push(*id);
                self.resolved.1.push(*ended_at);
                *id
            }
        };
        if !matches!(change, Change::Open(_) | Change::Missed(..)) {
            self.touched.push(id);
        }
        self.ids.push(id);
    }

    fn open(&mut self, o: &Observation, ended_at: Option<OffsetDateTime>, stamp: &Stamp<'_>) -> Uuid {
        let (id, received_at) = stamp
            .seen
            .get(&o.fingerprint)
            .copied()
            .unwrap_or_else(|| (Uuid::now_v7(), stamp.now));
        let mut episode = Episode::open(id, o, received_at);
        episode.view.ended_at = ended_at;
        if ended_at.is_some() {
            episode.view.state = AlertState::Resolved;
        }
        self.opened.push(episode);
        id
    }

    async fn update(&self, db: &mut PgConnection, now: OffsetDateTime) -> sqlx::Result<()> {
        let (ids, starts, last_starts) = &self.renewed;
        if !ids.is_empty() {
            sqlx::query!(
                "UPDATE alerts SET started_at = new.started_at, last_started_at = new.last_started_at
                 FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS new (id, started_at, last_started_at)
                 WHERE alerts.id = new.id AND state = 'firing'",
                ids,
                starts,
                last_starts,
            )
            .execute(&mut *db)
            .await?;
        }
        let (ids, by) = &self.suppressed;
        if !ids.is_empty() {
            sqlx::query!(
                "UPDATE alerts SET suppressed = jsonb_array_length(new.by) > 0,
                     suppressed_by = ARRAY(SELECT jsonb_array_elements_text(new.by))
                 FROM unnest($1::uuid[], $2::jsonb[]) AS new (id, by)
                 WHERE alerts.id = new.id AND state = 'firing'",
                ids,
                by,
            )
            .execute(&mut *db)
            .await?;
        }
        if !self.reopened.is_empty() {
            sqlx::query!(
                "UPDATE alerts SET state = 'firing', ended_at = NULL, last_seen_at = $2 WHERE id = ANY ($1)",
                &self.reopened,
                now,
            )
            .execute(&mut *db)
            .await?;
        }
        let (ids, ends) = &self.resolved;
        if !ids.is_empty() {
            // No end lies in the future or before the start: clocks of several machines take part.
            sqlx::query!(
                "UPDATE alerts
                 SET state = 'resolved', ended_at = greatest(least(new.ended_at, $3::timestamptz), last_started_at)
                 FROM unnest($1::uuid[], $2::timestamptz[]) AS new (id, ended_at)
                 WHERE alerts.id = new.id AND state = 'firing'",
                ids,
                ends,
                now,
            )
            .execute(db)
            .await?;
        }
        Ok(())
    }
}

async fn insert(db: &mut PgConnection, episodes: &[Episode], now: OffsetDateTime) -> sqlx::Result<()> {
    let views = || episodes.iter().map(|e| &e.view);
    let ids: Vec<_> = views().map(|v| v.alert).collect();
    let fingerprints: Vec<_> = views().map(|v| v.fingerprint.clone()).collect();
    let starts: Vec<_> = views().map(|v| v.started_at).collect();
    let names: Vec<_> = views().map(|v| v.name.clone()).collect();
    let severities: Vec<_> = views().map(|v| v.severity.as_str().to_owned()).collect();
    let environments: Vec<_> = views().map(|v| v.environment.map(Environment::as_str)).collect();
    let regions: Vec<_> = views().map(|v| v.region.as_ref().map(RegionId::as_str)).collect();
    let components: Vec<_> = views().map(|v| v.component.as_deref()).collect();
    let summaries: Vec<_> = views().map(|v| v.summary.clone()).collect();
    let descriptions: Vec<_> = views().map(|v| v.description.clone()).collect();
    let labels: Vec<_> = views().map(|v| json!(v.labels)).collect();
    let annotations: Vec<_> = views().map(|v| json!(v.annotations)).collect();
    let states: Vec<_> = views().map(|v| v.state.as_str().to_owned()).collect();
    let receipts: Vec<_> = views().map(|v| v.received_at).collect();
    let ends: Vec<_> = views().map(|v| v.ended_at).collect();
    let suppressed_by: Vec<_> = views().map(|v| json!(v.suppressed_by)).collect();
    sqlx::query!(
        "INSERT INTO alerts (id, fingerprint, started_at, last_started_at, name, severity, environment, region,
            component, summary, description, labels, annotations, state, received_at, ended_at, suppressed,
            suppressed_by, last_seen_at)
         SELECT id, fingerprint, started_at, started_at, name, severity, environment, region, component, summary,
            description, labels, annotations, state, received_at, ended_at, jsonb_array_length(suppressed_by) > 0,
            ARRAY(SELECT jsonb_array_elements_text(suppressed_by)), $17
         FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::text[], $9::text[], $10::text[], $11::jsonb[], $12::jsonb[], $13::text[], $14::timestamptz[],
            $15::timestamptz[], $16::jsonb[])
            AS new (id, fingerprint, started_at, name, severity, environment, region, component, summary, description,
            labels, annotations, state, received_at, ended_at, suppressed_by)",
        &ids,
        &fingerprints,
        &starts,
        &names,
        &severities,
        &environments[..] as &[Option<&str>],
        &regions[..] as &[Option<&str>],
        &components[..] as &[Option<&str>],
        &summaries,
        &descriptions,
        &labels,
        &annotations,
        &states,
        &receipts,
        &ends[..] as &[Option<OffsetDateTime>],
        &suppressed_by,
        now,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Writes the present annotations of alerts that fire, where the last writing is old. Answers whose were written.
pub async fn describe(
    db: &mut PgConnection,
    listed: &[&Observation],
    now: OffsetDateTime,
) -> sqlx::Result<Vec<Uuid>> {
    let fingerprints: Vec<String> = listed.iter().map(|o| o.fingerprint.clone()).collect();
    let summaries: Vec<String> = listed.iter().map(|o| o.summary().to_owned()).collect();
    let descriptions: Vec<String> = listed.iter().map(|o| o.description().to_owned()).collect();
    let annotations: Vec<serde_json::Value> = listed.iter().map(|o| json!(o.annotations)).collect();
    sqlx::query_scalar!(
        "UPDATE alerts
         SET last_seen_at = $5, summary = listed.summary, description = listed.description,
             annotations = listed.annotations
         FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[])
              AS listed (fingerprint, summary, description, annotations)
         WHERE alerts.fingerprint = listed.fingerprint AND alerts.state = 'firing' AND alerts.last_seen_at < $6
         RETURNING alerts.id",
        &fingerprints,
        &summaries,
        &descriptions,
        &annotations,
        now,
        now - DESCRIBE_AFTER,
    )
    .fetch_all(db)
    .await
}
