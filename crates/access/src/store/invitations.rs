//! One-time links.

use super::unreadable;
use crate::token::TokenHash;
use bagua_model::access::Purpose;
use sqlx::PgExecutor;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// The name in the table.
pub const fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::FirstAdmin => "first-admin",
        Purpose::Welcome => "welcome",
        Purpose::Reset => "reset",
    }
}

fn purpose(name: &str) -> sqlx::Result<Purpose> {
    [Purpose::FirstAdmin, Purpose::Welcome, Purpose::Reset]
        .into_iter()
        .find(|p| purpose_name(*p) == name)
        .ok_or_else(|| {
            unreadable(format!(
                "`{name}` is no purpose of a link that this version knows"
            ))
        })
}

/// An open link.
#[derive(Clone, Debug)]
pub struct Invitation {
    pub id: Uuid,
    pub purpose: Purpose,
    pub person: Option<Uuid>,
    pub expires_at: OffsetDateTime,
}

/// Closes the open link of a person, or of the first administrator.
pub async fn void(db: impl PgExecutor<'_>, person: Option<Uuid>, now: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE invitations SET voided_at = $2
         WHERE person IS NOT DISTINCT FROM $1 AND used_at IS NULL AND voided_at IS NULL",
        person,
        now
    )
    .execute(db)
    .await?;
    Ok(())
}

pub struct New<'a> {
    pub hash: &'a TokenHash,
    pub purpose: Purpose,
    pub person: Option<Uuid>,
    pub by: &'a str,
    pub now: OffsetDateTime,
    pub valid: Duration,
}

pub async fn insert(db: impl PgExecutor<'_>, new: New<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO invitations (id, token_hash, purpose, person, created_at, created_by, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        Uuid::now_v7(),
        &new.hash[..],
        purpose_name(new.purpose),
        new.person,
        new.now,
        new.by,
        new.now + new.valid
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The open link with this token.
pub async fn open(
    db: impl PgExecutor<'_>,
    hash: &TokenHash,
    now: OffsetDateTime,
) -> sqlx::Result<Option<Invitation>> {
    let row = sqlx::query!(
        "SELECT id, purpose, person, expires_at FROM invitations
         WHERE token_hash = $1 AND used_at IS NULL AND voided_at IS NULL AND expires_at > $2",
        &hash[..],
        now
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(Invitation {
            id: row.id,
            purpose: purpose(&row.purpose)?,
            person: row.person,
            expires_at: row.expires_at,
        })
    })
    .transpose()
}

/// Uses a link up. Whether this call did: of two that come at the same time, one does.
pub async fn take(db: impl PgExecutor<'_>, id: Uuid, now: OffsetDateTime) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE invitations SET used_at = $2
         WHERE id = $1 AND used_at IS NULL AND voided_at IS NULL AND expires_at > $2",
        id,
        now
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Drops links that ended before.
pub async fn prune(db: impl PgExecutor<'_>, before: OffsetDateTime) -> sqlx::Result<u64> {
    let done = sqlx::query!("DELETE FROM invitations WHERE expires_at < $1", before)
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}
