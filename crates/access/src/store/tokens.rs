//! API tokens.

use super::{GrantRow, grants, unreadable};
use crate::token::TokenHash;
use bagua_model::access::{Grant, Permission, Role};
use bagua_model::region::{Environment, RegionId, Scope};
use bagua_model::tokens::{TokenLimit, TokenState, TokenView};
use sqlx::PgExecutor;
use sqlx::types::Json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long a token that has ended stays in lists.
const LISTED_AFTER_END: Duration = Duration::days(30);

/// The columns of a limit as they stand in the table.
struct LimitRow {
    role: Option<String>,
    access: String,
    permissions: Vec<String>,
    environment: Option<String>,
    region: Option<String>,
}

/// A limit that this version cannot read must not be taken for a wider one: a role, environment or access that it does
/// not know is a fault, a permission that it does not know is one that the token does not have.
fn limit(row: LimitRow) -> sqlx::Result<TokenLimit> {
    let role: Option<Role> = row.role.map(|r| r.parse()).transpose().map_err(unreadable)?;
    let environment: Option<Environment> = row
        .environment
        .map(|e| e.parse())
        .transpose()
        .map_err(unreadable)?;
    Ok(TokenLimit {
        role,
        access: row.access.parse().map_err(unreadable)?,
        permissions: row.permissions.iter().filter_map(|p| p.parse().ok()).collect(),
        scope: Scope {
            environment,
            region: row.region.map(RegionId::new),
        },
    })
}

/// A token that somebody has shown, with its owner as they are now.
pub struct Shown {
    pub id: String,
    pub name: String,
    pub limit: TokenLimit,
    pub expires_at: OffsetDateTime,
    pub last_used_at: Option<OffsetDateTime>,
    pub revoked: bool,
    pub person: Uuid,
    pub person_name: String,
    pub email: String,
    pub disabled: bool,
    pub grants: Vec<Grant>,
}

/// The token with this secret, in whatever state it is: whoever holds the secret may be told.
pub async fn shown(db: impl PgExecutor<'_>, hash: &TokenHash) -> sqlx::Result<Option<Shown>> {
    let row = sqlx::query!(
        r#"SELECT t.id, t.name, t.role, t.access, t.permissions, t.environment, t.region, t.expires_at, t.last_used_at,
                  t.revoked_at IS NOT NULL AS "revoked!", t.person, p.name AS person_name, p.email,
                  p.disabled_at IS NOT NULL AS "disabled!",
                  (SELECT coalesce(jsonb_agg(jsonb_build_object(
                              'role', g.role, 'environment', g.environment, 'region', g.region)), '[]')
                     FROM grants g WHERE g.person = p.id) AS "grants!: Json<Vec<GrantRow>>"
           FROM api_tokens t JOIN people p ON p.id = t.person
           WHERE t.secret_hash = $1"#,
        &hash[..]
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(Shown {
            id: row.id,
            name: row.name,
            limit: limit(LimitRow {
                role: row.role,
                access: row.access,
                permissions: row.permissions,
                environment: row.environment,
                region: row.region,
            })?,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked: row.revoked,
            person: row.person,
            person_name: row.person_name,
            email: row.email,
            disabled: row.disabled,
            grants: grants(row.grants.0),
        })
    })
    .transpose()
}

pub struct New<'a> {
    pub id: &'a str,
    pub hash: &'a TokenHash,
    pub person: Uuid,
    pub name: &'a str,
    pub limit: &'a TokenLimit,
    pub now: OffsetDateTime,
    pub through: Option<&'a str>,
    pub expires_at: OffsetDateTime,
}

pub async fn insert(db: impl PgExecutor<'_>, new: New<'_>) -> sqlx::Result<()> {
    let permissions: Vec<String> = new
        .limit
        .permissions
        .iter()
        .copied()
        .map(Permission::as_str)
        .map(str::to_owned)
        .collect();
    sqlx::query!(
        "INSERT INTO api_tokens (id, secret_hash, person, name, role, access, permissions, environment, region,
                                 created_at, created_through, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        new.id,
        &new.hash[..],
        new.person,
        new.name,
        new.limit.role.map(Role::as_str),
        new.limit.access.as_str(),
        &permissions,
        new.limit.scope.environment.map(Environment::as_str),
        new.limit.scope.region.as_ref().map(RegionId::as_str),
        new.now,
        new.through,
        new.expires_at
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that a token was used; at most once a minute, however many consoles see it used.
pub async fn touch(
    db: impl PgExecutor<'_>,
    id: &str,
    now: OffsetDateTime,
    every: Duration,
    from: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE api_tokens SET last_used_at = $2, last_used_from = $4
         WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $3)",
        id,
        now,
        now - every,
        from
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends a token and all that were made through it, and through those. How many were open.
pub async fn revoke(db: impl PgExecutor<'_>, id: &str, by: &str, now: OffsetDateTime) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "WITH RECURSIVE made AS (
             SELECT id FROM api_tokens WHERE id = $1
             UNION SELECT t.id FROM api_tokens t JOIN made ON t.created_through = made.id
         )
         UPDATE api_tokens SET revoked_at = $2, revoked_by = $3
         WHERE id IN (SELECT id FROM made) AND revoked_at IS NULL",
        id,
        now,
        by
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Ends every token of a person.
pub async fn revoke_all(
    db: impl PgExecutor<'_>,
    person: Uuid,
    by: &str,
    now: OffsetDateTime,
) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "UPDATE api_tokens SET revoked_at = $2, revoked_by = $3 WHERE person = $1 AND revoked_at IS NULL",
        person,
        now,
        by
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// How many tokens of a person are open.
pub async fn count_open(db: impl PgExecutor<'_>, person: Uuid, now: OffsetDateTime) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM api_tokens WHERE person = $1 AND revoked_at IS NULL AND expires_at > $2"#,
        person,
        now
    )
    .fetch_one(db)
    .await
}

/// Tokens, newest first: those of a person, of everybody when `person` is `None`, or one alone.
pub async fn list(
    db: impl PgExecutor<'_>,
    person: Option<Uuid>,
    id: Option<&str>,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<TokenView>> {
    let rows = sqlx::query!(
        "SELECT t.id, t.name, t.person, p.name AS owner, t.role, t.access, t.permissions, t.environment, t.region,
                t.created_at, t.created_through, t.expires_at, t.last_used_at, t.last_used_from, t.revoked_at, t.revoked_by
         FROM api_tokens t JOIN people p ON p.id = t.person
         WHERE ($1::uuid IS NULL OR t.person = $1) AND ($2::text IS NULL OR t.id = $2)
           AND least(t.expires_at, t.revoked_at) > $3
         ORDER BY t.created_at DESC, t.id LIMIT 500",
        person,
        id,
        now - LISTED_AFTER_END
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state = if row.revoked_at.is_some() {
                TokenState::Revoked
            } else if row.expires_at <= now {
                TokenState::Expired
            } else {
                TokenState::Active
            };
            Ok(TokenView {
                token: row.id,
                name: row.name,
                person: row.person,
                owner: row.owner,
                limit: limit(LimitRow {
                    role: row.role,
                    access: row.access,
                    permissions: row.permissions,
                    environment: row.environment,
                    region: row.region,
                })?,
                state,
                created_at: row.created_at,
                created_through: row.created_through,
                expires_at: row.expires_at,
                last_used_at: row.last_used_at,
                last_used_from: row.last_used_from,
                revoked_at: row.revoked_at,
                revoked_by: row.revoked_by,
            })
        })
        .collect()
}
