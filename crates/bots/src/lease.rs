//! Who owns a bot: one process at a time, by a lease in the database in which the bot's updates are stored.
//!
//! The lease's fence is written into the bot's cursor when the lease is acquired, and checked in the transaction that
//! stores updates. So a process that lost its lease without noticing (it was frozen, or cut off) can store nothing and
//! move no cursor. What the database cannot prevent is that such a process *sends* an offset, which deletes updates at
//! Telegram: an offset is therefore the committed cursor and nothing else, and sent only while the lease lives by the
//! owner's own monotonic clock.

use crate::{BotId, Fence};
use sqlx::PgPool;
use std::time::Duration;
use tokio::time::Instant;

/// How long a lease usually lives without renewal.
pub const LEASE: Duration = Duration::from_secs(20);

/// Until when an owner acts as one after a lease of `length`: 15 % less, which is more than two clocks drift apart.
fn safe(length: Duration) -> Duration {
    length.mul_f64(0.85)
}

/// A bot that this process owns.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// The bot.
    pub bot: BotId,
    /// What every write carries.
    pub fence: Fence,
    /// Everything below it is committed; 0 when nothing was received yet.
    pub next_offset: i64,
    /// Until when this process may act, by its own clock: measured from before the statement was sent, so never later
    /// than the database believes.
    pub until: Instant,
}

/// Takes up to `most` bots that should run and that nobody owns, or whose owner has let its lease run out. A bot that was
/// found invalid or failed with its present settings is left alone.
///
/// # Errors
/// When the database is away.
pub async fn acquire(pool: &PgPool, owner: &str, most: i64, length: Duration) -> sqlx::Result<Vec<Lease>> {
    let until = Instant::now() + safe(length);
    let rows = sqlx::query!(
        "WITH free AS (
             SELECT l.bot_id, l.owner AS before FROM bot_leases l JOIN bots b USING (bot_id)
             WHERE b.desired = 'running' AND l.expires_at < now()
               AND NOT EXISTS (SELECT FROM bot_states s WHERE s.bot_id = l.bot_id AND s.generation = b.generation
                                                          AND s.state IN ('invalid', 'failed'))
             ORDER BY l.bot_id LIMIT $2
             FOR UPDATE OF l SKIP LOCKED
         ), taken AS (
             UPDATE bot_leases l SET owner = $1, fence = l.fence + 1, expires_at = now() + make_interval(secs => $3)
             FROM free WHERE l.bot_id = free.bot_id
             RETURNING l.bot_id, l.fence, free.before
         ), told AS (
             INSERT INTO bot_lease_events (bot_id, fence, owner, what)
             SELECT bot_id, fence, $1, CASE WHEN before IS NULL THEN 'acquired' ELSE 'taken_over' END FROM taken
         )
         UPDATE bot_cursors c SET fence = taken.fence FROM taken WHERE c.bot_id = taken.bot_id
         RETURNING c.bot_id, c.fence, c.next_offset",
        owner,
        most,
        length.as_secs_f64()
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Lease {
            bot: BotId(row.bot_id),
            fence: Fence(row.fence),
            next_offset: row.next_offset,
            until,
        })
        .collect())
}

/// Renews all of `leases` in one statement. Those that are not in the answer are lost: stop acting for them.
///
/// # Errors
/// When the database is away; the leases then live until their own end and no longer.
pub async fn renew(
    pool: &PgPool,
    owner: &str,
    leases: &[Lease],
    length: Duration,
) -> sqlx::Result<Vec<Lease>> {
    let until = Instant::now() + safe(length);
    let (bots, fences) = columns(leases);
    let kept = sqlx::query_scalar!(
        "UPDATE bot_leases l SET expires_at = now() + make_interval(secs => $4)
         FROM unnest($2::bigint[], $3::bigint[]) AS mine (bot, fence)
         WHERE l.bot_id = mine.bot AND l.fence = mine.fence AND l.owner = $1
         RETURNING l.bot_id",
        owner,
        &bots,
        &fences,
        length.as_secs_f64()
    )
    .fetch_all(pool)
    .await?;
    Ok(leases
        .iter()
        .filter(|lease| kept.contains(&lease.bot.0))
        .map(|lease| Lease { until, ..*lease })
        .collect())
}

/// Gives the leases back, so that another process need not wait for their end. The cursors' fences move on with them, so
/// that nothing of this process that is still under way is stored afterwards.
///
/// # Errors
/// When the database is away; the leases then run out by themselves.
pub async fn release(pool: &PgPool, owner: &str, leases: &[Lease]) -> sqlx::Result<u64> {
    let (bots, fences) = columns(leases);
    let done = sqlx::query!(
        "WITH given AS (
             UPDATE bot_leases l SET owner = NULL, fence = l.fence + 1, expires_at = '-infinity'
             FROM unnest($2::bigint[], $3::bigint[]) AS mine (bot, fence)
             WHERE l.bot_id = mine.bot AND l.fence = mine.fence AND l.owner = $1
             RETURNING l.bot_id, l.fence
         ), told AS (
             INSERT INTO bot_lease_events (bot_id, fence, owner, what)
             SELECT bot_id, fence - 1, $1, 'released' FROM given
         )
         UPDATE bot_cursors c SET fence = given.fence FROM given WHERE c.bot_id = given.bot_id",
        owner,
        &bots,
        &fences
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

fn columns(leases: &[Lease]) -> (Vec<i64>, Vec<i64>) {
    leases.iter().map(|lease| (lease.bot.0, lease.fence.0)).unzip()
}
