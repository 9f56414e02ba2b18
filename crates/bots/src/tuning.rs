//! How the processes that own bots of a cell work, as a person set it.

use bagua_model::bots::tuning::Tuning;
use sqlx::PgPool;
use sqlx::types::Json;
use time::OffsetDateTime;

/// What is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// The values.
    pub tuning: Tuning,
    /// Grows with every change; 0 before the first.
    pub version: i64,
    /// When it was last changed.
    pub changed_at: Option<OffsetDateTime>,
}

/// What is set in a cell. The usual values where nothing is, or where what is written is of a version of Bagua that knows other ones.
///
/// # Errors
/// When the database is away.
pub async fn read(pool: &PgPool) -> sqlx::Result<Set> {
    let row = sqlx::query!("SELECT settings, version, changed_at FROM bot_tuning")
        .fetch_optional(pool)
        .await?;
    Ok(row.map_or_else(Set::default, |row| Set {
        tuning: serde_json::from_value(row.settings).unwrap_or_else(|error| {
            tracing::warn!(%error, "the tuning of the bots cannot be read; the usual values are used");
            Tuning::default()
        }),
        version: row.version,
        changed_at: Some(row.changed_at),
    }))
}

/// Sets it. Returns its version, which is the one before where nothing changes.
///
/// # Errors
/// When the database is away.
pub async fn write(pool: &PgPool, tuning: &Tuning) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "INSERT INTO bot_tuning AS t (settings) VALUES ($1)
         ON CONFLICT (only_row) DO UPDATE SET settings = excluded.settings,
             version = t.version + CASE WHEN t.settings = excluded.settings THEN 0 ELSE 1 END,
             changed_at = CASE WHEN t.settings = excluded.settings THEN t.changed_at ELSE now() END
         RETURNING version",
        Json(tuning) as _
    )
    .fetch_one(pool)
    .await
}
