//! The event log's rows.

use crate::events::NewEvent;
use bagua_model::operation::{EventView, OperationId};
use bagua_model::region::{Environment, RegionId};
use bagua_model::text::Text;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeSet;
use time::OffsetDateTime;

/// A place in the event log: the writing transaction, then the row. Ordered as the log settles.
pub(crate) type Place = (i64, i64);

pub(crate) async fn insert(db: &mut PgConnection, event: &NewEvent, quiet: bool) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"WITH event AS (
             INSERT INTO events (at, kind, topic, environment, region, subject, text, operation, quiet)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id)
           SELECT pg_notify('bagua_events', '') AS "woken!: ()" FROM event"#,
        event.at,
        event.kind,
        event.topic,
        event.environment.map(Environment::as_str),
        event.region.as_ref().map(RegionId::as_str),
        event.subject,
        Json(&event.text) as _,
        event.operation.map(|id| id.0),
        quiet,
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// Many lines in one statement, in their order, with one notification.
pub(crate) async fn insert_all(
    db: &mut PgConnection,
    events: &[NewEvent],
    quiet: bool,
) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let at: Vec<_> = events.iter().map(|e| e.at).collect();
    let kinds: Vec<_> = events.iter().map(|e| e.kind.clone()).collect();
    let topics: Vec<_> = events.iter().map(|e| e.topic.clone()).collect();
    let environments: Vec<_> = events
        .iter()
        .map(|e| e.environment.map(Environment::as_str))
        .collect();
    let regions: Vec<_> = events
        .iter()
        .map(|e| e.region.as_ref().map(RegionId::as_str))
        .collect();
    let subjects: Vec<_> = events.iter().map(|e| e.subject.clone()).collect();
    let texts: Vec<_> = events.iter().map(|e| serde_json::json!(e.text)).collect();
    let operations: Vec<_> = events.iter().map(|e| e.operation.map(|id| id.0)).collect();
    sqlx::query!(
        r#"WITH written AS (
             INSERT INTO events (at, kind, topic, environment, region, subject, text, operation, quiet)
             SELECT at, kind, topic, environment, region, subject, text, operation, $9
             FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[],
                         $8::uuid[]) AS line (at, kind, topic, environment, region, subject, text, operation)
             RETURNING id)
           SELECT pg_notify('bagua_events', '') AS "woken!: ()" FROM (SELECT id FROM written LIMIT 1) AS one"#,
        &at,
        &kinds,
        &topics,
        &environments[..] as &[Option<&str>],
        &regions[..] as &[Option<&str>],
        &subjects,
        &texts,
        &operations[..] as &[Option<uuid::Uuid>],
        quiet,
    )
    .fetch_one(db)
    .await?;
    Ok(())
}

/// A row as the live stream reads it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) place: Place,
    pub(crate) topic: String,
    pub(crate) quiet: bool,
    pub(crate) view: EventView,
}

/// The transaction below which everything has settled: every row of an older one is visible or never will be.
pub(crate) async fn settled(db: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS "xmin!""#)
        .fetch_one(db)
        .await
}

/// The last settled place.
pub(crate) async fn last_place(db: &PgPool, settled: i64) -> Result<Place, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT xid::text::bigint AS "xid!", id FROM events WHERE xid < $1::bigint::text::xid8
           ORDER BY events.xid DESC, id DESC LIMIT 1"#,
        settled
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map_or((0, 0), |row| (row.xid, row.id)))
}

macro_rules! seen {
    ($rows:expr) => {
        $rows
            .into_iter()
            .map(|row| Seen {
                place: (row.xid, row.id),
                topic: row.topic,
                quiet: row.quiet,
                view: EventView {
                    id: row.id,
                    at: row.at,
                    kind: row.kind,
                    environment: row.environment.and_then(|e| e.parse().ok()),
                    region: row.region.map(RegionId::new),
                    subject: row.subject,
                    text: row.text.0,
                    operation: row.operation.map(OperationId),
                },
            })
            .collect::<Vec<_>>()
    };
}

