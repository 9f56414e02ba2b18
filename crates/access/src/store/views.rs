//! Preferences and saved views.

use bagua_model::preferences::SavedView;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

pub async fn zone(db: impl PgExecutor<'_>, person: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT zone FROM people WHERE id = $1", person)
        .fetch_optional(db)
        .await
        .map(Option::flatten)
}

pub async fn set_zone(db: impl PgExecutor<'_>, person: Uuid, zone: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!("UPDATE people SET zone = $2 WHERE id = $1", person, zone)
        .execute(db)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// By name.
pub async fn list(db: impl PgExecutor<'_>, person: Uuid) -> sqlx::Result<Vec<SavedView>> {
    sqlx::query_as!(
        SavedView,
        r#"SELECT id AS "view", name, address, saved_at FROM views WHERE person = $1 ORDER BY name"#,
        person
    )
    .fetch_all(db)
    .await
}

pub async fn by_id(db: impl PgExecutor<'_>, person: Uuid, view: Uuid) -> sqlx::Result<Option<SavedView>> {
    sqlx::query_as!(
        SavedView,
        r#"SELECT id AS "view", name, address, saved_at FROM views WHERE person = $1 AND id = $2"#,
        person,
        view
    )
    .fetch_optional(db)
    .await
}

/// The view of that name and how many there are.
pub async fn named(db: impl PgExecutor<'_>, person: Uuid, name: &str) -> sqlx::Result<(Option<Uuid>, i64)> {
    let row = sqlx::query!(
        r#"SELECT (SELECT id FROM views WHERE person = $1 AND name = $2) AS "view",
                  (SELECT count(*) FROM views WHERE person = $1) AS "count!""#,
        person,
        name
    )
    .fetch_one(db)
    .await?;
    Ok((row.view, row.count))
}

/// The view's id; the one of that name is replaced.
pub async fn save(
    db: impl PgExecutor<'_>,
    person: Uuid,
    name: &str,
    address: &str,
    now: OffsetDateTime,
) -> sqlx::Result<Uuid> {
    sqlx::query_scalar!(
        "INSERT INTO views (id, person, name, address, saved_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT ON CONSTRAINT views_name_once DO UPDATE SET address = $4, saved_at = $5 RETURNING id",
        Uuid::now_v7(),
        person,
        name,
        address,
        now
    )
    .fetch_one(db)
    .await
}

/// Whether there was such a view.
pub async fn rename(db: impl PgExecutor<'_>, person: Uuid, view: Uuid, name: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE views SET name = $3 WHERE person = $1 AND id = $2",
        person,
        view,
        name
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether there was such a view.
pub async fn delete(db: impl PgExecutor<'_>, person: Uuid, view: Uuid) -> sqlx::Result<bool> {
    let done = sqlx::query!("DELETE FROM views WHERE person = $1 AND id = $2", person, view)
        .execute(db)
        .await?;
    Ok(done.rows_affected() == 1)
}
