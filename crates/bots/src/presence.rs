//! Which processes are there to own bots of a cell, and what they measure of themselves.

use crate::lease::Owner;
use bagua_model::bots::tuning::{CacheFigures, RunnerFigures};
use sqlx::PgPool;
use sqlx::types::Json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use time::OffsetDateTime;

/// A process that has not said for so long that it is there is not.
pub const PRESENT: Duration = Duration::from_secs(60);
/// How long lines of processes that have ended are kept.
const KEPT: Duration = Duration::from_secs(3_600);

/// Look-ups in a cache, counted as they are made.
#[derive(Debug, Default)]
pub struct Reads {
    /// Found.
    pub hits: AtomicU64,
    /// Not found.
    pub misses: AtomicU64,
    /// Without an answer in time.
    pub errors: AtomicU64,
}

impl Reads {
    /// The counts of this moment.
    pub fn figures(&self) -> CacheFigures {
        CacheFigures {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            entries: None,
        }
    }
}

/// A process that is there.
#[derive(Clone, Debug)]
pub struct Present {
    /// Its name in leases.
    pub owner: String,
    /// Where it runs.
    pub region: String,
    /// Since when.
    pub since: OffsetDateTime,
    /// When it last said so.
    pub seen_at: OffsetDateTime,
    /// What it measured then.
    pub figures: RunnerFigures,
}

/// Says that a process is there.
///
/// # Errors
/// When the database is away.
pub async fn announce(pool: &PgPool, owner: &Owner, figures: &RunnerFigures) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO bot_runners AS r (owner, region, figures) VALUES ($1, $2, $3)
         ON CONFLICT (owner) DO UPDATE SET region = excluded.region, figures = excluded.figures, seen_at = now()",
        owner.name,
        owner.region,
        Json(figures) as _
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes a process off the list, because it ends.
///
/// # Errors
/// When the database is away.
pub async fn leave(pool: &PgPool, owner: &Owner) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM bot_runners WHERE owner = $1", owner.name)
        .execute(pool)
        .await?;
    Ok(())
}

/// The processes that are there, by region and name.
///
/// # Errors
/// When the database is away.
pub async fn list(pool: &PgPool) -> sqlx::Result<Vec<Present>> {
    let rows = sqlx::query!(
        r#"SELECT owner, region, since, seen_at, figures AS "figures: Json<RunnerFigures>" FROM bot_runners
           WHERE seen_at > now() - make_interval(secs => $1) ORDER BY region, owner"#,
        PRESENT.as_secs_f64()
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Present {
            owner: row.owner,
            region: row.region,
            since: row.since,
            seen_at: row.seen_at,
            figures: row.figures.0,
        })
        .collect())
}

/// Whether any bot of the cell may run in a region that is not the cell's own.
///
/// # Errors
/// When the database is away.
pub async fn needed(pool: &PgPool, region: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM bots WHERE bot_place(regions, $1, false) IS NOT NULL) AS "needed!""#,
        region
    )
    .fetch_one(pool)
    .await
}

/// Drops lines of processes that have ended without a word.
pub(crate) async fn forget(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM bot_runners WHERE seen_at < now() - make_interval(secs => $1)",
        KEPT.as_secs_f64()
    )
    .execute(pool)
    .await?;
    Ok(())
}
