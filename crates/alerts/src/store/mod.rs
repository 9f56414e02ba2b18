//! All SQL of the room.

use crate::episode::{Episode, Known};
use bagua_model::alerts::{Acknowledgement, AlertState, AlertView, ListAlerts, Severity};
use bagua_model::region::RegionId;
use futures::{Stream, TryStreamExt as _};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};
use std::collections::{BTreeMap, HashMap};
use time::OffsetDateTime;
use uuid::Uuid;

pub use bulk::{apply, describe};

/// Held by the transaction that changes episodes, so that a notification and a reading never decide side by side.
const CHANGING: i64 = 0x6261_6775_6101;
/// Held by the session of the console that reconciles.
const RECONCILING: i64 = 0x6261_6775_6102;

struct Row {
    id: Uuid,
    fingerprint: String,
    started_at: OffsetDateTime,
    last_started_at: OffsetDateTime,
    name: String,
    severity: String,
    environment: Option<String>,
    region: Option<String>,
    component: Option<String>,
    summary: String,
    description: String,
    labels: Json<BTreeMap<String, String>>,
    annotations: Json<BTreeMap<String, String>>,
    state: String,
    received_at: OffsetDateTime,
    ended_at: Option<OffsetDateTime>,
    suppressed: bool,
    suppressed_by: Vec<String>,
    acknowledged_by: Option<String>,
    acknowledged_at: Option<OffsetDateTime>,
    note: String,
    acknowledged_until: Option<OffsetDateTime>,
    lapsed_at: Option<OffsetDateTime>,
}

impl From<Row> for Episode {
    fn from(row: Row) -> Episode {
        Episode {
            last_started_at: row.last_started_at,
            provisional: false,
            view: AlertView {
                alert: row.id,
                fingerprint: row.fingerprint,
                name: row.name,
                // A CHECK constraint keeps both words to those that we know.
                severity: row.severity.parse().unwrap_or(Severity::Warning),
                state: row.state.parse().unwrap_or(AlertState::Firing),
                environment: row.environment.and_then(|e| e.parse().ok()),
                region: row.region.map(RegionId::new),
                component: row.component,
                summary: row.summary,
                description: row.description,
                started_at: row.started_at,
                ended_at: row.ended_at,
                received_at: row.received_at,
                suppressed: row.suppressed,
                suppressed_by: row.suppressed_by,
                acknowledged: row
                    .acknowledged_by
                    .zip(row.acknowledged_at)
                    .map(|(by, at)| Acknowledgement {
                        by,
                        at,
                        note: row.note,
                        until: row.acknowledged_until,
                    }),
                lapsed_at: row.lapsed_at,
                labels: row.labels.0,
                annotations: row.annotations.0,
            },
        }
    }
}

/// `SELECT <all columns of an episode> FROM …`, checked at compile time.
macro_rules! episodes {
    ($tail:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT id AS "id!", fingerprint AS "fingerprint!", started_at AS "started_at!",
                last_started_at AS "last_started_at!", name AS "name!", severity AS "severity!", environment, region,
                component, summary AS "summary!", description AS "description!",
                labels AS "labels!: Json<BTreeMap<String, String>>",
                annotations AS "annotations!: Json<BTreeMap<String, String>>", state AS "state!",
                received_at AS "received_at!", ended_at, suppressed AS "suppressed!",
                suppressed_by AS "suppressed_by!", acknowledged_by, acknowledged_at, note AS "note!",
                acknowledged_until, lapsed_at "#
                + $tail
            $(, $argument)*
        )
    };
}

// The macro is known below its definition only.
mod bulk;

fn all(rows: Vec<Row>) -> Vec<Episode> {
    rows.into_iter().map(Episode::from).collect()
}

/// Waits for the right to change episodes, until the end of the transaction.
pub async fn lock(db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", CHANGING)
        .execute(db)
        .await
        .map(drop)
}

/// Tries to become the one that reconciles, for as long as the session lives.
pub async fn lead(db: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "got!""#, RECONCILING)
        .fetch_one(db)
        .await
}

/// Whether this session still answers, and so still holds what it holds.
pub async fn alive(db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT 1 AS one").fetch_one(db).await.map(drop)
}

/// Everything that fires, row by row: thousands of rows never lie in memory twice.
pub fn firing(db: &PgPool) -> impl Stream<Item = sqlx::Result<Episode>> + Send + '_ {
    episodes!("FROM alerts WHERE state = 'firing'")
        .fetch(db)
        .map_ok(Episode::from)
}

/// These episodes, whatever their state.
pub async fn of_ids(db: &PgPool, ids: &[Uuid]) -> sqlx::Result<Vec<Episode>> {
    episodes!("FROM alerts WHERE id = ANY ($1)", ids)
        .fetch_all(db)
        .await
        .map(all)
}

