//! Failed sign-ins, counted in the database: correct with several consoles and after a restart.

use sqlx::PgExecutor;
use time::{Duration, OffsetDateTime};

/// How many failures within which time lock a subject, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub failures: i32,
    pub window: Duration,
    pub lock: Duration,
}

/// Until when a subject is locked, if it is.
pub async fn locked_until(
    db: impl PgExecutor<'_>,
    subject: &str,
    now: OffsetDateTime,
) -> sqlx::Result<Option<OffsetDateTime>> {
    let until = sqlx::query_scalar!(
        "SELECT locked_until FROM sign_in_counters WHERE subject = $1 AND locked_until > $2",
        subject,
        now
    )
    .fetch_optional(db)
    .await?;
    Ok(until.flatten())
}

/// What counting one failure led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Below the limit.
    Below,
    /// This failure reached the limit: locked until then.
    LocksUntil(OffsetDateTime),
    /// Locked already, so nothing was counted: knocking does not lengthen a lock.
    LockedAlready,
}

/// Counts one failure and locks the subject when that reaches the limit, in one statement.
pub async fn fail(
    db: impl PgExecutor<'_>,
    subject: &str,
    limit: Limit,
    now: OffsetDateTime,
) -> sqlx::Result<Counted> {
    let row = sqlx::query!(
        r#"INSERT INTO sign_in_counters AS c (subject, failed_at, locked_until, changed_at)
           VALUES ($1, ARRAY[$2::timestamptz], CASE WHEN $4::int <= 1 THEN $5::timestamptz END, $2)
           ON CONFLICT (subject) DO UPDATE SET
               failed_at = (SELECT array_agg(t) FROM unnest(c.failed_at || $2) t WHERE t > $3),
               locked_until = CASE
                   WHEN (SELECT count(*) FROM unnest(c.failed_at) t WHERE t > $3) + 1 >= $4::int THEN $5::timestamptz END,
               changed_at = $2
           WHERE c.locked_until IS NULL OR c.locked_until <= $2
           RETURNING locked_until"#,
        subject,
        now,
        now - limit.window,
        limit.failures,
        now + limit.lock
    )
    .fetch_optional(db)
    .await?;
    Ok(match row {
        None => Counted::LockedAlready,
        Some(row) => row.locked_until.map_or(Counted::Below, Counted::LocksUntil),
    })
}

/// Takes back what [`fail`] counted at `at`, with the lock that it set.
pub async fn forgive(
    db: impl PgExecutor<'_>,
    subject: &str,
    limit: Limit,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE sign_in_counters SET failed_at = array_remove(failed_at, $2),
                locked_until = CASE WHEN locked_until = $3 THEN NULL ELSE locked_until END
         WHERE subject = $1",
        subject,
        at,
        at + limit.lock
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets a subject's failures and its lock.
pub async fn clear(db: impl PgExecutor<'_>, subject: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM sign_in_counters WHERE subject = $1", subject)
        .execute(db)
        .await?;
    Ok(())
}

/// Drops what no longer counts.
pub async fn prune(db: impl PgExecutor<'_>, before: OffsetDateTime) -> sqlx::Result<u64> {
    let done = sqlx::query!("DELETE FROM sign_in_counters WHERE changed_at < $1", before)
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}
