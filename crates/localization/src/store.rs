//! The tables of the catalogues. An empty region stands for every region.

use bagua_model::region::RegionId;
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;

/// A text.
pub struct Row {
    pub language: String,
    pub region: String,
    pub key: String,
    pub text: String,
    pub version: i64,
    pub changed_at: OffsetDateTime,
}

/// The region as the tables write it.
pub fn column(region: Option<&RegionId>) -> &str {
    region.map_or("", RegionId::as_str)
}

/// All texts, by language, region and key.
pub async fn all(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT language, region, key, text, version, changed_at FROM catalogue_messages ORDER BY language, region, key"
    )
    .fetch_all(db)
    .await
}

/// The texts of one key in these languages, in this region and in every one.
pub async fn of_key(
    db: impl PgExecutor<'_>,
    key: &str,
    languages: &[&str],
    region: &str,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "SELECT language, region, key, text, version, changed_at FROM catalogue_messages
         WHERE key = $1 AND language = ANY ($2) AND region IN ('', $3)",
        key,
        languages as &[&str],
        region
    )
    .fetch_all(db)
    .await
}

/// The number of the last writing of a text, 0 when there never was one. Until the end of the transaction nobody else
/// writes it.
pub async fn lock(db: &mut PgConnection, language: &str, region: &str, key: &str) -> sqlx::Result<i64> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended(format('catalogue %s %s %s', $1::text, $2::text, $3::text), 0))",
        language,
        region,
        key
    )
    .execute(&mut *db)
    .await?;
    sqlx::query_scalar!(
        r#"SELECT coalesce(max(version), 0) AS "version!" FROM catalogue_versions
           WHERE language = $1 AND region = $2 AND key = $3"#,
        language,
        region,
        key
    )
    .fetch_one(db)
    .await
}

/// Writes a text and its line of history. [`lock`] comes first.
pub async fn write(db: &mut PgConnection, row: &Row, by: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH version AS (
             INSERT INTO catalogue_versions (language, region, key, version, text, changed_at, changed_by)
             VALUES ($1, $2, $3, $5, $4, $6, $7)
         )
         INSERT INTO catalogue_messages (language, region, key, text, version, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (language, region, key) DO UPDATE SET text = $4, version = $5, changed_at = $6",
        row.language,
        row.region,
        row.key,
        row.text,
        row.version,
        row.changed_at,
        by
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes a text away, with a line of history. [`lock`] comes first.
pub async fn remove(
    db: &mut PgConnection,
    (language, region, key): (&str, &str, &str),
    version: i64,
    at: OffsetDateTime,
    by: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "WITH gone AS (
             DELETE FROM catalogue_messages WHERE language = $1 AND region = $2 AND key = $3 RETURNING key
         )
         INSERT INTO catalogue_versions (language, region, key, version, text, changed_at, changed_by)
         SELECT $1, $2, key, $4, NULL, $5, $6 FROM gone",
        language,
        region,
        key,
        version,
        at,
        by
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}