/// These episodes, held until the end of the transaction, in the order of their ids.
pub async fn of_ids_for_update(db: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Episode>> {
    episodes!("FROM alerts WHERE id = ANY ($1) ORDER BY id FOR UPDATE", ids)
        .fetch_all(db)
        .await
        .map(all)
}

/// What is stored of these fingerprints: the firing episode and the one that ended last.
pub async fn known(db: &mut PgConnection, fingerprints: &[String]) -> sqlx::Result<HashMap<String, Known>> {
    let rows = episodes!(
        "FROM (SELECT DISTINCT unnest($1::text[])) AS asked (wanted)
         CROSS JOIN LATERAL (
             SELECT * FROM alerts WHERE fingerprint = wanted
             ORDER BY (state = 'firing') DESC, ended_at DESC LIMIT 2
         ) AS found",
        fingerprints,
    )
    .fetch_all(db)
    .await?;
    let mut known: HashMap<String, Known> = HashMap::new();
    for episode in all(rows) {
        let entry = known.entry(episode.view.fingerprint.clone()).or_default();
        let place = match episode.view.state {
            AlertState::Firing => &mut entry.firing,
            AlertState::Resolved => &mut entry.ended,
        };
        // Rows come last ended first.
        place.get_or_insert(episode);
    }
    Ok(known)
}

/// One episode.
pub async fn get(db: &PgPool, id: Uuid) -> sqlx::Result<Option<Episode>> {
    Ok(episodes!("FROM alerts WHERE id = $1", id)
        .fetch_optional(db)
        .await?
        .map(Episode::from))
}

/// One episode, held until the end of the transaction.
pub async fn get_for_update(db: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Episode>> {
    Ok(episodes!("FROM alerts WHERE id = $1 FOR UPDATE", id)
        .fetch_optional(db)
        .await?
        .map(Episode::from))
}

/// What has ended, last ended first; one row more than `limit` when there is more.
pub async fn ended(
    db: &PgPool,
    query: &ListAlerts,
    regions: Option<&[String]>,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: usize,
) -> sqlx::Result<Vec<Episode>> {
    let severities: Vec<String> = query.severities.iter().map(|s| s.as_str().to_owned()).collect();
    let severities = (!severities.is_empty()).then_some(severities);
    let words = crate::filter::words(query);
    let text = words.map(containing);
    let called: Vec<String> = words
        .map(|w| crate::filter::regions_called(&w.to_lowercase()))
        .unwrap_or_default()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let (after_time, after_id) = after.unzip();
    let rows = episodes!(
        "FROM alerts
         WHERE state = 'resolved'
           AND ($1::text[] IS NULL OR region = ANY ($1))
           AND ($2::text[] IS NULL OR severity = ANY ($2))
           AND ($3::text IS NULL OR region = $3)
           AND ($4::text IS NULL OR component = $4)
           AND ($5::boolean IS NULL OR (acknowledged_at IS NOT NULL) = $5)
           AND ($6::text IS NULL OR name ILIKE $6 OR summary ILIKE $6 OR component ILIKE $6 OR region ILIKE $6
                OR region = ANY ($10))
           AND ($7::timestamptz IS NULL OR ended_at < $7 OR (ended_at = $7 AND id > $8::uuid))
           AND ($11::text IS NULL OR name = $11)
         ORDER BY ended_at DESC, id
         LIMIT $9",
        regions,
        severities.as_deref(),
        query.region.as_ref().map(RegionId::as_str),
        query.component.as_deref(),
        query.acknowledged,
        text,
        after_time,
        after_id,
        i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1),
        &called,
        query.name.as_deref(),
    )
    .fetch_all(db)
    .await?;
    Ok(all(rows))
}

/// Episodes before this one, of the same fingerprint or, if asked, of the same component.
pub async fn history(
    db: &PgPool,
    of: &AlertView,
    component: bool,
    regions: Option<&[String]>,
) -> sqlx::Result<Vec<Episode>> {
    let component = of.component.as_deref().filter(|_| component);
    let rows = episodes!(
        "FROM alerts
         WHERE (fingerprint = $1 OR component = $2::text) AND id <> $3 AND started_at <= $4
           AND ($5::text[] IS NULL OR region = ANY ($5))
         ORDER BY started_at DESC, id
         LIMIT 20",
        of.fingerprint,
        component,
        of.alert,
        of.started_at,
        regions,
    )
    .fetch_all(db)
    .await?;
    Ok(all(rows))
}

/// Who made or made known a change, and when.
pub struct Stamp<'a> {
    /// Now.
    pub now: OffsetDateTime,
    /// Id and time of receipt that readers have already seen for a fingerprint while the database was away.
    pub seen: &'a HashMap<String, (Uuid, OffsetDateTime)>,
}

/// Writes who has them, or that nobody has.
pub async fn set_acknowledgement(
    db: &mut PgConnection,
    ids: &[Uuid],
    by: Option<(&Acknowledgement, Option<Uuid>)>,
) -> sqlx::Result<()> {
    let (acknowledgement, person) = by.unzip();
    sqlx::query!(
        "UPDATE alerts SET acknowledged_by = $2, acknowledged_by_id = $3, acknowledged_at = $4, note = $5,
             acknowledged_until = $6, lapsed_at = NULL
         WHERE id = ANY ($1)",
        ids,
        acknowledgement.map(|a| a.by.as_str()),
        person.flatten(),
        acknowledgement.map(|a| a.at),
        acknowledgement.map_or("", |a| a.note.as_str()),
        acknowledgement.and_then(|a| a.until),
    )
    .execute(db)
    .await
    .map(drop)
}

/// Firing episodes whose acknowledgement has run out, held until the end of the transaction.
pub async fn lapsing(db: &mut PgConnection, now: OffsetDateTime) -> sqlx::Result<Vec<Episode>> {
    let rows = episodes!(
        "FROM alerts WHERE state = 'firing' AND acknowledged_until <= $1 ORDER BY id LIMIT 500 FOR UPDATE",
        now
    );
    rows.fetch_all(db).await.map(all)
}

/// Writes that acknowledgements have run out, each at the moment that it was given for.
pub async fn lapse(db: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE alerts SET lapsed_at = acknowledged_until, acknowledged_by = NULL, acknowledged_by_id = NULL,
             acknowledged_at = NULL, acknowledged_until = NULL, note = ''
         WHERE id = ANY ($1)",
        ids
    )
    .execute(db)
    .await
    .map(drop)
}

/// An ILIKE pattern for "contains these words", taken literally.
fn containing(text: &str) -> String {
    format!(
        "%{}%",
        text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
    )
}