/// Rows after `after` in order of place, without those in `known`, at most `limit`.
pub(crate) async fn after(
    db: &PgPool,
    after: Place,
    known: &BTreeSet<Place>,
    limit: i64,
) -> Result<Vec<Seen>, sqlx::Error> {
    let known: Vec<i64> = known.iter().map(|(_, id)| *id).collect();
    let rows = sqlx::query!(
        r#"SELECT xid::text::bigint AS "xid!", id, at, kind, topic, environment, region, subject,
                  text AS "text: Json<Text>", operation, quiet
           FROM events
           WHERE (events.xid, id) > ($1::bigint::text::xid8, $2) AND id <> ALL ($3)
           ORDER BY events.xid, id LIMIT $4"#,
        after.0,
        after.1,
        &known,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(seen!(rows))
}

/// The last `limit` settled rows up to `upto`, oldest first.
pub(crate) async fn before(db: &PgPool, upto: Place, limit: i64) -> Result<Vec<Seen>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT xid::text::bigint AS "xid!", id, at, kind, topic, environment, region, subject,
                  text AS "text: Json<Text>", operation, quiet
           FROM events
           WHERE (events.xid, id) <= ($1::bigint::text::xid8, $2)
           ORDER BY events.xid DESC, id DESC LIMIT $3"#,
        upto.0,
        upto.1,
        limit,
    )
    .fetch_all(db)
    .await?;
    let mut seen = seen!(rows);
    seen.reverse();
    Ok(seen)
}

/// Whether the log still holds everything after `place`: it is there, and from after `since`, so that nothing that
/// followed it has been pruned.
pub(crate) async fn reaches(db: &PgPool, place: Place, since: OffsetDateTime) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM events WHERE xid = $1::bigint::text::xid8 AND id = $2 AND at >= $3) AS "there!""#,
        place.0,
        place.1,
        since,
    )
    .fetch_one(db)
    .await
}

/// What to list of the event log.
pub(crate) struct Filter<'a> {
    pub(crate) environment: Environment,
    pub(crate) regions: Option<&'a [String]>,
    pub(crate) region: Option<&'a str>,
    pub(crate) subject: Option<&'a str>,
    pub(crate) kinds: &'a [String],
    pub(crate) since: Option<OffsetDateTime>,
    pub(crate) before: Option<OffsetDateTime>,
    pub(crate) limit: i64,
}

/// The event log, newest first.
pub(crate) async fn list(db: &PgPool, filter: &Filter<'_>) -> Result<Vec<EventView>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT id, at, kind, environment, region, subject, text AS "text: Json<Text>", operation
           FROM events
           WHERE NOT quiet AND (environment IS NULL OR environment = $1)
             AND ($2::text[] IS NULL OR region = ANY ($2))
             AND ($3::text IS NULL OR region = $3)
             AND ($4::text IS NULL OR subject = $4)
             AND ($5::timestamptz IS NULL OR at < $5)
             AND ($6::timestamptz IS NULL OR at >= $6)
             AND (cardinality($7::text[]) = 0
                  OR EXISTS (SELECT FROM unnest($7) wanted WHERE kind = wanted OR starts_with(kind, wanted || '.')))
           ORDER BY id DESC LIMIT $8"#,
        filter.environment.as_str(),
        filter.regions as _,
        filter.region,
        filter.subject,
        filter.before,
        filter.since,
        filter.kinds,
        filter.limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| EventView {
            id: row.id,
            at: row.at,
            kind: row.kind,
            environment: row.environment.and_then(|e| e.parse().ok()),
            region: row.region.map(RegionId::new),
            subject: row.subject,
            text: row.text.0,
            operation: row.operation.map(OperationId),
        })
        .collect())
}

/// Deletes quiet rows from before `until`, a few thousand at a time.
pub(crate) async fn prune_quiet(db: &PgPool, until: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE quiet AND at < $1 ORDER BY at LIMIT 5000)",
        until
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
