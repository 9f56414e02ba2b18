//! People and grants.

use super::{GrantRow, Person, grants};
use bagua_model::access::{Grant, PersonView};
use bagua_model::region::Environment;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// Changes of people that must see each other (the last administrator, the first one) take this lock first; it goes
/// with the transaction.
pub async fn lock(db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('bagua.access.people', 0))")
        .fetch_one(db)
        .await?;
    Ok(())
}

pub async fn by_email(db: impl PgExecutor<'_>, email: &str) -> sqlx::Result<Option<Person>> {
    sqlx::query_as!(
        Person,
        r#"SELECT id, email, name, password_hash, disabled_at IS NOT NULL AS "disabled!" FROM people WHERE email = $1"#,
        email
    )
    .fetch_optional(db)
    .await
}

pub async fn by_id(db: impl PgExecutor<'_>, person: Uuid) -> sqlx::Result<Option<Person>> {
    sqlx::query_as!(
        Person,
        r#"SELECT id, email, name, password_hash, disabled_at IS NOT NULL AS "disabled!" FROM people WHERE id = $1"#,
        person
    )
    .fetch_optional(db)
    .await
}

pub async fn grants_of(db: impl PgExecutor<'_>, person: Uuid) -> sqlx::Result<Vec<Grant>> {
    let rows = sqlx::query_as!(
        GrantRow,
        "SELECT role, environment, region FROM grants WHERE person = $1",
        person
    )
    .fetch_all(db)
    .await?;
    Ok(grants(rows))
}

/// How many people other than `except` can administer the whole of `environment` and can sign in to do so.
pub async fn administrators(
    db: impl PgExecutor<'_>,
    environment: Environment,
    except: Option<Uuid>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(DISTINCT p.id) AS "count!" FROM people p JOIN grants g ON g.person = p.id
           WHERE g.role = 'administrator' AND g.region IS NULL AND (g.environment IS NULL OR g.environment = $1)
             AND p.disabled_at IS NULL AND p.password_hash IS NOT NULL AND ($2::uuid IS NULL OR p.id <> $2)"#,
        environment.as_str(),
        except
    )
    .fetch_one(db)
    .await
}

pub async fn insert(
    db: impl PgExecutor<'_>,
    id: Uuid,
    email: &str,
    name: &str,
    password_hash: Option<&str>,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO people (id, email, name, password_hash, created_at) VALUES ($1, $2, $3, $4, $5)",
        id,
        email,
        name,
        password_hash,
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Sets name and password at once: the end of an invitation.
pub async fn set_password(db: impl PgExecutor<'_>, person: Uuid, name: &str, hash: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE people SET name = $2, password_hash = $3 WHERE id = $1",
        person,
        name,
        hash
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes a sign-in with the password behind `checked`, exchanging it for `new` when its cost is an older one. Whether
/// the person still has that password and is not disabled: both may have changed while it was checked.
pub async fn signed_in(
    db: impl PgExecutor<'_>,
    person: Uuid,
    now: OffsetDateTime,
    checked: &str,
    new: Option<&str>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE people SET last_sign_in_at = $2, password_hash = coalesce($4, password_hash)
         WHERE id = $1 AND password_hash = $3 AND disabled_at IS NULL",
        person,
        now,
        checked,
        new
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether it changed anything.
pub async fn set_disabled(
    db: impl PgExecutor<'_>,
    person: Uuid,
    at: Option<OffsetDateTime>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE people SET disabled_at = $2 WHERE id = $1 AND (disabled_at IS NULL) = ($2::timestamptz IS NOT NULL)",
        person,
        at
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether the grant is new.
pub async fn grant(
    db: impl PgExecutor<'_>,
    person: Uuid,
    grant: &Grant,
    by: &str,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO grants (id, person, role, environment, region, granted_at, granted_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT ON CONSTRAINT grants_once DO NOTHING",
        Uuid::now_v7(),
        person,
        grant.role.as_str(),
        grant.scope.environment.map(Environment::as_str),
        grant.scope.region.as_ref().map(|r| r.as_str()),
        now,
        by
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether there was such a grant.
pub async fn revoke(db: impl PgExecutor<'_>, person: Uuid, grant: &Grant) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM grants WHERE person = $1 AND role = $2
            AND environment IS NOT DISTINCT FROM $3 AND region IS NOT DISTINCT FROM $4",
        person,
        grant.role.as_str(),
        grant.scope.environment.map(Environment::as_str),
        grant.scope.region.as_ref().map(|r| r.as_str())
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Everyone, by name.
pub async fn list(
    db: impl PgExecutor<'_>,
    now: OffsetDateTime,
    idle: Duration,
) -> sqlx::Result<Vec<PersonView>> {
    let rows = sqlx::query!(
        r#"SELECT p.id, p.email, p.name, p.created_at, p.last_sign_in_at, p.disabled_at,
                  p.password_hash IS NOT NULL AS "has_password!",
                  c.locked_until AS "locked_until?",
                  (SELECT coalesce(jsonb_agg(jsonb_build_object(
                              'role', g.role, 'environment', g.environment, 'region', g.region)), '[]')
                     FROM grants g WHERE g.person = p.id) AS "grants!: Json<Vec<GrantRow>>",
                  (SELECT count(*) FROM sessions s WHERE s.person = p.id AND s.revoked_at IS NULL
                      AND s.expires_at > $1 AND s.last_seen_at > $2) AS "sessions!"
           FROM people p
           LEFT JOIN sign_in_counters c
             ON c.subject = 'email:' || encode(sha256(convert_to(p.email, 'UTF8')), 'hex') AND c.locked_until > $1
           ORDER BY p.name, p.email"#,
        now,
        now - idle
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| PersonView {
            person: row.id,
            name: row.name,
            email: row.email,
            grants: grants(row.grants.0),
            created_at: row.created_at,
            last_sign_in_at: row.last_sign_in_at,
            locked_until: row.locked_until,
            sessions: row.sessions,
            disabled_at: row.disabled_at,
            has_password: row.has_password,
        })
        .collect())
}
