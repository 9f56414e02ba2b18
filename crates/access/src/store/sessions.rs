//! Sessions.

use super::{GrantRow, grants};
use crate::token::TokenHash;
use bagua_model::access::{Grant, SessionView};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::PgExecutor;
use sqlx::types::Json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// A session that is open as far as its row goes, with its person as they are now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    pub session: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    pub person: Uuid,
    pub name: String,
    pub email: String,
    pub grants: Vec<Grant>,
    #[serde(default)]
    pub zone: Option<String>,
}

/// The session behind a token, unless it was revoked, has ended, or its person is disabled.
pub async fn open(
    db: impl PgExecutor<'_>,
    hash: &TokenHash,
    now: OffsetDateTime,
    idle: Duration,
) -> sqlx::Result<Option<Open>> {
    let row = sqlx::query!(
        r#"SELECT s.session, s.created_at, s.last_seen_at, s.expires_at, p.id AS person, p.name, p.email, p.zone,
                  (SELECT coalesce(jsonb_agg(jsonb_build_object(
                              'role', g.role, 'environment', g.environment, 'region', g.region)), '[]')
                     FROM grants g WHERE g.person = p.id) AS "grants!: Json<Vec<GrantRow>>"
           FROM sessions s JOIN people p ON p.id = s.person
           WHERE s.id_hash = $1 AND s.revoked_at IS NULL AND s.expires_at > $2 AND s.last_seen_at > $3
             AND p.disabled_at IS NULL"#,
        &hash[..],
        now,
        now - idle
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Open {
        session: row.session,
        created_at: row.created_at,
        last_seen_at: row.last_seen_at,
        expires_at: row.expires_at,
        person: row.person,
        name: row.name,
        email: row.email,
        grants: grants(row.grants.0),
        zone: row.zone,
    }))
}

pub struct New<'a> {
    pub hash: &'a TokenHash,
    pub session: Uuid,
    pub person: Uuid,
    pub now: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub user_agent: &'a str,
    pub address: &'a str,
}

pub async fn insert(db: impl PgExecutor<'_>, new: New<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO sessions (id_hash, session, person, created_at, last_seen_at, expires_at, user_agent, address)
         VALUES ($1, $2, $3, $4, $4, $5, $6, $7)",
        &new.hash[..],
        new.session,
        new.person,
        new.now,
        new.expires_at,
        new.user_agent,
        new.address
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What tower-sessions keeps, and when the session ends.
pub async fn data(
    db: impl PgExecutor<'_>,
    hash: &TokenHash,
    now: OffsetDateTime,
    idle: Duration,
) -> sqlx::Result<Option<(Map<String, Value>, OffsetDateTime)>> {
    let row = sqlx::query!(
        r#"SELECT data AS "data!: Json<Map<String, Value>>", expires_at FROM sessions
           WHERE id_hash = $1 AND revoked_at IS NULL AND expires_at > $2 AND last_seen_at > $3"#,
        &hash[..],
        now,
        now - idle
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| (row.data.0, row.expires_at)))
}

/// Whether there is such an open session.
pub async fn set_data(
    db: impl PgExecutor<'_>,
    hash: &TokenHash,
    data: &Map<String, Value>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE sessions SET data = $2 WHERE id_hash = $1 AND revoked_at IS NULL",
        &hash[..],
        Json(data) as _
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that the session was used; never backwards, two consoles may do it.
pub async fn touch(db: impl PgExecutor<'_>, hash: &TokenHash, now: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE sessions SET last_seen_at = $2 WHERE id_hash = $1 AND last_seen_at < $2",
        &hash[..],
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends the session behind a token; whose it was, unless it had ended already.
pub async fn revoke_token(
    db: impl PgExecutor<'_>,
    hash: &TokenHash,
    now: OffsetDateTime,
) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "UPDATE sessions SET revoked_at = $2 WHERE id_hash = $1 AND revoked_at IS NULL RETURNING person",
        &hash[..],
        now
    )
    .fetch_optional(db)
    .await
}

/// Ends a session by its name. Whether it was open.
pub async fn revoke(db: impl PgExecutor<'_>, session: Uuid, now: OffsetDateTime) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE sessions SET revoked_at = $2 WHERE session = $1 AND revoked_at IS NULL AND expires_at > $2",
        session,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends every session of a person; how many.
pub async fn revoke_all(db: impl PgExecutor<'_>, person: Uuid, now: OffsetDateTime) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "UPDATE sessions SET revoked_at = $2 WHERE person = $1 AND revoked_at IS NULL AND expires_at > $2",
        person,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// One open session by its name.
pub async fn by_name(
    db: impl PgExecutor<'_>,
    session: Uuid,
    now: OffsetDateTime,
    idle: Duration,
) -> sqlx::Result<Option<SessionView>> {
    sqlx::query_as!(
        SessionView,
        "SELECT session, person, created_at, last_seen_at, expires_at, user_agent, address FROM sessions
         WHERE session = $1 AND revoked_at IS NULL AND expires_at > $2 AND last_seen_at > $3",
        session,
        now,
        now - idle
    )
    .fetch_optional(db)
    .await
}

/// A person's open sessions, last used first.
pub async fn of_person(
    db: impl PgExecutor<'_>,
    person: Uuid,
    now: OffsetDateTime,
    idle: Duration,
) -> sqlx::Result<Vec<SessionView>> {
    sqlx::query_as!(
        SessionView,
        "SELECT session, person, created_at, last_seen_at, expires_at, user_agent, address FROM sessions
         WHERE person = $1 AND revoked_at IS NULL AND expires_at > $2 AND last_seen_at > $3
         ORDER BY last_seen_at DESC, session LIMIT 200",
        person,
        now,
        now - idle
    )
    .fetch_all(db)
    .await
}

/// How many sessions are open.
pub async fn count(db: impl PgExecutor<'_>, now: OffsetDateTime, idle: Duration) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM sessions
           WHERE revoked_at IS NULL AND expires_at > $1 AND last_seen_at > $2"#,
        now,
        now - idle
    )
    .fetch_one(db)
    .await
}

/// Drops what has been over for `kept`; the audit log remembers sign-in and sign-out. How many.
pub async fn prune(
    db: impl PgExecutor<'_>,
    now: OffsetDateTime,
    idle: Duration,
    kept: Duration,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM sessions WHERE expires_at < $1 OR revoked_at < $1 OR last_seen_at < $2",
        now - kept,
        now - kept - idle
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
